"""Keys of a service: made here, kept in a file that only its owner can read, never in arguments, environment or log."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from pulumi_mlserve.clients.atomic_file import write_private

_KEY_BYTES = 24  # 32 characters: as long as the keys that v1 made


@dataclass(frozen=True)
class Keys:
    """The two keys of a service; either opens it, so that one can be renewed while the other is in use.

    Attributes:
        primary: The key handed out first.
        secondary: The key to use while the primary one is renewed.
    """

    primary: str = field(repr=False)
    secondary: str = field(repr=False)


def new_key() -> str:
    """Return a random key of 32 URL-safe characters."""
    return secrets.token_urlsafe(_KEY_BYTES)


def write_keys(path: Path, keys: Keys) -> None:
    """Put the keys at `path`, mode 0600, at once: a reader sees the old pair or the new one."""
    write_private(path, json.dumps({"primary": keys.primary, "secondary": keys.secondary}) + "\n")


def read_keys(path: Path) -> Keys | None:
    """Return the keys at `path`, or None where there are none or what is there cannot be read as keys."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return Keys(primary=found["primary"], secondary=found["secondary"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
