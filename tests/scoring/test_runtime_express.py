"""The express lane gives the same replies as the ordinary way, byte for byte but for ids and times."""

from __future__ import annotations

import asyncio
import itertools
import json
import re

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.model_scorer import ModelScorer
from mlserve_scoring.observing.metrics import Metrics
from mlserve_scoring.observing.requests import RequestMetrics
from mlserve_scoring.routes.dispatch import Dispatcher
from mlserve_scoring.routes.express_score import ExpressScore, express_routes
from mlserve_scoring.routes.failures import failed
from mlserve_scoring.routes.route import Route
from mlserve_scoring.routes.score import score_routes
from mlserve_scoring.transport.connection import Connection
from mlserve_scoring.transport.limits import Limits
from mlserve_scoring.transport.message import Reply
from scoring_kit import read_reply
from served_kinds import write_kind
from wire_kit import Open, Wire

CLIENTS = 3
UUID = rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"


class Model:
    """Refuses some rows, fails at others, drops some, forgets an output, and gives long answers to some."""

    inputs = (Port("x", "float32", (None, 3)),)
    outputs = (Port("y", "float32", (None, 3)), Port("label", "int64", (None,)))
    sample = None

    def run(self, inputs):
        """Return the double of each row, and which of its numbers is the largest."""
        rows = inputs["x"]
        if (rows == 666).any():
            raise RuntimeError("no")
        if (rows == 667).any():
            raise InvalidRequestError("667 is not liked here")
        rows = rows[(rows != 668).all(axis=1)]
        return [rows * 2, rows.argmax(axis=1)][: 1 if (rows == 669).any() else 2]


class Gate:
    """Lets in who shows a word, while it is the right one."""

    word = b"Bearer right"
    opened_by = "word"

    def admit(self, authorization):
        """Return whether this is it."""
        return authorization == self.word


DOES = {
    "data": lambda client, _, data: client.data_received(data),
    "eof": lambda client, wire, _: client.eof_received() or wire.close(),
    "lost": lambda client, *_: client.connection_lost(None),
    "pause": lambda client, *_: client.pause_writing(),
    "resume": lambda client, *_: client.resume_writing(),
    "late": lambda client, *_: client.check(asyncio.get_running_loop().time() + 100),
}


class Side:
    """A service without sockets, with the lane or without; each body can be read as if it were unusual."""

    def __init__(self, loop, *, has_lane, is_guarded, shares, is_slow):
        self.scorer = ModelScorer(Model(), loop)
        self.scorer._shares = self.scorer._rows.shares = shares
        if is_slow:
            self.scorer._rows = None
        self.metrics = RequestMetrics(Metrics(), ["/score", "/"], prefix="/p")
        self.scorer.tell_shared_runs(lambda _: None)
        self.gate = Gate() if is_guarded else None
        routes = {**score_routes(self.scorer), "/": Route({"GET": lambda _, send: send(Reply(200, b"fine"))}, True)}
        express = express_routes(self.scorer, routes, gate=self.gate, tally=self.metrics) if has_lane else {}
        self.taken = 0
        if has_lane:
            self._count(express["/score"])
        self.dispatcher = Dispatcher(
            routes, gate=self.gate, prefix="/p", observers=[self.metrics.observe], express=express
        )
        self.open = Open()
        self.heads = {}
        self.wires = [Wire(loop) for _ in range(CLIENTS)]
        self.clients = [
            Connection(self.dispatcher, self.open, limits=Limits(max_body=5_000), heads=self.heads)
            for _ in range(CLIENTS)
        ]
        self.lost = [False] * CLIENTS
        for client, wire in zip(self.clients, self.wires, strict=True):
            client.connection_made(wire)

    def _count(self, lane):
        take = lane.take

        def counted(*given):
            taken = take(*given)
            self.taken += taken
            return taken

        lane.take = counted

    def do(self, step):
        """Let one thing happen."""
        kind, number, data = step
        client, wire = self.clients[number], self.wires[number]
        if kind == "word":
            Gate.word = data
        elif kind == "drain":
            self.open.draining = True
        elif not self.lost[number] and not wire.closing:
            DOES[kind](client, wire, data)
            self.lost[number] = kind == "lost"

    @property
    def seen(self):
        """What clients and whoever reads the metrics can see, without what differs each time."""
        self.metrics._metrics.publish()
        counts = [
            line
            for line in self.metrics.render().splitlines()
            if "_bucket" not in line and "_sum" not in line and not line.startswith("#")
        ]
        return [plain(wire.sent) for wire in self.wires], [wire.closing or wire.ended for wire in self.wires], counts

    @property
    def bytes_counted(self):
        """How many bytes of bodies came and went."""
        metrics = self.metrics._metrics
        return [metrics.total(f"mlserve_{name}_bytes_total") for name in ("request", "reply")]


