"""What a connection's socket tells of it, whatever is spoken there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio

_NONE: Final = -1


def descriptor(transport: asyncio.BaseTransport | None) -> int:
    """Return the file descriptor; -1 of a connection that has ended."""
    return _NONE if transport is None else int(transport.get_extra_info("socket").fileno())


def peer_address(transport: asyncio.BaseTransport) -> str:
    """Return the address of the client; empty where it has none, as on a socket of the file system."""
    name = transport.get_extra_info("peername")
    return str(name[0]) if isinstance(name, tuple) else ""
