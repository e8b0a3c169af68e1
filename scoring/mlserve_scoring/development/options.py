"""What can be typed to serve a folder, and what is wrong with it. Standard library only: two commands declare it."""

from __future__ import annotations

from argparse import SUPPRESS, ArgumentParser, Namespace
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlserve_scoring.reserved_variables import reserved_problem
from mlserve_scoring.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

PORT: Final = 5001  # where v1's local server listened
_LAST_PORT: Final = 65_535


@dataclass(frozen=True)
class Wish:
    """What shall be served, as typed; what of it is there is looked at before every start.

    Attributes:
        folder: The user's, absolute.
        entry_script: Path below it; ``None`` looks for one.
        models: ``NAME=PATH``, ``NAME:VERSION=PATH`` or ``PATH``; none looks for one.
        host: Address to listen at.
        port: 0 takes a free one.
        samples: A JSON file of samples.
        variables: Environment variables that the script sees.
        reload: Whether changes are served.
        as_json: Whether log lines are JSON objects.
    """

    folder: Path
    entry_script: str | None = None
    models: tuple[str, ...] = ()
    host: str = "127.0.0.1"
    port: int = PORT
    samples: Path | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    reload: bool = True
    as_json: bool = False


def declare(parser: ArgumentParser) -> None:
    """Add what both commands take."""
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="holds the entry script, and models perhaps")
    parser.add_argument("--entry-script", metavar="FILE", help="path in the folder (default: score.py if there is one)")
    parser.add_argument(
        "--model",
        dest="models",
        action="append",
        default=[],
        metavar="[NAME[:VERSION]=]PATH",
        help="a model's file or folder; can be repeated (default: the one model in the folder)",
    )
    parser.add_argument("--port", type=int, default=PORT, help=f"0 takes a free one (default: {PORT})")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen at (default: 127.0.0.1)")
    parser.add_argument("--samples", metavar="FILE", type=Path, help="JSON list of requests to answer before serving")
    parser.add_argument(
        "--env",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="an environment variable that the script sees; can be repeated",
    )
    parser.add_argument("--no-reload", dest="reload", action="store_false", help="do not look for changes")
    parser.add_argument("--workers", type=int, default=1, help=SUPPRESS)


def typed(given: Namespace) -> list[str]:
    """Return the arguments that say the same from any working folder."""
    wish = read(given)
    words = [str(wish.folder), "--port", str(wish.port), "--host", wish.host]
    words += [] if wish.entry_script is None else ["--entry-script", wish.entry_script]
    words += [word for text in wish.models for word in ("--model", text)]
    words += [word for name, value in wish.variables.items() for word in ("--env", f"{name}={value}")]
    words += [] if wish.samples is None else ["--samples", str(wish.samples)]
    return words + ([] if wish.reload else ["--no-reload"]) + (["--json"] if wish.as_json else [])


def read(given: Namespace) -> Wish:
    """Return what was typed, with absolute paths.

    Raises:
        SettingsError: Something cannot work whatever the files hold; all such problems at once.
    """
    folder = given.folder.absolute()
    problems = list(_problems(given))
    if problems:
        raise SettingsError("\n".join(problems))
    return Wish(
        folder,
        given.entry_script,
        tuple(_absolute(text) for text in given.models),
        given.host,
        given.port,
        None if given.samples is None else given.samples.absolute(),
        dict(text.split("=", 1) for text in given.env),
        given.reload,
        given.json,
    )


def _problems(given: Namespace) -> Iterable[str]:
    folder: Path = given.folder
    if folder.is_file():
        yield f"FOLDER: is a file, got {folder}; give its folder, and the file with {_option(folder)}"
    elif not folder.is_dir():
        yield f"FOLDER: there is no such folder, got {folder}"
    if not 0 <= given.port <= _LAST_PORT:
        yield f"--port: must be a number from 0 to {_LAST_PORT}, got {given.port}"
    if given.workers != 1:
        yield (
            f"--workers: one process is served while you change it, got {given.workers}; "
            "set workers on the service that you deploy"
        )
    if given.samples is not None and not given.samples.is_file():
        yield f"--samples: there is no such file, got {given.samples}"
    for text in given.env:
        name, mark, _ = text.partition("=")
        if not mark or not name:
            yield f"--env: must be NAME=VALUE, got {text!r}"
        elif problem := reserved_problem(name):
            yield f"--env: {name} {problem}"


def _option(file: Path) -> str:
    return f"--entry-script {file.name}" if file.suffix == ".py" else f"--model {file}"


def _absolute(text: str) -> str:
    """Return the same model with an absolute path."""
    name, path = split_model(text)
    return str(Path(path).absolute()) if name is None else f"{name}={Path(path).absolute()}"


def split_model(text: str) -> tuple[str | None, str]:
    """Return the name, if one was given, and the path of a model as typed."""
    name, mark, path = text.partition("=")
    return (None, text) if not mark or Path(text).exists() else (name, path)
