"""Facts about collected data and two accounts: what belongs to one is never sent to another."""

from __future__ import annotations

import os
from contextlib import closing

import pytest
from azure_account_kit import SECRET, AccountServer
from mlserve_scoring.collection.object_store import connected
from mlserve_scoring.errors import StartError

TEAM = "abfss://c@team.dfs.core.windows.net"
PRINCIPAL = {"AZURE_CLIENT_ID": "i", "AZURE_CLIENT_SECRET": "s", "AZURE_TENANT_ID": "t"}
OTHERS = "AccountName=other;AccountKey=a2V5;EndpointSuffix=core.windows.net"


@pytest.fixture
def account(monkeypatch):
    """A storage account, in an environment that names none."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "AML_", "MSI_", "IDENTITY_")):
            monkeypatch.delenv(name)
    with closing(AccountServer()) as server:
        for name, value in server.variables.items():
            monkeypatch.setenv(name, value)
        yield server


def given(monkeypatch, variables):
    """Set variables of storage accounts, and others by their whole name."""
    for name, value in variables.items():
        monkeypatch.setenv(name if name.startswith(("AZURE_", "AML_")) else f"AZURE_STORAGE_{name}", value)


@pytest.mark.parametrize(
    ("target", "options", "variables", "login"),
    [
        (TEAM, {}, {"ACCOUNT": "other", "KEY": SECRET, **PRINCIPAL}, "Bearer of-the-principal"),
        (TEAM, {}, {"ACCOUNT": "team", "KEY": SECRET, **PRINCIPAL}, "SharedKey team"),
        (TEAM, {}, {"KEY": SECRET}, "SharedKey team"),
        ("az://c", {"account_name": "team"}, {"ACCOUNT": "other", "KEY": SECRET, **PRINCIPAL}, "Bearer of-the-princi"),
        ("az://c", {"AZURE_STORAGE_ACCOUNT_NAME": "team"}, {"KEY": SECRET}, "SharedKey team"),
        ("az://c", {"account_name": "team", "account_key": SECRET}, {"CONNECTION_STRING": OTHERS}, "SharedKey team"),
        (TEAM, {"account_key": SECRET}, {"ACCOUNT_NAME": "other", "ACCOUNT_KEY": "a2V5"}, "SharedKey team"),
        ("az://c", {}, {"ACCOUNT": "team", "KEY": SECRET}, "SharedKey team"),
    ],
)
def test_a_key_opens_the_account_that_stands_beside_it(account, monkeypatch, target, options, variables, login):
    """For another account than the address or the options name it is as if it were not there."""
    given(monkeypatch, variables)
    connected(target, options)("a", b"x")

    assert [login] == [said[: len(login)] for said in account.logins]


@pytest.mark.parametrize(
    ("target", "options", "variables", "said"),
    [
        (TEAM, {}, {"CONNECTION_STRING": OTHERS}, "AZURE_STORAGE_CONNECTION_STRING names 'other'; name the same"),
        (TEAM, {}, {"AML_MODEL_DC_STORAGE": OTHERS}, "AML_MODEL_DC_STORAGE names 'other'; name the same account, or"),
        ("az://c", {"account_name": "team"}, {"CONNECTION_STRING": OTHERS}, "AZURE_STORAGE_CONNECTION_STRING names 'o"),
        (TEAM, {}, {"ACCOUNT_NAME": "other", "ACCOUNT_KEY": "a2V5"}, "AZURE_STORAGE_ACCOUNT_NAME names 'other', whose"),
        (TEAM, {}, {"ACCOUNT_NAME": "other", "SAS_TOKEN": "sig=a2V5"}, "whose AZURE_STORAGE_SAS_TOKEN would be sent"),
    ],
)
def test_what_would_open_another_account_is_refused(account, monkeypatch, target, options, variables, said):
    """Data would else go to where nobody looks for it, or nowhere; no secret is shown."""
    given(monkeypatch, variables)
    with pytest.raises(StartError, match=rf"collection.target: .* is in the account 'team', and .*{said}") as error:
        connected(target, options)

    assert "a2V5" not in str(error.value)
    assert [] == account.logins


@pytest.mark.parametrize(
    ("target", "options", "variables"),
    [
        ("az://c", {"account_name": "team", "sas_key": "sv=1&sig=abc"}, {"ACCOUNT_KEY": SECRET}),
        ("az://c", {"account_name": "team", "sas_token": "sv=1&sig=abc"}, {"ACCOUNT_NAME": "other", "KEY": SECRET}),
        (TEAM, {"AZURE_STORAGE_SAS_TOKEN": "sig=abc"}, {"ACCOUNT_NAME": "other", "ACCOUNT_KEY": SECRET}),
        (TEAM, {"sas_key": "sig=abc"}, {"CONNECTION_STRING": f"AccountName=team;AccountKey={SECRET}"}),
        ("az://c", {}, {"AML_MODEL_DC_STORAGE": "AccountName=team;SharedAccessSignature=sig=abc", "TOKEN": "mine"}),
    ],
)
def test_a_signature_that_is_configured_opens_the_container_whatever_else_is_given(
    account, monkeypatch, target, options, variables
):
    """Options come first, then the connection string."""
    given(monkeypatch, variables)
    put = connected(target, options)
    put("a", b"x")
    put("b", b"x")

    assert ["signature abc"] * 2 == account.logins


def test_what_is_no_signature_is_told_so_without_being_shown(account):
    """At the start."""
    with pytest.raises(StartError, match="az://c cannot be used, the signature is none; copy it whole") as error:
        connected("az://c", {"account_name": "team", "sas_key": "geheim"})

    assert "geheim" not in str(error.value)
