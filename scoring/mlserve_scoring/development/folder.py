"""Finds what a folder serves: the entry script and the models, those named or those that nobody can mistake."""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mlserve_scoring.development.ignored import is_never_ours
from mlserve_scoring.development.options import Wish, split_model
from mlserve_scoring.models import formats
from mlserve_scoring.process.surroundings import MODELS_FOLDER
from mlserve_scoring.settings import SettingsError

USUAL_SCRIPT: Final = "score.py"
_NAME: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?::([1-9][0-9]*))?")
_SAVED_MODEL: Final = "saved_model.pb"  # TensorFlow's folder
_DEEPEST: Final = 3
_SHOWN: Final = 5
_SCORES: Final = (re.compile(r"^(async )?def run\(", re.MULTILINE), re.compile(r"^(async )?def init\(", re.MULTILINE))


@dataclass(frozen=True)
class FoundModel:
    """A model's file or folder, and what a script calls it."""

    name: str
    version: int
    path: Path


@dataclass(frozen=True)
class Plan:
    """What is served.

    Attributes:
        entry_script: Path below the folder; ``None`` when a model answers by itself.
        models: In the order given.
    """

    entry_script: str | None
    models: tuple[FoundModel, ...]


def plan(wish: Wish) -> Plan:
    """Return what a wish means with the files as they are now.

    Raises:
        SettingsError: A file is missing, or several could be meant; says what to write.
    """
    problems: list[str] = []
    script = _script(wish, problems)
    if wish.models:
        models = _named(wish.models, problems)
    else:
        models = _laid_out(wish.folder / MODELS_FOLDER) or _only_model(wish, script, problems)
    if script is None and not models and not problems:
        problems.append(_nothing(wish.folder))
    if problems:
        raise SettingsError("\n".join(problems))
    return Plan(script, models)


def _script(wish: Wish, problems: list[str]) -> str | None:
    if wish.entry_script is not None:
        path = wish.folder / wish.entry_script
        if not path.is_file():
            problems.append(f"--entry-script: there is no such file, got {path}; give a path below FOLDER")
        elif not path.resolve().is_relative_to(wish.folder.resolve()):
            problems.append(f"--entry-script: must lie below {wish.folder}, got {path}; give the folder of both")
        return Path(wish.entry_script).as_posix()
    if (wish.folder / USUAL_SCRIPT).is_file():
        return USUAL_SCRIPT
    others = _scoring_scripts(wish.folder)
    if others:
        problems.append(
            f"{wish.folder}: has no {USUAL_SCRIPT}, but {', '.join(others)} with init() and run(); "
            f"write --entry-script {others[0]}"
        )
    return None


def _scoring_scripts(folder: Path) -> list[str]:
    found = []
    for path in sorted(folder.glob("*.py")):
        text = path.read_text(encoding="utf-8", errors="replace")
        if all(pattern.search(text) for pattern in _SCORES):
            found.append(path.name)
    return found


def _named(texts: Sequence[str], problems: list[str]) -> tuple[FoundModel, ...]:
    models = []
    for text in texts:
        name, given = split_model(text)
        path = Path(given)
        match = _NAME.fullmatch(path.stem if name is None else name)
        if match is None:
            problems.append(
                f"--model: a name has letters, digits, '.', '-' and '_', got {text!r}; "
                "write NAME=PATH or NAME:VERSION=PATH"
            )
        elif not path.exists():
            problems.append(f"--model: there is no such file or folder, got {path}; write NAME=PATH")
        else:
            models.append(FoundModel(match[1], int(match[2] or 1), path))
    twice = [key for key, count in Counter((model.name, model.version) for model in models).items() if count > 1]
    problems += [f"--model: {name} is given twice; write NAME=PATH with two names" for name, _ in twice]
    return tuple(models)


def _laid_out(folder: Path) -> tuple[FoundModel, ...]:
    """Return the models of a folder in v1's layout, ``NAME/VERSION/`` with one file or folder each."""
    models = []
    for place in sorted(folder.glob("*/*")):
        entries = [path for path in place.iterdir() if not path.name.startswith(".")] if place.is_dir() else []
        match = _NAME.fullmatch(f"{place.parent.name}:{place.name}")
        if match is not None and len(entries) == 1:
            models.append(FoundModel(match[1], int(match[2]), entries[0]))
    return tuple(models)


def _only_model(wish: Wish, script: str | None, problems: list[str]) -> tuple[FoundModel, ...]:
    found = [path for path in _model_files(wish.folder, _DEEPEST) if path != wish.samples]
    if script is None:
        found = [path for path in found if formats.needs_script(path) is None] or found
    if len(found) > 1:
        shown = [str(path.relative_to(wish.folder)) for path in found[:_SHOWN]]
        more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
        wanted = " ".join(f"--model {_plain(path.stem)}={shlex.quote(str(path))}" for path in found[:_SHOWN])
        what = "write those that the script reads" if script is not None else "write the one to serve"
        problems.append(f"{wish.folder}: has several models, got {', '.join(shown)}{more}; {what}, as in {wanted}")
        return ()
    return tuple(FoundModel(_plain(path.stem), 1, path) for path in found)


def _plain(stem: str) -> str:
    """Return a name that is allowed."""
    return re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-._") or "model"


def _model_files(folder: Path, deeper: int) -> Iterator[Path]:
    """Yield model files, and folders that are one model."""
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if (path / formats.MLFLOW_FILE).is_file() or (path / _SAVED_MODEL).is_file():
                yield path
            elif deeper and not is_never_ours(path) and path.name != MODELS_FOLDER:
                yield from _model_files(path, deeper - 1)
        elif path.is_file() and (_kind(path) or formats.needs_script(path)):
            yield path


def _kind(path: Path) -> str | None:
    try:
        return formats.kind_of(path)
    except OSError:  # may not be read
        return None


def _nothing(folder: Path) -> str:
    return (
        f"{folder}: has neither {USUAL_SCRIPT} nor a model that answers by itself; "
        "write --entry-script FILE or --model PATH"
    )
