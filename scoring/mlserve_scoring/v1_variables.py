"""What Azure ML v1's environment variables mean here: a setting's default, nothing more than they say, or nothing.

The names are those of azureml-inference-server-http 1.5.1 (``server/config.py``, ``constants.py``) and of
``azureml-monitoring``. Standard library only: whoever deploys asks here too. No value is ever quoted, as variables may
be secret.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from mlserve_scoring.reserved_variables import SET_AS_V1
from mlserve_scoring.settings import LOG_LEVELS, SettingsError

_WHOLE: Final = re.compile(r"[0-9]{1,12}")
_ORIGIN: Final = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s,]+", re.IGNORECASE)
_PREFIX: Final = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_LEVELS: Final = {"WARN": "WARNING", "FATAL": "CRITICAL"}
# As pydantic reads them, which v1's server did.
_TRUE: Final = frozenset({"1", "on", "t", "true", "y", "yes"})
_FALSE: Final = frozenset({"0", "off", "f", "false", "n", "no"})
_MOST_MS: Final = 86_400_000
_MOST_WORKERS: Final = 1_024


class _WrongError(ValueError):
    """A value is none that its variable can have."""


@dataclass(frozen=True)
class Default:
    """What variables say of a setting that is not given.

    Attributes:
        value: As the settings file has it.
        variable: Which of them says so.
    """

    value: object
    variable: str


def is_origin(text: str) -> bool:
    """Return whether a browser may name itself so, or it stands for all."""
    return text in {"*", "null"} or _ORIGIN.fullmatch(text) is not None


def is_path_prefix(text: str) -> bool:
    """Return whether a URL's path can begin so; an empty one can."""
    return not text or _PREFIX.fullmatch(text) is not None


def is_false(text: str) -> bool:
    """Return whether a text is one of v1's words for false."""
    return text.strip().lower() in _FALSE


def problem_of(name: str, value: str) -> str:
    """Return why a variable cannot be honoured, and what to write; empty when it can, or is none of v1's."""
    return _refusal(name, value) or wrong_value(name, value)


def wrong_value(name: str, value: str) -> str:
    """Return what is wrong with the value of a variable that is honoured; empty when nothing is."""
    read = _READ.get(name)
    try:
        if read is not None:
            read(value)
    except _WrongError as error:
        return str(error)
    return ""


def defaults(variables: Mapping[str, str]) -> dict[str, Default]:
    """Return what variables say of settings, by setting; one that cannot be read says nothing."""
    found: dict[str, Default] = {}
    for name, setting in _SETTINGS.items():
        if name not in variables or wrong_value(name, variables[name]):
            continue
        value = _READ[name](variables[name])
        before = found.get(setting)
        if before is not None and isinstance(before.value, int) and isinstance(value, int):
            value = min(value, before.value)  # v1's server ended a run by whichever came first
            name = name if value != before.value else before.variable  # noqa: PLW2901  # whose value it is
        if value is not None:
            found[setting] = Default(value, name)
    return found


def completed(given: Mapping[str, object], variables: Mapping[str, str], path: str) -> dict[str, object]:
    """Return settings with the defaults that variables say; what is given wins.

    Args:
        given: The settings of a file.
        variables: Of the image, the service's on top.
        path: Of the file, for messages.

    Raises:
        SettingsError: A variable has a value that it cannot have; all of them at once.
    """
    wrong = {name: wrong_value(name, value) for name, value in sorted(variables.items())}
    problems = [f"{path}: variables.{name}: {problem}" for name, problem in wrong.items() if problem]
    if problems:
        raise SettingsError("\n".join(problems))
    return {setting: default.value for setting, default in defaults(variables).items()} | dict(given)


def without_effect(variables: Mapping[str, str]) -> dict[str, str]:
    """Return which of v1's variables do nothing here, each with what to write instead."""
    found = {name: _refusal(name, value) for name, value in sorted(variables.items())}
    return {name: why for name, why in found.items() if why}


def title_of(variables: Mapping[str, str], service: str) -> str:
    """Return what the documents call a service."""
    return variables.get("SERVICE_NAME") or service


def version_of(variables: Mapping[str, str]) -> str:
    """Return which version a service says it has; empty where it says none."""
    return variables.get("SERVICE_VERSION", "")


def _refusal(name: str, value: str) -> str:
    if name in _SWITCHES:
        is_fine, todo = _SWITCHES[name]
        word = value.strip().lower()
        if word not in _TRUE | _FALSE:
            return f"must be true or false, and only {str(is_fine).lower()} is done here; {todo}"
        return "" if (word in _TRUE) is is_fine else f"is not done here; {todo}"
    return f"does nothing here; {_REFUSED[name]}" if name in _REFUSED else ""


