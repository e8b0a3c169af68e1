"""Notices changes of what a script can import, of models and of samples, by looking at times and sizes again and again.

Looking works on every file system, shared and mounted ones too, and needs nothing but the standard library.
"""

from __future__ import annotations

import asyncio
import importlib.machinery
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from mlserve_scoring.development.ignored import Ignored, is_never_ours

Snapshot = dict[str, tuple[int, int, int]]

_IMPORTED: Final = (*importlib.machinery.SOURCE_SUFFIXES, *importlib.machinery.EXTENSION_SUFFIXES)
_LOOK_S: Final = 0.3
_SETTLE_S: Final = 0.1
_SHARE: Final = 10  # looking takes at most a tenth of the time


class Watch:
    """Looks at files.

    Args:
        folder: Of the user's code.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._others: Sequence[Path] = ()
        self._pause = _LOOK_S
        self._seen: Snapshot = {}

    def begin(self, others: Sequence[Path]) -> None:
        """Take files as they are now; what differs from now on is a change.

        Args:
            others: Models and other files beside the code; of folders, all files are looked at.
        """
        self._others = others
        self._seen = self._look()

    async def change(self) -> list[str]:
        """Wait until something has changed and then stays as it is for a moment; return the changed paths."""
        changed: list[str] = []
        while not changed:
            await asyncio.sleep(self._pause)
            now = self._look()
            if now != self._seen:
                now = await self._still(now)
            changed = sorted(path for path in {*self._seen, *now} if self._seen.get(path) != now.get(path))
        self._seen = now
        return changed

    async def _still(self, now: Snapshot) -> Snapshot:
        """Wait until nobody writes any more: an editor, or a copy of a large model."""
        before: Snapshot | None = None
        while now != before:
            await asyncio.sleep(max(_SETTLE_S, self._pause - _LOOK_S))
            before, now = now, self._look()
        return now

    def _look(self) -> Snapshot:
        begun = time.monotonic()
        found: Snapshot = {}
        for path in (*_imported(self._folder), *_all(self._others)):
            try:
                state = path.stat()
            except OSError:  # gone since
                continue
            found[str(path)] = (state.st_mtime_ns, state.st_size, state.st_ino)
        self._pause = max(_LOOK_S, _SHARE * (time.monotonic() - begun))
        return found


def _imported(folder: Path) -> Iterator[Path]:
    """Yield the files that can be imported, tools' own and ignored ones left out."""
    ignored = Ignored(folder)
    seen: set[str] = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        if os.path.realpath(place) in seen:  # a link to a folder above
            folders.clear()
            continue
        seen.add(os.path.realpath(place))
        below = Path(place).relative_to(folder)
        folders[:] = sorted(
            name
            for name in folders
            if not is_never_ours(Path(place, name)) and ((below / name).as_posix(), True) not in ignored
        )
        for name in files:
            if name.endswith(_IMPORTED) and ((below / name).as_posix(), False) not in ignored:
                yield Path(place, name)


def _all(paths: Sequence[Path]) -> Iterator[Path]:
    for path in paths:
        if path.is_dir():
            yield from (Path(place, name) for place, _, files in os.walk(path) for name in files)
        else:
            yield path
