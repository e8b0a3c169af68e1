"""Keeps contents as objects named by their hash, in an object store; what travels is hashed on its way, both ways.

A large content lies there in parts, each named by its own hash, and ``list.json`` says which, in order. That is written
last, so a content is there whole or not at all, and an upload that was cut off goes on where it was.
"""

from __future__ import annotations

import hashlib
import io
import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

import obstore

from pulumi_mlserve.clients.models.content_cache import ContentCache, Part
from pulumi_mlserve.clients.models.file_bytes import SourceChangedError, opened, stamp_of
from pulumi_mlserve.clients.models.folder_blobs import Source, place_file
from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from typing_extensions import Buffer

_PART = 8 << 20
_THREADS = 16
_PARTS_AT_ONCE = 4


class ObjectBlobs:
    """Contents under ``blobs/sha256/`` of an object store.

    Args:
        objects: The store's objects.
        cache: Keeps on this machine what was fetched.
    """

    def __init__(self, objects: Objects, cache: ContentCache) -> None:
        self._objects = objects
        self._cache = cache

    def path(self, sha256: str) -> Path:
        """Return where this content lies on this machine, if it was fetched."""
        return self._cache.path(sha256)

    def missing(self, entries: Iterable[FileEntry]) -> list[FileEntry]:
        """Return the contents that are not here whole, each once."""
        wanted = list({entry.sha256: entry for entry in entries}.values())
        look = Work("looking up contents", 0)
        wrongs = look.in_threads(self._wrong, wanted, _THREADS)
        return [entry for entry, wrong in zip(wanted, wrongs, strict=True) if wrong is not None]

    def put(self, sources: Sequence[Source], work: Work) -> None:
        """Upload files; each appears whole or not at all, and parts that are there already are not sent again."""
        small = [source for source in sources if source.entry.size <= _PART]
        work.in_threads(lambda source: self._upload_small(source, work), small, _THREADS)
        for source in sources:
            if source.entry.size > _PART:
                self._upload_parts(source, work)  # its parts go at once already

    def open(self, entry: FileEntry) -> BinaryIO:
        """Open a content for reading, in parts as they are asked for, each checked."""
        reader = _Parts(self._parts(entry), lambda part: self._read(entry, part), entry.size)
        return cast("BinaryIO", io.BufferedReader(reader, min(_PART, entry.size + 1)))

    def place(self, entry: FileEntry, target: Path, work: Work, *, link: bool) -> None:
        """Put a content at ``target``, over what is there, fetched once: as with a store in a folder."""
        found = self._cache.fetch(entry, lambda: self._parts(entry), lambda part: self._read(entry, part), work)
        if found is None:
            raise _damaged(self._objects, entry, "other bytes")
        place_file(found, entry, target, Work(f"copying {entry.path}", entry.size), link=link)
        work.step()

    def delete(self, hashes: Iterable[str]) -> None:
        """Delete contents; those that are gone already are no error."""
        for sha256 in hashes:
            self._objects.delete(_key(sha256))
            self._objects.delete(_list(sha256))  # first, so that nobody takes the rest for whole
            parts = self._objects.keys(_folder(sha256))
            Work(f"deleting {sha256[:12]}", 0).in_threads(self._objects.delete, parts, _THREADS)

    def stored(self) -> tuple[str, ...]:
        """Return none: a slow upload elsewhere, whose version does not exist yet, would have to begin anew."""
        return ()

    def stored_before(self, moment: datetime) -> set[str]:
        """Return the hashes of all contents of which nothing was written since."""
        newest: dict[str, datetime] = {}
        for key, changed in self._objects.changed("blobs").items():
            sha256 = key.split("/")[3].removesuffix(".parts")
            newest[sha256] = max(changed, newest.get(sha256, changed))
        return {sha256 for sha256, changed in newest.items() if changed < moment}

    def clear_abandoned(self) -> None:
        """Do nothing: what an upload left is named by its content, and the next one goes on with it."""

    def _wrong(self, entry: FileEntry) -> str | None:
        """Return what is there instead of the content, or None when it is there; no bytes are read."""
        if entry.size <= _PART:
            size = self._size(entry)
            return None if size == entry.size else "nothing" if size is None else f"{size} bytes"
        parts = self._listed(entry)
        if parts is None:
            return "nothing"
        there = self._objects.sizes(_folder(entry.sha256))
        missing = [part for part in parts if there.get(f"{_folder(entry.sha256)}/{part.sha256}") != part.size]
        whole = sum(part.size for part in parts) == entry.size
        return None if whole and not missing else f"{len(parts) - len(missing)} of {len(parts)} parts"

    def _parts(self, entry: FileEntry) -> list[Part]:
        if entry.size <= _PART:
            return [Part(0, entry.size, entry.sha256)]
        parts = self._listed(entry)
        if parts is None:
            raise _damaged(self._objects, entry, "nothing")
        return parts

    def _listed(self, entry: FileEntry) -> list[Part] | None:
        document = self._objects.read(_list(entry.sha256))
        parts: list[Part] = []
        for part in [] if document is None else document["parts"]:
            start = parts[-1].start + parts[-1].size if parts else 0
            parts.append(Part(start, part["size"], part["sha256"]))
        return None if document is None else parts

    def _size(self, entry: FileEntry) -> int | None:
        with self._objects.errors(f"looking for a content of {entry.path}"):
            try:
                return int(obstore.head(self._objects.backend, _key(entry.sha256))["size"])
            except FileNotFoundError:
                return None

    def _read(self, entry: FileEntry, part: Part) -> bytes:
        key = _key(entry.sha256) if part.sha256 == entry.sha256 else f"{_folder(entry.sha256)}/{part.sha256}"
        with self._objects.errors(f"reading a content of {entry.path}"):
            try:
                content = bytes(obstore.get(self._objects.backend, key).bytes())
            except FileNotFoundError:
                raise _damaged(self._objects, entry, "nothing") from None
        if len(content) != part.size:
            raise _damaged(self._objects, entry, f"{len(content)} bytes", part.size)
        if hashlib.sha256(content).hexdigest() != part.sha256:
            raise _damaged(self._objects, entry, f"other bytes at {key}", part.size)
        return content

    def _upload_small(self, source: Source, work: Work) -> None:
        content = b"".join(block for block in _blocks(source))
        work.step()
        self._send(source, _key(source.entry.sha256), content)
        work.step(len(content))

    def _upload_parts(self, source: Source, work: Work) -> None:
        folder = _folder(source.entry.sha256)
        there = self._objects.sizes(folder)
        parts: list[Part] = []
        with ThreadPoolExecutor(_PARTS_AT_ONCE) as pool:
            sending: list[Future[None]] = []
            room = threading.BoundedSemaphore(_PARTS_AT_ONCE + 1)
            try:
                for block in _blocks(source):
                    work.step()
                    sha256 = hashlib.sha256(block).hexdigest()
                    at = parts[-1].start + parts[-1].size if parts else 0
                    parts.append(Part(at, len(block), sha256))
                    if there.get(f"{folder}/{sha256}") == len(block):
                        work.step(len(block))
                        continue
                    room.acquire()
                    sending.append(pool.submit(self._send_part, source, f"{folder}/{sha256}", block, work, room))
                    for done in [call for call in sending if call.done()]:
                        done.result()
                        sending.remove(done)
                for call in sending:
                    call.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise
        said = [{"sha256": part.sha256, "size": part.size} for part in parts]
        self._objects.write(_list(source.entry.sha256), {"size": source.entry.size, "parts": said})

    def _send_part(self, source: Source, key: str, block: bytes, work: Work, room: threading.BoundedSemaphore) -> None:
        try:
            self._send(source, key, block)
            work.step(len(block))
        finally:
            room.release()

    def _send(self, source: Source, key: str, content: bytes) -> None:
        with self._objects.errors(f"uploading {source.entry.path}"):
            obstore.put(self._objects.backend, key, content, use_multipart=False)


