"""Remembers the hashes of files, so that the second look at a large file costs a stat.

A cache: several processes share it, a damaged one is made anew, and without a place to write it nothing is remembered.
"""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple, TypeVar

from pulumi_mlserve.clients.models.file_bytes import Stamp

T = TypeVar("T")

_LAYOUT = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS files (
  path BLOB PRIMARY KEY, size INTEGER, mtime_ns INTEGER, ctime_ns INTEGER, inode BLOB, sha256 TEXT
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS models (
  digest TEXT, root BLOB, children TEXT, PRIMARY KEY (digest, root, children)
) WITHOUT ROWID;
"""
_HEX = re.compile(r"[0-9a-f]{64}")
_AT_ONCE = 500
_WAIT_SECONDS = 10.0
_FINE_NS = 100_000_000
_COARSE_NS = 2_500_000_000
# Another user of the index is at work, or there is no right or room to write: the index itself is sound.
_NOT_DAMAGE = ("locked", "busy", "readonly", "read-only", "unable to open", "full", "locking protocol")


class Seen(NamedTuple):
    """A file's hash as it was computed.

    Attributes:
        path: Absolute path.
        stamp: The file's stamp before and after it was read.
        sha256: What was read.
        began_ns: When reading began, nanoseconds since 1970.
    """

    path: str
    stamp: Stamp
    sha256: str
    began_ns: int


class HashIndex:
    """Hashes of files by path and stamp, in one SQLite file.

    Args:
        path: The file; made when something is first remembered.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def known(self, stamps: Mapping[str, Stamp]) -> dict[str, str]:
        """Return the hashes of those files that are still the ones that were read.

        Args:
            stamps: Absolute paths with the files' stamps of now.
        """

        def look(index: sqlite3.Connection) -> dict[str, str]:
            found = {}
            for part in _parts(stamps, _AT_ONCE):
                marks = ",".join("?" * len(part))
                query = f"SELECT path, size, mtime_ns, ctime_ns, inode, sha256 FROM files WHERE path IN ({marks})"  # noqa: S608  only question marks
                for path, size, mtime_ns, ctime_ns, inode, sha256 in index.execute(
                    query, [os.fsencode(p) for p in part]
                ):
                    name = os.fsdecode(path)
                    if stamps[name] == Stamp(size, mtime_ns, ctime_ns, int(inode)) and _HEX.fullmatch(sha256):
                        found[name] = sha256
            return found

        return self._with_index(look, {}) if stamps and self._path.exists() else {}

    def remember(self, seen: Iterable[Seen]) -> None:
        """Keep hashes for the next look; those of files that might still change unnoticed are not kept."""
        rows = [
            (os.fsencode(s.path), s.stamp.size, s.stamp.mtime_ns, s.stamp.ctime_ns, str(s.stamp.inode), s.sha256)
            for s in seen
            if not _is_racy(s)
        ]
        if rows:
            self._with_index(lambda index: _insert(index, "files", rows), None)

    def remember_model(self, digest: str, root: Path, children: str) -> None:
        """Keep where a model's content was seen.

        Args:
            digest: The model's digest.
            root: Its file or folder.
            children: Which files of the folder, as one text; empty for all.
        """
        row = (digest, os.fsencode(root), children)
        known = self._with_index(lambda index: index.execute(
            "SELECT 1 FROM models WHERE digest = ? AND root = ? AND children = ?", row).fetchone(), None)  # fmt: skip
        if known is None:
            self._with_index(lambda index: _insert(index, "models", [row]), None)

    def roots(self, digest: str) -> list[tuple[Path, str]]:
        """Return where a model's content was seen, with which files of the folder; it may be gone or changed since."""
        if not self._path.exists():
            return []
        query = "SELECT root, children FROM models WHERE digest = ?"
        nothing: list[tuple[bytes, str]] = []
        rows = self._with_index(lambda index: index.execute(query, (digest,)).fetchall(), nothing)
        return [(Path(os.fsdecode(root)), children) for root, children in rows]

    def _with_index(self, use: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        for _ in range(2):
            try:
                with contextlib.closing(self._connect()) as index, index:
                    return use(index)
            except sqlite3.DatabaseError as error:  # noqa: PERF203  at most twice
                if isinstance(error, sqlite3.OperationalError) and any(text in str(error) for text in _NOT_DAMAGE):
                    return otherwise
                self._discard()
            except OSError:
                return otherwise  # no folder for the index can be made: everything is hashed again
        return otherwise

    def _connect(self) -> sqlite3.Connection:
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        index = sqlite3.connect(self._path, timeout=_WAIT_SECONDS)
        try:
            (layout,) = index.execute("PRAGMA user_version").fetchone()
            if layout != _LAYOUT:
                index.execute("PRAGMA journal_mode = WAL")
                tables = "DROP TABLE IF EXISTS files; DROP TABLE IF EXISTS models;" if layout else ""
                index.executescript(f"BEGIN IMMEDIATE; {tables} {_TABLES} PRAGMA user_version = {_LAYOUT}; COMMIT;")
            index.execute("PRAGMA synchronous = OFF")  # after a loss of power it is made anew
        except BaseException:
            index.close()
            raise
        return index

    def _discard(self) -> None:
        for ending in ("", "-wal", "-shm"):
            with contextlib.suppress(OSError):
                self._path.with_name(self._path.name + ending).unlink()


def _is_racy(seen: Seen) -> bool:
    # As git does (Documentation/technical/racy-git.txt): a file changed in the same tick of its file system's clock in
    # which reading began may have been changed once more, to other bytes of the same length, with the same stamp.
    coarse = seen.stamp.ctime_ns % 1_000_000 == 0
    return seen.began_ns < seen.stamp.ctime_ns + (_COARSE_NS if coarse else _FINE_NS)


def _insert(index: sqlite3.Connection, table: str, rows: Sequence[tuple[object, ...]]) -> None:
    marks = ",".join("?" * len(rows[0]))
    index.executemany(f"INSERT OR REPLACE INTO {table} VALUES ({marks})", rows)  # noqa: S608  our own table names


def _parts(items: Iterable[str], size: int) -> Iterable[list[str]]:
    rest = iter(items)
    while part := list(islice(rest, size)):
        yield part
