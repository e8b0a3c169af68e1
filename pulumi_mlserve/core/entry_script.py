"""Whether an entry script can work, read from its text alone: nothing is imported or run here."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from pulumi_mlserve.core.problems import Problem


def check_entry_script(
    source: Path | Mapping[str, str],
    entry: str,
    *,
    modules: Collection[str] | None = None,
    models: Collection[str] | None = None,
    python: str = "3.11",
    packages_file: str = "",
) -> list[Problem]:
    """Return every problem of an entry script, each with file and line and what to do.

    Args:
        source: The source directory, or its files as POSIX path to text.
        entry: The entry script, relative to the source directory.
        modules: Top-level importable names of the locked environment; None leaves imports unchecked.
        models: Names of the models given to the image; None leaves ``get_model_path`` unchecked.
        python: The minor version of Python that will run the script.
        packages_file: The file in which packages are asked for, for the advice; ``env.yml``.
    """
    raise NotImplementedError
