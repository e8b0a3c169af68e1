"""The clouds of Azure, each with addresses of its own.

See https://learn.microsoft.com/entra/identity-platform/authentication-national-cloud. Germany's closed in October 2021.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_REGISTRY: Final = re.compile(r"[a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+)*")
_STORAGE: Final = r"(?P<account>[a-z0-9]{3,24})\.(?:blob|dfs)\.(?P<storage>[^/@]+)"
_BLOBS: Final = (
    re.compile(rf"https://{_STORAGE}/(?P<container>[^/]+)(?:/(?P<folder>.*))?"),
    re.compile(rf"abfss?://(?P<container>[^/@]+)@{_STORAGE}(?:/(?P<folder>.*))?"),
)


@dataclass(frozen=True)
class AzureCloud:
    """One cloud.

    Attributes:
        registries: How the names of its container registries end.
        storage: How the names of its storage accounts' hosts end.
        authority: Its Entra ID.
        manager: Its resource manager, for which tokens are made out that its registries change for their own.
    """

    registries: str
    storage: str
    authority: str
    manager: str


PUBLIC: Final = AzureCloud(
    "azurecr.io", "core.windows.net", "https://login.microsoftonline.com", "https://management.azure.com/"
)
CLOUDS: Final = (
    PUBLIC,
    AzureCloud(
        "azurecr.cn",
        "core.chinacloudapi.cn",
        "https://login.chinacloudapi.cn",
        "https://management.chinacloudapi.cn/",
    ),
    AzureCloud(
        "azurecr.us",
        "core.usgovcloudapi.net",
        "https://login.microsoftonline.us",
        "https://management.usgovcloudapi.net/",
    ),
)


@dataclass(frozen=True)
class BlobAddress:
    """An address of blobs.

    Attributes:
        cloud: Whose.
        account: The storage account.
        container: Its container.
        folder: What follows; empty for all of it.
    """

    cloud: AzureCloud
    account: str
    container: str
    folder: str


def cloud_of_registry(host: str) -> AzureCloud | None:
    """Return the cloud of a container registry, or None for a registry of somebody else."""
    name, _, end = host.partition(":")[0].partition(".azurecr.")
    ours = (cloud for cloud in CLOUDS if cloud.registries == f"azurecr.{end}")
    return next(ours, None) if _REGISTRY.fullmatch(name) else None


def blob_address(address: str) -> BlobAddress | None:
    """Return what an address of blobs that names its account and its cloud says, or None for another one.

    Args:
        address: ``https://ACCOUNT.blob.core.windows.net/CONTAINER/FOLDER`` or
            ``abfss://CONTAINER@ACCOUNT.dfs.core.windows.net/FOLDER``, in any cloud.
    """
    found = next((match for form in _BLOBS if (match := form.fullmatch(address))), None)
    cloud = next((one for one in CLOUDS if found and one.storage == found["storage"]), None)
    if found is None or cloud is None:
        return None
    return BlobAddress(cloud, found["account"], found["container"], (found["folder"] or "").strip("/"))
