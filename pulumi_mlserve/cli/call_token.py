"""The token that `mlserve call` shows. It comes from where nobody logs it, and is in no message."""

from __future__ import annotations

import ipaddress
import os
import re
import sys
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from pulumi_mlserve.core.problems import OperationError

VARIABLE: Final = "MLSERVE_TOKEN"
_FORM: Final = re.compile(r"[A-Za-z0-9._~+/-]+=*")  # RFC 6750, 2.1
_TODO: Final = "give a file with nothing but the token, or - for standard input"


def read_token(file: str) -> str:
    """Return the token in a file, ``-`` for standard input.

    Raises:
        OperationError: It cannot be read, or is no token. Names no file: that may be the token by mistake.
    """
    try:
        text = sys.stdin.read() if file == "-" else Path(file).read_text(encoding="ascii")
    except OSError as error:
        raise OperationError(f"token-file: cannot be read ({error.strerror}); {_TODO}") from None
    except UnicodeDecodeError:
        raise OperationError(f"token-file: holds no token; {_TODO}") from None
    return _checked(text, "token-file", _TODO)


def token_of_environment() -> str | None:
    """Return the token in ``MLSERVE_TOKEN``, None where the variable is not set or empty.

    Raises:
        OperationError: It is no token.
    """
    text = os.environ.get(VARIABLE)
    return _checked(text, VARIABLE, "set it to a token, or unset it") if text else None


def check_carries(url: str) -> None:
    """See that a token may be sent there: over TLS, or without leaving this machine (RFC 6750, 5.3).

    Raises:
        OperationError: It would be sent in clear.
    """
    parts = urlsplit(url)
    if parts.scheme != "https" and not _is_loopback(parts.hostname or ""):
        raise OperationError(f"{url}: a token is not sent in clear; give the service TLS (ssl_enabled)")


def _checked(text: str, place: str, todo: str) -> str:
    token = text.strip()
    if not _FORM.fullmatch(token):
        raise OperationError(f"{place}: holds no token; {todo}")
    return token


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