def plain(sent):
    """What was sent, without new ids, dates and times."""
    for own, other in re.findall(rb"x-request-id: (%b)\r\nx-ms-request-id: ([^\r]*)" % UUID, sent):
        assert other == own or not re.fullmatch(UUID, other)
    sent = re.sub(UUID, b"ID", sent)
    sent = re.sub(rb"\r\ndate: [^\r]*", b"", sent)
    return re.sub(rb"x-ms-run-fn-exec-ms: \d+\.\d{3}\r\n", b"x-ms-run-fn-exec-ms: N\r\n", sent)


def both(steps, *, is_guarded=False, shares=True, is_slow=True):
    """Let the same things happen on both sides; return both, the one with the lane first.

    The other one reads every body as if it were unusual, unless it is not ``is_slow``.
    """
    errors = []

    async def happened():
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context))
        options = {"is_guarded": is_guarded, "shares": shares}
        sides = [
            Side(loop, has_lane=True, is_slow=False, **options),
            Side(loop, has_lane=False, is_slow=is_slow, **options),
        ]
        for step in steps:
            for side in sides:
                if step[0] != "turn":
                    side.do(step)
            if step[0] == "turn":
                await turns()
        await turns()
        return sides

    async def turns():
        for _ in range(30):
            await asyncio.sleep(0)

    Gate.word = b"Bearer right"
    sides = asyncio.run(happened())

    assert [] == errors
    return sides


def head(length, *lines, target="/score", method="POST", version="1.1"):
    """The head of a request."""
    kind = () if any(line.lower().startswith("content-type") for line in lines) else ("Content-Type: application/json",)
    all_lines = [f"{method} {target} HTTP/{version}", "Host: x", *kind, *lines, f"Content-Length: {length}", "", ""]
    return "\r\n".join(all_lines).encode()


def asked(body, *lines, **options):
    """A request."""
    return head(len(body), *lines, **options) + body


def data(*pieces, client=0):
    """Steps that send pieces."""
    return [("data", client, piece) for piece in pieces]


