"""Keeps what was read of base images, by digest: their documents, what was found in their layers, what tags meant.

Nothing in it is trusted: documents are checked against their digests, the rest is read again when it is damaged.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.atomic_file import write_private
from pulumi_mlserve.core.images.base_files import LayerFinding, Probe
from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.reference import is_digest
from pulumi_mlserve.core.problems import OperationError

_FORM: Final = 3
"""What is looked for in a layer; a change needs a new number."""


class BaseCache:
    """A folder of this user's; deleting it loses only time.

    Args:
        folder: Exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def documents(self, digest: str) -> tuple[str, bytes, bytes] | None:
        """Return type and bytes of an image's manifest, and its config, if both are here."""
        found = self._read("images", digest)
        try:
            kind, manifest, config = str(found["type"]), found["manifest"].encode(), found["config"].encode()
        except (KeyError, AttributeError):
            return None
        named = json.loads(manifest)["config"]["digest"] if _digest(manifest) == digest else ""
        return (kind, manifest, config) if _digest(config) == named else None

    def keep_documents(self, digest: str, kind: str, manifest: bytes, config: bytes) -> None:
        """Keep an image's manifest and config."""
        self._write("images", digest, {"type": kind, "manifest": manifest.decode(), "config": config.decode()})

    def layer(self, digest: str) -> LayerFinding | None:
        """Return what was found in a layer, if it was looked through."""
        found = self._read("layers", digest)
        try:
            if found["form"] != _FORM:
                return None
            files = {str(path): Probe(**probe) for path, probe in found["files"].items()}
            folders = {str(path): bool(is_open) for path, is_open in found["folders"].items()}
            return LayerFinding(files, dict(found["links"]), list(found["hidden"]), list(found["emptied"]), folders)
        except (KeyError, TypeError, AttributeError):
            return None

    def keep_layer(self, digest: str, finding: LayerFinding) -> None:
        """Keep what was found in a layer."""
        self._write("layers", digest, {"form": _FORM, **asdict(finding)})

    def meaning(self, name: str, *, since: float) -> str | None:
        """Return the digest that a tag meant when it was asked for last, unless that was too long ago."""
        found = self._read("tags", _digest(name.encode()))
        digest, when = found.get("digest"), found.get("when")
        fresh = isinstance(when, int | float) and when >= since
        return str(digest) if fresh and isinstance(digest, str) and is_digest(digest) else None

    def keep_meaning(self, name: str, digest: str, when: float) -> None:
        """Keep which digest a tag means now."""
        self._write("tags", _digest(name.encode()), {"digest": digest, "when": when})

    @contextlib.contextmanager
    def locked(self, digest: str) -> Iterator[None]:
        """Let others wait that want to read the same image."""
        path = self._folder / "locks" / digest.removeprefix("sha256:")
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            lock = path.open("w")
        except OSError as error:
            raise _not_writable(self._folder, error) from error
        with lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self, kind: str, digest: str) -> Mapping[str, Any]:
        try:
            found = json.loads(self._path(kind, digest).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, Mapping) else {}

    def _write(self, kind: str, digest: str, document: Mapping[str, Any]) -> None:
        path = self._path(kind, digest)
        try:
            path.parent.mkdir(mode=0o700, exist_ok=True)
            write_private(path, canonical(document))
        except OSError as error:
            raise _not_writable(self._folder, error) from error

    def _path(self, kind: str, digest: str) -> Path:
        return self._folder / kind / f"{digest.removeprefix('sha256:')}.json"


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _not_writable(folder: Path, error: OSError) -> OperationError:
    return OperationError(
        f"{folder}: cannot be written, {os.strerror(error.errno or 0)}; make room or set XDG_CACHE_HOME"
    )
