"""Which variables hold for a storage account: those of Azure's own tools, and those that the store's library reads.

A key without an account beside it is taken for the account that is opened; one beside another account's name never is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_OWN_ACCOUNT: Final = "AZURE_STORAGE_ACCOUNT_NAME"
_OWN_KEYS: Final = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY")
_OWN_SIGNATURES: Final = ("AZURE_STORAGE_SAS_TOKEN", "AZURE_STORAGE_SAS_KEY")
# What the library takes before a key, and before a signature; neither belongs to a storage account.
_BEFORE_KEYS: Final = ("AZURE_STORAGE_TOKEN",)
_BEFORE_SIGNATURES: Final = ("AZURE_CLIENT_SECRET", "AZURE_STORAGE_CLIENT_SECRET", "AZURE_FEDERATED_TOKEN_FILE")
_OF_ACCOUNTS: Final = ("account_key", "access_key", "master_key", "sas_key", "token")
_OPENS: Final = (*_OF_ACCOUNTS, "secret", "skip_signature", "use_azure_cli")


def named_account(address: str) -> str:
    """Return the storage account that an address names, as ``abfss://CONTAINER@ACCOUNT.dfs…``; empty where none."""
    authority = address.partition("://")[2].partition("?")[0].partition("/")[0]
    account, dot, _ = authority.rpartition("@")[2].partition(".")
    return account if dot else ""


def fitting(environment: Mapping[str, str], account: str) -> dict[str, str]:
    """Return the variables without the Azure CLI's account and key, where those are another account's.

    The CLI takes them as defaults, for commands that name no account
    (https://learn.microsoft.com/cli/azure/azure-cli-configuration).

    Args:
        environment: The variables.
        account: The account that is named; empty for that of the variables.
    """
    default = environment.get("AZURE_STORAGE_ACCOUNT")
    account = account or environment.get(_OWN_ACCOUNT) or ""
    others = {"AZURE_STORAGE_ACCOUNT", "AZURE_STORAGE_KEY"} if default and account and default != account else set()
    return {name: value for name, value in environment.items() if name not in others}


def account_and_key(environment: Mapping[str, str], config: Mapping[str, object]) -> dict[str, str]:
    """Return what ``AZURE_STORAGE_ACCOUNT`` and ``AZURE_STORAGE_KEY`` say, for obstore's settings.

    What is configured comes first, then the library's own variables.
    """
    found = {}
    account, key = environment.get("AZURE_STORAGE_ACCOUNT"), environment.get("AZURE_STORAGE_KEY")
    if account and not environment.get(_OWN_ACCOUNT) and not any(n.lower().endswith("account_name") for n in config):
        found["account_name"] = account
    if key and not any(map(environment.get, _OWN_KEYS)) and not opening(config):
        found["account_key"] = key
    return found


def opening(config: Mapping[str, object]) -> list[str]:
    """Return the names among obstore's settings that say with what a store is opened."""
    return [name for name in config if name.lower().endswith(_OPENS)]


def of_another(environment: Mapping[str, str], config: Mapping[str, object], account: str) -> str:
    """Return why the library would send another account's key or signature, as messages say it; empty if it would not.

    It reads them itself and cannot be told to leave them.

    Args:
        environment: The variables.
        config: The library's settings.
        account: The account that is opened.
    """
    other = environment.get(_OWN_ACCOUNT, "")
    if other in {"", account} or any(name.lower().endswith(_OF_ACCOUNTS) for name in config):
        return ""
    before = {_OWN_KEYS: _BEFORE_KEYS, _OWN_SIGNATURES: _BEFORE_KEYS + _BEFORE_SIGNATURES}
    names = (name for read, first in before.items() if not any(map(environment.get, first)) for name in read)
    found = next((name for name in names if environment.get(name)), None)
    return f"{_OWN_ACCOUNT} names {other!r}, whose {found} would be sent" if found else ""