TURN = ("turn", 0, b"")
GOOD = b"[[1, 2.5, 3]]"
BODIES = [
    GOOD,
    b'{"data": [[0.1, 0.2, 0.3]]}',
    b'{"x": [[1e-7, 123456789.123, -0.0], [4, 5, 6]]}',
    b'{"data": [[1, 2, 3], [4, 5, 6], [7, 8, 9]]}',
    json.dumps({"data": [[number / 7, 2, 3] for number in range(40)]}).encode(),
    json.dumps([[number, 2, 3] for number in range(200)]).encode(),
    b"[[1, 2, 3]] ",
    b" [[1,2,3]]",
    b"[1, 2, 3]",
    b"[[1, 2]]",
    b"[[1, 2, 3], [4, 5]]",
    b"[[1, 2, null]]",
    b"[[1, 2, true]]",
    b'[[1, 2, "3"]]',
    b"[[1, 2, 1e39]]",
    b"[[1, 2, 1e999]]",
    b"[[1, 2, NaN]]",
    b"[[1, 2, 123456789012345678901234567890]]",
    b"[[1, 2, [3]]]",
    b"[]",
    b"{}",
    b"",
    b"[[1,2,3]],[[4,5,6]]",
    b"[[1,2,3",
    b"\xff\xfe",
    b'{"y": [[1, 2, 3]]}',
    b'{"data": [[1, 2, 3]], "x": [[1, 2, 3]]}',
    b'{"data": 5}',
    b"[[666, 1, 2]]",
    b"[[667, 1, 2]]",
    b"[[669, 1, 2]]",
    b"[" * 2_000,
]
LINES = [
    (),
    (),
    (),
    ("Accept: */*", "User-Agent: test"),
    ("Connection: keep-alive", "Accept-Encoding: gzip, deflate"),
    ("Connection: close",),
    ("Connection: Keep-Alive, other",),
    ("Content-Type: application/json; charset=utf-8",),
    ("Content-Type: text/plain",),
    ("X-Request-Id: mine",),
    ("X-Ms-Request-Id: mine",),
    ("X-Ms-Client-Request-Id: mine",),
    ("TraceId: 7",),
    ("traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",),
    ("Expect: 100-continue",),
    ("Transfer-Encoding: chunked",),
    ("Authorization: Bearer right",),
    ("Authorization: Bearer wrong",),
    ("Origin: https://a.example",),
]
TARGETS = ["/score", "/score", "/score", "/p/score", "/score?x=1", "/SCORE", "/", "/none"]


def test_the_lane_is_taken_when_a_head_comes_again():
    """So what the tests below compare are two ways."""
    steps = []
    for _ in range(3):
        steps += [*data(asked(GOOD)), *data(asked(GOOD), client=1), TURN]
    lane, ordinary = both(steps)

    assert (5, 0) == (lane.taken, ordinary.taken)
    assert ordinary.seen == lane.seen
    assert b'{"y":[[2.0,5.0,6.0]],"label":[2]}' == lane.wires[0].sent[-33:]


@pytest.mark.parametrize("shares", [True, False])
@pytest.mark.parametrize("body", BODIES, ids=range(len(BODIES)))
def test_every_body_gets_the_reply_of_the_ordinary_way(body, shares):
    """Alone, and in a turn with a good one; its status and its bytes are counted too."""
    steps = []
    for client in (0, 1, 0, 1, 2):
        steps += [*data(asked(body), client=client), *data(asked(GOOD), client=2 - client % 2), TURN]
    for _ in range(2):
        steps += [*data(asked(body)), TURN]
    lane, ordinary = both(steps, shares=shares)

    assert ordinary.seen == lane.seen
    assert ordinary.bytes_counted == lane.bytes_counted
    assert lane.taken > 0


@pytest.mark.parametrize("lines", LINES[3:], ids=[lines[0] for lines in LINES[3:]])
@pytest.mark.parametrize("is_guarded", [False, True])
def test_every_head_gets_the_reply_of_the_ordinary_way(lines, is_guarded):
    """First and again, also where a key is needed."""
    steps = []
    for client in range(CLIENTS):
        for body in (GOOD, BODIES[5], b"[]"):
            for _ in range(2):
                steps += [*data(asked(body, *lines), client=client), TURN]
    for _ in range(3):
        steps += [*data(asked(GOOD, "Connection: keep-alive", *lines, version="1.0")), TURN]
    lane, ordinary = both(steps, is_guarded=is_guarded)

    assert ordinary.seen == lane.seen


def test_a_key_that_was_withdrawn_closes_at_once():
    """The gate is asked each time, whatever is remembered."""
    request = asked(GOOD, "Authorization: Bearer right")
    steps = [*data(request), TURN, *data(request), TURN, ("word", 0, b"Bearer other"), *data(request), TURN]
    lane, ordinary = both(steps, is_guarded=True)

    assert ordinary.seen == lane.seen
    assert 1 == lane.taken
    assert [b"200", b"200", b"401"] == re.findall(rb"HTTP/1.1 (\d+)", lane.wires[0].sent)


