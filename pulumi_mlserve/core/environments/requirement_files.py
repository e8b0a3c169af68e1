"""Reads a pip requirements file and every file that it names, and the same lines where a conda file has them.

Each line is a package, one of pip's options about indexes, or refused; nothing is passed over.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Final, TypeAlias

from pulumi_mlserve.core.environments.index_options import Indexes, IndexOptionError
from pulumi_mlserve.core.environments.masking import masked
from pulumi_mlserve.core.environments.requirement_lines import (
    Asked,
    Refused,
    logical_lines,
    option_of,
    read_requirement,
    without_hashes,
)

ReadBeside: TypeAlias = Callable[[str], str]
"""Returns the text of a file by its path beside the environment file; raises OSError or UnicodeDecodeError."""

NO_TEXT: Final = "it is neither UTF-8 nor marked UTF-16; save it as UTF-8"
"""Why a file cannot be read whose bytes are no text."""

_FILES: Final = {"-r": False, "--requirement": False, "-c": True, "--constraint": True}
_HASHES: Final = "--require-hashes"
_REFUSED: Final = {
    "-e": "an editable install has no place in an image; put its code into the source directory",
    "--no-binary": "nothing is built from source; take the line out",
    "--no-deps": "packages are installed with what they need; take the line out",
}
_MOST_FILES: Final = 100


def no_files(name: str) -> str:
    """Say that there is no such file: for texts that lie nowhere."""
    raise FileNotFoundError(name)


class RequirementFiles:
    """What requirements files ask for, as far as they were read.

    Attributes:
        asked: The packages.
        constraints: What limits the versions of packages without asking for them.
        indexes: Where the files say that packages come from.
        refused: Every line that cannot be used.
        requiring_hashes: The line that asks for hashes of all packages, as file and number; None without one.

    Args:
        root: The name of the environment file.
        read: Reads the files that a file names.
        environ: The variables that an index's address may hold.
    """

    def __init__(self, root: str = "", read: ReadBeside = no_files, environ: Mapping[str, str] | None = None) -> None:
        self._root = posixpath.basename(root)
        self.asked: list[Asked] = []
        self.constraints: list[Asked] = []
        self.indexes = Indexes()
        self.refused: list[Refused] = []
        self.requiring_hashes: tuple[str, int] | None = None
        self._read = read
        self._environ = environ or {}
        self._seen = 0

    def file(self, text: str, name: str = "", *, limits: bool = False, within: tuple[str, ...] = ()) -> None:
        """Read a file; an empty name is the environment file itself.

        Args:
            text: What stands in it.
            name: Its path beside the environment file.
            limits: Whether it only limits versions.
            within: The files that name it, the outermost first.
        """
        for line, content in logical_lines(text):
            self.line(content, line, name, limits=limits, within=within)

    def line(
        self, content: str, line: int, name: str = "", *, limits: bool = False, within: tuple[str, ...] = ()
    ) -> None:
        """Read one line of a file."""
        option = option_of(content)
        if option is not None:
            self._option(*option, line, name, limits=limits, within=within)
            return
        plain = without_hashes(content)
        found = read_requirement(plain, whole=content)
        if isinstance(found, str):
            self.refused.append(Refused(found, line, name))
        elif limits and found.extras:
            self.refused.append(Refused("a constraint cannot have extras; write NAME==VERSION", line, name))
        elif limits and plain != content:
            message = f"a constraint cannot have hashes, got some for {found.name}; write them where it is asked for"
            self.refused.append(Refused(message, line, name))
        else:
            hashed = content if plain != content else ""
            (self.constraints if limits else self.asked).append(Asked(found, line, name, hashed))

    def _option(self, option: str, value: str, line: int, name: str, *, limits: bool, within: tuple[str, ...]) -> None:  # noqa: PLR0913 -- an option and its place
        if option in _FILES:
            self._named(option, value, line, name, limits=limits, within=within)
            return
        if option == _HASHES:
            self.requiring_hashes = self.requiring_hashes or (name, line)
            return
        if value and option in {"-f", "--find-links"} and not re.match(r"\w+:|/|~", value):
            value = posixpath.normpath(posixpath.join(posixpath.dirname(name), value))
        try:
            indexes = self.indexes.with_option(option, value, self._environ)
        except IndexOptionError as error:
            self.refused.append(Refused(str(error), line, name))
            return
        if indexes is not None:
            self.indexes = indexes
            return
        known = "-e" if option == "--editable" else option
        message = _REFUSED.get(known, f"pip's option {masked(option)} has no meaning for an image; take the line out")
        self.refused.append(Refused(message, line, name))

    def _named(self, option: str, value: str, line: int, name: str, *, limits: bool, within: tuple[str, ...]) -> None:  # noqa: PLR0913 -- a file and its place
        """Read the file that a line names."""
        self._seen += 1
        path = posixpath.normpath(posixpath.join(posixpath.dirname(name), value))
        problem, shown = None, f"{option} {masked(value)}"
        if not value or re.match(r"[\w+.-]+://", value):
            problem = f"{option} needs a file, got {'an address' if value else 'nothing'}; write its path"
        elif path in {*within, name, self._root} or self._seen > _MOST_FILES:
            problem = f"{shown}: the files name each other; take one of the lines out"
        if problem is None:
            try:
                text = self._read(path)
            except FileNotFoundError:
                problem = f"{shown}: there is no such file beside the file that names it"
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else NO_TEXT
                problem = f"{shown}: cannot be read, {reason}"
        if problem is not None:
            self.refused.append(Refused(problem, line, name))
            return
        self.file(text, path, limits=limits or _FILES[option], within=(*within, name))
