"""Who may ask: keys, tokens, both or everybody, by the settings."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING

from mlserve_scoring.access.admission import Admission

if TYPE_CHECKING:
    from mlserve_scoring.access.entra import EntraGate
    from mlserve_scoring.access.keys import Keys
    from mlserve_scoring.settings import Settings


class EitherGate:
    """Admits whom keys or tokens admit; keys are asked first, they cost less."""

    opened_by = "key or token"

    def __init__(self, keys: Keys, tokens: EntraGate) -> None:
        self._keys = keys
        self._tokens = tokens

    def admit(self, authorization: bytes | None) -> Admission | asyncio.Future[Admission]:
        """Return whether an ``Authorization`` header opens."""
        return self._keys.admit(authorization) or self._tokens.admit(authorization)


def gate_for(settings: Settings) -> Keys | EntraGate | EitherGate | None:
    """Return the gate of a service, nothing where everybody may ask; to be called on the running loop.

    Raises:
        KeysError: The file of keys cannot be used.
        StartError: Tokens cannot be checked with what the image has or the settings say.
    """
    keys = None
    if settings.keys_file is not None:
        from mlserve_scoring.access.keys import Keys  # noqa: PLC0415  # a local service needs none

        keys = Keys(settings.keys_file)
    if settings.entra is None:
        return keys
    from mlserve_scoring.access.entra import EntraGate, fetch_keys, tokens_for  # noqa: PLC0415  # few services need it

    tokens = EntraGate(tokens_for(settings.entra), partial(fetch_keys, settings.entra))
    return tokens if keys is None else EitherGate(keys, tokens)
