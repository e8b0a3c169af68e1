"""Slow, silent and too many clients: what they may cost, and that the others are answered meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import select
import socket
import textwrap
import time
from pathlib import Path

import pytest
import uvloop
from collection_kit import until
from mlserve_scoring.transport.connection import Connection
from mlserve_scoring.transport.limits import Limits
from mlserve_scoring.transport.listener import Server
from mlserve_scoring.transport.message import Reply
from scoring_kit import JSON_HEADERS, PATIENCE, read_all, read_reply, write_image
from wire_kit import Open, Wire

SCRIPT = """
    import json, os, time

    def init():
        pass

    def run(data):
        asked = json.loads(data)
        if asked == "take all files":
            global taken
            taken = []
            try:
                while True:
                    taken.append(os.open("/dev/null", os.O_RDONLY))
            except OSError:
                return len(taken)
        if asked == "give some back":
            for number in taken:
                os.close(number)
            return "done"
        if isinstance(asked, int):
            return "x" * asked
        return asked
"""
READ_S = 1.0
IDLE_S = 1.5


@pytest.fixture(scope="module")
def strict(start_shared, tmp_path_factory):
    """A service with little patience."""
    root = write_image(tmp_path_factory.mktemp("strict") / "root", {"score.py": SCRIPT})
    return start_shared(root, read_timeout_s=READ_S, idle_timeout_s=IDLE_S, max_body_bytes=10_000_000)


def drip(client, data, *, pause=0.05):
    """Send a byte now and then until the other side answers; return what it says."""
    for byte in data:
        with contextlib.suppress(OSError):
            client.sendall(bytes([byte]))
        if select.select([client], [], [], pause)[0]:
            break
    with contextlib.suppress(ConnectionResetError):
        return read_all(client)
    return b""


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: " + b"x" * 1000,
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + b"1" * 1000,
        b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\n1\r\n" * 300,
    ],
    ids=["head", "body", "chunks"],
)
def test_a_request_that_drips_is_408(strict, data):
    """A byte now and then does not keep a connection."""
    begun = time.monotonic()
    with strict.connect() as client:
        head, separator, rest = data.partition(b"\r\n\r\n")
        if separator:
            client.sendall(head + separator)
        reply = drip(client, rest or head)

    assert reply.startswith(b"HTTP/1.1 408 ")
    assert b"connection: close" in reply
    assert time.monotonic() - begun < 20


def test_a_large_body_on_a_slow_link_is_read(strict):
    """A body may take longer than the limit as long as it moves."""
    size, parts = 200_000, 25
    body = b'"' + b"a" * (size - 2) + b'"'
    with strict.connect() as client:
        # Its first half earns it the seconds that a busy machine may take from it.
        head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size
        client.sendall(head + body[: size // 2])
        begun = time.monotonic()
        for start in range(size // 2, size, size // 2 // parts):
            select.select([client], [], [], 2.5 * READ_S / parts)
            client.sendall(body[start : start + size // 2 // parts])
        seconds = time.monotonic() - begun
        status, _, _ = read_reply(client)

    assert status == 200
    assert seconds > 2 * READ_S


@pytest.mark.parametrize("drips", [b"", b"\r\n" * 1000], ids=["silent", "empty lines"])
@pytest.mark.parametrize("asked", [False, True], ids=["fresh", "answered"])
def test_an_idle_connection_is_closed(strict, asked, drips):
    """Also one that sends empty lines, which are no request."""
    with strict.connect() as client:
        if asked:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            assert read_reply(client)[0] == 200
        assert drip(client, drips) == b""


def test_a_half_request_is_not_idle_but_late(strict):
    """A client that stops in the middle is told."""
    with strict.connect() as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n123")

        assert read_all(client).startswith(b"HTTP/1.1 408 ")


def test_a_half_request_behind_an_answered_one_is_late_by_its_own_clock():
    """Requests before it do not count."""

    class Health:
        screen = staticmethod(lambda request: None)
        finish = staticmethod(lambda reply, request: reply)
        express = staticmethod(lambda request: None)
        answer = staticmethod(lambda request, send: send(Reply(200, b"Healthy")))

    async def statuses():
        loop = asyncio.get_running_loop()
        clock = [loop.time()]
        loop.time = lambda: clock[0]
        wire = Wire(loop)
        connection = Connection(Health(), Open(), limits=Limits(read_s=60), heads={})
        connection.connection_made(wire)
        for seconds in (40, 40, 40, 61):
            connection.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n")
            clock[0] += seconds
            connection.check(clock[0])
            if not wire.ended:
                connection.data_received(b"\r\n")
        connection.connection_lost(None)
        return [part[:3] for part in wire.sent.split(b"HTTP/1.1 ")[1:]]

    assert [b"200"] * 7 + [b"408"] == asyncio.run(statuses())


def test_a_client_that_does_not_read_is_cut(strict):
    """What it was to get does not wait for ever, and others are answered."""
    with strict.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n9000000")
        until(lambda: strict.score("x").status == 200 and not open_connections(strict))


def open_connections(service):
    """How many connections a service has, from its open files, but those that listen."""
    local = f":{service.port:04X} "
    table = Path(f"/proc/{service.process.pid}/net/tcp").read_text().splitlines()[1:]
    return sum(1 for line in table if local in line.split(maxsplit=2)[1] + " " and line.split()[3] == "01")


@pytest.mark.parametrize(("size", "most"), [(10, 128), (100_000, 1)])
def test_requests_of_who_reads_nothing_are_not_all_answered(size, most):
    """Thousands come in one piece: their answers must not all wait in memory for somebody who takes none."""
    answered = []

    class Documents:
        screen = staticmethod(lambda request: None)
        finish = staticmethod(lambda reply, request: reply)
        express = staticmethod(lambda request: None)

        def answer(self, request, send):
            answered.append(request)
            send(Reply(200, b"x" * size))

    class Connections:
        draining = False

        def opened(self, connection):
            pass

    class FullTransport:
        def write(self, data):
            connection.pause_writing()

        def get_extra_info(self, name):
            return None

        def get_write_buffer_size(self):
            return size

        def is_closing(self):
            return False

        def pause_reading(self):
            pass

    async def connect():
        made = Connection(Documents(), Connections(), limits=Limits(), heads={})
        made.connection_made(FullTransport())
        return made

    connection = asyncio.run(connect())
    connection.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 5_000)

    assert most == len(answered)


def test_a_large_body_takes_its_room_also_behind_a_head_that_came_before():
    """Else a thousand of them could wait beside those that are counted."""
    asked = []

    class Keeping:
        screen = staticmethod(lambda request: None)
        express = staticmethod(lambda request: None)
        finish = staticmethod(lambda reply, request: reply)

        def answer(self, request, send):
            asked.append(request)
            send(Reply(200, b"fine"))

    async def fed():
        connection = Connection(Keeping(), Open(), limits=Limits(), heads={})
        connection.connection_made(Wire(asyncio.get_running_loop()))
        for size in (100, 100, 70_000, 70_000):
            connection.data_received(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))

    asyncio.run(fed())

    assert [False, False, True, True] == [request.hold is not None for request in asked]


def test_a_slow_reader_that_goes_on_reading_gets_everything(strict):
    """Slow is allowed, standing still is not."""
    size = 400_000
    with strict.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8192)
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\n%d" % size)
        data = b""
        while part := client.recv(8192):
            data += part
            time.sleep(2.5 * READ_S * len(part) / size)

    assert data.endswith(b"x" * size + b'"')


def test_accepted_connections_are_kept_alive_by_the_system(strict):
    """So that clients that vanished are noticed."""
    with strict.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_reply(client)
        until(lambda: "02" in timers_of(strict))  # that of what was sent comes first, until it is confirmed


def timers_of(service):
    """What the system does next about each connection of a service; 02 is to ask whether the client lives."""
    table = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [row[5][:2] for row in table if row[1].endswith(f":{service.port:04X}") and row[3] == "01"]


def test_open_files_are_raised_to_what_is_allowed(strict):
    """The soft limit is for programs that use select()."""
    limits = Path(f"/proc/{strict.process.pid}/limits").read_text()
    soft, hard = next(line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files"))

    assert soft == hard or int(soft) >= 1 << 20


def test_more_connections_than_files_are_turned_away(start, image):
    """The rest is answered, the log says it once, and room is used again."""
    script = "import resource\ndef init(): resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\ndef run(d): return d"
    service = start(image({"score.py": script}))
    kept = [service.connect() for _ in range(190)]
    try:
        answered = 0
        for client in kept:
            with contextlib.suppress(OSError, ConnectionError):
                client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                answered += read_reply(client)[0] == 200
    finally:
        for client in kept:
            client.close()

    assert 130 <= answered <= 140
    assert service.log.count("more are turned away") == 1
    assert until_answered(service) == 200


def test_connections_of_http_and_grpc_share_the_files(start, image):
    """Those of one count for the other: together they would leave no file for the script."""
    script = "import resource\ndef init(): resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200))\ndef run(d): return d"
    service = start(image({"score.py": script}), grpc_port=0)
    port = service.wait("ready")["grpc_port"]
    kept = [socket.create_connection(("127.0.0.1", port), timeout=PATIENCE) for _ in range(100)]
    try:
        greeted = sum(len(client.recv(1)) for client in kept)
        answered = 0
        for _ in range(60):
            kept.append(service.connect())
            with contextlib.suppress(OSError, ConnectionError):
                kept[-1].sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                answered += read_reply(kept[-1])[0] == 200
    finally:
        for client in kept:
            client.close()

    assert 100 == greeted
    assert 30 <= answered <= 36
    assert until_answered(service) == 200


def test_no_free_file_at_all_ends_nothing(start, image):
    """A script that takes them all is answered, and when it gives them back so are new connections."""
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (120, 120))\n"
    service = start(image({"score.py": limit + textwrap.dedent(SCRIPT)}), read_timeout_s=0.5)
    with service.connect() as client:
        taking = b'"take all files"'
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(taking) + taking)
        assert read_reply(client)[0] == 200
        for _ in range(20):
            with contextlib.suppress(OSError), service.connect() as other:
                other.settimeout(0.2)
                other.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
                other.recv(100)
        before = processor_time(service.process.pid)
        select.select([], [], [], 0.5)
        spent = processor_time(service.process.pid) - before
        giving = b'"give some back"'
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(giving) + giving)
        assert read_reply(client)[0] == 200

    assert until_answered(service) == 200
    assert spent < 0.3


def test_a_listener_that_has_given_up_listens_again():
    """The loop ends listening after some errors of the system; that is noticed, and who waited is served."""

    class Health:
        screen = staticmethod(lambda request: None)
        finish = staticmethod(lambda reply, request: reply)
        express = staticmethod(lambda request: None)
        answer = staticmethod(lambda request, send: send(Reply(200, b"Healthy")))

    async def run():
        sock = socket.create_server(("127.0.0.1", 0))
        port = sock.getsockname()[1]
        server = Server(sock, limits=Limits(read_s=0.2))
        await server.start(Health())
        server._server.close()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        reply = await asyncio.wait_for(reader.read(), PATIENCE)
        writer.close()
        await server.stop_listening(take_rest=True)
        await server.drain(1)
        return reply

    loop = uvloop.new_event_loop()
    try:
        reply = loop.run_until_complete(run())
    finally:
        loop.close()

    assert reply.endswith(b"Healthy")


def test_a_busy_listener_is_not_taken_for_one_that_has_given_up(start, image):
    """Somebody always waits where connections come fast; that is no reason to listen again."""
    service = start(image({"score.py": SCRIPT}), read_timeout_s=0.2)
    end = time.monotonic() + 0.6
    while time.monotonic() < end:
        clients = [service.connect() for _ in range(30)]
        for client in clients:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        for client in clients:
            client.close()

    assert until_answered(service) == 200
    assert "listens again" not in service.log


def until_answered(service):
    """Ask until there is an answer; return its status."""
    end = time.monotonic() + PATIENCE
    while True:
        try:
            return service.get("/").status
        except OSError:  # noqa: PERF203  # the condition that is waited for
            assert time.monotonic() < end, service.log
            time.sleep(0.05)


def processor_time(pid):
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


@pytest.mark.soak
def test_many_open_connections_cost_little(start, image, in_full):
    """10,000 in full: held open while requests are answered, and all of them answered in the end."""
    count = 10_000 if in_full else 300
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < count + 500:
        count = hard - 500
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count + 400), hard))
    service = start(image({"score.py": SCRIPT}))
    kept = []
    try:
        before = memory_of(service.process.pid)
        for _ in range(count):
            kept.append(service.connect())
            if len(kept) % 200 == 0:
                assert service.score(1).status == 200
        held = memory_of(service.process.pid)
        for _ in range(2_000 if in_full else 100):
            assert service.score(2).json == "xx"
        after = memory_of(service.process.pid)
        statuses = set()
        for client in kept:
            client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            statuses.add(read_reply(client)[0])
    finally:
        for client in kept:
            client.close()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

    assert statuses == {200}
    assert (held - before) / count < 25
    assert after - held < 4_000


@pytest.mark.soak
def test_memory_stays_flat(start, image, in_full):
    """Requests of all sizes, refused and broken ones, leave nothing behind."""
    service = start(image({"score.py": SCRIPT}), max_body_bytes=1_000_000)
    sizes = (1, 1_000, 100_000, 900_000)

    def round_of_requests():
        for size in sizes:
            assert service.score(size).status == 200
            assert service.request("POST", "/score", b'"' + b"a" * size + b'"', JSON_HEADERS).status in {200, 413}
        assert service.raw(b"nonsense\r\n\r\n").startswith(b"HTTP/1.1 400")
        with service.connect() as client:
            client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nabc")

    for _ in range(30):
        round_of_requests()
    before = memory_of(service.process.pid)
    for _ in range(5_000 if in_full else 60):
        round_of_requests()

    end = time.monotonic() + 10  # bodies of requests that have just been answered
    while memory_of(service.process.pid) - before > 10_000 and time.monotonic() < end:
        round_of_requests()
        time.sleep(0.2)

    assert memory_of(service.process.pid) - before < 10_000


def memory_of(pid):
    """The resident memory of a process in kB."""
    text = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmRSS:"))


def test_large_bodies_share_one_room(start, image):
    """What all connections hold together is bounded; there is room again when somebody has left."""
    service = start(image({"score.py": SCRIPT}))
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 60000000\r\n\r\n"

    def refused():
        """What a client of another large body is told at once; nothing when its body is awaited."""
        with service.connect() as client:
            client.sendall(head + b"1")
            return read_reply(client) if select.select([client], [], [], 0.3)[0] else None

    clients = [service.connect() for _ in range(4)]
    for client in clients:
        client.sendall(head + b"1")
    end = time.monotonic() + PATIENCE
    while (answer := refused()) is None:
        assert time.monotonic() < end, "there was always room"
    small = service.score(7)
    for client in clients:
        client.close()
    while refused() is not None:
        assert time.monotonic() < end, "there was never room again"

    status, headers, body = answer
    assert (503, "1") == (status, headers["retry-after"])
    assert b"large bodies" in body
    assert "xxxxxxx" == small.json
