"""Decides what identifies a model's content: the digest over its files' paths, sizes and hashes, nothing else."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass

SCHEME = "mlserve-tree-v1"
"""First line of what is hashed: another way of hashing gets another scheme, so two never meet by chance."""

_HEX = re.compile(r"[0-9a-f]{64}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class FileEntry:
    """One file of a model.

    Attributes:
        path: Relative POSIX path, as found, starting with the model's base name: ``ridge.onnx``, ``m/weights.bin``.
        sha256: Hash of the content, 64 lower-case hexadecimal digits.
        size: Bytes.
    """

    path: str
    sha256: str
    size: int

    def __post_init__(self) -> None:
        """Refuse an entry that no scan can have made: it would leave the folder it is put into."""
        if "\0" in self.path or any(part in {"", ".", ".."} for part in self.path.split("/")):
            raise ValueError(f"path: not a relative path of a file, got {self.path!r}")
        if not _HEX.fullmatch(self.sha256):
            raise ValueError(f"sha256: not 64 lower-case hexadecimal digits, got {self.sha256!r}")
        if self.size < 0:
            raise ValueError(f"size: less than nothing, got {self.size}")


def digest_of(entries: Iterable[FileEntry]) -> str:
    """Return ``sha256:<hex>`` over the sorted (path, size, sha256) of ``entries``.

    Raises:
        ValueError: There is no entry, or a path comes twice.
    """
    ordered = sorted(entries, key=lambda entry: entry.path.encode())
    if not ordered:
        raise ValueError("entries: no files, so there is nothing to identify")
    for earlier, later in itertools.pairwise(ordered):
        if earlier.path == later.path:
            raise ValueError(f"entries: the same path twice, got {later.path!r}")
    whole = hashlib.sha256(f"{SCHEME}\n".encode())
    for entry in ordered:
        # A path cannot hold NUL, so no two lists of files write the same bytes.
        whole.update(f"{entry.path}\0{entry.size}\0{entry.sha256}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def is_digest(text: str) -> bool:
    """Return whether ``text`` is written like a digest of this project."""
    return _DIGEST.fullmatch(text) is not None
