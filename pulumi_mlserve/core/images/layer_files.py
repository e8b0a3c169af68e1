"""What lies in a layer, and the one order and form in which it goes into a tar.

Modes, owners and times of the builder's files do not count: a file is executable when its content says so (a script's
first two characters or a program's first four), so that the same files give the same bytes on every machine.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Kind: TypeAlias = Literal["file", "folder", "link"]

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
"""What closes a tar."""

_TYPES: Final[dict[Kind, bytes]] = {"file": b"0", "link": b"2", "folder": b"5"}
_NAME_BYTES: Final = 100
_MAX_OCTAL_SIZE: Final = 8**11 - 1


@dataclass(frozen=True)
class LayerEntry:
    """One file, folder or link of a layer.

    Attributes:
        path: Relative to the image's root, with forward slashes.
        kind: What it is.
        content: A file's bytes, or where they lie.
        size: A file's bytes.
        sha256: A file's hash where it is known; the writer then refuses other bytes.
        target: Where a link points, relative to its own folder.
    """

    path: str
    kind: Kind
    content: bytes | Path = b""
    size: int = 0
    sha256: str | None = None
    target: str = ""


def complete(entries: Iterable[LayerEntry]) -> list[LayerEntry]:
    """Return the entries with all parent folders, parents first, sorted by path.

    Raises:
        ValueError: Two entries have one path, or a file is given where another entry needs a folder.
    """
    found: dict[str, LayerEntry] = {}
    for entry in entries:
        if entry.path in found:
            raise ValueError(f"{entry.path}: given twice for one layer")
        found[entry.path] = entry
    for path in list(found):
        parent = posixpath.dirname(path)
        while parent:
            known = found.setdefault(parent, LayerEntry(parent, "folder"))
            if known.kind != "folder":
                raise ValueError(f"{path}: lies below {parent}, which is a {known.kind}")
            parent = posixpath.dirname(parent)
    return sorted(found.values(), key=lambda entry: entry.path.split("/"))


def is_program(beginning: bytes) -> bool:
    """Tell from a file's first bytes whether it can be run: a script with an interpreter, or an ELF program."""
    return beginning.startswith((b"#!", b"\x7fELF"))


def tar_header(entry: LayerEntry, *, executable: bool = False) -> bytes:
    """Return the tar header of an entry: ustar, preceded by a PAX header where a name or a size needs one."""
    name = (entry.path + "/" if entry.kind == "folder" else entry.path).encode()
    target = entry.target.encode()
    size = entry.size if entry.kind == "file" else 0
    records: dict[str, bytes] = {}
    if not name.isascii() or len(name) > _NAME_BYTES:
        records["path"] = name
    if not target.isascii() or len(target) > _NAME_BYTES:
        records["linkpath"] = target
    if size > _MAX_OCTAL_SIZE:
        records["size"] = b"%d" % size
    mode = 0o777 if entry.kind == "link" else 0o755 if executable or entry.kind == "folder" else 0o644
    plain = _ustar(_plain(name), mode, 0 if "size" in records else size, _TYPES[entry.kind], _plain(target))
    if not records:
        return plain
    extended = b"".join(_record(key.encode(), value) for key, value in sorted(records.items()))
    return _ustar(b"pax", 0o644, len(extended), b"x", b"") + extended + padding(len(extended)) + plain


def padding(size: int) -> bytes:
    """Return the zeros that fill up the last block of a file of this size."""
    return bytes(-size % BLOCK)


def _plain(name: bytes) -> bytes:
    return bytes(byte if byte < 128 else 63 for byte in name)[:_NAME_BYTES]  # noqa: PLR2004 - ASCII, else '?'


def _record(key: bytes, value: bytes) -> bytes:
    # A PAX record starts with its own length, digits included: https://pubs.opengroup.org/onlinepubs/9699919799/
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while len(b"%d" % length) + len(rest) != length:
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def _ustar(name: bytes, mode: int, size: int, kind: bytes, target: bytes) -> bytes:
    header = bytearray(BLOCK)
    header[0 : len(name)] = name
    header[100:108] = b"%07o\0" % mode
    header[108:124] = b"0000000\0" * 2  # owner and group: root
    header[124:136] = b"%011o\0" % size
    header[136:148] = b"%011o\0" % 0  # changed at the beginning of 1970
    header[148:156] = b" " * 8  # the checksum counts itself as spaces
    header[156:157] = kind
    header[157 : 157 + len(target)] = target
    header[257:265] = b"ustar\x0000"
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)