class _Parts(io.RawIOBase):
    """Reads a content from where one stands; the part that was read last is kept."""

    def __init__(self, parts: Sequence[Part], read: Callable[[Part], bytes], size: int) -> None:
        self._parts = parts
        self._read_part = read
        self._size = size
        self._at = 0
        self._kept: tuple[Part, bytes] | None = None

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer)
        part = next((part for part in self._parts if part.start <= self._at < part.start + part.size), None)
        if part is None:
            if self._size == 0 and self._kept is None and self._parts:
                self._kept = (self._parts[0], self._read_part(self._parts[0]))  # an empty content must be there too
            return 0
        if self._kept is None or self._kept[0] != part:
            self._kept = (part, self._read_part(part))
        got = self._kept[1][self._at - part.start :][: len(view)]
        view[: len(got)] = got
        self._at += len(got)
        return len(got)


def _blocks(source: Source) -> Iterator[bytes]:
    """Yield a file's parts; raise instead of ending when they were not the content that was promised."""
    whole = hashlib.sha256()
    with opened(str(source.path)) as number, open(number, "rb", closefd=False) as file:
        before = stamp_of(os.fstat(number))
        while block := file.read(_PART):
            whole.update(block)
            yield block
        same = stamp_of(os.fstat(number)) == before
    if not same or whole.hexdigest() != source.entry.sha256:
        raise SourceChangedError(
            f"{source.path}: changed since it was hashed; run again when nothing writes to it any more"
        )


def _key(sha256: str) -> str:
    return f"blobs/sha256/{sha256[:2]}/{sha256}"


def _folder(sha256: str) -> str:
    return f"{_key(sha256)}.parts"


def _list(sha256: str) -> str:
    return f"{_folder(sha256)}/list.json"


def _damaged(objects: Objects, entry: FileEntry, got: str, size: int | None = None) -> OperationError:
    wanted = entry.size if size is None else size
    return OperationError(
        f"{objects.label}: the store's content of {entry.path!r} is damaged, got {got} instead of {wanted} bytes;"
        " register the model again from its files to repair the store"
    )
