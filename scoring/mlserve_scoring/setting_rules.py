"""What cannot work in the settings of features, beyond their form; no feature needs to be there to know it.

Whoever deploys asks here before anything starts, the process itself at its start: each problem begins with its place.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from mlserve_scoring.collection.object_store import SCHEMES
from mlserve_scoring.collection.shown_address import shown
from mlserve_scoring.collection.store_options import options_problems

if TYPE_CHECKING:
    from mlserve_scoring.settings import Collection, Entra, Telemetry

_GUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})


def entra_problems(wanted: Entra) -> list[str]:
    """Return what is wrong with the settings of tokens."""
    found = []
    if not _GUID.fullmatch(wanted.tenant):
        found.append(f"entra.tenant: must be the tenant's id, a GUID, got {wanted.tenant!r}")
    if not wanted.audiences or not all(wanted.audiences):
        found.append("entra.audiences: must name at least one audience; without, tokens for anybody would open")
    parts = urlsplit(wanted.authority)
    if parts.scheme != "https" and not (parts.scheme == "http" and parts.hostname in _LOOPBACK):
        found.append(f"entra.authority: must be an https address, got {wanted.authority!r}")
    return found


def collection_problems(wanted: Collection) -> list[str]:
    """Return what is wrong with the settings of data collection."""
    found = []
    parts = wanted.workspace.split("/")
    if len(parts) != 3 or not all(parts):  # noqa: PLR2004  # subscription, resource group, workspace
        found.append(f"collection.workspace: must be SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE, got {wanted.workspace!r}")
    scheme, mark, _ = wanted.target.partition("://")
    if mark and scheme not in {*SCHEMES, "file"}:
        found.append(
            f"collection.target: must be a folder or an address that begins with {'://, '.join(SCHEMES)}:// or "
            f"file://, got {shown(wanted.target)!r}"
        )
    elif not mark and not wanted.target.startswith(("/", "~")):
        found.append(f"collection.target: must be an absolute path or an address, got {wanted.target!r}")
    elif mark and scheme != "file" and not re.match(r"[^/]", wanted.target.partition("://")[2]):
        found.append(f"collection.target: names no container or bucket, got {wanted.target!r}")
    elif mark and scheme != "file" and shown(wanted.target) != wanted.target:
        text = f"holds a login or a query, got {shown(wanted.target)!r}; give what opens it in collection.options"
        found.append(f"collection.target: {text}")
    if wanted.options and not is_object_store(wanted.target):
        found.append("collection.options: are for object stores, and the target is a folder; remove them")
    return [*found, *options_problems(wanted.target, [*wanted.options])]


def is_object_store(target: str) -> bool:
    """Return whether collected data goes to an object store, rather than to a folder."""
    scheme, mark, _ = target.partition("://")
    return bool(mark) and scheme != "file"


def folder_of(target: str) -> Path | None:
    """Return the folder that collected data goes to, or None for an object store."""
    if is_object_store(target):
        return None
    path = unquote(urlsplit(target).path) if target.startswith("file://") else target
    return Path(path).expanduser()


def telemetry_problems(wanted: Telemetry) -> list[str]:
    """Return what is wrong with the addresses of telemetry; a connection string is never quoted."""
    found = []
    if wanted.connection_string and (wrong := _wrong_string(wanted.connection_string)):
        found.append(f"telemetry.connection_string: {wrong}")
    if wanted.otlp_endpoint and (wrong := _wrong_address(wanted.otlp_endpoint)):
        found.append(f"telemetry.otlp_endpoint: {wrong}")
    return found


def _wrong_string(text: str) -> str:
    """Return what is wrong with a connection string, without a word of it."""
    parts = dict(part.partition("=")[::2] for part in text.split(";") if part)
    folded = {name.strip().lower(): value.strip() for name, value in parts.items()}
    if not _GUID.fullmatch(folded.get("instrumentationkey", "")):
        return "has no InstrumentationKey=GUID; copy it from the resource's overview page"
    endpoint = folded.get("ingestionendpoint")
    return "" if endpoint is None else _wrong_address(endpoint, "its IngestionEndpoint")


def _wrong_address(address: str, what: str = "") -> str:
    try:
        parts = urlsplit(address)
        fits = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        fits = False
    subject = f"{what} must" if what else "must"
    return "" if fits else f"{subject} be an http or https address, such as http://127.0.0.1:4318"
