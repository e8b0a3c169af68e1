"""Which packages the runtime declares that it needs, for itself and for each of its features: one source, its own."""

from __future__ import annotations

import functools
from importlib.metadata import metadata, requires
from typing import Final

from packaging.requirements import Requirement

from pulumi_mlserve.core.suggest import did_you_mean

DISTRIBUTION: Final = "mlserve-scoring"
ONNX: Final = "onnx"
"""Goes in by itself where a model needs it, so it is no feature."""
_LATER: Final = frozenset({"edge"})


@functools.cache
def declared(feature: str = "") -> tuple[str, ...]:
    """Return what the runtime needs, as pip writes it; with a feature, what that needs on top."""
    asked = map(Requirement, requires(DISTRIBUTION) or ())
    found = []
    for requirement in asked:
        marker, requirement.marker = requirement.marker, None
        always = marker is None or marker.evaluate({"extra": ""})
        if always is not bool(feature) and (marker is None or marker.evaluate({"extra": feature})):
            found.append(str(requirement))
    return tuple(sorted(found))


@functools.cache
def features() -> tuple[str, ...]:
    """Return the names of the runtime's features, sorted."""
    return tuple(sorted({*(metadata(DISTRIBUTION).get_all("Provides-Extra") or ())} - {ONNX}))


def feature_problem(name: str) -> str | None:
    """Return what is wrong with the name of a feature, or None."""
    if name in features():
        return None
    if name in _LATER:
        return f"is not there yet, got {name!r}; leave it out"
    guess = did_you_mean(name.lower(), features())
    return f"there is no such feature, got {name!r}{guess or '; there are ' + ', '.join(features())}"
