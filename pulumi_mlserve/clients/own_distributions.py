"""Where our own distributions come from: what pip is given to install them in another environment."""

from __future__ import annotations

import json
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

import mlserve_scoring

import pulumi_mlserve

PLUGIN: Final = "pulumi-mlserve"
RUNTIME: Final = "mlserve-scoring"
_PACKAGES: Final = {PLUGIN: pulumi_mlserve, RUNTIME: mlserve_scoring}


def installable(name: str) -> str:
    """Return what pip takes to install one of ours as a shell reads it: the folder or file it is from, else its name.

    Installed from a package index it has no such place, and its name will do
    (https://packaging.python.org/en/latest/specifications/direct-url/).
    """
    place = _installed_from(name) or _source_tree(name)
    return name if place is None else shlex.quote(str(place))


def _installed_from(name: str) -> Path | None:
    try:
        said = distribution(name).read_text("direct_url.json")
    except PackageNotFoundError:
        return None
    address = urlsplit(str(json.loads(said)["url"])) if said else None
    place = Path(unquote(address.path)) if address is not None and address.scheme == "file" else None
    return place if place is not None and place.exists() else None


def _source_tree(name: str) -> Path | None:
    folder = Path(str(_PACKAGES[name].__file__)).resolve().parent.parent
    return folder if (folder / "pyproject.toml").is_file() else None
