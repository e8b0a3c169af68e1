"""The transport: what leaves and enters on real connections."""

from __future__ import annotations

import json
import threading
import time

import pytest
from gate_kit import Gate
from scoring_kit import read_all, read_reply, write_image

ECHO = """
    import time
    import gate

    def init():
        pass

    def run(data):
        if data == "wait":
            gate.wait()
        if data.startswith("sleep"):
            time.sleep(float(data[5:]))
        return {"length": len(data), "start": data[:10]}
"""


@pytest.fixture(scope="module")
def gate(tmp_path_factory):
    """Where the script waits when it is told to."""
    return Gate(tmp_path_factory.mktemp("waiting") / "gate")


@pytest.fixture(scope="module")
def echo(start_shared, tmp_path_factory, gate):
    """A service that tells how much it was sent."""
    root = write_image(tmp_path_factory.mktemp("echo") / "root", {"score.py": ECHO, **gate.files})
    return start_shared(root, max_body_bytes=1_000_000)


def post(body, *headers, target="/score"):
    """The bytes of a POST."""
    lines = [f"POST {target} HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_a_connection_carries_many_requests(echo):
    """Keep-alive is the rule."""
    with echo.connect() as client:
        lengths = []
        for size in (1, 10, 100_000):
            client.sendall(post(b"x" * size))
            lengths.append(json.loads(read_reply(client)[2])["length"])

    assert lengths == [1, 10, 100_000]


def test_pipelined_requests_are_answered_in_order(echo):
    """Requests sent together are answered one after the other, slow ones first if they came first."""
    bodies = [b"sleep0.05", b"a", b"bb", b"sleep0.01", b"ccc"]
    with echo.connect() as client:
        client.sendall(b"".join(post(body) for body in bodies[:-1]) + post(bodies[-1], "Connection: close"))
        data = b""
        while part := client.recv(65536):
            data += part

    starts = [json.loads(part.partition(b"\r\n\r\n")[2])["start"] for part in data.split(b"HTTP/1.1 200 OK")[1:]]
    assert ["sleep0.05", "a", "bb", "sleep0.01", "ccc"] == starts


def test_more_pipelined_requests_than_are_held_are_all_answered(echo):
    """A flood on one connection is slowed down, not dropped."""
    count = 300
    with echo.connect() as client:
        client.sendall(post(b"x") * (count - 1) + post(b"x", "Connection: close"))
        data = b""
        while part := client.recv(65536):
            data += part

    assert count == data.count(b"HTTP/1.1 200 OK")


def test_pipelined_health_requests_leave_in_one_write(echo):
    """Answers that are ready together are coalesced."""
    with echo.connect() as client:
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        first = client.recv(65536)

    assert first.count(b"Healthy") == 3


def test_a_chunked_body_is_read(echo):
    """Bodies need no Content-Length."""
    head = b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"

    reply = echo.raw(head + b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")

    assert b'"length":7' in reply


def test_a_request_may_come_byte_by_byte(echo):
    """Nothing depends on how the bytes are cut."""
    with echo.connect() as client:
        for byte in post(b"abc", "Connection: close"):
            client.sendall(bytes([byte]))
        status, _, body = read_reply(client)

    assert (status, json.loads(body)["length"]) == (200, 3)


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_is_refused(echo, chunked):
    """413, and the client that goes on sending still reads it."""
    if chunked:
        head = b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
        data = head + b"100000\r\n" + b"x" * 0x100000 + b"\r\n0\r\n\r\n"
    else:
        data = post(b"x" * 1_000_001)

    reply = echo.raw(data)

    assert reply.startswith(b"HTTP/1.1 413 ")
    assert b"connection: close" in reply
    assert b'{"message":"The body must not exceed 1000000 bytes."}' in reply


def test_refusals_carry_the_ids_of_a_head_that_was_read(echo):
    """Where none was, they carry new ones."""
    odd = echo.raw(post(b"", "x-request-id: mine", "Bad Name: 1"))
    large = echo.raw(b"POST /score HTTP/1.1\r\nHost: x\r\nx-request-id: mine\r\nContent-Length: 9999999\r\n\r\n")

    assert (large[:12], odd[:12]) == (b"HTTP/1.1 413", b"HTTP/1.1 400")
    assert b"\r\nx-request-id: mine\r\n" in large
    assert b"\r\nx-request-id: " in odd
    assert b"mine" not in odd


def test_expect_100_continue_is_honoured(echo):
    """A client that asks first is told to go on."""
    with echo.connect() as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
        told = client.recv(100)
        client.sendall(b"abc")
        status, _, _ = read_reply(client)

    assert told == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert status == 200


def test_expect_100_continue_is_refused_before_the_body(echo):
    """Nobody sends a body that will not be read."""
    reply = echo.raw(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\nExpect: 100-continue\r\n\r\n")

    assert reply.startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Big: " + b"a" * 70_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Endless: " + b"a" * 200_000,
        b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: 1\r\n" % number for number in range(300)) + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: 1\r\n" * 300 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 65_510 + b"\r\nY:" + b"b" * 10 + b"\r\n\r\n",
    ],
    ids=["big", "endless", "target", "many", "one name", "signs"],
)
def test_a_head_over_the_limit_is_refused(echo, head):
    """431, whatever part is too large."""
    assert echo.raw(head).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: abc\r\n\r\n",
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\nabcd",
        b"POST /score HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ],
    ids=["line", "version", "length", "lengths", "smuggled", "chunk"],
)
def test_what_is_no_http_is_refused_and_closed(echo, data):
    """400 with a message, then the connection ends."""
    reply = echo.raw(data)

    assert reply.startswith(b"HTTP/1.1 400 ")
    assert b"connection: close" in reply
    assert b'{"message":' in reply


