"""Answers in parts, and asynchronous scripts: what clients see, and what a script is told."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from scoring_kit import PATIENCE, read_all, read_reply, write_image

GENERATORS = """
    import json, pathlib, time
    from azureml.contrib.services.aml_request import rawhttp
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    def said(folder, word):
        with open(pathlib.Path(folder) / "said", "a") as file:
            file.write(word + "\\n")

    def endless(folder):
        try:
            while True:
                yield b"x" * 10_000
        finally:
            said(folder, "closed")

    def waiting(folder):
        said(folder, "begun")
        yield "first "
        while not (pathlib.Path(folder) / "go").exists():
            time.sleep(0.01)
        yield "second"

    def failing(items):
        yield from items
        raise ValueError("a secret")

    def slow():
        yield "first"
        time.sleep(600)

    @rawhttp
    def run(request):
        asked = request.args
        folder = asked.get("folder")
        kind = asked["kind"]
        if kind == "bytes":
            return iter([b"ab", b"c" * 100_000])
        if kind == "texts":
            return (word for word in ("grün ", "ist"))
        if kind == "values":
            return ({"row": row} for row in range(3))
        if kind == "none":
            return iter(())
        if kind == "endless":
            return endless(folder)
        if kind == "waiting":
            return waiting(folder)
        if kind == "failing":
            return failing(["a", "b"])
        if kind == "failing at once":
            return failing([])
        if kind == "no json":
            return iter([1, object()])
        if kind == "slow":
            return slow()
        if kind == "events":
            events = ("data: %d\\n\\n" % number for number in range(3))
            return AMLResponse(events, 202, {"Content-Type": "text/event-stream", "X-Own": "1"})
        return "plain"
