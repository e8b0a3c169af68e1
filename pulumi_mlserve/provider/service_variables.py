"""What environment variables decide of a local service's settings: the service's own, and below them its image's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from mlserve_scoring.manifest import ManifestError, load
from mlserve_scoring.v1_variables import DECIDING

from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.core.variables import disagreements, v1_defaults
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown, is_unknown
from pulumi_mlserve.provider.workplace import workplace

_OWN: Final = "environment_variables"
_PREFIX: Final = "SERVICE_PATH_PREFIX"


def deciding(variables: Any) -> Any:
    """Return those variables that decide a setting; ``UNKNOWN`` while they are not known, None where nobody tells."""
    if not isinstance(variables, Mapping):
        return UNKNOWN if is_unknown(variables) else None
    return {
        name: value
        for name, value in variables.items()
        if (name in DECIDING if has_unknown(value) else v1_defaults({name: value}))
    }


def of_image(call: Call, image: Mapping[str, Any]) -> Any:
    """Return those of an image's variables that decide a setting, as ``deciding`` does.

    They follow from its digest: what whoever made it does not say the last run may know, or this machine's store.
    """
    told, digest = deciding(image.get("variables")), image.get("digest")
    if isinstance(told, Mapping) or not isinstance(digest, str):
        return told
    before, images = call.olds.get("image"), workplace(call.settings).images
    if isinstance(before, Mapping) and before.get("digest") == digest and before.get("variables") is not None:
        return before["variables"]
    if images.get(digest) is None:
        return told
    try:
        return deciding(images.own_manifest(digest).variables)
    except OperationError:  # whoever runs it says what is wrong with it
        return told


def in_image(root: Path) -> Mapping[str, str]:
    """Return the variables of an unpacked image."""
    try:
        return load(root).variables
    except ManifestError:  # the process reads it too, and says what is wrong with it
        return {}


def told(settings: Mapping[str, Any], image: Any) -> Iterator[str]:
    """Yield which of a service's known settings win over a variable that says otherwise.

    Args:
        settings: Those that are given and known.
        image: The image, with its variables that decide.
    """
    yield from disagreements(settings, _of(image), settings.get(_OWN))


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
    says_itself = is_unknown(own) or (isinstance(own, Mapping) and _PREFIX in own)
    variables = own if says_itself else _of(news.get("image"))
    if not isinstance(variables, Mapping) or has_unknown(variables.get(_PREFIX)):
        return UNKNOWN  # what an image nobody knows says of it is told by the image alone, once it is here
    default = v1_defaults(variables).get("path_prefix")
    return "" if default is None else default.value


def _of(image: Any) -> Any:
    return image.get("variables") if isinstance(image, Mapping) else image
