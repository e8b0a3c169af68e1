"""Which files of a source directory go into an image, and the digest that identifies them.

The rules are Azure ML v1's: the whole folder, less what ``.amlignore`` names, or ``.gitignore`` without one. Reading
the folder is left to `clients.images.source_files`.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pathspec import GitIgnoreSpec

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pulumi_mlserve.core.images.layer_files import LayerEntry

IGNORE_FILES: Final = (".amlignore", ".gitignore")
"""The files whose patterns are left out, the first that exists; they are no part of the image themselves."""

LARGE_BYTES: Final = 100 * 1000**2
MANY_FILES: Final = 2_000
MAX_BYTES: Final = 4 * 1000**3
MAX_FILES: Final = 50_000

_NEVER_FOLDERS: Final = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        ".venv",
        "__pycache__",
        ".ipynb_checkpoints",
        ".mypy_cache",
        ".pytest_cache",
        ".ruff_cache",
        ".tox",
        ".nox",
        "node_modules",
    }
)
_NEVER_FILES: Final = frozenset({".git", ".DS_Store", "Thumbs.db"})
_NEVER_ENDINGS: Final = (".pyc", ".pyo")


@dataclass(frozen=True)
class IgnoreRules:
    """Decides what of a folder stays out of the image.

    Attributes:
        source: The file the patterns come from; none when only the fixed rules apply.
    """

    source: str | None = None
    _patterns: GitIgnoreSpec = field(default_factory=lambda: GitIgnoreSpec.from_lines([]))

    @classmethod
    def choose(cls, texts: Mapping[str, str]) -> IgnoreRules:
        """Return the rules of a folder, given the text of each ignore file that lies in it.

        Raises:
            ValueError: A pattern cannot be read; the message names the file.
        """
        name = next((name for name in IGNORE_FILES if name in texts), None)
        if name is None:
            return cls()
        try:
            return cls(name, GitIgnoreSpec.from_lines(texts[name].splitlines()))
        except ValueError as error:
            raise ValueError(f"{name}: holds a line that is no pattern; {error}") from error

    def leaves_out(self, path: str, *, folder: bool) -> bool:
        """Tell whether a file, or a folder with all that is in it, stays out; the path is relative to the folder."""
        name = path.rpartition("/")[2]
        if name in (_NEVER_FOLDERS if folder else _NEVER_FILES):
            return True
        if not folder and (name.endswith(_NEVER_ENDINGS) or path in IGNORE_FILES):
            return True
        return self._patterns.match_file(path + "/" if folder else path)

    def why_left_out(self, path: str) -> str | None:
        """Return what keeps a file out of the image, and what to do; None for one that goes in."""
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            part, is_folder = "/".join(parts[:depth]), depth < len(parts)
            if not self.leaves_out(part, folder=is_folder):
                continue
            if self.source is None or IgnoreRules().leaves_out(part, folder=is_folder):
                return f"no image gets {parts[depth - 1]!r}; put the file elsewhere"
            other = (
                "" if self.source == IGNORE_FILES[0] else f", or write {IGNORE_FILES[0]}, which is read in its place"
            )
            return f"{self.source} leaves {part!r} out of the image; change the pattern{other}"
        return None


def code_digest(entries: Iterable[LayerEntry]) -> str:
    """Return the digest of a tree of files and links: their paths, contents and targets, nothing else.

    Folders count through what is in them; empty ones do not, since version control does not keep them either.
    """
    lines = []
    for entry in entries:
        if entry.kind == "link":
            lines.append(f"link\0{entry.path}\0{entry.target}\n")
        elif entry.kind == "file":
            if entry.sha256 is None:
                raise ValueError(f"{entry.path}: has no hash")
            lines.append(f"file\0{entry.path}\0{entry.size}\0{entry.sha256}\n")
    content = "mlserve-code-v1\n" + "".join(sorted(lines))
    return "sha256:" + hashlib.sha256(content.encode()).hexdigest()


def is_large(count: int, size: int) -> bool:
    """Tell whether a folder is so large that something in it is probably no code."""
    return size > LARGE_BYTES or count > MANY_FILES


def is_too_large(count: int, size: int) -> bool:
    """Tell whether a folder cannot be meant as code, such as a home directory given by mistake."""
    return size > MAX_BYTES or count > MAX_FILES
