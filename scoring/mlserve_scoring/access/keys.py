"""The two keys of a service, read again when their file changes, and whether a request shows one of them.

A key that does not open makes the file be looked at, so that a new key opens at once; otherwise it is looked at once a
second, so a withdrawn key closes within that time.
"""

from __future__ import annotations

import hmac
import json
import logging
import os
import stat
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mlserve_scoring.access.admission import bearer

_log = logging.getLogger("mlserve.keys")
_NAMES: Final = ("primary", "secondary")
_LOOK_S: Final = 1.0

_Stamp = tuple[tuple[int, int, int], ...]


class KeysError(ValueError):
    """The file of keys is missing or of another form; never says what is in it."""


class Keys:
    """Knows the keys in a file of JSON, or in a folder of two files, as Kubernetes mounts a secret.

    Args:
        path: Of the file or folder.
        clock: Seconds that never go back.

    Attributes:
        opened_by: What it asks for.

    Raises:
        KeysError: At the start, the file is missing or of another form. Later the last good keys stay.
    """

    opened_by = "key"

    def __init__(self, path: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._path = path
        self._clock = clock
        self._stamp = self._stamp_now()
        self._keys = _read(path)
        self._look_at = clock() + _LOOK_S

    def admit(self, authorization: bytes | None) -> bool:
        """Return whether an ``Authorization`` header shows one of the keys; takes as long for any wrong one."""
        given = bearer(authorization)
        if self._clock() >= self._look_at:
            self._refresh()
        opens = self._opens(given)
        if not opens and given and self._refresh():
            opens = self._opens(given)
        return opens

    def _opens(self, given: bytes) -> bool:
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        return any(matches)

    def _refresh(self) -> bool:
        """Read the keys again if they have changed; return whether they had."""
        self._look_at = self._clock() + _LOOK_S
        stamp = self._stamp_now()
        if stamp is None or stamp == self._stamp:
            return False
        self._stamp = stamp
        try:
            self._keys = _read(self._path)
        except KeysError as error:
            _log.error("the new keys cannot be used, the ones before stay: %s", error)
            return False
        return True

    def _stamp_now(self) -> _Stamp | None:
        """Return what changes with the keys; Kubernetes swaps a link, so links are followed."""
        try:
            found = [os.stat(self._path)]  # noqa: PTH116  # on the hot path
            if stat.S_ISDIR(found[0].st_mode):
                found = [os.stat(os.path.join(self._path, name)) for name in _NAMES]  # noqa: PTH116, PTH118  # the same
        except OSError:
            return None
        return tuple((entry.st_mtime_ns, entry.st_ino, entry.st_size) for entry in found)


def _read(path: str) -> tuple[bytes, ...]:
    return _read_folder(Path(path)) if Path(path).is_dir() else _read_file(path)


def _read_file(path: str) -> tuple[bytes, ...]:
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # The cause may quote the file, so only its kind is told.
        raise KeysError(f"{path}: cannot be read as JSON, {type(error).__name__}") from None
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) and value[name] for name in _NAMES):
        raise KeysError(f'{path}: is no pair of keys; write {{"primary": "...", "secondary": "..."}}')
    return tuple(value[name].encode("utf-8") for name in _NAMES)


def _read_folder(folder: Path) -> tuple[bytes, ...]:
    try:
        keys = tuple((folder / name).read_bytes().strip() for name in _NAMES)
    except OSError as error:
        raise KeysError(f"{folder}: holds no files primary and secondary, {type(error).__name__}") from None
    if not all(keys):
        raise KeysError(f"{folder}: the file {_NAMES[keys.index(b'')]} is empty; write a key into it")
    return keys
