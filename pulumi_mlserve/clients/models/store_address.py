"""Opens the object store at an address, with the credentials that the cloud's own tools would find; shows neither."""

from __future__ import annotations

import configparser
import os
import re
import shutil
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from mlserve_scoring.collection.azure_signature import signed
from mlserve_scoring.collection.azure_variables import account_and_key, fitting, named_account, of_another
from mlserve_scoring.collection.shown_address import shown
from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from pulumi_mlserve.core.azure_clouds import PUBLIC, blob_address
from pulumi_mlserve.core.model_address import store_problem
from pulumi_mlserve.core.problems import OperationError

AZURE: Final = frozenset({"az", "azure", "adl", "abfs", "abfss"})
S3: Final = frozenset({"s3", "s3a"})

_CONNECT_SECONDS = timedelta(seconds=10)
_REQUEST_SECONDS = timedelta(seconds=120)
_RETRY_SECONDS = timedelta(seconds=30)
_AZURE_HOSTS = (".blob.core.", ".dfs.core.", ".dfs.fabric.", ".blob.fabric.")
# What the library takes before it asks for a managed identity.
_AZURE_GIVEN = (
    "KEY",
    "TOKEN",
    "SECRET",
    "_CLIENT_ID",
    "_FEDERATED_TOKEN_FILE",
    "_CLI",
    "_CREDENTIAL_TYPE",
    "_EMULATOR",
)
_GIVEN: Final = {
    "endpoint": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    "authority_host": ("AZURE_AUTHORITY_HOST", "AZURE_STORAGE_AUTHORITY_HOST"),
}
_S3_GIVEN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_SKIP_SIGNATURE",
)


def without_secrets(error: BaseException) -> str:
    """Return the first line of an error; queries of addresses, which may hold signatures, are left out."""
    text = str(error).partition("\n")[0].partition(": <?xml")[0]
    return re.sub(r"\?[^\s\"')]*", "?…", text.strip())


def connected(address: str, *, retries: int) -> ObjectStore:
    """Return the object store at an address; nobody is asked yet.

    Credentials, the first that is given. Azure: a signature in the address, ``AZURE_STORAGE_CONNECTION_STRING``, the
    variables of the Azure SDKs (key, signature, service principal, workload identity), the login of the Azure CLI
    where that is installed, the managed identity. S3: the AWS variables, workload identity, the profile in
    ``~/.aws``, the machine's role. GCS: application default credentials.

    Args:
        address: As ``az://container/prefix``, ``https://ACCOUNT.blob.core.windows.net/container/prefix`` in any of
            Azure's clouds, ``s3://…``.
        retries: How often a request is sent again, each time after a longer wait.

    Raises:
        OperationError: There can be no store at this address, or something that it needs is not given.
    """
    scheme, _, rest = address.partition("://")
    if problem := store_problem(address):
        raise OperationError(f"store: {problem}")
    place, _, signature = address.partition("?")
    config: dict[str, Any] = {}
    if scheme in AZURE or (scheme == "https" and any(host in rest for host in _AZURE_HOSTS)):
        config = _azure_store(place, os.environ, signature)
        if named := blob_address(place):
            place = f"az://{named.container}/{named.folder}"
    elif scheme in S3:
        config = _s3(os.environ)
    plain = str(config.get("endpoint", "")).startswith("http://") and scheme in AZURE
    try:
        store: ObjectStore = from_url(
            place,
            config=config,
            client_options={
                "connect_timeout": _CONNECT_SECONDS,
                "timeout": _REQUEST_SECONDS,
                "allow_http": plain or _http_is_allowed(),
            },
            retry_config={"max_retries": retries, "retry_timeout": _RETRY_SECONDS},
            credential_provider=signed(config),
        )  # type: ignore[call-overload]  # which settings there are depends on the cloud
    except (BaseError, ValueError, TypeError) as error:
        why = without_secrets(error).replace(place, shown(address))
        raise OperationError(
            f"store: {shown(address)} cannot be used: {why};"
            " give the account and credentials in the environment, as the cloud's own tools take them"
        ) from error
    return store


def _azure_store(place: str, variables: Mapping[str, str], signature: str) -> dict[str, Any]:
    """Return the settings for an address; what belongs to another account than it names is not among them."""
    account = named_account(place)
    environment = fitting(variables, account)
    config = _in_cloud(place, environment)
    given = _azure(environment)
    whose = given.get("account_name", account) if account else ""
    if whose != account and not signature:
        raise _two_accounts(account, f"AZURE_STORAGE_CONNECTION_STRING names {whose!r}")
    config |= given if whose == account else {}
    if signature:
        config = {key: value for key, value in config.items() if key not in {"account_key", "use_azure_cli"}}
        config["sas_key"] = signature
    config |= account_and_key(environment, config)
    if account and (problem := of_another(variables, config, account)):
        raise _two_accounts(account, problem)
    return config


