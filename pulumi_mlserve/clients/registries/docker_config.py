"""The logins that ``docker login`` left: in Docker's ``config.json``, or with the credential helpers it names.

See https://github.com/docker/docker-credential-helpers for the protocol of the helpers.
"""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.registries.login_kinds import Login
from pulumi_mlserve.core.images.reference import DOCKER_HUB
from pulumi_mlserve.core.problems import OperationError

HELPER_SECONDS: Final = 30.0

_HUB_KEY: Final = "https://index.docker.io/v1/"
_HUB_NAMES: Final = frozenset({"index.docker.io", "registry-1.docker.io"})
_TOKEN_USER: Final = "<token>"  # noqa: S105  by which a helper says that its secret is an identity token
_HELPER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


def docker_login(registry: str, environ: Mapping[str, str], *, seconds: float = HELPER_SECONDS) -> Login | None:
    """Return the login that Docker would use for a registry, or None when it knows none.

    Args:
        registry: Its name, as references write it.
        environ: Where ``DOCKER_CONFIG`` and ``HOME`` are looked up, and what helpers see.
        seconds: How long a helper may take.

    Raises:
        OperationError: The config cannot be read, or its helper does not work.
    """
    path = config_path(environ)
    config = _read(path)
    helper = _text(_map(config.get("credHelpers")).get(registry)) or _text(config.get("credsStore"))
    if helper:
        found = _ask(helper, _HUB_KEY if registry == DOCKER_HUB else registry, environ, seconds, path)
        if found is not None:
            return found
    for key, entry in _map(config.get("auths")).items():
        if _name(key) == registry and (login := _entry(_map(entry), path, registry)) is not None:
            return login
    return None


def config_path(environ: Mapping[str, str]) -> Path:
    """Return where Docker's config lies, whether or not it is there."""
    folder = environ.get("DOCKER_CONFIG")
    return (Path(folder) if folder else Path(environ.get("HOME") or Path.home(), ".docker")) / "config.json"


def _read(path: Path) -> Mapping[str, Any]:
    try:
        config = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except OSError as error:
        raise OperationError(f"{path}: cannot be read, {error.strerror}; make it readable") from error
    except ValueError:
        config = None
    if not isinstance(config, Mapping):
        # Without the cause, which would quote the file.
        raise OperationError(f"{path}: is no JSON object; repair it or run docker login again") from None
    return config


def _name(key: str) -> str:
    """Return the registry that a key of ``auths`` means; old ones are addresses."""
    host = re.sub(r"^https?://", "", key).partition("/")[0]
    return DOCKER_HUB if host in _HUB_NAMES else host


def _entry(entry: Mapping[str, Any], path: Path, registry: str) -> Login | None:
    if token := _text(entry.get("identitytoken")):
        return Login.by_refresh_token(token)
    if token := _text(entry.get("registrytoken")):
        return Login.by_bearer_token(token)
    user, password = _text(entry.get("username")), _text(entry.get("password"))
    if auth := _text(entry.get("auth")):
        try:
            user, colon, password = base64.b64decode(auth, validate=True).decode().partition(":")
        except ValueError:
            colon = ""
        if not colon:
            raise OperationError(
                f"{path}: its login for {registry} cannot be read; run docker login {registry} again"
            ) from None
    return Login.by_password(user, password.rstrip("\0")) if user else None


def _ask(helper: str, server: str, environ: Mapping[str, str], seconds: float, path: Path) -> Login | None:
    name = f"docker-credential-{helper}"
    program = shutil.which(name, path=environ.get("PATH", os.defpath)) if _HELPER.fullmatch(helper) else None
    if program is None:
        raise OperationError(f"{path}: names the helper {name!r}, which is not on PATH; install it or remove its entry")
    try:
        done = subprocess.run(
            [program, "get"],
            input=server.encode(),
            capture_output=True,
            timeout=seconds,
            check=False,
            env=dict(environ),
        )
    except subprocess.TimeoutExpired:
        raise OperationError(
            f"{name}: gave no login for {server} within {seconds:g} s; see whether it waits for an answer"
        ) from None
    except OSError as error:
        raise OperationError(f"{name}: cannot be run, {error.strerror}; install it again") from error
    if done.returncode:
        # Helpers have no status for this; every one of them says these words.
        if b"credentials not found" in done.stdout + done.stderr:
            return None
        raise OperationError(f"{name}: failed with status {done.returncode}; run docker login again")
    try:
        answer = json.loads(done.stdout)
        user, secret = answer["Username"], answer["Secret"]
    except (ValueError, KeyError, TypeError):
        raise OperationError(f"{name}: gave no login that can be read; install it again") from None
    if not secret:
        return None
    return Login.by_refresh_token(str(secret)) if user == _TOKEN_USER else Login.by_password(str(user), str(secret))


def _map(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