def test_pipelined_requests_are_answered_in_order():
    """What comes behind one on the lane waits for it."""
    bodies = [b"[[%d, 1, 2]]" % number for number in range(10, 30)]
    pieces = [asked(body) for body in bodies]
    mixed = [piece + asked(b"", target="/", method="GET") for piece in pieces]
    lane, ordinary = both([*data(pieces[0]), TURN, *data(b"".join(pieces)), TURN, *data(b"".join(mixed)), TURN])

    assert ordinary.seen == lane.seen
    assert lane.taken > 1
    assert 61 == lane.wires[0].sent.count(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("body", [b"[[668, 1, 2], [5, 5, 5]]", b'{"x": [[5, 5, 5], [668, 1, 2]]}'])
def test_a_run_that_gives_fewer_rows_gives_nobody_those_of_another(body):
    """What was tried at start holds no longer then: each is asked alone."""
    steps = []
    for _ in range(3):
        steps += [*data(asked(body)), *data(asked(GOOD), client=1), TURN]
    for side in both(steps):
        assert [b'"y":[[10.0,10.0,10.0]]'] * 3 == re.findall(rb'"y":.*\]\]', side.wires[0].sent)
        assert [b'"y":[[2.0,5.0,6.0]]'] * 3 == re.findall(rb'"y":.*\]\]', side.wires[1].sent)


def test_a_reply_that_cannot_be_sent_keeps_nobody_else_waiting():
    """It is logged."""

    class Client:
        sent = None

        def answered(self, reply, _):
            if self is broken:
                raise RuntimeError("no")
            self.sent = reply
            return True

    async def happened():
        lane = ExpressScore(lambda bodies: [(body, 1.0) for body in bodies], None, None, None, failed)
        for client in clients:
            assert lane.take(client, None, b"[1]")
        await asyncio.sleep(0)

    clients = [Client() for _ in range(3)]
    broken = clients[0]
    asyncio.run(happened())

    assert [False, True, True] == [client.sent is not None for client in clients]


@pytest.mark.parametrize("kind", ["eof", "lost", "drain", "pause", "late"])
def test_what_happens_to_a_connection_meanwhile_happens_in_both_ways(kind):
    """A request was taken, and before its answer the client ends its half, or all, or the service drains."""
    again = [*data(asked(GOOD)), TURN]
    end = [("resume", 0, b""), TURN] if kind == "pause" else []
    for lines in ((), ("Accept-Encoding: gzip",)):
        first = data(asked(GOOD, *lines))
        steps = [*first, TURN, *first, TURN, *first, (kind, 0, b""), TURN, *end, *again]
        lane, ordinary = both(steps, is_slow=False)

        assert ordinary.seen == lane.seen
        assert lane.taken >= 2


def test_heads_that_name_their_request_are_not_remembered():
    """They would push out those that come again."""
    named = [
        data(asked(GOOD, f"{name}: {number}"))
        for name in ("X-Request-Id", "X-Ms-Request-Id", "X-Ms-Client-Request-Id", "Request-Id", "traceparent")
        for number in range(3)
    ]
    lane, _ = both([*data(asked(GOOD)), TURN, *(step for steps in named for step in (*steps, TURN))])

    assert 1 == len(lane.heads)


def test_a_model_that_is_not_for_the_loop_has_no_lane():
    """Its requests wait for a thread."""

    async def routes():
        scorer = ModelScorer(Model(), asyncio.get_running_loop())
        before = express_routes(scorer, score_routes(scorer), gate=None, tally=None)
        scorer.use(object())
        return before, express_routes(scorer, score_routes(scorer), gate=None, tally=None)

    before, after = asyncio.run(routes())

    assert ["/score"] == list(before)
    assert {} == after


steps_of_data = st.builds(
    lambda client, body, lines, target, method, times: [
        ("data", client, asked(body, *lines, target=target, method=method) * times)
    ],
    st.integers(0, CLIENTS - 1),
    st.sampled_from([GOOD, GOOD, *BODIES]),
    st.sampled_from([(), (), (), *LINES]),
    st.sampled_from(TARGETS),
    st.sampled_from(["POST", "POST", "POST", "POST", "GET", "OPTIONS", "PUT"]),
    st.sampled_from([1, 1, 1, 2, 5]),
)
pieces_of_data = st.builds(
    lambda client, body, at: [("data", client, asked(body)[:at]), TURN, ("data", client, asked(body)[at:])],
    st.integers(0, CLIENTS - 1),
    st.sampled_from([GOOD, *BODIES]),
    st.integers(1, 90),
)
other_steps = st.builds(
    lambda kind, client: [(kind, client, b"")],
    st.sampled_from(["turn", "turn", "turn", "turn", "eof", "lost", "pause", "resume", "drain"]),
    st.integers(0, CLIENTS - 1),
)
whole = st.lists(st.one_of(steps_of_data, steps_of_data, pieces_of_data, other_steps), min_size=1, max_size=25)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(parts=whole, is_guarded=st.booleans(), shares=st.booleans(), is_slow=st.booleans())
def test_whatever_happens_both_ways_give_the_same(parts, is_guarded, shares, is_slow):
    """Requests good and bad, whole and in pieces, one behind the other, and connections that end."""
    steps = [("data", 0, asked(GOOD)), TURN] * 2
    for step in itertools.chain.from_iterable(parts):
        # An unusual body is read when it comes: what is wrong with it is told before what else happens in that turn.
        if not is_slow:
            steps.append(step)
        elif step[0] not in {"eof", "drain"}:
            steps += [TURN, step]
    lane, ordinary = both(steps, is_guarded=is_guarded, shares=shares, is_slow=is_slow)

    assert ordinary.seen == lane.seen
    assert ordinary.bytes_counted == lane.bytes_counted


def test_a_service_that_logs_each_request_answers_as_one_that_does_not(start_shared, tmp_path):
    """The real thing: the log wants to see each request, so there is no lane."""
    root = write_kind(tmp_path, "model")
    services = [start_shared(root), start_shared(root, access_log=True)]
    found = []
    for service in services:
        with service.connect() as client:
            replies = []
            for body in (b'{"x": [[1, 2, 3]]}', b'{"x": [[1, 2, 3], [0.1, 0.2, 0.3]]}', b'{"x": [[1, 2]]}') * 5:
                client.sendall(asked(body))
                status, headers, told = read_reply(client)
                times = ("date", "x-request-id", "x-ms-request-id", "x-ms-run-fn-exec-ms")
                replies.append((status, [name for name in headers if name not in times], told))
            found.append(replies)

    services[1].wait_for_log("mlserve.access: ")

    assert found[0] == found[1]
    assert {200, 400} == {status for status, _, _ in found[0]}


def test_what_is_counted_together_is_what_is_counted_one_by_one():
    """Durations in the same buckets, however far apart they are."""
    counted = []
    for size in (1, 2, 50):
        numbers = Metrics()
        metrics = RequestMetrics(numbers, ["/score"])
        runs = list(np.linspace(0.01, 80, size))
        metrics.scored([1.0] * size, runs, 7, 8)
        numbers.publish()
        found = re.findall(r"mlserve_run_duration_seconds_(\w+)(?:\{le=\"(.*)\"\})? (\S+)", metrics.render())
        buckets = [float(count) for name, _, count in found if name == "bucket"]
        bounds = [float(bound) for name, bound, _ in found if name == "bucket"]
        counted.append(buckets == [sum(run / 1000 <= bound for run in runs) for bound in bounds])

    assert [True] * 3 == counted
