"""A proxy before a registry that passes everything on, keeps what was said, and goes wrong when told to."""

from __future__ import annotations

import contextlib
import http.client
import re
import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from registry_kit import served

PIECE = 65_536
QUIET_SECONDS = 60


@dataclass
class Fault:
    """What goes wrong with the requests that match, after some went well.

    Attributes:
        method: Of the request.
        path: A regular expression.
        after: How many matching requests go well before.
        times: How many go wrong.
        status: Answered by the proxy itself.
        headers: Put over those of the answer; None takes one away.
        body: Of the proxy's own answer.
        without: Headers of the request that do not arrive.
        cut: The bytes of the request that arrive before the connection breaks.
        cut_answer: The bytes of the answer that arrive before it breaks.
        flip: Whether one byte of the request is changed on the way.
        flip_answer: Whether one byte of the answer is.
        before: Called first.
    """

    method: str
    path: str = ""
    after: int = 0
    times: int = 1
    status: int | None = None
    headers: Mapping[str, str | None] = field(default_factory=dict)
    body: bytes = b""
    without: tuple[str, ...] = ()
    cut: int | None = None
    cut_answer: int | None = None
    flip: bool = False
    flip_answer: bool = False
    before: Callable[[], None] | None = None


class Proxy:
    """What a proxy was told to do, and what it saw: method, path, status and bytes of the request."""

    def __init__(self, registry):
        self.registry = registry
        self.faults = []
        self.seen = []
        self.headers = []
        self.lock = threading.Lock()
        self.host = ""
        self._under_way = 0
        self._quiet = threading.Condition()

    def fault(self, *arguments, **words):
        """Let something go wrong."""
        self.faults.append(Fault(*arguments, **words))
        return self

    @contextlib.contextmanager
    def passing(self):
        """Count a request as under way until the block ends."""
        with self._quiet:
            self._under_way += 1
        try:
            yield
        finally:
            with self._quiet:
                self._under_way -= 1
                self._quiet.notify_all()

    def until_quiet(self):
        """Wait until nothing is under way: who has given up has sent what the registry may get later."""
        with self._quiet:
            assert self._quiet.wait_for(lambda: not self._under_way, QUIET_SECONDS), "the registry does not answer"

    def fault_for(self, method, path):
        """Return what goes wrong with a request, if something does."""
        with self.lock:
            for fault in self.faults:
                if fault.method == method and re.search(fault.path, path):
                    if fault.after:
                        fault.after -= 1
                    elif fault.times:
                        fault.times -= 1
                        return fault
        return Fault("")

    def count(self, method, path="", status=None):
        """Return how many such requests there were."""
        return sum(
            seen[0] == method and bool(re.search(path, seen[1])) and status in {None, seen[2]} for seen in self.seen
        )


class _Passes(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    proxy = None

    def log_message(self, *_):
        pass

    def handle_one_request(self):
        with contextlib.suppress(OSError):
            super().handle_one_request()

    def do(self):
        with self.proxy.passing():
            self.pass_on()

    def pass_on(self):
        """Pass one request on, unless it goes wrong."""
        self.proxy.headers.append((self.command, self.path, dict(self.headers.items())))
        fault = self.proxy.fault_for(self.command, self.path)
        if fault.before:
            fault.before()
        length = int(self.headers.get("Content-Length") or 0)
        if fault.status is not None:
            self.proxy.seen.append((self.command, self.path, fault.status, 0))
            self.say(fault.status, {"Content-Length": str(len(fault.body)), **fault.headers})
            self.wfile.write(fault.body)
            while length > 0 and (piece := self.rfile.read(min(length, PIECE))):
                length -= len(piece)
            return
        upstream = http.client.HTTPConnection("127.0.0.1", self.proxy.registry.port, timeout=60)
        try:
            if self.ask(upstream, fault, length):
                self.answer(upstream.getresponse(), fault, length)
            else:
                self.close_connection = True
        except (OSError, http.client.HTTPException):
            self.close_connection = True
        finally:
            upstream.close()

    do_GET = do_HEAD = do_PUT = do_POST = do_PATCH = do_DELETE = do  # noqa: N815  the library's names

    def ask(self, upstream, fault, length):
        """Pass the request on; returns whether all of it arrived."""
        upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in {"connection", *(word.lower() for word in fault.without)}:
                upstream.putheader(name, value)
        upstream.endheaders()
        most = length if fault.cut is None else min(fault.cut, length)
        refused, sent = None, 0
        while sent < most and (piece := self.rfile.read(min(PIECE, most - sent))):
            if fault.flip and not sent:
                piece = bytes([piece[0] ^ 1]) + piece[1:]
            if refused is None:
                try:
                    upstream.send(piece)
                except OSError as error:  # it may have answered without listening to the end
                    refused = error
            sent += len(piece)
        if fault.cut is None:
            return sent == length
        self.proxy.seen.append((self.command, self.path, "cut", sent))
        upstream.sock.shutdown(socket.SHUT_WR)
        with contextlib.suppress(OSError, http.client.HTTPException):
            upstream.getresponse().read()  # until the registry noticed
        return False

    def answer(self, reply, fault, length):
        """Pass the answer back."""
        changed = {name.lower() for name in fault.headers} | {"connection"}
        headers = {name: value for name, value in reply.getheaders() if name.lower() not in changed}
        self.proxy.seen.append((self.command, self.path, reply.status, length))
        self.say(reply.status, {**headers, **fault.headers})
        sent = 0
        while fault.cut_answer is None or sent < fault.cut_answer:
            piece = reply.read(PIECE if fault.cut_answer is None else min(PIECE, fault.cut_answer - sent))
            if not piece:
                return
            if fault.flip_answer and not sent:
                piece = bytes([piece[0] ^ 1]) + piece[1:]
            self.wfile.write(piece)
            sent += len(piece)
        self.close_connection = True

    def say(self, status, headers):
        self.send_response_only(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()


@contextlib.contextmanager
def proxied(registry):
    """Yield a proxy before a registry."""
    proxy = Proxy(registry)
    with served(type("Passes", (_Passes,), {"proxy": proxy})) as port:
        proxy.host = f"127.0.0.1:{port}"
        yield proxy