def test_answers_before_a_malformed_request_are_kept(echo):
    """What was asked well is answered before the refusal."""
    reply = echo.raw(post(b"abc") + b"nonsense\r\n\r\n")

    assert [b"200", b"400"] == [part[:3] for part in reply.split(b"HTTP/1.1 ")[1:]]


def test_http_1_0_closes_unless_asked(echo):
    """Old clients get what they expect."""
    closed = echo.raw(b"GET / HTTP/1.0\r\n\r\n")
    with echo.connect() as client:
        client.sendall(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        _, headers, _ = read_reply(client)

    assert b"connection: close" in closed
    assert headers["connection"] == "keep-alive"


def test_a_client_that_ends_its_half_first_is_answered(echo):
    """Half-closed connections get their answer, then end."""
    reply = echo.raw(post(b"sleep0.05"), half_close=True)

    assert b"200 OK" in reply


def test_an_upgrade_is_ignored(echo):
    """h2c clients are answered over HTTP/1.1."""
    wishing = post(b"abc", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAM")

    reply = echo.raw(wishing + wishing + post(b"abcd", "Connection: close"))

    assert [b"3", b"3", b"4"] == [part[:1] for part in reply.split(b'"length":')[1:]]


def test_an_absolute_target_is_understood(echo):
    """Proxies send whole URLs."""
    assert b"200 OK" in echo.raw(post(b"a", "Connection: close", target="http://x.example/score"))


def test_an_unknown_path_is_404_with_a_message(echo):
    """Also /score/, and the ids are there."""
    answers = [echo.get(path) for path in ("/nope", "/score/", "/%2e%2e")]

    assert [404, 404, 404] == [answer.status for answer in answers]
    assert "/score" in answers[0].message
    assert answers[0].headers["x-request-id"]


@pytest.mark.parametrize(("method", "path"), [("PUT", "/score"), ("POST", "/"), ("DELETE", "/swagger.json")])
def test_a_wrong_method_is_405_with_a_message(echo, method, path):
    """And the reply says what is allowed."""
    answer = echo.request(method, path)

    assert answer.status == 405
    assert "GET" in answer.headers["allow"]
    assert method in answer.message


def test_head_is_get_without_a_body(echo):
    """On / and the documents; /score has none, as in v1."""
    health, score = echo.request("HEAD", "/"), echo.request("HEAD", "/score")

    assert (health.status, health.body, health.headers["content-length"]) == (200, b"", "7")
    assert (score.status, score.body) == (405, b"")


def test_health_answers_while_the_script_runs(echo, gate):
    """User code never blocks the probes."""
    with echo.connect() as client:
        client.sendall(post(b"wait"))
        gate.until_come()
        answers = [echo.get(path).status for path in ("/", "/healthz", "/readyz")]
        gate.open()
        assert read_reply(client)[0] == 200

    assert answers == [200, 200, 200]


def test_a_client_that_goes_away_leaves_the_service_well(echo):
    """Nothing but the log knows of it."""
    for _ in range(5):
        with echo.connect() as client:
            client.sendall(post(b"sleep0.01"))
    with echo.connect() as client:
        client.sendall(b"POST /score HTTP/1.1\r\nContent-Length: 100\r\n\r\nabc")

    assert echo.score("x").status == 200


def test_connect_is_refused(echo):
    """This is no proxy."""
    assert echo.raw(b"CONNECT a.example:443 HTTP/1.1\r\nHost: a.example:443\r\n\r\n").startswith(b"HTTP/1.1 405 ")


def test_a_client_that_does_not_read_is_waited_for(echo):
    """Answers wait for it, health does not, and nothing is lost."""
    count = 4000
    asked = b"GET /swagger.json?version=3 HTTP/1.1\r\nHost: x\r\n\r\n"
    with echo.connect() as client:
        sender = threading.Thread(target=client.sendall, args=(asked * count,))
        sender.start()
        time.sleep(0.3)
        health = echo.get("/").status
        last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        closer = threading.Thread(target=lambda: (sender.join(), client.sendall(last)))
        closer.start()
        data = read_all(client)
        closer.join()

    assert (health, data.count(b"HTTP/1.1 200 OK")) == (200, count + 1)
