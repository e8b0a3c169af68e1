"""The log of a service: what its process prints, in a private file that does not grow without end."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

LARGEST = 10 << 20
_POLL_SECONDS = 0.2


def open_log(path: Path) -> int:
    """Return an open file to append to, readable by its owner alone; it is made if need be."""
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)


def rotate(path: Path, largest: int = LARGEST) -> None:
    """Move the log's text aside when it is larger than `largest` bytes; the process goes on writing to the same file.

    A line that is written in the very moment of the cut may be lost; nobody else needs to run for that.
    """
    try:
        if path.stat().st_size <= largest:
            return
    except FileNotFoundError:
        return
    previous = previous_log(path)
    previous.unlink(missing_ok=True)  # a process that ends may still write to it
    with path.open("rb") as source, os.fdopen(open_log(previous), "wb") as target:
        source.seek(-largest, os.SEEK_END)
        shutil.copyfileobj(source, target)
    os.truncate(path, 0)


def previous_log(path: Path) -> Path:
    """Return where the text before that of `path` is kept."""
    return path.with_name(path.name + ".1")


def last_lines(path: Path, count: int) -> list[str]:
    """Return the last lines of the log, the file before it included; an absent file has none."""
    kept: deque[str] = deque(maxlen=max(0, count))
    for file in (previous_log(path), path):
        with contextlib.suppress(FileNotFoundError), file.open(encoding="utf-8", errors="replace") as lines:
            kept.extend(line.rstrip("\n") for line in lines)
    return list(kept)


def follow(path: Path, going_on: Callable[[], bool], count: int = 0) -> Iterator[str]:
    """Yield the last lines of the log, then each new one, also when the file is moved or cut, while `going_on` says so.

    No line is left out between the two, nor of a file that took the place of another before it was over.
    """
    before, file = _opened_together(path)
    try:
        text, end, rest = (b"", b"", b"") if file is None else file.read().rpartition(b"\n")
        yield from deque(_lines(_whole(before) + text + end), max(0, count))
        while True:
            last = not going_on()
            moved = file is not None and _is_other(path, file.fileno())
            if file is not None:
                if os.fstat(file.fileno()).st_size < file.tell():
                    file.seek(0)
                *whole, rest = (rest + file.read()).split(b"\n")
                yield from (line.decode("utf-8", "replace") for line in whole)
            if moved and file is not None:
                file.close()
            if moved or file is None:
                file = _opened(path)
                if file is not None:
                    continue  # it is read before anybody waits, or ends
            if last:
                return
            time.sleep(_POLL_SECONDS)
    finally:
        if file is not None:
            file.close()


def _opened_together(path: Path) -> tuple[BinaryIO | None, BinaryIO | None]:
    """Return the log before and the log, of one moment: neither was moved between the two."""
    while True:
        before, file = _opened(previous_log(path)), _opened(path)
        found = _opened(previous_log(path))
        with contextlib.ExitStack() as opened:
            for each in (before, file, found):
                if each is not None:
                    opened.enter_context(each)
            if before is None or found is None:
                same = before is found
            else:
                same = os.path.sameopenfile(before.fileno(), found.fileno())
            if same:
                opened.pop_all()
                if found is not None:
                    found.close()
                return before, file


def _whole(file: BinaryIO | None) -> bytes:
    """Return a file's bytes, ended as a line is, and close it."""
    if file is None:
        return b""
    with file:
        content = file.read()
    return content if content.endswith(b"\n") else content + b"\n"


def _lines(content: bytes) -> Iterator[str]:
    """Yield lines as `last_lines` does."""
    return (line.rstrip("\n") for line in io.StringIO(content.decode("utf-8", "replace"), newline=None))


def _opened(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _is_other(path: Path, handle: int) -> bool:
    """Return whether the path now names another file than the open one."""
    try:
        return not os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False
