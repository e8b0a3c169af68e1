"""Hashes a model on this machine: which files, what content, one digest. Unchanged files are not read again."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pulumi_mlserve.clients.interruption import Cancelled, Progress
from pulumi_mlserve.clients.models.file_bytes import Stamp, hash_file
from pulumi_mlserve.clients.models.hash_index import HashIndex, Seen
from pulumi_mlserve.clients.models.model_scan import Found, scan
from pulumi_mlserve.clients.models.pointer_files import refuse_pointers
from pulumi_mlserve.clients.models.work import Work
from pulumi_mlserve.core.digest import FileEntry, digest_of
from pulumi_mlserve.core.problems import InvalidInputError, OperationError

_BATCH_BYTES = 8 << 20
_BATCH_FILES = 128


@dataclass(frozen=True)
class HashedModel:
    """A model on this machine whose content is known.

    Attributes:
        root: The file or folder, absolute, as given.
        base_name: Its name; every entry's path begins with it.
        is_file: Whether the model is one file.
        files: Its files, sorted by path.
        digest: ``sha256:<hex>``.
        size: Bytes of all files.
        stamps: By the paths of the files, how each was when it was hashed.
    """

    root: Path
    base_name: str
    is_file: bool
    files: tuple[FileEntry, ...]
    digest: str
    size: int
    stamps: Mapping[str, Stamp]

    def source(self, entry: FileEntry) -> Path:
        """Return where one of the files lies on this machine."""
        return self.root.parent / entry.path


def hash_model(  # noqa: PLR0913  a subject and keywords
    path: str | Path,
    index: HashIndex,
    *,
    child_paths: Sequence[str] | None = None,
    progress: Progress | None = None,
    cancelled: Cancelled | None = None,
    now_ns: Callable[[], int] = time.time_ns,
) -> HashedModel:
    """Return the model at ``path`` with its digest; neither where it lies nor any time is part of that.

    Args:
        path: A file or a folder.
        index: Knows the hashes of files that did not change.
        child_paths: Files and folders inside the folder that belong to the model; all by default.
        progress: Told what is hashed, about once a second.
        cancelled: Asked whether to stop.
        now_ns: The clock, nanoseconds since 1970.

    Raises:
        InvalidInputError: Something there cannot be part of a model; every reason at once.
        OperationError: A file changed while it was read, or cannot be read.
        CancelledError: The hash is no longer wanted.
    """
    found = scan(path, child_paths)
    refuse_pointers(found)
    known = index.known({file.source: file.stamp for file in found})
    unknown = [file for file in found if file.source not in known]
    base_name = found[0].path.partition("/")[0]
    work = Work(f"hashing {base_name}", sum(file.stamp.size for file in unknown), progress, cancelled)

    def hash_batch(batch: Sequence[Found]) -> list[Seen]:
        seen = []
        for file in batch:
            began_ns = now_ns()
            sha256, stamp = hash_file(file.source, work)
            seen.append(Seen(file.source, stamp, sha256, began_ns))
        return seen

    work.step()
    new = {seen.path: seen for batch in work.in_threads(hash_batch, _batches(unknown)) for seen in batch}
    index.remember(new.values())
    stamps = {file.path: new[file.source].stamp if file.source in new else file.stamp for file in found}
    files = tuple(
        FileEntry(
            file.path,
            new[file.source].sha256 if file.source in new else known[file.source],
            stamps[file.path].size,
        )
        for file in found
    )
    digest = digest_of(files)
    root = Path(found[0].source[: len(found[0].source) - len(found[0].path)]) / base_name
    index.remember_model(digest, root, json.dumps(list(child_paths)) if child_paths is not None else "")
    is_file = files[0].path == base_name
    return HashedModel(root, base_name, is_file, files, digest, sum(file.size for file in files), stamps)


def find_on_this_machine(digest: str, index: HashIndex) -> HashedModel | None:
    """Return a model with this content where it was seen before, if it still lies there unchanged.

    Args:
        digest: The model's digest.
        index: Remembers where models were seen; changed files are hashed again.
    """
    for root, children in index.roots(digest):
        try:
            hashed = hash_model(root, index, child_paths=json.loads(children) if children else None)
        except (InvalidInputError, OperationError):
            continue  # gone, or being written: there it is not, which is all that was asked
        if hashed.digest == digest:
            return hashed
    return None


def _batches(files: Sequence[Found]) -> Iterator[list[Found]]:
    """Yield files in groups worth a thread each, the largest first, so that no thread is left with one at the end."""
    batch: list[Found] = []
    size = 0
    for file in sorted(files, key=lambda file: -file.stamp.size):
        batch.append(file)
        size += file.stamp.size
        if size >= _BATCH_BYTES or len(batch) >= _BATCH_FILES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
