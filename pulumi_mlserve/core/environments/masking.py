"""What of an address may be shown: never a user, a password, a token, or what stands after a question mark."""

from __future__ import annotations

import re
from typing import Final

_HIDDEN: Final = "***"
_NAMED_HOST: Final = re.compile(r"[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+")
_HOST: Final = re.compile(r"(?:[\w.-]*|\[[0-9A-Fa-f:.]+\])(?::\d+)?")
_TOKEN: Final = re.compile(r"(?<=/t/)[A-Za-z0-9-]{8,}(?=/)")  # as conda's channels have them

# Addresses that lack their slashes; a password may have spaces, and slashes of its own.
_BARE_CREDENTIALS: Final = re.compile(r"\S+:.*@", re.DOTALL)
_BARE_QUERY: Final = re.compile(r"(\w:[^\s?#]*)[?#]\S*")
_BARE_BEGINNING: Final = re.compile(r"\S+:.+", re.DOTALL)


def masked(text: str) -> str:
    """Return a text with what may be shown of the addresses in it; where it can be read in several ways, the least."""
    before, mark, after = text.partition("//")
    if not mark:
        return _without_bare_credentials(text)
    if "@" in after:
        return f"{_BARE_BEGINNING.sub(_HIDDEN, before)}//{_shown(after)}"
    return f"{_without_bare_credentials(before)}//{_shown(after)}"


def _without_bare_credentials(text: str) -> str:
    found = _BARE_CREDENTIALS.search(text)
    if found is None:
        return _BARE_QUERY.sub(r"\1", text)
    if "?" in found.group() or "#" in found.group():
        return f"{text[: found.start()]}{_HIDDEN}"
    after = _BARE_QUERY.sub(r"\1", text[found.end() :])
    return f"{text[: found.start()]}{_HIDDEN}@{after}"


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
