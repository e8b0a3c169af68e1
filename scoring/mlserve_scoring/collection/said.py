"""Says that data is not collected yet; the stand-ins of v1's collectors ask for it."""

from __future__ import annotations

import logging

_said: set[str] = set()


def say_once(collector: str) -> None:
    """Warn, the first time for each kind of collector, that its calls are ignored."""
    if collector not in _said:
        _said.add(collector)
        logging.getLogger("mlserve").warning("%s: data is not collected here yet, calls are ignored", collector)
