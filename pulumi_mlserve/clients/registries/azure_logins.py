"""The login that the Azure command line has for a registry."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import Final

from pulumi_mlserve.clients.registries.login_kinds import Login
from pulumi_mlserve.core.problems import OperationError

CLI_SECONDS: Final = 60.0


def azure_cli_login(registry: str, environ: Mapping[str, str], *, seconds: float = CLI_SECONDS) -> Login | None:
    """Return the login that ``az acr login --expose-token`` gives, or None where there is no Azure command line.

    Raises:
        OperationError: It is there but gives no login.
    """
    program = shutil.which("az", path=environ.get("PATH", os.defpath))
    if program is None:
        return None
    name = registry.partition(".")[0]
    command = ["acr", "login", "--name", name, "--expose-token", "--output", "json", "--only-show-errors"]
    told = f"az acr login --name {name}"
    try:
        done = subprocess.run(
            [program, *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=seconds,
            check=False,
            env=dict(environ),
        )
    except subprocess.TimeoutExpired:
        raise OperationError(f"{told}: gave no token within {seconds:g} s; run it by hand") from None
    except OSError as error:
        raise OperationError(f"{told}: cannot be run, {error.strerror}; install the Azure CLI again") from error
    try:
        token = json.loads(done.stdout)["accessToken"] if done.returncode == 0 else ""
    except (ValueError, KeyError, TypeError):
        token = ""
    if not token or not isinstance(token, str):
        raise OperationError(f"{told}: gave no token (status {done.returncode}); run az login, then try it by hand")
    return Login.by_refresh_token(token)
