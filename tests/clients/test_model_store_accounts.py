"""Facts about two accounts: what belongs to one is never sent to another."""

from __future__ import annotations

import os
from contextlib import closing

import pytest
from azure_account_kit import SECRET, AccountServer

from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.clients.models.store_address import connected
from pulumi_mlserve.core.problems import OperationError

TEAM = "https://team.blob.core.windows.net/m"
PRINCIPAL = {"AZURE_CLIENT_ID": "i", "AZURE_CLIENT_SECRET": "s", "AZURE_TENANT_ID": "t"}


@pytest.fixture
def account(monkeypatch, tmp_path):
    """A storage account, in an environment that names none and has no `az`."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "MSI_", "IDENTITY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", str(tmp_path))
    with closing(AccountServer()) as server:
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        yield server


def given(monkeypatch, variables):
    """Set variables of storage accounts, and others by their whole name."""
    for name, value in variables.items():
        monkeypatch.setenv(name if name.startswith("AZURE_") else f"AZURE_STORAGE_{name}", value)


@pytest.mark.parametrize(
    ("address", "variables", "login"),
    [
        (TEAM, {"ACCOUNT": "other", "KEY": SECRET, **PRINCIPAL}, "Bearer of-the-principal"),
        ("abfss://m@team.dfs.core.windows.net", {"ACCOUNT": "other", "KEY": SECRET, **PRINCIPAL}, "Bearer of-the-p"),
        ("az://m", {"ACCOUNT_NAME": "team", "ACCOUNT": "other", "KEY": SECRET, **PRINCIPAL}, "Bearer of-the-princ"),
        (TEAM, {"ACCOUNT": "team", "KEY": SECRET, **PRINCIPAL}, "SharedKey team"),
        (TEAM, {"KEY": SECRET}, "SharedKey team"),
        (TEAM, {"ACCOUNT": "other", "ACCOUNT_KEY": SECRET}, "SharedKey team"),
        (TEAM, {"ACCOUNT_NAME": "team", "ACCOUNT_KEY": SECRET}, "SharedKey team"),
        (TEAM, {"ACCOUNT_NAME": "other", **PRINCIPAL}, "Bearer of-the-principal"),
        (TEAM, {"ACCOUNT_NAME": "other", "SAS_TOKEN": "sig=x", **PRINCIPAL}, "Bearer of-the-principal"),
        (TEAM, {"ACCOUNT_NAME": "other", "ACCOUNT_KEY": SECRET, "TOKEN": "mine"}, "Bearer mine"),
        ("az://m", {"ACCOUNT": "team", "KEY": SECRET}, "SharedKey team"),
    ],
)
def test_a_key_opens_the_account_that_stands_beside_it(account, monkeypatch, address, variables, login):
    """For another account it is as if it were not there; alone it is for the account that is opened."""
    given(monkeypatch, variables)

    assert [] == Objects(address).names("a")
    assert [login] == [said[: len(login)] for said in account.logins]


def test_the_login_of_the_azure_cli_is_used_beside_its_defaults_for_another_account(account, monkeypatch, tmp_path):
    """Its key opens nothing here."""
    program = tmp_path / "az"
    program.write_text("")
    program.chmod(0o755)
    given(monkeypatch, {"ACCOUNT": "other", "KEY": SECRET})
    config = connected(TEAM, retries=0).config

    assert "true" == config["use_azure_cli"]
    assert "account_key" not in config
    assert [] == account.logins


def test_the_defaults_of_the_azure_cli_are_not_the_account_of_an_address_without_a_known_cloud(account, monkeypatch):
    """Fabric's, for example: the library reads the account there."""
    given(monkeypatch, {"ACCOUNT": "other", "KEY": SECRET})

    assert "onelake" == connected("abfss://w@onelake.dfs.fabric.microsoft.com/x", retries=0).config["account_name"]


@pytest.mark.parametrize("variable", ["ACCOUNT_KEY", "ACCESS_KEY", "SAS_TOKEN"])
def test_what_the_library_reads_itself_for_another_account_is_refused(account, monkeypatch, variable):
    """It would be sent to the wrong one, before a login that opens it; neither is shown."""
    given(monkeypatch, {"ACCOUNT_NAME": "other", variable: "c2VjcmV0LWtleQ=="})
    said = (
        f"names the account 'team', and AZURE_STORAGE_ACCOUNT_NAME names 'other', whose AZURE_STORAGE_{variable} would"
    )
    with pytest.raises(OperationError, match=said) as error:
        connected(TEAM, retries=0)

    assert "c2Vj" not in str(error.value)
    assert [] == account.logins


@pytest.mark.parametrize(
    ("address", "variables"),
    [
        ("az://m?sv=1&sig=abc", {"ACCOUNT_NAME": "team", "ACCOUNT_KEY": SECRET}),
        ("az://m?sv=1&sig=abc", {"ACCOUNT": "team", "KEY": SECRET}),
        ("az://m?sv=1&sig=abc", {"ACCOUNT_NAME": "team", "TOKEN": "mine"}),
        ("az://m?sv=1&sig=abc", {"ACCOUNT_NAME": "team", "SAS_TOKEN": "sig=other", **PRINCIPAL}),
        ("az://m?sv=1&sig=abc", {"CONNECTION_STRING": f"AccountName=team;AccountKey={SECRET}"}),
        ("az://m", {"CONNECTION_STRING": "AccountName=team;SharedAccessSignature=sig=abc", "ACCOUNT_KEY": SECRET}),
        (f"{TEAM}?sv=1&sig=abc", {"ACCOUNT_NAME": "other", "ACCOUNT_KEY": SECRET}),
        (f"{TEAM}?sv=1&sig=abc", {"ACCOUNT_NAME": "other", "SAS_TOKEN": "sig=other"}),
        (f"{TEAM}?sv=1&sig=abc", {"CONNECTION_STRING": f"AccountName=other;AccountKey={SECRET}"}),
        (f"{TEAM}?sv=1&sig=abc", {"CONNECTION_STRING": f"AccountName=team;AccountKey={SECRET}", "ACCOUNT_KEY": SECRET}),
        (f"{TEAM}?sv=1&sig=abc", {"CONNECTION_STRING": "AccountName=team;SharedAccessSignature=sig=x"}),
    ],
)
def test_a_signature_opens_the_store_whatever_else_is_given(account, monkeypatch, address, variables):
    """It may do less than a key: that is why it was chosen."""
    given(monkeypatch, variables)
    objects = Objects(address)

    assert [] == objects.names("a")
    assert [] == objects.names("b")
    assert ["signature abc"] * 2 == account.logins


def test_what_is_no_signature_is_told_so_without_being_shown(account, monkeypatch):
    """When the store is opened."""
    given(monkeypatch, {"ACCOUNT_NAME": "team", "ACCOUNT_KEY": SECRET})
    with pytest.raises(OperationError, match="az://m cannot be used: the signature is none; copy it whole") as error:
        connected("az://m?geheim", retries=0)

    assert "geheim" not in str(error.value)
