"""What environment variables decide of a local service's settings: the service's own, and below them its image's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mlserve_scoring.manifest import ManifestError, load

from pulumi_mlserve.core.variables import disagreements, v1_defaults
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown

_OWN: Final = "environment_variables"
_PREFIX: Final = "SERVICE_PATH_PREFIX"


def of_image(image: Any) -> dict[str, str]:
    """Return those of an image's variables that decide a setting, as far as whoever made it says."""
    told = image.get("variables") if isinstance(image, Mapping) else None
    if not isinstance(told, Mapping):
        return {}
    return {name: value for name, value in told.items() if v1_defaults({name: value})}


def in_image(root: Path) -> Mapping[str, str]:
    """Return the variables of an unpacked image."""
    try:
        return load(root).variables
    except ManifestError:  # the process reads it too, and says what is wrong with it
        return {}


def told(settings: Mapping[str, Any], image: Any) -> Iterator[str]:
    """Yield which of a service's known settings win over a variable that says otherwise."""
    yield from disagreements(settings, of_image(image), settings.get(_OWN))


def with_variables(given: Mapping[str, Any], variables: Mapping[str, str]) -> dict[str, Any]:
    """Return settings as a process takes them, completed by what variables say of those that are not given.

    Args:
        given: The settings that are given.
        variables: Of the image.
    """
    said = v1_defaults(variables, given.get(_OWN))
    decided = frozenset(given) & frozenset(said)
    return {**{name: default.value for name, default in said.items()}, **given, "decided": decided}


def path_prefix(news: Mapping[str, Any]) -> Any:
    """Return what a service's URLs begin with, as far as its inputs tell."""
    if news.get("path_prefix") is not None:
        return news["path_prefix"]
    own = news.get(_OWN)
    if has_unknown(own.get(_PREFIX) if isinstance(own, Mapping) else own):
        return UNKNOWN
    default = v1_defaults(of_image(news.get("image")), news.get(_OWN)).get("path_prefix")
    return "" if default is None else default.value
