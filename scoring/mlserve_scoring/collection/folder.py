"""A folder as target: parts are appended to, one for each process and header, and repaired after a kill."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlserve_scoring.collection.places import stamp
from mlserve_scoring.collection.target import new_token

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlserve_scoring.collection.records import Lines

_PART_BYTES: Final = 64 << 20
_MOST_OPEN: Final = 32
_IDLE_S: Final = 60.0
_REGISTERS: Final = ".mlserve-open"


class Folder:
    """Appends lines to files below a folder; never to a file of another process.

    Args:
        root: The folder; made when it is not there.
        clock: Seconds since 1970, for names.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        root: Path,
        *,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._root = root
        self._clock = clock
        self._monotonic = monotonic
        self._token = new_token()
        self._count = 0
        self._parts: dict[tuple[str, str, bytes], _Part] = {}
        self._register: _Register | None = None

    def append(self, lines: Lines) -> None:
        """Add lines to their part; on an error the part is as it was."""
        key = (lines.folder, lines.name, lines.header)
        self._check_room(len(lines.header) + len(lines.text))
        part = self._parts.pop(key, None)
        if part is not None and (part.size >= _PART_BYTES or part.is_gone()):
            part.close()
            part = None
        if part is None:
            part = self._new_part(lines)
        self._parts[key] = part  # the newest stands last
        try:
            part.write(lines.text)
        except OSError:
            if part.size == len(lines.header):  # nothing but a header: leave no empty part on a full disk
                del self._parts[key]
                part.remove()
            raise
        part.used = self._monotonic()
        if len(self._parts) > _MOST_OPEN:
            self._let_go(next(iter(self._parts)))

    def settle(self) -> None:
        """Sync what was written, and close parts that were not written to for a minute."""
        for part in self._parts.values():
            part.sync()
        since = self._monotonic() - _IDLE_S
        for key in [key for key, part in self._parts.items() if part.used < since]:
            self._let_go(key)

    def close(self) -> None:
        """Close all parts: none of them needs a repair."""
        for key in list(self._parts):
            with contextlib.suppress(OSError):  # it is written; that it is on the disk could not be made sure
                self._let_go(key)
        if self._register is not None:
            self._register.remove()

    def _check_room(self, size: int) -> None:
        """Refuse what will not fit before readers see half of it."""
        with contextlib.suppress(FileNotFoundError):
            room = os.statvfs(self._root)
            if room.f_blocks and room.f_bavail * room.f_frsize < size:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._root))

    def _let_go(self, key: tuple[str, str, bytes]) -> None:
        part = self._parts.pop(key)
        try:
            part.sync()
        finally:
            part.close()

    def _new_part(self, lines: Lines) -> _Part:
        if self._register is None:
            self._register = _Register(self._root, self._token)
            repair(self._root)
        self._count += 1
        suffix = Path(lines.name).suffix
        name = f"{stamp(self._clock())}-{self._token}-{self._count:04d}{suffix}"
        path = self._root / lines.folder / lines.name / name
        self._register.add(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = _Part(path)
        try:
            part.write(lines.header)
        except OSError:
            part.remove()
            raise
        return part


class _Part:
    """An open file that only grows by whole lines."""

    def __init__(self, path: Path) -> None:
        self._path = path
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        self._fd = os.open(path, flags, 0o640)
        self._synced = 0
        self.size = 0
        self.used = 0.0

    def write(self, data: bytes) -> None:
        _append(self._fd, data, at=self.size)
        self.size += len(data)

    def sync(self) -> None:
        if self._synced != self.size:
            os.fsync(self._fd)
            if not self._synced:  # its name must last as well
                _sync_folder(self._path.parent)
            self._synced = self.size

    def is_gone(self) -> bool:
        return os.fstat(self._fd).st_nlink == 0

    def close(self) -> None:
        os.close(self._fd)

    def remove(self) -> None:
        self.close()
        self._path.unlink(missing_ok=True)


class _Register:
    """Names the parts that a process has opened, locked while it lives: what a kill left behind can be found."""

    def __init__(self, root: Path, token: str) -> None:
        folder = root / _REGISTERS
        folder.mkdir(parents=True, exist_ok=True)
        self._root = root
        self._path = folder / token
        while True:
            self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
            with contextlib.suppress(OSError):  # a file system without locks: parts are not repaired there
                fcntl.flock(self._fd, fcntl.LOCK_EX)
            if self._path.exists():
                return
            os.close(self._fd)  # another process took it for one that was left, before it was locked

    def add(self, part: Path) -> None:
        _append(self._fd, os.fsencode(part.relative_to(self._root)) + b"\n", at=os.fstat(self._fd).st_size)
        os.fsync(self._fd)

    def remove(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._fd)


def _append(fd: int, data: bytes, *, at: int) -> None:
    """Write all of it at the end of a file, or nothing."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[os.write(fd, rest) :]
    except OSError:
        os.ftruncate(fd, at)
        raise


def repair(root: Path) -> list[Path]:
    """Cut torn last lines off the parts of processes that were killed; return the parts that had one."""
    repaired = []
    for register in sorted((root / _REGISTERS).glob("*")):
        with contextlib.ExitStack() as stack:
            try:
                fd = os.open(register, os.O_RDONLY | os.O_CLOEXEC)
                stack.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue  # its process lives, or another one repairs already
            names = register.read_bytes().split(b"\n")[:-1]
            repaired += [path for path in (root / os.fsdecode(name) for name in names) if _cut_torn_line(path)]
            register.unlink(missing_ok=True)
    return repaired


def _cut_torn_line(path: Path) -> bool:
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        size = os.fstat(fd).st_size
        whole = 0
        if size:
            with mmap.mmap(fd, size, prot=mmap.PROT_READ) as data:
                whole = _end_of_lines(data, quoted=path.suffix == ".csv")
        if whole == size:
            return False
        os.ftruncate(fd, whole)
        os.fsync(fd)
    finally:
        os.close(fd)
    if whole == 0:
        path.unlink(missing_ok=True)
    return True


def _end_of_lines(data: mmap.mmap, *, quoted: bool) -> int:
    """Return where the last whole line ends; line ends between quotes are none."""
    end = data.rfind(b"\n") + 1
    if not quoted:
        return end
    quotes = _quotes(data, 0, end)
    while end and quotes % 2:
        earlier = data.rfind(b"\n", 0, end - 1) + 1
        quotes -= _quotes(data, earlier, end)
        end = earlier
    return end


def _quotes(data: mmap.mmap, start: int, end: int) -> int:
    step = 1 << 20
    return sum(data[at : min(at + step, end)].count(b'"') for at in range(start, end, step))


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
