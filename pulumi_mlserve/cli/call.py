"""Answers `mlserve call SERVICE FILE`: one request as a client would send it."""

from __future__ import annotations

import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pulumi_mlserve.cli.local_services import matching, processes
from pulumi_mlserve.cli.output import show_json
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import store_location
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from argparse import Namespace

_JSON = "application/json"
_BINARY = "application/octet-stream"
_FIRST_ERROR_STATUS = 400


class Answer(NamedTuple):
    """What a service answered."""

    status: int
    content_type: str
    body: bytes
    seconds: float


def call_service(options: Namespace) -> int:
    """Prints the answer; 1 when the service answered with an error."""
    body = _read(options.file)
    url, key = _find(options.service, options.store)
    answer = _post(url, body, key, options.timeout)
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
        raise OperationError(f"service {options.service}: answered with status {answer.status}")
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


def _find(service: str, store: str | None) -> tuple[str, str | None]:
    here = processes()
    status = matching(here.list(), service)
    if status is not None:
        if not status.alive:
            raise OperationError(f"service {service}: its process does not run; `pulumi up` brings it back")
        keys = here.keys(status.service_id)
        return status.scoring_uri, keys.primary if keys else None
    urls = {
        record.scoring_uri for record in Records(ModelStore(store_location(store))).list() if record.service == service
    }
    if len(urls) == 1:
        return urls.pop(), None
    many = (
        f"the store records several, got {', '.join(sorted(urls))}"
        if urls
        else "neither here nor in the store's records"
    )
    raise OperationError(f"service {service}: {many}; see what is there with: mlserve services list")


def _post(url: str, body: bytes, key: str | None, timeout: float) -> Answer:
    request = urllib.request.Request(url, body, {"Content-Type": _JSON if _is_json(body) else _BINARY})  # noqa: S310 - the URL is the record's own
    if key:
        request.add_header("Authorization", f"Bearer {key}")
    start = time.monotonic()
    try:
        with urllib.request.urlopen(request, timeout=timeout) as response:  # noqa: S310
            status, headers, content = response.status, response.headers, response.read()
    except urllib.error.HTTPError as error:
        status, headers, content = error.code, error.headers, error.read()
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise OperationError(
            f"{url}: no answer, got {reason}; see why with: mlserve logs, mlserve services list"
        ) from error
    return Answer(status, headers.get("Content-Type", ""), content, time.monotonic() - start)


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
