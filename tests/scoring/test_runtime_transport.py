"""Compressed bodies, and what only one reading of HTTP/1.1 allows."""

from __future__ import annotations

import gzip
import json
import zlib

import pytest
from mlserve_scoring.transport.codings import decoded
from scoring_kit import read_all, read_reply, write_image

SCRIPT = """
    import json
    from azureml.contrib.services.aml_request import rawhttp
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    @rawhttp
    def run(request):
        if request.method == "GET":
            size, kind = int(request.args["size"]), request.args.get("kind", "text/plain")
            headers = {"Content-Type": kind}
            if request.args.get("coding"):
                headers["Content-Encoding"] = request.args["coding"]
            return AMLResponse("ab" * (size // 2), int(request.args.get("status", 200)), headers)
        data = request.get_data(False)
        return {
            "size": len(data),
            "start": data[:10].decode("latin-1"),
            "length": request.headers.get("Content-Length"),
            "coding": request.headers.get("Content-Encoding"),
            "id": request.headers.get("X-Request-Id"),
        }
"""
LIMIT = 1_000_000


@pytest.fixture(scope="module")
def raw(start_shared, tmp_path_factory):
    """A service that tells what it was sent, and sends what it is told."""
    root = write_image(tmp_path_factory.mktemp("raw") / "root", {"score.py": SCRIPT})
    return start_shared(root, max_body_bytes=LIMIT)


def raw_deflate(data):
    """Data compressed without zlib's frame, as some clients send it."""
    maker = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return maker.compress(data) + maker.flush()


@pytest.mark.parametrize("size", [1, 1_000, 900_000])
@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("x-gzip", gzip.compress),
        ("GZIP", gzip.compress),
        ("gzip", lambda data: gzip.compress(data[:1]) + gzip.compress(data[1:])),
        ("deflate", zlib.compress),
        ("deflate", raw_deflate),
        ("identity", lambda data: data),
    ],
    ids=["gzip", "x-gzip", "upper", "members", "deflate", "raw deflate", "identity"],
)
def test_a_compressed_body_arrives_decoded(raw, coding, pack, size):
    """A script sees the body and its length as if it had not been compressed."""
    answer = raw.request("POST", "/score", pack(b"q" * size), {"Content-Encoding": coding})

    assert (200, size, str(size)) == (answer.status, answer.json["size"], answer.json["length"])
    assert answer.json["coding"] in {None, "identity"}


def test_a_known_head_with_another_body_is_decoded_too(raw):
    """What is remembered of a head never skips the decoding."""
    packed = [gzip.compress(bytes([sign]) * 100, mtime=0) for sign in b"abcd"]
    with raw.connect() as client:
        starts = []
        for body in packed:
            head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
            client.sendall(head % len(body) + body)
            starts.append(json.loads(read_reply(client)[2])["start"])

    assert ["a" * 10, "b" * 10, "c" * 10, "d" * 10] == starts


@pytest.mark.parametrize("extra", [1, 50_000_000])
@pytest.mark.parametrize("coding", ["gzip", "deflate"])
def test_a_body_too_large_once_decoded_is_413(raw, coding, extra):
    """A bomb is given up at the limit."""
    maker = zlib.compressobj(wbits=31 if coding == "gzip" else 15)
    left, packed = LIMIT + extra, b""
    while left > 0:
        packed += maker.compress(bytes(min(left, 10_000_000)))
        left -= 10_000_000
    answer = raw.request("POST", "/score", (packed + maker.flush())[:LIMIT], {"Content-Encoding": coding})

    assert answer.status == 413
    assert "once it is decoded" in answer.message


@pytest.mark.parametrize(
    "body",
    [
        b"no gzip",
        gzip.compress(b"abc")[:-5],
        gzip.compress(b"abc") + b"rest",
        gzip.compress(b"abc")[:-8] + b"12345678",
        gzip.compress(bytes(range(256)) * 100)[:200],
        b"x" * 10_000,
    ],
    ids=["none", "cut", "followed", "checksum", "half", "large"],
)
def test_a_damaged_body_is_400(raw, body):
    """With the reason; the connection goes on."""
    with raw.connect() as client:
        for _ in range(2):
            head = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
            client.sendall(head % len(body) + body)
            status, _, told = read_reply(client)

            assert status == 400
            assert "could not be decoded as gzip" in json.loads(told)["message"]


def test_very_many_members_are_read_without_copies_of_all_that_follows(monkeypatch):
    """The library copies what stands behind a member: given all of the body, megabytes would take hours."""
    body = gzip.compress(b"", mtime=0) * 5_000 + gzip.compress(b"end", mtime=0)
    given = []

    class Decoder:
        def __init__(self, bits):
            self._real = real(bits)

        def __getattr__(self, name):
            return getattr(self._real, name)

        def decompress(self, data, most):
            given.append(len(data))
            return self._real.decompress(data, most)

    real = zlib.decompressobj
    monkeypatch.setattr(zlib, "decompressobj", Decoder)

    assert decoded(body, "gzip", limit=10) == b"end"
    assert max(given) <= 1 << 14


