"""Which cloud of Azure an address belongs to."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.azure_clouds import blob_address, cloud_of_registry


@pytest.mark.parametrize(
    ("host", "authority"),
    [
        ("x.azurecr.io", "https://login.microsoftonline.com"),
        ("x.azurecr.io:443", "https://login.microsoftonline.com"),
        ("x.westeurope.data.azurecr.io", "https://login.microsoftonline.com"),
        ("x-1.azurecr.cn", "https://login.chinacloudapi.cn"),
        ("x.azurecr.us", "https://login.microsoftonline.us"),
        ("x.azurecr.de", None),
        ("x.azurecr.io.evil.example", None),
        ("evil.example/x.azurecr.io", None),
        ("azurecr.io", None),
        (".azurecr.io", None),
        ("docker.io", None),
    ],
)
def test_azure_registries_are_known_by_their_names(host, authority):
    """A token of Entra goes to no other, and one of another cloud is good for nothing."""
    cloud = cloud_of_registry(host)

    assert authority == (cloud and cloud.authority)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("https://team.blob.core.windows.net/models", ("core.windows.net", "team", "models", "")),
        ("https://team.blob.core.windows.net/models/a/b/", ("core.windows.net", "team", "models", "a/b")),
        ("https://team.blob.core.usgovcloudapi.net/m/a", ("core.usgovcloudapi.net", "team", "m", "a")),
        ("abfss://m@team.dfs.core.chinacloudapi.cn/a", ("core.chinacloudapi.cn", "team", "m", "a")),
        ("abfs://m@team.dfs.core.windows.net", ("core.windows.net", "team", "m", "")),
    ],
)
def test_an_address_names_cloud_account_and_container(address, said):
    """In both forms."""
    named = blob_address(address)

    assert said == (named.cloud.storage, named.account, named.container, named.folder)


@pytest.mark.parametrize(
    "address",
    [
        "az://models/a",
        "https://team.blob.core.windows.net/",
        "https://team.blob.core.example/models",
        "https://x@team.blob.core.windows.net/models",
        "http://team.blob.core.windows.net/models",
        "https://onelake.dfs.fabric.microsoft.com/x/y",
    ],
)
def test_other_addresses_name_none(address):
    """They are left to others."""
    assert blob_address(address) is None
