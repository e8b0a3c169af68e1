"""Who we are to Entra ID: a service principal, a federated workload, or the identity that Azure gives to its machines.

Asked only for Azure's registries. The variables are those of Azure's own libraries. Tokens are for the resource manager
of the registry's cloud, which registries change for their own.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from pulumi_mlserve.clients.registries.login_kinds import EntraToken, Login
from pulumi_mlserve.core.azure_clouds import AzureCloud, cloud_of_registry
from pulumi_mlserve.core.problems import OperationError

# The address at which every machine of Azure finds out who it is; it leads nowhere else.
_MACHINE: Final = "http://169.254.169.254"
_MACHINE_PATH: Final = "/metadata/identity/oauth2/token"
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MACHINE_SECONDS: Final = 1.0
_SECONDS: Final = 30.0
_SHOWN: Final = 200
_ASK_RIGHTLY: Final = 400
"""What Azure's machines answer to a question without the header that they want."""


def entra_login(registry: str, environ: Mapping[str, str]) -> Login | None:
    """Return the login to an Azure registry by the identity that surrounds this process, or None without one.

    Raises:
        OperationError: There is one, but it gives no token.
    """
    cloud = cloud_of_registry(registry)
    if cloud is None:
        return None
    token = _application(environ, cloud) or _hosted(environ, cloud) or _machine(environ, cloud)
    if token is None:
        return None
    token()  # a machine without an identity of its own says so now, so that another login can be looked for
    return Login.by_entra(token)


def _application(environ: Mapping[str, str], cloud: AzureCloud) -> EntraToken | None:
    """Return the token of a service principal, by its secret or by what a workload's platform vouches for."""
    tenant, client = environ.get("AZURE_TENANT_ID"), environ.get("AZURE_CLIENT_ID")
    secret, file = environ.get("AZURE_CLIENT_SECRET"), environ.get("AZURE_FEDERATED_TOKEN_FILE")
    if not tenant or not client or not (secret or file):
        return None
    authority = (environ.get("AZURE_AUTHORITY_HOST") or cloud.authority).rstrip("/")
    url = f"{authority}/{tenant}/oauth2/v2.0/token"

    def token() -> str:
        form = {"grant_type": "client_credentials", "client_id": client, "scope": f"{cloud.manager}.default"}
        if secret:
            form["client_secret"] = secret
        else:
            form |= {"client_assertion_type": _ASSERTION, "client_assertion": _read(str(file))}
        request = urllib.request.Request(url, urlencode(form).encode(), method="POST")  # noqa: S310  checked when asked
        return _token(request, "Entra ID", _SECONDS, proxied=True)

    return token


def _hosted(environ: Mapping[str, str], cloud: AzureCloud) -> EntraToken | None:
    """Return the token of the identity that Azure gives to an app, a function or a container app."""
    endpoint, header = environ.get("IDENTITY_ENDPOINT"), environ.get("IDENTITY_HEADER")
    if not endpoint or not header:
        return None
    asked = {"api-version": "2019-08-01", "resource": cloud.manager, **_chosen(environ)}
    joint = "&" if "?" in endpoint else "?"
    request = urllib.request.Request(  # noqa: S310  as above
        f"{endpoint}{joint}{urlencode(asked)}", headers={"X-IDENTITY-HEADER": header}
    )
    return lambda: _token(request, "the managed identity", _SECONDS)


def _machine(environ: Mapping[str, str], cloud: AzureCloud) -> EntraToken | None:
    """Return the token of the identity of an Azure machine; None elsewhere, where nobody answers."""
    host = (environ.get("AZURE_POD_IDENTITY_AUTHORITY_HOST") or _MACHINE).rstrip("/")
    try:
        _opener(proxied=False).open(f"{host}{_MACHINE_PATH}", timeout=_MACHINE_SECONDS).close()
    except urllib.error.HTTPError as error:
        error.close()
        if error.code != _ASK_RIGHTLY:  # a proxy, or another cloud's
            return None
    except (OSError, ValueError):
        return None
    asked = {"api-version": "2018-02-01", "resource": cloud.manager, **_chosen(environ)}
    request = urllib.request.Request(  # noqa: S310  as above
        f"{host}{_MACHINE_PATH}?{urlencode(asked)}", headers={"Metadata": "true"}
    )
    return lambda: _token(request, "the managed identity", _SECONDS)


def _chosen(environ: Mapping[str, str]) -> dict[str, str]:
    """Return which of several identities is meant."""
    client = environ.get("AZURE_CLIENT_ID")
    return {"client_id": client} if client else {}


def _token(request: urllib.request.Request, who: str, seconds: float, *, proxied: bool = False) -> str:
    """Return the token in an answer; what goes out and what comes back is repeated nowhere, but for the refusal."""
    parts = urlsplit(request.full_url)
    if parts.scheme not in {"http", "https"} or (proxied and parts.scheme == "http" and not _is_here(parts.hostname)):
        raise OperationError(f"{who}: its address must begin with https; look into AZURE_AUTHORITY_HOST")
    try:
        with _opener(proxied=proxied).open(request, timeout=seconds) as answer:
            token = json.loads(answer.read(1 << 20))["access_token"]
    except urllib.error.HTTPError as error:
        with error:
            raise OperationError(f"{who}: gave no token (status {error.code}){_said(error.read(1 << 16))}") from None
    except OSError as error:
        raise OperationError(f"{who}: cannot be reached; check the network") from error
    except (ValueError, KeyError, TypeError):
        token = None
    if not token or not isinstance(token, str):
        raise OperationError(f"{who}: gave no token that can be read; check the AZURE_… variables")
    return token


def _opener(*, proxied: bool) -> urllib.request.OpenerDirector:
    # Who we are to Azure is asked of Azure alone, never through a proxy.
    return urllib.request.build_opener(*(() if proxied else (urllib.request.ProxyHandler({}),)))


def _said(body: bytes) -> str:
    try:
        answer: Any = json.loads(body)
        text = str(answer.get("error_description") or answer.get("error") or "")
    except (ValueError, AttributeError):
        return ""
    line = "".join(letter for letter in (text.splitlines() or [""])[0] if letter.isprintable())
    return f": {line[:_SHOWN]}" if line else ""


def _read(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise OperationError(f"AZURE_FEDERATED_TOKEN_FILE: {file} cannot be read; check it") from error


def _is_here(host: str | None) -> bool:
    return host in {"localhost", "127.0.0.1", "::1"}