def _number(least: int, most: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if not _WHOLE.fullmatch(text.strip()) or not least <= int(text) <= most:
            raise _WrongError(f"must be a whole number from {least:,} to {most:,}")
        return int(text)

    return read


def _patience(text: str) -> int | None:
    """Return gunicorn's timeout of a worker in ms; 0 is for none."""
    return _number(0, _MOST_MS // 1000)(text) * 1000 or None


def _level(text: str) -> str:
    word = text.strip().upper()
    if _LEVELS.get(word, word) not in LOG_LEVELS:
        raise _WrongError(f"must be one of {', '.join(LOG_LEVELS)}")
    return _LEVELS.get(word, word)


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(origin.strip() for origin in text.split(",")) if text.strip() else ()
    if not all(map(is_origin, origins)):
        raise _WrongError(
            "must be origins with commas between, such as 'https://app.example.com', or '*'; a host alone or a pattern "
            "is none"
        )
    return origins


def _path(text: str) -> str:
    prefix = f"/{text.strip('/')}" if text.strip("/") else ""
    if not is_path_prefix(prefix):
        raise _WrongError("must be the beginning of a URL's path, such as '/api/v1/service/diabetes'")
    return prefix


def _truth(text: str) -> bool:
    if text.strip().lower() not in _TRUE | _FALSE:
        raise _WrongError("must be true or false")
    return not is_false(text)


_SETTINGS: Final = {
    "SCORING_TIMEOUT_MS": "scoring_timeout_ms",
    "WORKER_TIMEOUT": "scoring_timeout_ms",
    "WORKER_COUNT": "workers",
    "AML_CORS_ORIGINS": "cors_origins",
    "AZUREML_LOG_LEVEL": "log_level",
    "SERVICE_PATH_PREFIX": "path_prefix",
}
DECIDING: Final = frozenset(_SETTINGS)
"""Variables from which a setting follows."""
_READ: Final[dict[str, Callable[[str], object]]] = {
    "SCORING_TIMEOUT_MS": _number(1, _MOST_MS),
    "WORKER_TIMEOUT": _patience,
    "WORKER_COUNT": _number(1, _MOST_WORKERS),
    "AML_CORS_ORIGINS": _origins,
    "AZUREML_LOG_LEVEL": _level,
    "SERVICE_PATH_PREFIX": _path,
    "APP_INSIGHTS_LOG_RESPONSE_ENABLED": _truth,
}
_INSIGHTS: Final = "give the service enable_app_insights and app_insights_connection_string, and leave it out"
_COLLECT: Final = "give the service collect_model_data, and data_collection for where to, and leave it out"
_HEALTH: Final = "health answers at the service's own port; leave it out"
_SWITCHES: Final = {
    "AML_APP_INSIGHTS_ENABLED": (False, _INSIGHTS),
    "AML_MODEL_DC_STORAGE_ENABLED": (False, _COLLECT),
    "SEPERATE_HEALTH_ENDPOINT": (False, _HEALTH),
    "SERVER_VERSION_LOG_RESPONSE_ENABLED": (True, "every reply has x-ms-server-version; leave it out"),
    "WORKER_PRELOAD": (False, "each of the service's workers loads for itself; leave it out"),
}
"""Variables that may only say what is done anyhow, and what to write where they say otherwise."""
_REFUSED: Final = {
    **SET_AS_V1,
    "AML_APP_INSIGHTS_KEY": f"an instrumentation key is not enough: {_INSIGHTS}",
    "AML_DBG_MODEL_INFO": "v1's server has dropped it too; leave it out",
    "AML_DBG_RESOURCE_INFO": "v1's server has dropped it too; leave it out",
    "AML_MDC_STORAGE_ENABLED": _COLLECT,
    "AML_MODEL_DC_EVENT_HUB": _COLLECT,
    "AML_MODEL_DC_EVENT_HUB_ENABLED": _COLLECT,
    "AZUREML_CONFIG_FILE": "no config.json is read: give its settings to the service, and leave it out",
    "AZUREML_CORS_ORIGINS": "nor does it with v1: give the service cors_origins, or write AML_CORS_ORIGINS",
    "AZUREML_DEBUG_PORT": "no debugger is started: use `mlserve serve` while you write the script, and leave it out",
    "AZUREML_MDC_HOST": _COLLECT,
    "AZUREML_MDC_PORT": _COLLECT,
    "GUNICORN_CMD_ARGS": "there is no gunicorn: give the service workers, scoring_timeout_ms and the like",
    "HEALTH_PORT": _HEALTH,
    "HTTP_X_MS_SERVER_VERSION": "x-ms-server-version names what answers; leave it out",
    "SERVER_PORT": "give the service port, and leave it out",
}
_TEXTS: Final = (
    *("HOSTNAME", "SERVICE_NAME", "SERVICE_VERSION", "WORKSPACE_NAME"),  # any text will do
    *("AML_MODEL_DC_BOUNDARY", "AML_MODEL_DC_DEBUG", "AML_MODEL_DC_STORAGE"),  # collection reads them itself
)
KNOWN: Final = frozenset({*_READ, *_SWITCHES, *_REFUSED, *_TEXTS})
"""v1's variables about which something is decided."""
