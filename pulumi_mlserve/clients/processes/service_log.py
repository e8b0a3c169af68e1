"""The log of a service: what its process prints, in a private file that does not grow without end."""

from __future__ import annotations

import contextlib
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


def follow(path: Path, going_on: Callable[[], bool]) -> Iterator[str]:
    """Yield each new line of the log from now on, also when the file is moved or cut, while `going_on` says so."""
    file = _opened(path)
    if file is not None:
        file.seek(0, os.SEEK_END)
    rest = b""
    try:
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
            elif not last:
                time.sleep(_POLL_SECONDS)
            if last:
                return
    finally:
        if file is not None:
            file.close()


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
