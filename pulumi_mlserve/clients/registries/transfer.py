"""Bytes on their way to or from a registry: where they come from, how many are done, how fast."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pulumi_mlserve.clients.interruption import Cancelled, Progress, stop_if
from pulumi_mlserve.clients.models.work import size_text
from pulumi_mlserve.clients.registries.patience import Clock
from pulumi_mlserve.core.images.reference import Reference
from pulumi_mlserve.core.problems import OperationError

_SAY_EVERY: Final = 1.0
_PIECE: Final = 1 << 20


@dataclass(frozen=True)
class BlobSource:
    """Bytes that can be had as often as needed, from any place in them; nothing is held in memory or in a file.

    Attributes:
        digest: Their hash, ``sha256:…``.
        size: How many they are.
        open: Gives them from an offset on, in pieces of any size.
        origin: An image that has them, if one does: where it lies in the same registry they are not sent.
        name: What progress calls them.
    """

    digest: str
    size: int
    open: Callable[[int], Iterator[bytes]] = field(repr=False, compare=False)
    origin: Reference | None = None
    name: str = "a layer"

    @classmethod
    def of_bytes(cls, content: bytes, name: str = "the config") -> BlobSource:
        """Return a source of bytes that are in memory anyway."""
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        return cls(digest, len(content), lambda offset: iter((content[offset:],)), name=name)

    @classmethod
    def of_file(cls, path: Path, digest: str, size: int, name: str = "a layer") -> BlobSource:
        """Return a source of the bytes of a file."""

        def begin(offset: int) -> Iterator[bytes]:
            try:
                with path.open("rb", buffering=0) as file:
                    file.seek(offset)
                    while piece := file.read(_PIECE):
                        yield piece
            except OSError as error:
                raise OperationError(f"{path}: cannot be read, {error.strerror}; build the image again") from error

        return cls(digest, size, begin, name=name)

    @classmethod
    def of_stream(
        cls, make: Callable[[], Iterator[bytes]], digest: str, size: int, name: str = "a layer"
    ) -> BlobSource:
        """Return a source of bytes that are made from their begin only; those before an offset are dropped."""
        return cls(digest, size, lambda offset: after(make(), offset), name=name)


class Transfer:
    """Counts the bytes of one piece of work, from any thread.

    Args:
        doing: What is done, where: ``pushing x.io/app``.
        total: Bytes to do.
        clock: Time.
        progress: Told about once a second.
        stop: Asked at every step.
    """

    def __init__(
        self,
        doing: str,
        total: int,
        *,
        clock: Clock,
        progress: Progress | None = None,
        stop: Cancelled | None = None,
    ) -> None:
        self._doing = doing
        self._total = total
        self._clock = clock
        self._progress = progress
        self._stop = stop
        self._lock = threading.Lock()
        self._done = 0
        self._said = (clock.now(), 0)

    def step(self, size: int = 0) -> None:
        """Count bytes as done; a negative number takes back what must be sent again.

        Raises:
            CancelledError: The work is no longer wanted.
        """
        stop_if(self._stop, self._doing)
        with self._lock:
            self._done += size
            now = self._clock.now()
            then, before = self._said
            if self._progress is None or now - then < _SAY_EVERY:
                return
            self._said = (now, self._done)
            rate = max(0, self._done - before) / (now - then)
            done = min(max(self._done, 0), self._total)
            text = f"{self._doing}: {size_text(done)} of {size_text(self._total)}, {size_text(round(rate))}/s"
        self._progress(text)

    def not_needed(self, size: int) -> None:
        """Leave bytes out that need not be moved."""
        with self._lock:
            self._total -= size


class SourceReader:
    """Reads a source from where it is asked to; what follows on the last place needs no new beginning."""

    def __init__(self, source: BlobSource, transfer: Transfer) -> None:
        self._source = source
        self._transfer = transfer
        self._pieces: Iterator[bytes] | None = None
        self._rest = memoryview(b"")
        self._at = 0
        self._counted = 0

    def read(self, begin: int, length: int) -> Iterator[bytes]:
        """Give ``length`` bytes from ``begin`` on.

        Raises:
            CancelledError: The work is no longer wanted.
            OperationError: The source has fewer.
        """
        if self._pieces is None or begin != self._at:
            self.close()
            self._pieces = iter(self._source.open(begin))
            self._at = begin
        self._transfer.step(begin - self._counted)
        self._counted = begin
        left = length
        while left:
            part = self._part(left)
            left -= len(part)
            self._at += len(part)
            yield part
            self._counted += len(part)
            self._transfer.step(len(part))

    def close(self) -> None:
        """Let go of what is open."""
        if self._pieces is not None and hasattr(self._pieces, "close"):
            self._pieces.close()
        self._pieces = None
        self._rest = memoryview(b"")

    def _part(self, most: int) -> bytes:
        assert self._pieces is not None
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                raise OperationError(
                    f"{self._source.name}: has only {self._at} of its {self._source.size} bytes; build the image again"
                )
            self._rest = memoryview(piece)
        size = min(most, _PIECE, len(self._rest))
        part, self._rest = bytes(self._rest[:size]), self._rest[size:]
        return part


def after(pieces: Iterator[bytes], skip: int) -> Generator[bytes, None, None]:
    """Give the pieces of a stream without its first ``skip`` bytes."""
    for piece in pieces:
        if skip >= len(piece):
            skip -= len(piece)
        else:
            yield piece[skip:] if skip else piece
            skip = 0
