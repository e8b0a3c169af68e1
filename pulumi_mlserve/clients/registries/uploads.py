"""Brings one blob to a registry: it may be there, may lie in another repository, or is sent and resumed.

See https://github.com/opencontainers/distribution-spec: "Pushing blobs". Only what the registry says it has counts.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, Literal, TypeAlias
from urllib.parse import urlencode, urlsplit

from pulumi_mlserve.clients.registries.challenges import scope
from pulumi_mlserve.clients.registries.patience import Patience, passing
from pulumi_mlserve.clients.registries.refusals import RegistryError, TransientError, codes_of
from pulumi_mlserve.clients.registries.session import Answer, Ask, Session
from pulumi_mlserve.clients.registries.transfer import BlobSource, SourceReader, Transfer
from pulumi_mlserve.clients.registries.wire import Reply
from pulumi_mlserve.core.images.reference import Reference
from pulumi_mlserve.core.problems import OperationError

Outcome: TypeAlias = Literal["there", "mounted", "sent"]

CHUNKED_FROM: Final = 64 * 1024 * 1024
CHUNK: Final = 16 * 1024 * 1024

_COMMIT_SECONDS: Final = 600.0
"""A registry may copy and hash a whole layer before it says that it has it."""
_GONE: Final = frozenset({404, 410, 416})
_GONE_CODES: Final = frozenset({"BLOB_UPLOAD_UNKNOWN", "BLOB_UPLOAD_INVALID", "RANGE_INVALID"})
_NO_MOUNT: Final = frozenset({400, 401, 403, 404, 405})
"""By which a registry, or its token service, says that we may not mount from there."""
_BYTES: Final = "application/octet-stream"


class _LostUploadError(TransientError):
    """The registry no longer knows what it was sent; it must be sent from the beginning."""


class BlobUpload:
    """One blob on its way into one repository.

    Args:
        session: The registry.
        repository: Where to.
        source: The bytes.
        transfer: Counts them.
    """

    def __init__(self, session: Session, repository: str, source: BlobSource, transfer: Transfer) -> None:
        self._session = session
        self._repository = repository
        self._source = source
        self._transfer = transfer
        self._doing = f"pushing {source.name} to {repository}"
        self._scopes: tuple[str, ...] = (scope(repository, "pull", "push"),)
        self._reader = SourceReader(source, transfer)
        self._chunk = CHUNK
        self._location: str | None = None
        self._offset = 0
        self._unsure = False
        self._farthest = 0
        self._wrong = 0

    def run(self) -> Outcome:
        """Return how the blob came to be there.

        Raises:
            CancelledError: Nobody wants it any more.
            OperationError: The registry refused it, or the source has other bytes.
        """
        try:
            if self._is_there():
                self._transfer.not_needed(self._source.size)
                return "there"
            self._location = self._begin(mount=True)
            if self._location is None:
                self._transfer.not_needed(self._source.size)
                return "mounted"
            patience = self._session.patience(self._doing)
            while (trouble := self._tried(patience)) is not None:
                patience.wait(trouble)
        finally:
            self._reader.close()
        return "sent"

    def _tried(self, patience: Patience) -> TransientError | None:
        """Send what the registry does not have yet; return what came between."""
        try:
            self._send(patience)
        except _LostUploadError as trouble:
            self._location = None
            return trouble
        except TransientError as trouble:
            self._unsure = True
            return trouble
        return None

    def _send(self, patience: Patience) -> None:
        size = self._source.size
        if self._unsure and self._location is not None and size >= CHUNKED_FROM:
            self._location, self._offset = self._ask(self._location)
        elif self._unsure or self._location is None:
            if self._is_there():
                return
            self._location, self._offset = self._begin(), 0
        self._unsure = False
        assert self._location is not None
        if size < CHUNKED_FROM:
            self._put(self._location, 0, size)
            return
        while self._offset < size:
            self._location, self._offset = self._patch(self._location, self._offset)
            if self._offset > self._farthest:
                self._farthest = self._offset
                patience.progressed()
        self._put(self._location, size, 0)

    def _is_there(self) -> bool:
        path = f"/v2/{self._repository}/blobs/{self._source.digest}"
        ask = Ask(f"looking for {self._source.name} in {self._repository}", "HEAD", path, self._scopes)
        answer = self._session.call(ask, wanted=(200, 404))
        if answer.status == 404:  # noqa: PLR2004  HTTP's number
            return False
        length = answer.headers.get("content-length", "")
        if length.isdigit() and int(length) not in {0, self._source.size}:  # some write 0 in answers without a body
            raise RegistryError(
                f"{self._session.where(ask.doing)}: has {length} bytes under {self._source.digest} instead of "
                f"{self._source.size}; remove them there and push again"
            )
        return True

    def _begin(self, *, mount: bool = False) -> str | None:
        """Return where to send the blob; None when it was mounted."""
        path, scopes = f"/v2/{self._repository}/blobs/uploads/", self._scopes
        origin = self._source.origin
        mounting = mount and origin is not None and self._is_near(origin)
        if mounting and origin is not None:
            path += "?" + urlencode({"mount": self._source.digest, "from": origin.repository})
            scopes = (*scopes, scope(origin.repository, "pull"))
        ask = Ask(self._doing, "POST", path, scopes, {"Content-Length": "0"})
        try:
            answer = self._session.call(ask, wanted=(201, 202) if mounting else (202,))
        except RegistryError as error:
            if mounting and error.status in _NO_MOUNT:
                return self._begin()
            raise
        if answer.status == 201:  # noqa: PLR2004  HTTP's number
            return None
        least = answer.headers.get("oci-chunk-min-length", "")
        if least.isdigit():
            self._chunk = max(CHUNK, int(least))
        location = answer.headers.get("location")
        if not location:
            raise RegistryError(f"{self._session.where(self._doing)}: says no place to send it to; look into its log")
        return self._session.address(answer.url, location)

    def _is_near(self, origin: Reference) -> bool:
        return origin.registry == self._session.registry and origin.repository != self._repository

    def _ask(self, location: str) -> tuple[str, int]:
        """Return where to go on and from which byte, as the registry says."""
        with self._session.once(Ask(self._doing, "GET", location, self._scopes)) as reply:
            self._told(reply, (200, 202, 204))
            end = _end(reply)
            offset = 0 if end is None or end == 0 else end + 1  # 0-0 is written for nothing, too
            if offset > self._source.size:
                raise _LostUploadError("it has more bytes than were sent")
            return self._next(location, reply), offset

    def _patch(self, location: str, offset: int) -> tuple[str, int]:
        length = min(self._chunk, self._source.size - offset)
        headers = {
            "Content-Type": _BYTES,
            "Content-Length": str(length),
            "Content-Range": f"{offset}-{offset + length - 1}",
        }
        ask = Ask(self._doing, "PATCH", location, self._scopes, headers, lambda: self._reader.read(offset, length))
        with self._session.once(ask) as reply:
            self._told(reply, (201, 202, 204))
            end = _end(reply)
            reached = offset + length if end is None else end + 1
            if not offset < reached <= offset + length:
                raise _LostUploadError(f"it says that it has {reached} bytes after {offset + length} were sent")
            return self._next(location, reply), reached

    def _put(self, location: str, begin: int, length: int) -> None:
        joint = "&" if urlsplit(location).query else "?"
        ask = Ask(
            self._doing,
            "PUT",
            location + joint + urlencode({"digest": self._source.digest}),
            self._scopes,
            {"Content-Type": _BYTES, "Content-Length": str(length)},
            (lambda: self._reader.read(begin, length)) if length else None,
            _COMMIT_SECONDS,
        )
        with self._session.once(ask) as reply:
            self._told(reply, (201, 204))
            said = reply.headers.get("docker-content-digest", self._source.digest)
        if said != self._source.digest:
            raise RegistryError(
                f"{self._session.where(self._doing)}: says that it has {said[:80]!r} "
                f"after {self._source.digest} was sent; look into its log"
            )

    def _next(self, location: str, reply: Reply) -> str:
        return self._session.address(location, reply.headers.get("location") or location)

    def _told(self, reply: Reply, wanted: tuple[int, ...]) -> None:
        """Raise what an answer means that is not wanted."""
        if reply.status in wanted:
            return
        ask = Ask(self._doing, "", "")
        body = reply.read() if 400 <= reply.status < 500 else b""  # noqa: PLR2004  HTTP's numbers
        codes = codes_of(body)
        if "DIGEST_INVALID" in codes:
            self._digest_refused()
        if codes & _GONE_CODES or reply.status in _GONE:
            raise _LostUploadError("the registry lost what it was sent")
        if trouble := passing(reply.status, reply.headers, self._session.around.clock):
            raise trouble
        raise self._session.refused(ask, Answer(reply.status, reply.headers, body, reply.url))

    def _digest_refused(self) -> None:
        """Find out who is wrong: the source, or what came between it and the registry."""
        found = hashlib.sha256()
        for piece in self._source.open(0):
            self._transfer.step()
            found.update(piece)
        if "sha256:" + found.hexdigest() != self._source.digest:
            raise OperationError(
                f"{self._source.name}: its bytes are not those of {self._source.digest} any more; build the image again"
            )
        self._wrong += 1
        if self._wrong > 1:
            raise RegistryError(
                f"{self._session.where(self._doing)}: other bytes arrived than were sent, twice; "
                "check the network, proxies and the registry's disk, then run again"
            )
        raise _LostUploadError("other bytes arrived than were sent")


def _end(reply: Reply) -> int | None:
    """Return the last byte that the registry says it has; None when it says nothing."""
    found = re.fullmatch(r"\s*(?:bytes=)?0-(\d{1,18})\s*", reply.headers.get("range", ""))
    return int(found[1]) if found else None
