"""Reads blobs of a registry: streamed, resumed where the connection broke, and never taken for whole unchecked."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from pulumi_mlserve.clients.interruption import stop_if
from pulumi_mlserve.clients.registries.challenges import scope
from pulumi_mlserve.clients.registries.refusals import RegistryError, TransientError
from pulumi_mlserve.clients.registries.session import Ask, Session
from pulumi_mlserve.clients.registries.transfer import Transfer, after
from pulumi_mlserve.clients.registries.wire import Reply
from pulumi_mlserve.core.images.remote_image import Descriptor

_POLL_SECONDS: Final = 0.05
_READ: Final = 1 << 20
_RANGE: Final = re.compile(r"bytes (\d{1,18})-\d{1,18}/(?:\d{1,18}|\*)")


class BlobDownload:
    """One blob on its way from a repository.

    Args:
        session: The registry.
        repository: Where from.
        blob: What to read; its size is the most that is taken.
        transfer: Counts the bytes.
    """

    def __init__(self, session: Session, repository: str, blob: Descriptor, transfer: Transfer | None = None) -> None:
        self._session = session
        self._repository = repository
        self._blob = blob
        self._transfer = transfer
        self._doing = f"reading {blob.digest} of {repository}"

    def pieces(self, offset: int = 0) -> Iterator[bytes]:
        """Give the bytes from an offset on; whether they are the digest's is checked only when they are all.

        Raises:
            CancelledError: Nobody wants them any more.
            OperationError: They cannot be had.
        """
        found = hashlib.sha256()
        for piece in self._stream(offset):
            if offset == 0:
                found.update(piece)
            yield piece
        if offset == 0 and "sha256:" + found.hexdigest() != self._blob.digest:
            raise self._other_bytes()

    def to_file(self, path: Path) -> None:
        """Write the blob to a file, which is there only when it is whole; what a run that broke off left is used.

        Raises:
            CancelledError: Nobody wants it any more.
            OperationError: It cannot be had, or not as its digest says; no file is left then.
            OSError: The file cannot be written.
        """
        with self._alone(path) as file:
            if file is None:
                return
            found = hashlib.sha256()
            file.seek(0)
            while piece := file.read(_READ):
                found.update(piece)
            have = file.tell()
            if have > self._blob.size:
                file.truncate(0)
                found, have = hashlib.sha256(), 0
            if self._transfer is not None:
                self._transfer.not_needed(have)
            resumed = have > 0
            for piece in self._stream(have) if have < self._blob.size or not have else ():
                file.write(piece)
                found.update(piece)
            file.flush()
            os.fsync(file.fileno())
            partial = _partial(path)
            is_right = "sha256:" + found.hexdigest() == self._blob.digest
            if is_right:
                partial.replace(path)
            else:
                partial.unlink()
        if not is_right:
            if not resumed:
                raise self._other_bytes()
            self.to_file(path)  # what was left may have been another's

    @contextlib.contextmanager
    def _alone(self, path: Path) -> Iterator[BinaryIO | None]:
        """Give the unfinished file, which nobody else writes meanwhile; None when another run finished it."""
        partial = _partial(path)
        while True:
            with partial.open("a+b") as file:
                while not _is_taken(file):
                    stop_if(self._session.around.stop, self._doing)
                    self._session.around.clock.sleep(_POLL_SECONDS)
                if _is_at(file, path):
                    yield None
                    return
                if _is_at(file, partial):
                    yield file
                    return

    def _stream(self, offset: int) -> Iterator[bytes]:
        patience = self._session.patience(self._doing)
        while True:
            try:
                for piece in self._attempt(offset):
                    offset += len(piece)
                    patience.progressed()
                    if self._transfer is not None:
                        self._transfer.step(len(piece))
                    yield piece
            except TransientError as trouble:  # noqa: PERF203  a network's pause costs more
                patience.wait(trouble)
            else:
                return

    def _attempt(self, offset: int) -> Iterator[bytes]:
        if offset and offset == self._blob.size:
            return
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        path = f"/v2/{self._repository}/blobs/{self._blob.digest}"
        ask = Ask(self._doing, "GET", path, (scope(self._repository, "pull"),), headers)
        with self._session.once(ask) as reply:
            self._session.told(ask, reply, (200, 206))
            skip = offset - self._begin(reply)
            if skip < 0:
                raise RegistryError(
                    f"{self._session.where(self._doing)}: gave another part than was asked for; check proxies"
                )
            left = self._blob.size - offset
            with contextlib.closing(after(reply.pieces(), skip)) as pieces:
                for piece in pieces:
                    left -= len(piece)
                    if left < 0:
                        raise RegistryError(
                            f"{self._session.where(self._doing)}: gave more than the {self._blob.size} bytes that the "
                            "manifest says; push the image again"
                        )
                    yield piece
            if left:
                raise TransientError("the answer broke off")

    def _begin(self, reply: Reply) -> int:
        if reply.status == 200:  # noqa: PLR2004  HTTP's number: the whole, whatever was asked for
            return 0
        found = _RANGE.fullmatch(reply.headers.get("content-range", ""))
        return int(found[1]) if found else self._blob.size + 1

    def _other_bytes(self) -> RegistryError:
        return RegistryError(
            f"{self._session.where(self._doing)}: gave other bytes than the digest says; "
            "check proxies and the registry's disk, or push the image again"
        )


def _partial(path: Path) -> Path:
    return path.with_name(path.name + ".partial")


def _is_taken(file: BinaryIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_at(file: BinaryIO, path: Path) -> bool:
    """Return whether an open file lies at a path, from where another run may have moved or removed it."""
    try:
        return os.path.samestat(path.stat(), os.fstat(file.fileno()))
    except FileNotFoundError:
        return False
