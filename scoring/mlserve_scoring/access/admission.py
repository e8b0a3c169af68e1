"""What a gate says of a request: it may pass, or why not. Knows no status; ``routes.refused`` chooses it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

SCHEME = b"bearer "


@dataclass(frozen=True, slots=True)
class Refused:
    """Why a request may not pass; counts as false.

    Attributes:
        kind: ``invalid``: the token does not open. ``forbidden``: it is good, but not for this. ``unknown``: nobody
            can say now.
        text: For the client; leaks nothing of keys, tokens or other tenants.
    """

    kind: Literal["invalid", "forbidden", "unknown"]
    text: str

    def __bool__(self) -> bool:
        """Return that it may not pass."""
        return False


Admission = bool | Refused


class UnknownKey(Exception):  # noqa: N818  # not an error: the keys may have been rolled
    """A token is signed with a key that is not among those known."""


def bearer(authorization: bytes | None) -> bytes:
    """Return what an ``Authorization`` header shows; empty when nothing, or of another scheme."""
    header = authorization or b""
    return header[len(SCHEME) :].strip() if header[: len(SCHEME)].lower() == SCHEME else b""