"""


@pytest.fixture(scope="module")
def streams(start_shared, tmp_path_factory):
    """A service that answers in parts."""
    return start_shared(write_image(tmp_path_factory.mktemp("streams") / "root", {"score.py": GENERATORS}))


@pytest.fixture(scope="module")
def hasty(start_shared, tmp_path_factory):
    """The same with little time for each part, and for its clients; on a busy machine any may take longer."""
    root = write_image(tmp_path_factory.mktemp("hasty") / "root", {"score.py": GENERATORS})
    return start_shared(root, scoring_timeout_ms=1_000, read_timeout_s=1)


def until(fact):
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.01)


def received(client):
    """The next bytes of a connection."""
    part = client.recv(65536)
    assert part
    return part


def asking(kind, *, version="1.1", folder="", headers=()):
    """The bytes of a request for a kind of answer."""
    lines = [f"GET /score?kind={kind.replace(' ', '+')}&folder={folder} HTTP/{version}", "Host: x", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n"


@pytest.mark.parametrize(
    ("kind", "content_type", "body"),
    [
        ("bytes", "application/octet-stream", b"ab" + b"c" * 100_000),
        ("texts", "text/plain; charset=utf-8", "grün ist".encode()),
        ("values", "application/x-ndjson", b'{"row":0}\n{"row":1}\n{"row":2}\n'),
        ("none", "text/plain; charset=utf-8", b""),
    ],
)
def test_the_first_item_decides_the_content_type(streams, kind, content_type, body):
    """Bytes and text go as they are, anything else as lines of JSON."""
    answer = streams.get(f"/score?kind={kind}")

    assert (200, content_type, body) == (answer.status, answer.headers["content-type"], answer.body)
    assert answer.headers["transfer-encoding"] == "chunked"
    assert answer.headers["x-ms-run-function-failed"] == "False"


def test_a_response_in_parts_keeps_its_status_and_headers(streams):
    """Server-sent events pass as the script wrote them."""
    answer = streams.get("/score?kind=events")

    assert (202, "text/event-stream", "1") == (answer.status, answer.headers["content-type"], answer.headers["x-own"])
    assert answer.body == b"data: 0\n\ndata: 1\n\ndata: 2\n\n"


def test_a_part_leaves_when_it_is_made(streams, tmp_path):
    """The client reads the first part while the script makes the second; health answers meanwhile."""
    with streams.connect() as client:
        client.sendall(asking("waiting", folder=tmp_path))
        data = b""
        while b"first" not in data:
            data += received(client)
        health = streams.get("/").status
        (tmp_path / "go").touch()
        while b"0\r\n\r\n" not in data:
            data += received(client)

    assert health == 200
    assert data.endswith(b"6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n")


def test_a_connection_goes_on_after_a_stream(streams):
    """Pipelined requests behind a stream are answered in order."""
    with streams.connect() as client:
        client.sendall(asking("texts") + asking("plain", headers=["Connection: close"]))
        data = read_all(client)

    assert data.count(b"HTTP/1.1 200 OK") == 2
    assert data.endswith(b'"plain"')


def test_a_client_that_ends_its_half_in_a_stream_sees_the_end(streams, tmp_path):
    """It gets the rest, and then the connection is closed: nothing can follow."""
    with streams.connect() as client:
        client.sendall(asking("waiting", folder=tmp_path))
        data = client.recv(65536)
        client.shutdown(socket.SHUT_WR)
        assert streams.get("/healthz").status == 200
        (tmp_path / "go").touch()
        data += read_all(client)

    assert data.endswith(b"6\r\nfirst \r\n6\r\nsecond\r\n0\r\n\r\n")


def test_an_old_client_gets_a_body_that_the_end_of_the_connection_ends(streams):
    """HTTP/1.0 knows no chunks, and its connection is not kept."""
    head, _, body = streams.raw(asking("texts", version="1.0", headers=["Connection: keep-alive"])).partition(
        b"\r\n\r\n"
    )

    assert body == "grün ist".encode()
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head


def test_a_script_that_fails_before_the_first_part_is_500(streams):
    """The status is still free then."""
    answer = streams.get("/score?kind=failing+at+once")

    assert (500, "True") == (answer.status, answer.headers["x-ms-run-function-failed"])
    assert "secret" not in answer.message


@pytest.mark.parametrize("kind", ["failing", "no json"])
def test_a_failure_in_the_middle_is_seen_by_the_client(streams, kind):
    """The last chunk does not come."""
    reply = streams.raw(asking(kind))

    assert reply.startswith(b"HTTP/1.1 200 OK")
    assert not reply.endswith(b"0\r\n\r\n")
    assert b"secret" not in reply


def test_a_failure_in_the_middle_resets_an_old_client(streams):
    """HTTP/1.0 would take the end of the connection for the end of the body."""
    with streams.connect() as client:
        client.sendall(asking("failing", version="1.0"))

        with pytest.raises(ConnectionResetError):
            read_all(client)


def test_a_part_that_takes_too_long_ends_the_stream(hasty):
    """The scoring timeout holds for every part."""
    reply = hasty.raw(asking("slow"))

    assert b"5\r\nfirst\r\n" in reply
    assert not reply.endswith(b"0\r\n\r\n")
    until(lambda: hasty.get("/score?kind=plain").status == 200)


def test_a_client_that_goes_away_closes_the_generator(streams, tmp_path):
    """The script can tidy up, and its thread is free."""
    with streams.connect() as client:
        client.sendall(asking("endless", folder=tmp_path))
        client.recv(65536)

    until(lambda: was_said(tmp_path, "closed"))
    assert streams.get("/score?kind=plain").status == 200


def test_a_client_that_stops_reading_is_waited_for_and_then_left(hasty, tmp_path):
    """An endless answer is not kept in memory, others are answered meanwhile, and in the end the connection is cut."""
    with hasty.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.sendall(asking("endless", folder=tmp_path))
        client.recv(1000)
        before = memory_of(hasty.process.pid)
        until(lambda: hasty.get("/score?kind=plain").status == 200)
        until(lambda: was_said(tmp_path, "closed"))

    assert memory_of(hasty.process.pid) - before < 20_000


def test_head_and_refusals_do_not_begin_a_stream(streams):
    """Nothing is made for nobody."""
    assert streams.request("HEAD", "/score?kind=endless").status == 405


def was_said(folder, *words):
    """Whether a generator has said some words, and no others."""
    said = folder / "said"
    return said.exists() and said.read_text() == "".join(f"{word}\n" for word in words)


def memory_of(pid):
    """The resident memory of a process in kB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    return 0


ASYNC = """
    import asyncio, json, threading

    async def init():
        global gate, thread
        gate, thread = asyncio.Event(), threading.current_thread()

    async def run(data):
        assert threading.current_thread() is thread and asyncio.get_running_loop() is not None
        asked = json.loads(data)
        kind = asked["kind"]
        if kind == "wait":
            await gate.wait()
            return "waited"
        if kind == "open":
            gate.set()
            return "opened"
        if kind == "fail":
            raise ValueError("a secret")
        if kind == "long":
            try:
                await asyncio.sleep(600)
            finally:
                global cancelled
                cancelled = True
        if kind == "cancelled":
            return cancelled
        if kind == "block":
            import time
            while True:
                time.sleep(0.01)
        if kind == "stream":
            return numbers()
        return {"kind": kind}

    async def numbers():
        for number in range(3):
            await asyncio.sleep(0)
            yield {"number": number}
"""


