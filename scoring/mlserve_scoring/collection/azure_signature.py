"""Has the signature that was given open a store: the library would take a key or token of the environment first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from mlserve_scoring.collection.azure_variables import opening

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SIGNATURES: Final = ("sas_key", "sas_token")


def signed(config: Mapping[str, object]) -> Callable[[], dict[str, object]] | None:
    """Return obstore's credential provider for the signature in its settings, or None where that does not open.

    From obstore 0.11 on the setting ``credential_type`` would do the same.

    Raises:
        ValueError: It is no signature.
    """
    names = opening(config)
    if len(names) != 1 or not names[0].lower().endswith(_SIGNATURES):
        return None
    signature = str(config[names[0]])
    if not all("=" in part for part in unquote(signature).lstrip("?").split("&") if part.strip()):
        raise ValueError("the signature is none; copy it whole")
    return lambda: {"sas_token": signature, "expires_at": None}
