"""Reads how a person picks models, images and services: NAME[:VERSION], NAME@DIGEST, KEY=VALUE.

What is wrong with a text is returned, not raised, so that a command can tell all mistakes at once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from pulumi_mlserve.core.model import model_name_problem
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from pulumi_mlserve.clients.models.model_store import ModelStore, ModelVersion

_DIGITS = re.compile(r"[0-9a-f]{1,64}")


class ModelChoice(NamedTuple):
    """A model, or one version of it."""

    name: str
    version: int | None


def refuse(problems: Iterable[Problem]) -> None:
    """Return if there are no problems.

    Raises:
      InvalidInputError: There are; it has all of them.
    """
    if found := [*problems]:
        raise InvalidInputError(found)


def pair_problems(what: str, texts: Sequence[str], *, value: bool = False) -> list[Problem]:
    """Returns what is wrong with texts such as KEY=VALUE; a key alone will do unless a value is needed."""
    form = "KEY=VALUE" if value else "KEY or KEY=VALUE"
    pairs = [(text, *text.partition("=")) for text in texts]
    problems = [
        Problem(what, f"not {form}, got {text!r}") for text, key, mark, _ in pairs if not key or (value and not mark)
    ]
    given: dict[str, str] = {}
    for text, key, mark, _ in pairs:
        if key and mark and given.setdefault(key, text) != text:
            problems.append(Problem(what, f"two values of {key!r}, got {given[key]!r} and {text!r}; give one"))
    return problems


def pairs_of(texts: Sequence[str]) -> dict[str, str | None]:
    """Returns what is to be looked for, with None for any value; a key that has a value too needs that value."""
    found: dict[str, str | None] = {}
    for key, mark, value in (text.partition("=") for text in texts):
        found[key] = value if mark else found.get(key)
    return found


def has_pairs(values: Mapping[str, str], wanted: Mapping[str, str | None]) -> bool:
    """Returns whether all that is looked for is there."""
    return all(key in values and (value is None or values[key] == value) for key, value in wanted.items())


def model_problems(what: str, text: str) -> list[Problem]:
    """Returns what is wrong with NAME[:VERSION]."""
    name, mark, number = text.partition(":")
    problems = [Problem(what, wrong)] if (wrong := model_name_problem(name)) else []
    if mark and not (number.isdecimal() and int(number)):
        problems.append(Problem(what, f"not NAME or NAME:VERSION, got {text!r}; a version is a number from 1"))
    return problems


def model_of(text: str) -> ModelChoice:
    """Returns a model that has no problems."""
    name, mark, number = text.partition(":")
    return ModelChoice(name, int(number) if mark else None)


def has_model(models: Iterable[tuple[str, int, str]], wanted: ModelChoice | None) -> bool:
    """Returns whether a model is among those of an image or a service; no wanted model always is."""
    return wanted is None or any(name == wanted.name and wanted.version in {None, number} for name, number, _ in models)


def find_model(store: ModelStore, text: str) -> ModelVersion:
    """Returns a version, the newest one unless a number is given.

    Raises:
      InvalidInputError: The text names none.
      OperationError: It is not there, or was deleted.
    """
    refuse(model_problems("model", text))
    wanted = model_of(text)
    version = store.latest(wanted.name) if wanted.version is None else store.get(wanted.name, wanted.version)
    if version is None or version.deleted:
        state = "was deleted" if version else "is not there"
        raise OperationError(f"model {text}: {state}; see what is with: mlserve models list")
    return version


def digest_problems(what: str, text: str) -> list[Problem]:
    """Returns what is wrong with an image's digest, its beginning, or NAME@DIGEST."""
    if _DIGITS.fullmatch(_digits(text)):
        return []
    return [Problem(what, f"not a digest, got {text!r}; give sha256:… or the first digits of it")]


def is_digest(digest: str, wanted: str) -> bool:
    """Returns whether a digest is the one that a text names, wholly or by its beginning."""
    return digest.removeprefix("sha256:").startswith(_digits(wanted))


def _digits(text: str) -> str:
    return text.rpartition("@")[2].removeprefix("sha256:")
