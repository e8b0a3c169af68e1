"""Looks through a layer of a base image as it streams by: nothing is unpacked, and memory does not grow with it."""

from __future__ import annotations

import posixpath
import re
import tarfile
from collections.abc import Callable, Iterator
from typing import IO, Final, cast

from pulumi_mlserve.clients.images.layer_unpacking import DamagedLayerError, unpacking_of
from pulumi_mlserve.clients.images.stream_file import StreamFile
from pulumi_mlserve.core.images.base_files import (
    MOST_ENTRIES,
    LayerFinding,
    Probe,
    folder_of_ours,
    is_probed,
    is_wanted_file,
    is_wanted_folder,
    is_wanted_link,
)
from pulumi_mlserve.core.problems import OperationError

_PIECE: Final = 1 << 18
_HEAD: Final = 4096
_ENTER: Final = 0o001  # whoever it is
_MOST_PROBED: Final = 64 * 1024 * 1024
_KEPT: Final = 256  # what a search keeps of the piece before, since a match may lie across two
_LOADER: Final = re.compile(rb"/[\w./-]{0,100}/(?:ld-linux[\w-]*|ld-musl-[\w-]+|ld64|ld)\.so\.\d")
_PYTHON: Final = re.compile(rb"\x00(3\.\d{1,2}\.\d{1,2})(?:(?:a|b|rc)\d{1,2})?\+?(?=\x00)")
_GLIBC: Final = re.compile(rb"GNU C Library[^\x00]{0,120}?version (2\.\d{1,3})")
_MUSL: Final = re.compile(rb"\x00(1\.\d{1,2}\.\d{1,3})(?=\x00)")
_PRETTY: Final = re.compile(r"^PRETTY_NAME=[\"']?([^\"'\n]{1,80})", re.MULTILINE)
_MACHINES: Final = {62: "amd64", 183: "arm64"}


def can_read(media_type: str) -> bool:
    """Tell whether a layer of this type can be looked through."""
    return unpacking_of(media_type) is not None


def look_through(
    pieces: Iterator[bytes], media_type: str, *, each: Callable[[int], None] = lambda _: None
) -> LayerFinding:
    """Return what a layer holds of the files that tell what an image is; the stream is read to its end.

    Args:
        pieces: The layer's blob.
        media_type: How it is packed.
        each: Called with the number of bytes that came; may raise to stop.

    Raises:
        OperationError: Its bytes are damaged.
        TooLargeWindowError: It would take too much memory.
    """
    counted = _counted(pieces, each)
    unpacked = unpacking_of(media_type) or iter
    stream = StreamFile(unpacked(counted))
    finding = LayerFinding()
    try:
        with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", bufsize=_PIECE) as tar:
            for member in tar:
                tar.members = []  # type: ignore[attr-defined]  # else it keeps every name (until Python 3.13)
                _note(tar, member, finding)
                if finding.count > MOST_ENTRIES:
                    raise OperationError("it has too many files that are looked for; it is no base for Python")
        stream.drain()  # the blob's hash is checked with its last byte
    except (tarfile.TarError, DamagedLayerError) as error:
        raise OperationError(f"its bytes are damaged, {error}") from error
    return finding


def _note(tar: tarfile.TarFile, member: tarfile.TarInfo, finding: LayerFinding) -> None:
    path = posixpath.normpath(member.name).lstrip("/")
    if path in {"", "."} or path.startswith("..") or finding.hide(path):
        return
    if member.isdir() and is_wanted_folder(path):
        finding.folders[path] = bool(member.mode & _ENTER)
    elif member.issym() and is_wanted_link(path):
        finding.links[path] = member.linkname
    elif member.islnk() and (is_wanted_file(path) or is_wanted_link(path)):
        finding.links[path] = "/" + posixpath.normpath(member.linkname).lstrip("/")
    elif member.isreg() and (ours := folder_of_ours(path)):
        finding.files[f"{ours}/*"] = Probe()
    elif member.isreg() and is_wanted_file(path):
        finding.files[path] = _probe(tar, member, path) if is_probed(path) else Probe()


def _probe(tar: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> Probe:
    file = tar.extractfile(member)
    if file is None or member.size > _MOST_PROBED:
        return Probe()
    name = posixpath.basename(path)
    if name == "os-release":
        found = _PRETTY.search(file.read(_HEAD).decode(errors="replace"))
        return Probe(version=found[1] if found else "")
    pattern = _GLIBC if name.startswith("libc") else _MUSL if name.startswith("ld-musl") else _PYTHON
    head = file.read(_HEAD)
    versions = {match.decode() for match in _matches(pattern, head, file)}
    loader = _LOADER.search(head)
    return Probe(
        machine=_MACHINES.get(int.from_bytes(head[18:20], "little"), "") if head.startswith(b"\x7fELF") else "",
        loader=loader[0].decode() if loader else "",
        version=_best(versions, name),
    )


def _best(versions: set[str], name: str) -> str:
    """Return the version that a file names; of a program with several, the one that its name begins."""
    minor = re.search(r"3\.\d{1,2}", name)
    if minor:
        versions = {version for version in versions if version.startswith(f"{minor[0]}.")}
    return versions.pop() if len(versions) == 1 else ""


def _matches(pattern: re.Pattern[bytes], head: bytes, file: IO[bytes]) -> Iterator[bytes]:
    rest = head
    while True:
        for match in pattern.finditer(rest):
            yield match[1]
        piece = file.read(_PIECE)
        if not piece:
            return
        rest = rest[-_KEPT:] + piece


def _counted(pieces: Iterator[bytes], each: Callable[[int], None]) -> Iterator[bytes]:
    for piece in pieces:
        each(len(piece))
        yield piece