def _two_accounts(account: str, other: str) -> OperationError:
    return OperationError(
        f"store: the address names the account {account!r}, and {other};"
        f" set the variable to that of {account!r}, or take it away"
    )


def _in_cloud(place: str, environment: Mapping[str, str]) -> dict[str, Any]:
    """Return what an address says that names its account and its cloud; nothing for another one."""
    named = blob_address(place)
    if named is None:
        return {}
    own = {"endpoint": f"https://{named.account}.blob.{named.cloud.storage}", "authority_host": named.cloud.authority}
    is_known = named.cloud == PUBLIC  # the library knows no other
    said = {} if is_known else {key: own[key] for key in own if not any(map(environment.get, _GIVEN[key]))}
    return {"account_name": named.account, **said}


def _azure(environment: Mapping[str, str]) -> dict[str, Any]:
    if text := environment.get("AZURE_STORAGE_CONNECTION_STRING", ""):
        return _from_connection_string(text)
    given = [name for name, value in environment.items() if name.startswith("AZURE_") and value]
    identity = environment.get("IDENTITY_ENDPOINT") or environment.get("MSI_ENDPOINT")
    if identity or any(name.endswith(_AZURE_GIVEN) for name in given) or shutil.which("az") is None:
        return {}
    return {"use_azure_cli": True}


def _from_connection_string(text: str) -> dict[str, Any]:
    pairs = (part.partition("=") for part in text.split(";") if "=" in part)
    given = {name.strip().lower(): value.strip() for name, _, value in pairs}
    account = given.get("accountname")
    names = (
        ("accountname", "account_name"),
        ("accountkey", "account_key"),
        ("sharedaccesssignature", "sas_key"),
        ("blobendpoint", "endpoint"),
    )
    config = {key: given[name] for name, key in names if given.get(name)}
    if "endpoint" not in config and given.get("endpointsuffix") and account:
        protocol = given.get("defaultendpointsprotocol", "https")
        config["endpoint"] = f"{protocol}://{account}.blob.{given['endpointsuffix']}"
    if "account_name" not in config and (host := re.match(r"https?://([^./]+)\.", config.get("endpoint", ""))):
        config["account_name"] = host[1]
    if "account_name" not in config or not {"account_key", "sas_key"} & config.keys():
        raise OperationError(
            "store: AZURE_STORAGE_CONNECTION_STRING names no account, or neither a key nor a signature;"
            " copy it whole from the storage account's page, in quotation marks"
        )
    return config


def _s3(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the keys of a profile; the library reads variables and asks for roles, but no files."""
    if any(environment.get(name) for name in _S3_GIVEN):
        return {}
    profile = environment.get("AWS_PROFILE", "")
    home = Path.home() / ".aws"
    keys = _section(Path(environment.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials"), profile or "default")
    settings = Path(environment.get("AWS_CONFIG_FILE") or home / "config")
    said = _section(settings, "default" if profile in {"", "default"} else f"profile {profile}") | keys
    if profile and not said.get("aws_access_key_id"):
        raise OperationError(
            f"store: the profile AWS_PROFILE={profile} holds no keys; put them into the environment, for example with"
            ' eval "$(aws configure export-credentials --format env)"'
        )
    region = environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION") or said.get("region")
    found = {
        "access_key_id": said.get("aws_access_key_id"),
        "secret_access_key": said.get("aws_secret_access_key"),
        "session_token": said.get("aws_session_token"),
        "region": region,
    }
    return {name: value for name, value in found.items() if value}


def _section(file: Path, name: str) -> dict[str, str]:
    parser = configparser.RawConfigParser()
    try:
        parser.read(file, encoding="utf-8")
    except (OSError, configparser.Error, UnicodeDecodeError) as error:
        raise OperationError(f"store: {file} cannot be read; correct it or set AWS_ACCESS_KEY_ID") from error
    return dict(parser.items(name)) if parser.has_section(name) else {}


def _http_is_allowed() -> bool:
    # For emulators; the names are those that the library documents. Options given in code replace them all.
    given = (os.environ.get(f"{cloud}_ALLOW_HTTP", "") for cloud in ("AZURE", "AWS", "GOOGLE"))
    return any(value.lower() in {"1", "true"} for value in given)