@pytest.mark.parametrize("coding", ["br", "zstd", "gzip, gzip", "compress"])
def test_an_unknown_coding_is_415(raw, coding):
    """The reply says what is read."""
    answer = raw.request("POST", "/score", b"abc", {"Content-Encoding": coding})

    assert (415, "gzip, deflate") == (answer.status, answer.headers["accept-encoding"])


@pytest.mark.parametrize(
    ("accepted", "coding"),
    [
        ("gzip", "gzip"),
        ("gzip, deflate, br", "gzip"),
        ("deflate", "deflate"),
        ("deflate;q=1, gzip;q=0.5", "deflate"),
        ("*", "gzip"),
        ("*;q=0.1, gzip;q=0", "deflate"),
        ("gzip;q=0", None),
        ("gzip;q=0.5, identity;q=0.9", None),
        ("identity", None),
        ("br", None),
        ("gzip;q=nonsense", None),
        ("", None),
        (None, None),
    ],
)
@pytest.mark.parametrize("size", [2_000, 200_000])
def test_an_answer_is_compressed_as_the_client_likes_it(raw, accepted, coding, size):
    """By Accept-Encoding and its weights."""
    headers = {"Accept-Encoding": "identity"} if accepted is None else {"Accept-Encoding": accepted}
    answer = raw.request("GET", f"/score?size={size}", headers=headers)
    unpack = {"gzip": gzip.decompress, "deflate": zlib.decompress, None: bytes}[coding]

    assert coding == answer.headers["content-encoding"]
    assert b"ab" * (size // 2) == unpack(answer.body)
    assert answer.headers["vary"] == "Accept-Encoding"


@pytest.mark.parametrize(
    "query",
    [
        "size=1000",
        "size=5000&kind=image/png",
        "size=5000&kind=application/gzip",
        "size=5000&coding=br",
        "size=0&status=204",
    ],
)
def test_what_would_not_get_smaller_is_not_compressed(raw, query):
    """Small bodies, pictures, and what the script has compressed itself."""
    answer = raw.request("GET", f"/score?{query}", headers={"Accept-Encoding": "gzip"})

    assert answer.headers["content-encoding"] in {None, "br"}
    assert "vary" not in answer.headers


def test_errors_and_documents_are_compressed_too(raw):
    """Whatever is large enough."""
    answer = raw.request("GET", "/swagger.json?version=3", headers={"Accept-Encoding": "gzip"})

    assert "openapi" in json.loads(gzip.decompress(answer.body))


def test_pipelined_answers_keep_their_order_while_one_is_compressed(raw):
    """A large answer is compressed elsewhere; those behind it wait."""
    ask = "GET /score?size={} HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n{}\r\n"
    asked = ask.format(500_000, "") + ask.format(10, "") + ask.format(12, "Connection: close\r\n")

    replies = raw.raw(asked.encode()).split(b"HTTP/1.1 200 OK\r\n")[1:]
    bodies = [reply.partition(b"\r\n\r\n")[2] for reply in replies]

    assert [b"ab" * 250_000, b"ab" * 5, b"ab" * 6] == [gzip.decompress(bodies[0]), *bodies[1:]]


POST = b"POST /score HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (400, POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, POST + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n"),
        (400, POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc"),
        (400, POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc"),
        (400, POST + b"Content-Length: 3, 3\r\n\r\nabc"),
        (400, POST + b"Content-Length: +3\r\n\r\nabc"),
        (400, POST + b"Content-Length: -3\r\n\r\nabc"),
        (400, POST + b"Content-Length: 0x3\r\n\r\nabc"),
        (400, POST + b"Content-Length: \r\n\r\nabc"),
        (400, POST + b"Content-Length: 99999999999999999999\r\n\r\nabc"),
        (400, POST + b"Content-Length : 3\r\n\r\nabc"),
        (400, POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n"),
        (501, POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"),
        (501, POST + b"Transfer-Encoding: identity\r\n\r\nabc"),
        (400, POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
        (501, POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        (400, POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, b"POST /score HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (400, POST + b"X: a\r\n b\r\n\r\n"),
        (400, POST + b"X: a\r\n\tTransfer-Encoding: chunked\r\n\r\n"),
        (400, b"POST /score HTTP/1.1\r\n Host: x\r\n\r\n"),
        (400, b"POST /score HTTP/1.1\nHost: x\n\n"),
        (400, POST + b"X: a\nContent-Length: 3\r\n\r\nabc"),
        (400, POST + b"X: a\rb\r\n\r\n"),
        (400, POST + b"X: a\0b\r\n\r\n"),
        (400, POST + b"X Y: a\r\n\r\n"),
        (400, POST + b": a\r\n\r\n"),
        (400, POST + b"nonsense\r\n\r\n"),
        (400, POST + b"Transfer-Encoding: chunked\r\n\r\n3\nabc\n0\n\n"),
        (400, POST + b"Transfer-Encoding: chunked\r\n\r\n3;a\nb\r\nabc\r\n0\r\n\r\n"),
        (400, POST + b"Transfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n"),
        (400, POST + b"Transfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n0\r\n\r\n"),
        (400, POST + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n"),
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (400, b"GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"GET * HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"GET foo HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"get / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"GET\t/ HTTP/1.1\r\nHost: x\r\n\r\n"),
        (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        (400, b"GET / HTTP/1.2\r\nHost: x\r\n\r\n"),
        (505, b"GET / HTTP/2.0\r\nHost: x\r\n\r\n"),
        (505, b"GET / HTTP/0.9\r\n\r\n"),
        (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_and_closed(raw, status, data):
    """So no front end can be made to see other requests than we do."""
    smuggled = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 8\r\n\r\nsmuggled"

    replies = raw.raw(data + smuggled).split(b"HTTP/1.1 ")[1:]

    assert [b"%d" % status] == [reply[:3] for reply in replies]
    assert b"connection: close" in replies[0]
    assert b"smuggled" not in replies[0]


@pytest.mark.parametrize(
    ("status", "data"),
    [
        (200, b"GET / HTTP/1.0\r\n\r\n"),
        (200, b"\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (200, b"GET http://x.example HTTP/1.1\r\nHost: x\r\n\r\n"),
        (200, b"GET http://x.example/?a=b#c HTTP/1.1\r\nHost: x\r\n\r\n"),
        (200, b"GET /%68ealthz HTTP/1.1\r\nHost: x\r\n\r\n"),
        (404, b"GET /%2f HTTP/1.1\r\nHost: x\r\n\r\n"),
        (404, b"GET /%00 HTTP/1.1\r\nHost: x\r\n\r\n"),
        (404, b"GET /%ff%zz% HTTP/1.1\r\nHost: x\r\n\r\n"),
        (404, b"GET //healthz HTTP/1.1\r\nHost: x\r\n\r\n"),
        (404, b"GET /" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
        (200, b"GET /?" + b"a" * 60_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
        (431, b"GET /?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
        (204, b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"),
        (405, b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (200, b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n"),
        (200, b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        (200, b"GET / HTTP/1.1\r\nHost: x\r\nX: 1\r\nX: 2\r\n\r\n"),
        (200, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"),
        (200, b"GET / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n"),
    ],
)
def test_odd_but_valid_requests_are_answered(raw, status, data):
    """And the connection goes on where it may."""
    last = b"GET /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    reply = raw.raw(data if b"HTTP/1.0" in data or status == 431 else data + last)
    found = [part[:3] for part in reply.split(b"HTTP/1.1 ")[1:] if not part.startswith(b"100 ")]

    assert b"%d" % status == found[0]
    assert [b"200"] == found[1:] or b"HTTP/1.0" in data or status == 431


def test_chunk_extensions_and_trailers_change_nothing(raw):
    """They are read over; a trailer is no header."""
    body = b'3;name="va;lue";other\r\nabc\r\n0;last\r\nX-Request-Id: evil\r\nContent-Encoding: gzip\r\n\r\n'
    head = POST + b"X-Request-Id: good\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"

    reply = raw.raw(head + body)

    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b"x-request-id: good" in reply
    assert b'"id":"good"' in reply


def test_endless_trailers_are_refused(raw):
    """They count like the head."""
    trailers = b"".join(b"X-%d: %b\r\n" % (number, b"y" * 1000) for number in range(100))

    reply = raw.raw(POST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n" + trailers + b"\r\n")

    assert reply.startswith(b"HTTP/1.1 431 ")


def test_thousands_of_wished_upgrades_at_once_are_answered(raw):
    """They are read one after the other, not one within the other."""
    count = 3_000
    wish = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    last = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with raw.connect() as client:
        client.sendall(wish * count + last)
        data = read_all(client)

    assert data.count(b"HTTP/1.1 200 OK") == count + 1


def test_a_body_in_very_many_pieces_is_put_together(raw):
    """One byte a chunk costs time, not memory."""
    size = 60_000
    head = POST + b"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"

    reply = raw.raw(head + b"2\r\nab\r\n" * (size // 2) + b"0\r\n\r\n")

    assert b'"size":%d' % size in reply


def test_a_script_cannot_break_the_head_of_its_reply(start, image):
    """Line ends and odd names in its headers do not reach the client; an impossible status is 500."""
    script = """
        from azureml.contrib.services.aml_request import rawhttp
        from azureml.contrib.services.aml_response import AMLResponse
        def init(): pass
        @rawhttp
        def run(request):
            status = int(request.args["status"])
            headers = {"A": "b\\r\\nEvil: 1", "C: d\\r\\nEvil": "2", "Content-Length": "9", "Ä": "3"}
            return AMLResponse("x", status, headers)
    """
    service = start(image({"score.py": script}))
    answers = [service.get(f"/score?status={status}") for status in (201, 99, 1000, 101)]

    assert [201, 500, 500, 500] == [answer.status for answer in answers]
    assert answers[0].headers["a"] == "b  Evil: 1"
    assert answers[0].headers["evil"] is None
    assert answers[0].body == b"x"
