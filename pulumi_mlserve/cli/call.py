"""Answers `mlserve call SERVICE FILE`: one request as a client would send it."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from pulumi_mlserve.cli.call_token import VARIABLE, check_carries, read_token, token_of_environment
from pulumi_mlserve.cli.local_services import matching, processes
from pulumi_mlserve.cli.output import show_json
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import store_location
from pulumi_mlserve.clients.processes.certificates import client_context
from pulumi_mlserve.clients.processes.ports import LOOPBACK
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from argparse import Namespace

_JSON = "application/json"
_BINARY = "application/octet-stream"
_FIRST_ERROR_STATUS = 400
_UNAUTHORIZED = 401


class Found(NamedTuple):
    """Where a service is.

    Attributes:
        url: Where its requests go.
        key: That opens it, or the token.
        certificate: The file of the one that it must show; empty where it speaks plain HTTP.
        is_here: Whether it is a service of this machine.
    """

    url: str
    key: str | None = None
    certificate: str = ""
    is_here: bool = False


class Answer(NamedTuple):
    """What a service answered."""

    status: int
    content_type: str
    body: bytes
    seconds: float


def call_service(options: Namespace) -> int:
    """Prints the answer; 1 when the service answered with an error."""
    if options.file == options.token_file == "-":
        raise OperationError("token-file: standard input holds the request's body already; give one of them as a file")
    body = _read(options.file)
    found = _opened(_find(options.service, options.store), options.token_file)
    url = found.url
    answer = _local(found, body, options.timeout) if found.is_here else _post(found, body, options.timeout)
    if options.json:
        show_json(
            {
                "url": url,
                "status": answer.status,
                "content_type": answer.content_type,
                "seconds": round(answer.seconds, 4),
                "answer": _decoded(answer.body),
            }
        )
    else:
        sys.stdout.buffer.write(answer.body if answer.body.endswith(b"\n") else answer.body + b"\n")
    if answer.status >= _FIRST_ERROR_STATUS:
        lacks = answer.status == _UNAUTHORIZED and found.key is None
        todo = f"; show it a token with --token-file, or {VARIABLE}" if lacks else ""
        raise OperationError(f"service {options.service}: answered with status {answer.status}{todo}")
    return 0


def _read(file: str) -> bytes:
    if file == "-":
        return sys.stdin.buffer.read()
    try:
        return Path(file).read_bytes()
    except OSError as error:
        raise OperationError(
            f"file: cannot be read, got {file!r} ({error.strerror}); give a file, or - for standard input"
        ) from error


def _find(service: str, store: str | None) -> Found:
    here = processes()
    status = matching(here.list(), service)
    if status is not None:
        if not status.alive:
            raise OperationError(f"service {service}: its process does not run; `pulumi up` brings it back")
        keys = here.keys(status.service_id)
        return Found(status.scoring_uri, keys.primary if keys else None, status.certificate, is_here=True)
    urls = {
        record.scoring_uri for record in Records(ModelStore(store_location(store))).list() if record.service == service
    }
    if len(urls) == 1:
        return Found(urls.pop())
    many = (
        f"the store records several, got {', '.join(sorted(urls))}"
        if urls
        else "neither here nor in the store's records"
    )
    raise OperationError(f"service {service}: {many}; see what is there with: mlserve services list")


def _opened(found: Found, token_file: str | None) -> Found:
    """Return the place with the token that is shown there, if one is; a service's own key comes before the variable."""
    token = read_token(token_file) if token_file else None if found.key else token_of_environment()
    if token is None:
        return found
    if not found.is_here:
        check_carries(found.url)
    return found._replace(key=token)


def _local(found: Found, body: bytes, timeout: float) -> Answer:
    """Ask a service of this machine at its port, whatever name its URL has, and see that it shows its certificate."""
    parts = urlsplit(found.url)
    host, port = parts.hostname or LOOPBACK, parts.port or 0
    headers = _headers(body) | _authorization(found)
    start = time.monotonic()
    try:
        with contextlib.closing(http.client.HTTPConnection(host, port, timeout=timeout)) as connection:
            connection.sock = socket.create_connection((LOOPBACK, port), timeout)
            if found.certificate:
                context = client_context(Path(found.certificate))
                connection.sock = context.wrap_socket(connection.sock, server_hostname=host)
            connection.request("POST", parts.path, body, headers)
            with connection.getresponse() as response:
                content = response.read()
                kind = response.headers.get("Content-Type", "")
                return Answer(response.status, kind, content, time.monotonic() - start)
    except (OSError, http.client.HTTPException) as error:
        raise OperationError(_unanswered(found.url, error)) from error


def _post(found: Found, body: bytes, timeout: float) -> Answer:
    url = found.url
    request = urllib.request.Request(url, body, _headers(body))  # noqa: S310 - the URL is the record's own
    for name, value in _authorization(found).items():
        request.add_unredirected_header(name, value)  # whoever the service sends us to must not see the token
    start = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            status, headers, content = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        status, headers, content = error.code, error.headers, error.read()
    except (urllib.error.URLError, OSError) as error:
        raise OperationError(_unanswered(url, getattr(error, "reason", error))) from error
    return Answer(status, headers.get("Content-Type", ""), content, time.monotonic() - start)


def _headers(body: bytes) -> dict[str, str]:
    return {"Content-Type": _JSON if _is_json(body) else _BINARY}


def _authorization(found: Found) -> dict[str, str]:
    return {"Authorization": f"Bearer {found.key}"} if found.key else {}


def _unanswered(url: str, reason: object) -> str:
    return f"{url}: no answer, got {reason}; see why with: mlserve logs, mlserve services list"


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


def _decoded(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError:
        return body.decode("utf-8", errors="replace")
