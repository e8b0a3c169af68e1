"""Where the scripts of services wait for a test: it sees who has come, and lets them go on."""

from __future__ import annotations

from collection_kit import until

MODULE = '''
import os
import time

_FOLDER = {folder!r}
_numbers = iter(range(1_000_000))


def wait():
    """Come, and stay until the gate is open."""
    open(f"{{_FOLDER}}/{{os.getpid()}}-{{next(_numbers)}}", "w").close()
    while not os.path.exists(f"{{_FOLDER}}/open"):
        time.sleep(0.01)
'''


class Gate:
    """A gate, closed at first.

    Args:
        folder: Of its own; made here.

    Attributes:
        files: What an image needs so that its script can import ``gate`` and call ``gate.wait()``.
    """

    def __init__(self, folder):
        folder.mkdir()
        self._folder = folder
        self.files = {"gate.py": MODULE.format(folder=str(folder))}

    def until_come(self, count=1):
        """Wait until so many calls have come; return the ids of their processes."""
        return until(lambda: len(found := self._come()) >= count and found)

    def open(self):
        """Let go on who has come, and who comes."""
        (self._folder / "open").touch()

    def _come(self):
        return [int(path.name.partition("-")[0]) for path in self._folder.iterdir() if path.name != "open"]
