"""What of an address may be shown: never a user, a password, a token, or what stands after a question mark."""

from __future__ import annotations

import re
from typing import Final

_HIDDEN: Final = "***"
_NAMED_HOST: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_HOST: Final = re.compile(r"(?:[\w.-]*|\[[0-9A-Fa-f:.]+\])(?::\d+)?")
_TOKEN: Final = re.compile(r"(?<=/t/)[A-Za-z0-9-]{8,}(?=/)")  # as conda's channels have them

# Addresses that lack their slashes.
_BARE_CREDENTIALS: Final = re.compile(r"\S+:\S*@")
_BARE_QUERY: Final = re.compile(r"(\w:[^\s?#]*)[?#]\S*")


def masked(text: str) -> str:
    """Return a text with what may be shown of the addresses in it."""
    before, mark, after = text.partition("//")
    if not mark:
        return _BARE_CREDENTIALS.sub(f"{_HIDDEN}@", _BARE_QUERY.sub(r"\1", text))
    return f"{before}//{_shown(after)}"


def _shown(text: str) -> str:
    """Return what may be shown of a text that begins behind the slashes of an address.

    A password with characters that should have been encoded can be read in several ways; then the least is shown.
    """
    address, rest = _first_word(text)
    host = re.split(r"[/?#]", address, maxsplit=1)[0]
    if not _NAMED_HOST.fullmatch(host) and "@" in text:
        secret, _, after = text.rpartition("@")
        if "?" in secret or "#" in secret:
            return _HIDDEN
        address, rest = _first_word(after)
        return f"{_HIDDEN}@{_without_query(address)}{masked(rest)}"
    return (_without_query(address) if _HOST.fullmatch(host) else _HIDDEN) + masked(rest)


def _first_word(text: str) -> tuple[str, str]:
    end = re.search(r"\s|$", text)
    assert end is not None
    return text[: end.start()], text[end.start() :]


def _without_query(address: str) -> str:
    return _TOKEN.sub(_HIDDEN, re.split(r"[?#]", address, maxsplit=1)[0])
