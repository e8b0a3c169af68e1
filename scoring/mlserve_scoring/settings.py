"""The settings of one running service, read once at start into a frozen object. Standard library only.

What they mean is decided where they are used; here only their form is checked, all problems at once.
"""

from __future__ import annotations

import json
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

SCHEMA: Final = 1
LOG_LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")


class SettingsError(ValueError):
    """The settings cannot work; the message holds every problem, one a line."""


@dataclass(frozen=True)
class Settings:
    """How one process serves one revision.

    Attributes:
        root: The unpacked image; ``/`` in a container.
        service: The service's name.
        revision: What this process says it is when asked.
        host, port: Where to listen; port 0 takes any free one and the control socket tells which.
        fd: An inherited listening socket to use instead of ``host`` and ``port``.
        control: Path of the control socket; ``None`` for none.
        keys_file: JSON with ``primary`` and ``secondary``; ``None`` switches authentication off.
        scoring_timeout_ms: Longest time one ``run()`` may take, and longest wait for its turn.
        max_body_bytes: Larger requests are refused.
        max_concurrent_requests: Calls of ``run()`` at a time; ``None``: 1 with a script, else by the processors.
        max_queue: Requests that may wait for their turn.
        drain_seconds: Longest time to finish once told to stop.
        path_prefix: Routes answer below this path too, such as ``/api/v1/service/diabetes``.
        log_level: Least level that is logged.
        variables: Environment variables of the service; they win over the image's.
        cors_origins: Origins that browsers may call from; ``*`` for all.
    """

    root: Path
    service: str = "service"
    revision: str = ""
    host: str = "127.0.0.1"
    port: int = 8890
    fd: int | None = None
    control: str | None = None
    keys_file: str | None = None
    scoring_timeout_ms: int = 60_000
    max_body_bytes: int = 104_857_600
    max_concurrent_requests: int | None = None
    max_queue: int = 1000
    drain_seconds: float = 30
    path_prefix: str = ""
    log_level: str = "INFO"
    variables: Mapping[str, str] = field(default_factory=dict)
    cors_origins: tuple[str, ...] = ()


def load(path: Path | str) -> Settings:
    """Return the settings in a file.

    Raises:
        SettingsError: The file cannot be read, or what it says cannot work.
    """
    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read, {error}") from error
    return parse(text, str(path))


def parse(text: str, path: str = "settings") -> Settings:
    """Return the settings in a JSON text; ``path`` names it in messages.

    Raises:
        SettingsError: What it says cannot work; all problems at once.
    """
    try:
        value = json.loads(text)
    except ValueError as error:
        raise SettingsError(f"{path}: is no JSON, {error}") from error
    if not isinstance(value, dict):
        raise SettingsError(f"{path}: is no object, got {type(value).__name__}")
    if value.get("schema") != SCHEMA:
        raise SettingsError(
            f"{path}: schema is not known here, got {value.get('schema')!r}; this runtime reads schema {SCHEMA}"
        )
    problems = _problems(value)
    if problems:
        raise SettingsError("\n".join(f"{path}: {problem}" for problem in problems))
    given = {key: entry for key, entry in value.items() if key != "schema"}
    given["root"] = Path(given["root"])
    given["cors_origins"] = tuple(given.get("cors_origins", ()))
    given["path_prefix"] = given.get("path_prefix", "").rstrip("/")
    given["log_level"] = given.get("log_level", "INFO").upper()
    return Settings(**given)


def dump(settings: Settings) -> str:
    """Return the settings as the text that ``parse`` reads."""
    value = {"schema": SCHEMA} | {entry.name: getattr(settings, entry.name) for entry in fields(Settings)}
    value["root"] = str(settings.root)
    value["cors_origins"] = list(settings.cors_origins)
    value["variables"] = dict(settings.variables)
    return json.dumps(value, sort_keys=True, indent=2) + "\n"


def _problems(value: Mapping[str, object]) -> list[str]:
    known = {entry.name: entry for entry in fields(Settings)}
    found = [f"{key}: is no setting; known are {', '.join(known)}" for key in sorted(set(value) - {*known, "schema"})]
    found += [
        f"{name}: is missing"
        for name, entry in known.items()
        if name not in value and entry.default is MISSING and entry.default_factory is MISSING
    ]
    for key, (least, most, nullable) in _NUMBERS.items():
        entry = value.get(key, least)
        if entry is None and nullable:
            continue
        kinds = (int, float) if key == "drain_seconds" else (int,)
        if not isinstance(entry, kinds) or isinstance(entry, bool) or not least <= entry <= most:
            found.append(f"{key}: must be a number from {least} to {most}, got {entry!r}")
    for key, nullable in _TEXTS.items():
        entry = value.get(key, "")
        if not isinstance(entry, str) and not (entry is None and nullable):
            found.append(f"{key}: must be a text, got {entry!r}")
    prefix = value.get("path_prefix", "")
    if isinstance(prefix, str) and prefix and not prefix.startswith("/"):
        found.append(f"path_prefix: must begin with '/', got {prefix!r}")
    level = value.get("log_level", "INFO")
    if isinstance(level, str) and level.upper() not in LOG_LEVELS:
        found.append(f"log_level: must be one of {', '.join(LOG_LEVELS)}, got {level!r}")
    variables = value.get("variables", {})
    if not isinstance(variables, dict) or not all(isinstance(entry, str) for entry in variables.values()):
        found.append("variables: must be an object of texts")
    origins = value.get("cors_origins", [])
    if not isinstance(origins, list) or not all(isinstance(entry, str) for entry in origins):
        found.append(f"cors_origins: must be a list of texts, got {origins!r}")
    return found


_NUMBERS: Final[dict[str, tuple[int, int, bool]]] = {
    "port": (0, 65_535, False),
    "fd": (0, 1_048_576, True),
    "scoring_timeout_ms": (1, 86_400_000, False),
    "max_body_bytes": (1, 1 << 40, False),
    "max_concurrent_requests": (1, 10_000, True),
    "max_queue": (0, 1_000_000, False),
    "drain_seconds": (0, 86_400, False),
}
_TEXTS: Final = {
    "root": False,
    "service": False,
    "revision": False,
    "host": False,
    "control": True,
    "keys_file": True,
    "path_prefix": False,
    "log_level": False,
}
