"""The variables by which Azure's own tools name a storage account and its key; the store's library knows others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

_ACCOUNT: Final = ("AZURE_STORAGE_ACCOUNT_NAME",)
_KEY: Final = ("AZURE_STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_ACCESS_KEY", "AZURE_STORAGE_MASTER_KEY")
_OPENS: Final = ("key", "token", "secret", "skip_signature", "use_azure_cli")


def account_and_key(environment: Mapping[str, str], config: Mapping[str, object]) -> dict[str, str]:
    """Return what ``AZURE_STORAGE_ACCOUNT`` and ``AZURE_STORAGE_KEY`` say, for obstore's settings.

    They are the Azure CLI's (https://learn.microsoft.com/cli/azure/azure-cli-configuration). What is configured comes
    first, then the library's own variables.
    """
    found = {}
    account, key = environment.get("AZURE_STORAGE_ACCOUNT"), environment.get("AZURE_STORAGE_KEY")
    names = [name.lower() for name in config]
    if account and not any(map(environment.get, _ACCOUNT)) and not any(n.endswith("account_name") for n in names):
        found["account_name"] = account
    if key and not any(map(environment.get, _KEY)) and not any(name.endswith(_OPENS) for name in names):
        found["account_key"] = key
    return found
