"""What user code prints: in place of standard output and standard error, line by line, each with its request's id."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, BinaryIO, Final, TextIO

from mlserve_scoring.observing.formats import printed_line

if TYPE_CHECKING:
    from mlserve_scoring.observing.lines import LineWriter

_LONGEST: Final = 65_536

Heard = Callable[[str, str], None]


class PrintStream(io.TextIOBase):
    """Stands in for ``sys.stdout`` or ``sys.stderr``.

    Args:
        original: What it stands in for; keeps the descriptor and the bytes.
        name: ``stdout`` or ``stderr``.
        writer: Writes the lines.
        as_json: Whether each line is an object.

    Attributes:
        heard: Told of every line and the stream's name, for telemetry; ``None`` for nobody.
    """

    encoding = "utf-8"
    errors = "backslashreplace"

    def __init__(self, original: TextIO, name: str, writer: LineWriter, *, as_json: bool) -> None:
        super().__init__()
        self._original = original
        self._name = name
        self._writer = writer
        self._as_json = as_json
        self._begun = threading.local()  # a line of each thread: prints of two do not mix
        self.heard: Heard | None = None

    @property
    def name(self) -> str:
        """Return what the original is called."""
        return f"<{self._name}>"

    @property
    def buffer(self) -> BinaryIO:
        """Return the stream of bytes; what is written there passes us by."""
        return self._original.buffer

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._original.fileno()

    def isatty(self) -> bool:
        """Return whether somebody looks at it."""
        return self._original.isatty()

    def writable(self) -> bool:
        """Return that it can be written."""
        return True

    def reconfigure(self, **options: object) -> None:
        """Do nothing: how lines are written is decided here."""

    def write(self, text: str) -> int:
        """Take a text; every line that is complete is written."""
        if not isinstance(text, str):
            raise TypeError(f"write() argument must be str, not {type(text).__name__}")
        begun: str = getattr(self._begun, "text", "")
        *lines, rest = (begun + text).split("\n")
        if len(rest) > _LONGEST:
            lines, rest = [*lines, rest], ""
        self._begun.text = rest
        if lines:
            self._emit(lines)
        return len(text)

    def flush(self) -> None:
        """Show a line that has only begun, where that can be: an object is written as a whole."""
        begun: str = getattr(self._begun, "text", "")
        if begun and not self._as_json:
            self._begun.text = ""
            self._writer.write(self._bytes(begun))

    def _emit(self, lines: list[str]) -> None:
        if self._as_json:
            for line in lines:
                self._writer.write(printed_line(line, self._name))
        else:
            self._writer.write(self._bytes("\n".join(lines) + "\n"))
        if self.heard is not None:
            for line in lines:
                self.heard(line, self._name)

    def _bytes(self, text: str) -> bytes:
        return text.encode("utf-8", "backslashreplace")
