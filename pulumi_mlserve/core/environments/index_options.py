"""Where an environment's own files say that packages come from: read, handed to the resolver, never shown or stored.

An address may hold a password. It is therefore kept out of every text that is printed, hashed or remembered.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Final

# What pip calls each option, and the field of `Indexes` that takes its value.
_ADDRESSES: Final = {
    "-i": "default",
    "--index-url": "default",
    "--pypi-url": "default",
    "--extra-index-url": "extra",
    "-f": "links",
    "--find-links": "links",
    "--trusted-host": "trusted",
}
_FLAGS: Final = frozenset({"--no-index", "--pre"})
# Wheels are all that is ever taken, so these say what happens anyway.
_GRANTED: Final = frozenset({"--prefer-binary", "--only-binary"})

# As pip reads them: https://pip.pypa.io/en/stable/reference/requirements-file-format/#using-environment-variables
_VARIABLE: Final = re.compile(r"\$\{([A-Z0-9_]+)\}")
# What stands before the host: up to the last @ of that part, as pip and uv read it. Then what can only be meant so,
# since no port stands behind the colon: a password with a character that it should have had encoded.
_CREDENTIALS: Final = re.compile(r"(?<=://)[^/?#\s]+@")
_SPILT: Final = re.compile(r"(?<=://)[^/?#\s@:\[]*:(?!\d*[/?#])\S*@")
_TOKEN: Final = re.compile(r"(?<=/t/)[A-Za-z0-9-]{8,}(?=/)")  # as conda's channels have them


class IndexOptionError(ValueError):
    """An option about package indexes that cannot be used; the message says why, without its value."""


@dataclass(frozen=True, repr=False)
class Indexes:
    """Where packages come from, on top of this machine's own settings; repr shows nothing of it.

    Attributes:
        default: Takes the place of the machine's index.
        extra: Looked at beside it.
        links: Folders, or pages with links to wheels.
        trusted: Hosts without a good certificate.
        no_index: Only ``links`` count.
        prereleases: Whether versions that are not final may be taken.
        folder: What paths among the links are relative to; no part of the identity.
    """

    default: str = ""
    extra: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()
    no_index: bool = False
    prereleases: bool = False
    folder: str = field(default="", compare=False)

    def __repr__(self) -> str:
        """Return that there are some, not which."""
        return f"Indexes({'none' if self == Indexes() else '…'})"

    @property
    def identity(self) -> str:
        """Return what tells them from others without naming any; empty where nothing is said."""
        if self == Indexes():
            return ""
        parts = [[one.name, _without_credentials(getattr(self, one.name))] for one in fields(self) if one.compare]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]

    def with_option(self, option: str, value: str, environ: Mapping[str, str]) -> Indexes | None:
        """Return them with one more of pip's options, or None if it is not about indexes.

        Raises:
            IndexOptionError: Its value cannot be used.
        """
        if option in _GRANTED:
            return self
        if option in _FLAGS:
            if value:
                raise IndexOptionError(f"{option} takes no value; take the value out")
            return replace(self, no_index=True) if option == "--no-index" else replace(self, prereleases=True)
        if option not in _ADDRESSES:
            return None
        return self._with(_ADDRESSES[option], option, _expanded(option, value, environ))

    def _with(self, name: str, option: str, value: str) -> Indexes:
        if not value or len(value.split()) > 1:
            raise IndexOptionError(f"{option} needs one value; write {option} and an address")
        if name in {"default", "extra"} and value.partition("://")[0] not in {"http", "https", "file"}:
            raise IndexOptionError(f"{option} is no address of a package index; it begins with https://")
        match name:
            case "default":
                return replace(self, default=value)
            case "extra":
                return replace(self, extra=(*self.extra, value))
            case "links":
                return replace(self, links=(*self.links, value))
        return replace(self, trusted=(*self.trusted, value))


def has_credentials(text: str) -> bool:
    """Return whether an address in a text holds a user, password or token in clear; a variable in its place is none."""
    found = (one for form in (_CREDENTIALS, _SPILT, _TOKEN) for one in form.finditer(text))
    return any(not _VARIABLE.search(one.group()) for one in found)


def _expanded(option: str, value: str, environ: Mapping[str, str]) -> str:
    """Return an address with the variables in it filled in, so that a file needs to hold no password."""
    absent = [name for name in _VARIABLE.findall(value) if not environ.get(name)]
    if absent:
        raise IndexOptionError(
            f"{option} names ${{{absent[0]}}}, which is not set; set it where pulumi or mlserve runs"
        )
    return _VARIABLE.sub(lambda found: environ[found.group(1)], value)


def _without_credentials(value: object) -> object:
    if isinstance(value, str):
        return _CREDENTIALS.sub("", value)
    return [_CREDENTIALS.sub("", one) for one in value] if isinstance(value, tuple) else value