@pytest.fixture(scope="module")
def awaited(start_shared, tmp_path_factory):
    """A service whose script is asynchronous."""
    return start_shared(write_image(tmp_path_factory.mktemp("awaited") / "root", {"score.py": ASYNC}))


@pytest.fixture(scope="module")
def hastily_awaited(start_shared, tmp_path_factory):
    """The same with little time for each run; on a busy machine any may take longer."""
    root = write_image(tmp_path_factory.mktemp("hastily") / "root", {"score.py": ASYNC})
    return start_shared(root, scoring_timeout_ms=500)


def test_an_asynchronous_run_is_awaited(awaited):
    """On the thread and loop of its init()."""
    assert awaited.score({"kind": "x"}).json == {"kind": "x"}


def test_asynchronous_runs_do_not_wait_for_each_other(awaited):
    """Many are awaited at a time."""
    with ThreadPoolExecutor(9) as pool:
        waiting = [pool.submit(awaited.score, {"kind": "wait"}) for _ in range(8)]
        opened = awaited.score({"kind": "open"})

        assert opened.json == "opened"
        assert {future.result().json for future in waiting} == {"waited"}


def test_an_asynchronous_failure_is_500(awaited):
    """As any other."""
    answer = awaited.score({"kind": "fail"})

    assert (500, "True") == (answer.status, answer.headers["x-ms-run-function-failed"])


def test_an_asynchronous_run_that_takes_too_long_is_cancelled(hastily_awaited):
    """504, and the script is told by the usual exception."""
    answer = hastily_awaited.score({"kind": "long"})
    until(lambda: hastily_awaited.score({"kind": "cancelled"}).json is True)

    assert answer.status == 504


def test_an_asynchronous_run_that_blocks_is_interrupted(hastily_awaited):
    """Others wait for it no longer than its time and some patience."""
    answer = hastily_awaited.score({"kind": "block"})
    until(lambda: hastily_awaited.score({"kind": "x"}).status == 200)

    assert answer.status == 504


def test_an_asynchronous_generator_is_streamed(awaited):
    """As a plain one."""
    answer = awaited.score({"kind": "stream"})

    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.body == b'{"number":0}\n{"number":1}\n{"number":2}\n'


def test_run_itself_may_be_a_generator(start, image):
    """Both kinds."""
    plain = "def init(): pass\ndef run(data):\n    for word in json.loads(data): yield word\nimport json"
    services = [start(image({"score.py": text})) for text in (plain, plain.replace("def run", "async def run"))]

    assert [b"ab", b"ab"] == [service.score(["a", "b"]).body for service in services]


def test_a_sample_may_be_answered_in_parts(trial, image):
    """The trial reads all of them, lines as a list."""
    script = "def init(): pass\ndef run(data):\n    yield {'a': 1}\n    yield {'a': 2}"

    verdict = trial(image({"score.py": script}), [{"input": 1, "output": [{"a": 1}, {"a": 2}]}])

    assert [] == verdict["problems"]


def test_a_sample_whose_answer_never_ends_is_a_problem(trial, image):
    """There is a limit."""
    script = "def init(): pass\ndef run(data):\n    while True: yield b'x' * 1_000_000"

    verdict = trial(image({"score.py": script}), [{"input": 1}])

    assert "exceeds" in verdict["problems"][0]["message"]


def test_draining_lets_a_stream_end(start, image, tmp_path):
    """A stream that has begun is sent to its end."""
    service = start(image({"score.py": GENERATORS}), drain_seconds=PATIENCE)
    with service.connect() as client:
        client.sendall(asking("waiting", folder=tmp_path))
        until((tmp_path / "said").exists)
        stopping = threading.Thread(target=service.stop)
        stopping.start()
        service.wait("draining")
        (tmp_path / "go").touch()
        data = read_all(client)
        stopping.join()

    assert data.endswith(b"0\r\n\r\n")


def test_a_reset_in_a_stream_leaves_the_service_well(streams, tmp_path):
    """Nothing but the script knows of it."""
    for number in range(3):
        folder = tmp_path / str(number)
        folder.mkdir()
        with streams.connect() as client:
            client.sendall(asking("endless", folder=folder))
            client.recv(1000)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        until(lambda folder=folder: was_said(folder, "closed"))

    with streams.connect() as client:
        client.sendall(asking("plain"))
        assert json.loads(read_reply(client)[2]) == "plain"
