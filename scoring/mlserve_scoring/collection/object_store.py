"""A container of an object store as target: parts are small blobs, written whole again whenever they grow."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Final

from mlserve_scoring.collection.azure_signature import signed
from mlserve_scoring.collection.azure_variables import account_and_key, fitting, named_account, of_another, opening
from mlserve_scoring.collection.places import stamp
from mlserve_scoring.collection.shown_address import shown
from mlserve_scoring.collection.store_options import OWN
from mlserve_scoring.collection.target import new_token
from mlserve_scoring.errors import StartError

if TYPE_CHECKING:
    from mlserve_scoring.collection.records import Lines

SCHEMES: Final = ("az", "azure", "adl", "abfs", "abfss", "s3", "s3a", "gs")
STORAGE_VARIABLE: Final = "AML_MODEL_DC_STORAGE"
_AZURE: Final = frozenset({"az", "azure", "adl", "abfs", "abfss"})
_CONNECTION_STRINGS: Final = (STORAGE_VARIABLE, "AZURE_STORAGE_CONNECTION_STRING")
_PART_BYTES: Final = 1 << 20
_MOST_OPEN: Final = 32
_IDLE_S: Final = 60.0
_TIMES: Final = {"timeout": timedelta(seconds=20), "connect_timeout": timedelta(seconds=5)}
_RETRY: Final = {"max_retries": 0}  # the collector tries again itself, and meanwhile counts

Put = Callable[[str, bytes], object]


class ObjectStore:
    """Writes blobs that nobody else writes; each holds whole lines and its own header.

    Args:
        put: Writes one blob whole, whatever was there.
        most_bytes: Memory for blobs that may still grow.
        clock: Seconds since 1970, for names.
        monotonic: Seconds that never jump.
    """

    def __init__(
        self,
        put: Put,
        *,
        most_bytes: int,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._put = put
        self._most_bytes = most_bytes
        self._clock = clock
        self._monotonic = monotonic
        self._token = new_token()
        self._count = 0
        self._parts: dict[tuple[str, str, bytes], _Part] = {}

    def append(self, lines: Lines) -> None:
        """Write the blob anew with more lines; readers see it as it was or as it is now."""
        key = (lines.folder, lines.name, lines.header)
        part = self._parts.get(key)
        if part is None or len(part.content) + len(lines.text) > _PART_BYTES:
            self._count += 1
            suffix = PurePosixPath(lines.name).suffix
            name = f"{stamp(self._clock())}-{self._token}-{self._count:04d}{suffix}"
            part = _Part(f"{lines.folder}/{lines.name}/{name}", lines.header)
        content = part.content + lines.text
        self._put(part.path, content)
        # An attempt that failed may have arrived all the same: then the next one writes the same lines over it.
        part.content = content
        part.used = self._monotonic()
        self._parts.pop(key, None)
        self._parts[key] = part

    def settle(self) -> None:
        """Forget blobs that are not added to any more, and the oldest while they take too much memory."""
        since = self._monotonic() - _IDLE_S
        self._parts = {key: part for key, part in self._parts.items() if part.used >= since}
        while len(self._parts) > _MOST_OPEN or sum(len(part.content) for part in self._parts.values()) > (
            self._most_bytes
        ):
            del self._parts[next(iter(self._parts))]

    def close(self) -> None:
        """Do nothing: what was written is there."""


class _Part:
    def __init__(self, path: str, content: bytes) -> None:
        self.path = path
        self.content = content
        self.used = 0.0


def connected(address: str, options: Mapping[str, str]) -> Put:
    """Return what writes blobs at an address.

    Credentials come from the options, else for Azure from v1's connection string in ``AML_MODEL_DC_STORAGE`` or
    ``AZURE_STORAGE_CONNECTION_STRING``, else from where the cloud's own tools take them: the environment, then the
    managed identity.

    Raises:
        StartError: The feature is missing from the image, the address or an option cannot work, or what is given is
            another account's.
    """
    try:
        import obstore  # noqa: PLC0415  # an extra
        from obstore.exceptions import BaseError  # noqa: PLC0415
        from obstore.store import from_url  # noqa: PLC0415
    except ImportError as error:
        raise StartError(
            f"collection.target: {shown(address)} needs the feature 'collection', which the image lacks",
            stage="init",
            todo="give the image features=['collection'], or collect to a folder",
        ) from error
    config = dict(options)
    if address.partition("://")[0] in _AZURE:
        config = _azure(address, config)
    plain = config.pop(OWN, "") or str(config.get("endpoint", "")).startswith("http://")
    client: dict[str, object] = {**_TIMES, OWN: _is_true(plain) or _http_is_allowed()}
    try:
        store = from_url(
            address, config=config, client_options=client, retry_config=_RETRY, credential_provider=signed(config)
        )  # type: ignore[call-overload]  # options are any texts
    except (BaseError, ValueError, TypeError) as error:
        why = without_secrets(error).replace(address.partition("?")[0], shown(address))
        raise StartError(
            f"collection.target: {shown(address)} cannot be used, {why}",
            stage="init",
            todo="correct the address or the options; the account may also stand in AZURE_STORAGE_ACCOUNT_NAME",
        ) from error

    def put(path: str, data: bytes) -> object:
        return obstore.put(store, path, data, use_multipart=False)

    return put


def without_secrets(error: BaseException) -> str:
    """Return the first line of an error; queries of URLs, which may hold signatures, are left out."""
    return re.sub(r"\?[^\s\"')]*", "?…", (str(error).strip() or type(error).__name__).splitlines()[0])


def _azure(address: str, options: Mapping[str, str]) -> dict[str, str]:
    """Return the settings for an address; what belongs to another account than is named is not among them."""
    said = (value for name, value in options.items() if name.lower().endswith("account_name"))
    account = next(said, named_account(address))
    given = _from_connection_string()
    whose = given.get("account_name", account) if account else ""
    if whose != account and not opening(options):
        raise _two_accounts(address, account, f"{_connection_string()[0]} names {whose!r}")
    if opening(options):
        secrets = ("account_key", "sas_key")
        given = {key: value for key, value in given.items() if whose == account and key not in secrets}
    config = given | dict(options)
    environment = fitting(os.environ, account)
    config |= account_and_key(environment, config)
    if account and (problem := of_another(os.environ, config, account)):
        raise _two_accounts(address, account, problem)
    return config


def _two_accounts(address: str, account: str, other: str) -> StartError:
    return StartError(
        f"collection.target: {shown(address)} is in the account {account!r}, and {other}",
        stage="init",
        todo="name the same account, or give what opens it in options",
    )


def _connection_string() -> tuple[str, str]:
    """Return the variable that is given, and what it says; empty where none is."""
    return next(((name, os.environ[name]) for name in _CONNECTION_STRINGS if os.environ.get(name)), ("", ""))


def _from_connection_string() -> dict[str, str]:
    text = _connection_string()[1]
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    given = {name.strip().lower(): value.strip() for name, _, value in pairs}
    config = {
        key: given[name]
        for name, key in (
            ("accountname", "account_name"),
            ("accountkey", "account_key"),
            ("sharedaccesssignature", "sas_key"),
            ("blobendpoint", "endpoint"),
        )
        if given.get(name)
    }
    suffix, account = given.get("endpointsuffix"), given.get("accountname")
    if "endpoint" not in config and suffix and account:
        config["endpoint"] = f"{given.get('defaultendpointsprotocol', 'https')}://{account}.blob.{suffix}"
    return config


def _http_is_allowed() -> bool:
    # For emulators; the names are those that obstore documents. Options given in code replace them all.
    return any(_is_true(os.environ.get(f"{cloud}_ALLOW_HTTP", "")) for cloud in ("AZURE", "AWS", "GOOGLE"))


def _is_true(value: object) -> bool:
    return str(value).lower() in {"1", "true"}
