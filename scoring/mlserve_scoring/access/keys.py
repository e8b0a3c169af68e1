"""The two keys of a service, read again when their file changes, and whether a request shows one of them."""

from __future__ import annotations

import hmac
import json
import logging
import os
from pathlib import Path
from typing import Final

_log = logging.getLogger("mlserve.keys")
_SCHEME: Final = b"bearer "


class KeysError(ValueError):
    """The file of keys is missing or of another form; never says what is in it."""


class Keys:
    """Knows the keys in a file.

    Raises:
        KeysError: At the start, the file is missing or of another form. Later the last good keys stay.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp = self._stamp_now()
        self._keys = _read(path)

    def admit(self, authorization: bytes | None) -> bool:
        """Return whether an ``Authorization`` header shows one of the keys; takes as long for any wrong one."""
        self._refresh()
        header = authorization or b""
        given = header[len(_SCHEME) :].strip() if header[: len(_SCHEME)].lower() == _SCHEME else b""
        matches = [hmac.compare_digest(given, key) for key in self._keys]
        return any(matches)

    def _refresh(self) -> None:
        stamp = self._stamp_now()
        if stamp is None or stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            self._keys = _read(self._path)
        except KeysError:
            _log.exception("the new keys cannot be used, the ones before stay")

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116  # once per request
        except OSError:
            return None
        return found.st_mtime_ns, found.st_ino, found.st_size


def _read(path: str) -> tuple[bytes, ...]:
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        # The cause may quote the file, so only its kind is told.
        raise KeysError(f"{path}: cannot be read as JSON, {type(error).__name__}") from None
    names = ("primary", "secondary")
    if not isinstance(value, dict) or not all(isinstance(value.get(name), str) and value[name] for name in names):
        raise KeysError(f'{path}: is no pair of keys; write {{"primary": "...", "secondary": "..."}}')
    return tuple(value[name].encode("utf-8") for name in names)
