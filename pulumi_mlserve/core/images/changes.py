"""Why an image is built anew: which of the things that a program says about it changed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

_PLAIN: Final = (
    "base_packages",
    "enable_gpu",
    "entry_script",
    "environment_variables",
    "features",
    "platform",
    "samples",
)
_SHORT: Final = 12
_PYTHON: Final = re.compile(r"python==(\d+\.\d+)\.\*")


def reasons(olds: Mapping[str, Any], news: Mapping[str, Any]) -> list[str]:
    """Return what changed since the last run, in words; empty where nothing that goes into an image did.

    Args:
        olds: The inputs of the last run, completed.
        news: The inputs now, completed.
    """
    recipes = [olds.get("recipe"), news.get("recipe")]
    if recipes[0] == recipes[1] or not all(isinstance(recipe, str) for recipe in recipes):
        return []
    return list(_reasons(olds, news))


def _reasons(olds: Mapping[str, Any], news: Mapping[str, Any]) -> Iterator[str]:
    pythons = [_python(inputs.get("requirements")) for inputs in (olds, news)]
    compilers = [inputs.get("compiler") for inputs in (olds, news)]
    layers = [inputs.get("layers") or {} for inputs in (olds, news)]
    if all(pythons) and pythons[0] != pythons[1]:
        yield f"Python {pythons[0]} → {pythons[1]}"
    elif olds.get("lock") != news.get("lock"):
        yield "packages"
    bases = [_base(inputs.get("base")) for inputs in (olds, news)]
    if bases[0] != bases[1]:
        yield f"base image {bases[0] or 'none'} → {bases[1] or 'none'}"
    if olds.get("runtime") != news.get("runtime"):
        yield "runtime"
    if pythons[0] == pythons[1] and compilers[0] != compilers[1]:
        yield f"compiler {compilers[0] or 'none'} → {compilers[1] or 'none'}"
    elif compilers[0] == compilers[1] and layers[0].get("code") != layers[1].get("code"):
        yield "source_directory"  # not with another compiler, which moves the layer of the same code
    yield from _models(olds.get("models"), news.get("models"))
    yield from (name for name in _PLAIN if (olds.get(name) or None) != (news.get(name) or None))


def _models(olds: Any, news: Any) -> Iterator[str]:
    before, after = _by_name(olds), _by_name(news)
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None or new is None:
            yield f"model {name} ({'new' if old is None else 'gone'})"
        elif old.get("digest") != new.get("digest"):
            numbers = [model.get("version") for model in (old, new)]
            known = all(isinstance(number, int) for number in numbers) and numbers[0] != numbers[1]
            yield f"model {name}" + (f" {numbers[0]} → {numbers[1]}" if known else "")
        elif old.get("framework") != new.get("framework"):
            yield f"framework of model {name}"


def _base(base: Any) -> str:
    """Return a base image as a person knows it: its name, and the first digits of its digest."""
    if not isinstance(base, Mapping):
        return ""
    return f"{base.get('reference', '')}@{str(base.get('digest', '')).removeprefix('sha256:')[:_SHORT]}"


def _by_name(models: Any) -> dict[str, Mapping[str, Any]]:
    given: Sequence[Any] = models if isinstance(models, Sequence) else ()
    return {str(model.get("name")): model for model in given if isinstance(model, Mapping)}


def _python(requirements: Any) -> str:
    first = next(iter(requirements), "") if isinstance(requirements, Sequence) else ""
    found = _PYTHON.fullmatch(str(first))
    return found[1] if found else ""
