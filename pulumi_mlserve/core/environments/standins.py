"""Packages of Azure ML v1 that the runtime stands in for: their names, their modules, what remains to ask for."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPLACED: Final = frozenset(
    {
        "azureml-ai-monitoring",
        "azureml-contrib-services",
        "azureml-core",
        "azureml-defaults",
        "azureml-inference-server-http",
        "azureml-monitoring",
        "azureml-sdk",
        "azureml-webservice-schema",
        "inference-schema",
    }
)
"""Canonical names of the packages that are taken out of an environment."""

STANDIN_MODULES: Final = frozenset({"azureml", "azureml_inference_server_http", "inference_schema"})
"""Top-level modules that the runtime's stand-ins provide."""

# What an extra of inference-schema brings beside the package itself.
_EXTRAS: Final[dict[str, tuple[str, ...]]] = {
    "numpy-support": ("numpy",),
    "pandas-support": ("numpy", "pandas"),
    "pyspark-support": ("numpy", "pandas", "pyspark"),
}


def is_replaced(name: str) -> bool:
    """Return whether the runtime stands in for a package."""
    return canonicalize_name(name) in REPLACED


def left_to_ask(requirement: Requirement) -> tuple[str, ...]:
    """Return the packages that a replaced requirement brought along and that are still needed."""
    if canonicalize_name(requirement.name) != "inference-schema":
        return ()
    extras = (canonicalize_name(extra) for extra in requirement.extras)
    return tuple(sorted({name for extra in extras for name in _EXTRAS.get(extra, ())}))


def replacement_note(names: Iterable[str]) -> str:
    """Return the one line that tells the user what was replaced."""
    listed = ", ".join(sorted(set(names)))
    return f"{listed}: taken out of the environment, the runtime brings small stand-ins for them"
