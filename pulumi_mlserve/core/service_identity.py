"""What a service of this machine is called among all others: one text that can name a folder."""

from __future__ import annotations

import hashlib
import re
from typing import Final

_FOLDER_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_READABLE: Final = 80
_HASHED: Final = 16


def is_service_id(text: str) -> bool:
    """Return whether the text can be the identity of a service: a folder can have that name."""
    return _FOLDER_NAME.fullmatch(text) is not None


def service_id(project: str, stack: str, name: str) -> str:
    """Return the identity of a service; two services never share one, whatever dots their projects and stacks have.

    It is ``PROJECT.STACK.NAME`` as long as exactly one project, stack and name can be read from that. Else it ends in
    a hash after its only dot.
    """
    plain = plain_service_id(project, stack, name)
    if plain == f"{project}.{stack}.{name}" and plain.count(".") == 2 and is_service_id(plain):  # noqa: PLR2004
        return plain
    # No part has a slash: the engine allows none in the names of projects and stacks.
    hashed = hashlib.sha256(f"{project}/{stack}/{name}".encode()).hexdigest()[:_HASHED]
    readable = re.sub(r"[^A-Za-z0-9]+", "-", f"{project}-{stack}-{name}").strip("-")[:_READABLE]
    return f"{readable or 'service'}.{hashed}"


def plain_service_id(project: str, stack: str, name: str) -> str:
    """Return the identity that releases before this rule gave, which two services could share."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", f"{project}.{stack}.{name}")
