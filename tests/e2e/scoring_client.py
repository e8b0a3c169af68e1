"""Asks a service as its users do: one request, or ten clients at once while something happens to the service."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from typing_extensions import Self

ROW = [0.038, 0.051, 0.062, 0.022, -0.044, -0.035, -0.043, -0.003, 0.02, -0.018]
"""A patient of the diabetes set."""
SECONDS = 60  # a service that hangs; one that waits for a processor does not
PAUSE = 0.03  # ten clients of one process must leave the machine to what they watch


@dataclass(frozen=True)
class Answer:
    """A service's answer."""

    status: int
    body: Any
    headers: Mapping[str, str] = field(default_factory=dict)


def ask(
    url: str, body: Any = None, *, key: str | None = None, trust: Path | None = None, method: str = "POST"
) -> Answer:
    """Returns the answer to one request on a connection of its own; without a body one row is scored.

    Args:
        url: Where; with https the service must show a certificate for the name in it.
        body: What is scored.
        key: What opens the service.
        trust: The file of the certificate, or of the authority, that is trusted.
        method: POST, or GET without a body.
    """
    parts = urlsplit(url)
    connection = _connection(url, trust)
    try:
        text = None if method == "GET" else {"data": [ROW]} if body is None else body
        return _ask(connection, parts.path, text, key, close=True, method=method)
    finally:
        connection.close()


def prediction(url: str) -> float:
    """Returns what a service predicts for one patient, to three decimals."""
    answer = ask(url)
    assert answer.status == 200, answer
    value = answer.body
    while isinstance(value, list | dict):
        value = value[0] if isinstance(value, list) else next(iter(value.values()))
    return round(float(value), 3)


def listens(port: int) -> bool:
    """Says whether something listens at a port of this machine."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=SECONDS).close()
    except ConnectionRefusedError:
        return False
    return True


class Load:
    """Ten clients that ask without rest, half of them with a new connection for each request."""

    def __init__(self, url: str, clients: int = 10, key: str | None = None, trust: Path | None = None) -> None:
        self.answers: Counter[int] = Counter()
        self.values: Counter[str] = Counter()
        self.failures: list[str] = []
        self._whole, self._url, self._key, self._trust = url, urlsplit(url), key, trust
        self._end = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._client, args=(i % 2 == 0,)) for i in range(clients)]

    def __enter__(self) -> Self:
        """Starts the clients and waits until each has been answered."""
        for thread in self._threads:
            thread.start()
        self.until(lambda: sum(self.answers.values()) >= len(self._threads))
        return self

    def until(self, reached: Callable[[], bool]) -> None:
        """Waits until the answers are such; a failure, or a service that hangs, is left to who looks at them."""
        end = time.monotonic() + SECONDS
        while not reached() and not self.failures and time.monotonic() < end:
            time.sleep(PAUSE)

    def __exit__(self, *_: object) -> None:
        """Stops the clients."""
        self._end.set()
        for thread in self._threads:
            thread.join()

    def _client(self, keep: bool) -> None:  # noqa: FBT001
        connection = _connection(self._whole, self._trust)
        while not self._end.wait(PAUSE):
            try:
                answer = _ask(connection, self._url.path, {"data": [ROW]}, self._key, close=not keep)
            except (OSError, http.client.HTTPException) as error:
                self._count(f"{type(error).__name__}: {error}", None)
                connection.close()
            else:
                self._count(None if answer.status == 200 else f"{answer.status}: {answer.body}", answer)
            if not keep:
                connection.close()
        connection.close()

    def _count(self, failure: str | None, answer: Answer | None) -> None:
        with self._lock:
            if answer is not None:
                self.answers[answer.status] += 1
                self.values[json.dumps(answer.body)] += 1
            if failure is not None:
                self.failures.append(failure)


def _connection(url: str, trust: Path | None) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    if parts.scheme == "http":
        return http.client.HTTPConnection(parts.hostname, parts.port, timeout=SECONDS)
    context = ssl.create_default_context(cafile=trust)
    return http.client.HTTPSConnection(parts.hostname, parts.port, timeout=SECONDS, context=context)


def _ask(
    connection: http.client.HTTPConnection, path: str, body: Any, key: str | None, *, close: bool, method: str = "POST"
) -> Answer:
    headers = {"Content-Type": "application/json"} | ({"Connection": "close"} if close else {})
    if key is not None:
        headers["Authorization"] = f"Bearer {key}"
    text = body if body is None or isinstance(body, str | bytes) else json.dumps(body)
    connection.request(method, path, text, headers)
    with connection.getresponse() as response:
        answered = response.read()
        try:
            value = json.loads(answered)
        except ValueError:
            value = answered.decode(errors="replace")
        return Answer(response.status, value, dict(response.getheaders()))
