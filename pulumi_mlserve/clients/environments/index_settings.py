"""Which package index this machine uses: uv's own settings, else pip's, handed to uv through its environment.

Addresses and credentials travel only in the environment of the process: never in arguments, locks or messages.
"""

from __future__ import annotations

import configparser
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pulumi_mlserve.core.environments.index_options import Indexes

_UV_INDEX_VARIABLES: Final = (
    "UV_DEFAULT_INDEX",
    "UV_EXTRA_INDEX_URL",
    "UV_FIND_LINKS",
    "UV_INDEX",
    "UV_INDEX_URL",
    "UV_NO_INDEX",
)
_UV_INDEX_KEYS: Final = ("index", "extra-index-url", "find-links", "no-index")

# What would change the answer, or what uv has no business with.
_DROPPED: Final = (
    *("CONDA_PREFIX", "PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV"),
    *("UV_COMPILE_BYTECODE", "UV_PROJECT", "UV_PROJECT_ENVIRONMENT"),
    *("UV_PYTHON", "UV_SYSTEM_PYTHON", "UV_TARGET", "UV_WORKING_DIRECTORY", "UV_WORKING_DIR"),
)


def uv_environment(
    environ: Mapping[str, str] | None = None, home: Path | None = None, indexes: Indexes | None = None
) -> dict[str, str]:
    """Return the environment for uv: this process's own, with pip's index settings where uv has none of its own.

    Args:
        environ: The environment to start from; by default this process's.
        home: The user's home folder; by default this user's.
        indexes: What the environment's own files say; counts more, as with pip.
    """
    own = dict(os.environ if environ is None else environ)
    home = home or Path(own.get("HOME") or "~").expanduser()
    environment = {
        name: value
        for name, value in own.items()
        if name not in _DROPPED and not name.startswith(("PULUMI_", "MLSERVE_"))
    }
    environment.setdefault("UV_HTTP_RETRIES", "1")
    environment["UV_NO_PROGRESS"] = "1"
    environment["NO_COLOR"] = "1"
    if not any(own.get(name) for name in _UV_INDEX_VARIABLES) and not _uv_files_name_an_index(own, home):
        for name, value in _translated(_pip_settings(own, home)).items():
            environment.setdefault(name, value)
    if environment.get("UV_FIND_LINKS"):  # uv runs in a folder of its own
        links = environment["UV_FIND_LINKS"].split(",")
        environment["UV_FIND_LINKS"] = ",".join(one if "://" in one else str(Path(one).absolute()) for one in links)
    return environment if indexes is None else _overlaid(environment, indexes)


def _overlaid(environment: dict[str, str], indexes: Indexes) -> dict[str, str]:
    """Return an environment for uv in which what an environment's files say counts more."""

    def joined(values: Sequence[str], name: str, mark: str) -> dict[str, str]:
        return {name: mark.join([*values, *filter(None, [environment.get(name)])])} if values else {}

    links = [link if "://" in link else str(Path(indexes.folder, link).expanduser()) for link in indexes.links]
    found = joined(indexes.extra, "UV_INDEX", " ") | joined(links, "UV_FIND_LINKS", ",")
    found |= joined(indexes.trusted, "UV_INSECURE_HOST", " ")
    if indexes.default:
        environment.pop("UV_INDEX_URL", None)
        found["UV_DEFAULT_INDEX"] = indexes.default
    if indexes.extra:
        environment.setdefault("UV_INDEX_STRATEGY", "unsafe-best-match")
    if indexes.default or indexes.extra:
        environment.pop("UV_NO_INDEX", None)
    if indexes.no_index:
        found["UV_NO_INDEX"] = "1"
    if indexes.prereleases:
        found["UV_PRERELEASE"] = "allow"
    return environment | found


def _translated(pip: Mapping[str, str]) -> dict[str, str]:
    """Return uv's variables for pip's settings."""
    found: dict[str, str] = {}
    if pip.get("index-url"):
        found["UV_DEFAULT_INDEX"] = pip["index-url"]
    if pip.get("extra-index-url"):
        found["UV_INDEX"] = " ".join(pip["extra-index-url"].split())
        # pip takes the best version of all indexes; uv by default stops at the first index that knows the name.
        found["UV_INDEX_STRATEGY"] = "unsafe-best-match"
    links = [link for link in pip.get("find-links", "").split() if "://" in link or Path(link).expanduser().exists()]
    if links:
        found["UV_FIND_LINKS"] = ",".join(links)
    if pip.get("trusted-host"):
        found["UV_INSECURE_HOST"] = " ".join(pip["trusted-host"].split())
    if pip.get("cert") and Path(pip["cert"]).expanduser().is_file():
        found["SSL_CERT_FILE"] = str(Path(pip["cert"]).expanduser())
    if pip.get("keyring-provider") in {"subprocess", "import", "auto"}:
        found["UV_KEYRING_PROVIDER"] = "subprocess"  # the only form that uv has
    if pip.get("no-index", "").lower() in {"1", "true", "yes", "on"}:
        found["UV_NO_INDEX"] = "1"
    return found


def _pip_settings(environ: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return pip's settings, later places winning: system, user, environment's prefix, named file, variables."""
    own_file = environ.get("PIP_CONFIG_FILE")
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = [
        *(Path(base) / "pip" / "pip.conf" for base in reversed(environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":"))),
        Path("/etc/pip.conf"),
        home / ".pip" / "pip.conf",
        home / "Library" / "Application Support" / "pip" / "pip.conf",
        config / "pip" / "pip.conf",
        Path(sys.prefix) / "pip.conf",
    ]
    if own_file == os.devnull:
        files = []
    elif own_file:
        files.append(Path(own_file))
    found: dict[str, str] = {}
    for file in files:
        found.update(_read_pip_file(file))
    for name, value in environ.items():
        if name.startswith("PIP_") and value:
            found[name[4:].lower().replace("_", "-")] = value
    return found


def _read_pip_file(file: Path) -> dict[str, str]:
    """Return what a pip configuration file says for every command and for install; nothing if it cannot be read."""
    parser = configparser.RawConfigParser()
    try:
        parser.read_string(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, configparser.Error):
        return {}  # pip itself reports a broken file; here the settings that can be read decide
    sections = (parser[name] for name in ("global", "install") if parser.has_section(name))
    return {key.replace("_", "-"): value for section in sections for key, value in section.items() if value}


def _uv_files_name_an_index(environ: Mapping[str, str], home: Path) -> bool:
    """Return whether uv's own configuration files name an index; uv reads them itself."""
    named = environ.get("UV_CONFIG_FILE")
    config = Path(environ.get("XDG_CONFIG_HOME") or home / ".config")
    files = (
        [Path(named)] if named else [config / "uv" / "uv.toml", Path("/etc/xdg/uv/uv.toml"), Path("/etc/uv/uv.toml")]
    )
    return any(_names_an_index(file) for file in files)


def _names_an_index(file: Path) -> bool:
    """Return whether a uv.toml has a key about indexes; only keys are looked at."""
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        return False
    return any(line.lstrip(" [").startswith(_UV_INDEX_KEYS) for line in lines)
