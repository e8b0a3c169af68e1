"""Whatever bytes come, in whatever pieces: well-formed replies or the end of the connection, and never an error."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import re
import select
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlserve_scoring.transport.connection import Connection
from mlserve_scoring.transport.limits import Limits
from mlserve_scoring.transport.message import Reply, message_reply
from scoring_kit import write_image
from wire_kit import Open, Wire

LIMITS = Limits(max_body=2_000)
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) [^\r\n]*\r\n")


class Echo:
    """Answers with the size of the body; some answers come later, some in an order of their own."""

    def __init__(self, loop):
        self.loop = loop
        self.asked = 0

    def screen(self, request):
        """Refuse one path."""
        return message_reply(404, "no") if request.path == "/no" else None

    def express(self, request):
        """Have no lane."""

    def answer(self, request, send):
        """Answer now or later."""
        self.asked += 1
        reply = Reply(200, b"%d" % len(request.body) * (1 + 1_000 * (request.path == "/large")), b"text/plain")
        if request.path == "/later":
            self.loop.call_soon(send, reply)
        else:
            send(reply)

    def finish(self, reply, request):
        """Add nothing."""
        return reply


def replies_in(data):
    """Split what was sent into replies; anything that is no reply fails."""
    found = []
    while data:
        status = STATUS.match(data)
        assert status, data[:200]
        head, separator, rest = data.partition(b"\r\n\r\n")
        assert separator
        number = int(status[1])
        if number == 100:
            data = rest
            continue
        length = re.search(rb"\r\ncontent-length: (\d+)", head)
        size = int(length[1]) if length else 0
        assert len(rest) >= size
        found.append((number, head, rest[:size]))
        data = rest[size:]
    return found


def fed(pieces):
    """Feed pieces to a connection; return what it sent, what it was asked, and whether it has ended."""
    errors = []

    async def run():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        echo, wire = Echo(loop), Wire(loop)
        connection = Connection(echo, Open(), limits=LIMITS, heads=HEADS)
        connection.connection_made(wire)
        for piece in pieces:
            if wire.closing:
                break
            connection.data_received(piece)
            await asyncio.sleep(0)
        for _ in range(50):
            await asyncio.sleep(0)
        if len(pieces) % 2:
            connection.eof_received()
        connection.check(loop.time() + 1_000)
        connection.check(loop.time() + 10_000)
        await asyncio.sleep(0)
        connection.connection_lost(None)
        return wire, echo

    wire, echo = asyncio.run(run())

    assert [] == errors
    return wire, echo


HEADS: dict = {}  # shared, as the connections of a server share them

names = st.sampled_from(
    [
        "Host",
        "Content-Length",
        "Transfer-Encoding",
        "Connection",
        "Upgrade",
        "Expect",
        "Content-Encoding",
        "X-Y",
        "Accept-Encoding",
    ]
)
values = st.sampled_from(
    [
        "x",
        "3",
        "0",
        "1999",
        "2001",
        "chunked",
        "gzip",
        "close",
        "keep-alive",
        "upgrade",
        "h2c",
        "100-continue",
        "gzip;q=0.1",
        "",
        ",",
        "a, b",
    ]
)
bodies = st.sampled_from(
    [
        b"",
        b"abc",
        b"3\r\nabc\r\n0\r\n\r\n",
        b"x" * 1_999,
        b"x" * 2_001,
        gzip.compress(b"abc"),
        gzip.compress(bytes(9_000)),
    ]
)
targets = st.sampled_from(
    ["/", "/no", "/later", "/large", "/%41?x=%zz", "*", "http://x/later", "//", "/?" + "y" * 3_000]
)


@st.composite
def valid_requests(draw):
    """A request that is well-formed and complete."""
    target = draw(targets.filter(lambda entry: entry not in {"*", "/no"}))
    extra = draw(st.sampled_from(["", "X-Y: z\r\n", "Accept-Encoding: gzip\r\n", "Expect: 100-continue\r\n"]))
    form = draw(st.sampled_from(["none", "length", "chunked", "gzip", "upgrade"]))
    body = draw(st.binary(min_size=1, max_size=300))
    head = f"{'GET' if form == 'none' else 'POST'} {target} HTTP/1.1\r\nHost: x\r\n{extra}"
    if form == "gzip":
        packed = gzip.compress(body)
        return f"{head}Content-Encoding: gzip\r\nContent-Length: {len(packed)}\r\n\r\n".encode() + packed
    if form == "chunked":
        cut = draw(st.integers(0, len(body)))
        parts = [part for part in (body[:cut], body[cut:]) if part]
        chunks = b"".join(b"%x;a=b\r\n%b\r\n" % (len(part), part) for part in parts)
        return f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\nX: y\r\n\r\n"
    if form == "none":
        return f"{head}\r\n".encode()
    wish = "Connection: upgrade\r\nUpgrade: h2c\r\n" if form == "upgrade" else ""
    return f"{head}{wish}Content-Length: {len(body)}\r\n\r\n".encode() + body


@st.composite
def odd_requests(draw):
    """Something like a request, its parts at random."""
    headers = draw(st.lists(st.tuples(names, values), max_size=5))
    version = draw(st.sampled_from(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0", "HTTP/2.0", "HTTP/0.9", ""]))
    method = draw(st.sampled_from(["GET", "POST", "OPTIONS", "PUT", "CONNECT", "PRI", "get", "G T", ""]))
    end = draw(st.sampled_from(["\r\n", "\r\n", "\r\n", "\n", "\r"]))
    lines = [f"{method} {draw(targets)} {version}", *(f"{name}: {value}" for name, value in headers)]
    return (end.join(lines) + end + end).encode() + draw(bodies)


@st.composite
def mutated(draw):
    """Requests of which some bytes were changed, taken out, or put in."""
    data = bytearray(b"".join(draw(st.lists(valid_requests() | odd_requests(), min_size=1, max_size=4))))
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(data)))
        match draw(st.integers(0, 2)):
            case 0:
                data[place : place + 1] = draw(st.binary(max_size=3))
            case 1:
                del data[place : place + draw(st.integers(1, 20))]
            case _:
                data[place:place] = draw(st.sampled_from([b"\r\n", b"\n", b"\0", b" ", b"\r\n\r\n", b"\xff", b":"]))
    return bytes(data)


def cut(data, draw_cuts):
    """The same bytes in pieces."""
    places = sorted({place % (len(data) + 1) for place in draw_cuts})
    return [piece for piece in (data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)) if piece]


cuts = st.lists(st.integers(0, 10_000), max_size=12)


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(st.lists(valid_requests(), min_size=1, max_size=6), cuts)
def test_valid_requests_are_answered_however_they_are_cut(requests, places):
    """One reply each, in order, nothing else; the pieces change nothing."""
    whole, _ = fed([b"".join(requests)])
    pieces, echo = fed(cut(b"".join(requests), places))
    found = replies_in(pieces.sent)

    assert len(requests) == len(found)
    assert [entry[0::2] for entry in replies_in(whole.sent)] == [entry[0::2] for entry in found]
    assert {200, 404} >= {entry[0] for entry in found}
    assert echo.asked == len(requests) - sum(entry[0] == 404 for entry in found)


@settings(max_examples=600, suppress_health_check=list(HealthCheck))
@given(mutated(), cuts)
def test_damaged_requests_end_in_replies_or_in_a_close(data, places):
    """A refusal is the last reply, and says that the connection closes."""
    wire, _ = fed(cut(data, places))
    found = replies_in(wire.sent)

    assert all(b"connection: close" not in head for _, head, _ in found[:-1])
    if found and found[-1][0] in {400, 408, 431, 501, 505}:
        assert b"connection: close" in found[-1][1] or found[-1][0] == 400
    assert wire.ended or wire.closing


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=400), cuts)
def test_any_bytes_at_all_do_no_harm(data, places):
    """Nothing is written but replies."""
    wire, _ = fed(cut(data, places))

    replies_in(wire.sent)


@pytest.fixture(scope="module")
def service(start_shared, tmp_path_factory):
    """A real process."""
    root = write_image(
        tmp_path_factory.mktemp("fuzz") / "root", {"score.py": "def init(): pass\ndef run(data): return len(data)"}
    )
    return start_shared(root, max_body_bytes=2_000)


@settings(max_examples=120, suppress_health_check=list(HealthCheck))
@given(data=mutated(), places=cuts)
def test_a_real_process_answers_or_closes(service, data, places):
    """On a socket too: it ends by itself, what came is well-formed, and the next request is answered."""
    received = b""
    with service.connect() as client, contextlib.suppress(ConnectionError):
        for piece in cut(data, places):
            client.sendall(piece)
            if select.select([client], [], [], 0)[0]:
                received += client.recv(65536)
        with contextlib.suppress(OSError):  # it was closed by the other side
            client.shutdown(socket.SHUT_WR)
        while part := client.recv(65536):
            received += part
    replies_in(received)

    assert service.get("/").status == 200
    assert "Traceback" not in service.log
