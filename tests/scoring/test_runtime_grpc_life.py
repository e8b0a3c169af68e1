"""gRPC through a service's life: start, workers, certificates, hand-over and drain; and clients of bad manners."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import os
import signal
import socket
import sys
import threading
import time

import grpc
import pytest
from collection_kit import rows, until
from collection_kit import settings as collecting
from gate_kit import Gate
from grpc_kit import asked, client, outputs_of
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, ResponseReceived, StreamEnded, StreamReset, TrailersReceived, WindowUpdated
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import Frame, GoAwayFrame
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mlserve_scoring.errors import StartError
from mlserve_scoring.grpc.call import Call
from mlserve_scoring.grpc.connection import GrpcConnection
from mlserve_scoring.process.endpoints import check_packages
from mlserve_scoring.settings import Settings
from mlserve_scoring.transport.limits import Limits
from mlserve_scoring.transport.message import Request
from mlserve_scoring.transport.room import Hold, Room
from scoring_kit import PATIENCE, read_all, write_image
from test_runtime_tls import make_pair
from wire_kit import Open
from wire_kit import Wire as FakeWire

SCRIPT = """
    import os
    import time
    import numpy as np
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    def init():
        pass

    @input_schema("seconds", NumpyParameterType(np.array([0.0])))
    @output_schema(NumpyParameterType(np.array([1])))
    def run(seconds):
        time.sleep(seconds[0])
        return np.array([PLACE])
    """
FIRST, SECOND, PROCESS = (SCRIPT.replace("PLACE", text) for text in ("1", "2", "os.getpid()"))


@pytest.fixture
def gate(tmp_path):
    """Where the scripts of ``gated`` wait."""
    return Gate(tmp_path / "gate")


def gated(script, gate):
    """Returns the files of a script whose calls wait at a gate, where they would have slept."""
    waiting = script.replace("import time", "import gate").replace(
        "time.sleep(seconds[0])", "seconds[0] and gate.wait()"
    )
    return {"score.py": waiting, **gate.files}


def wait_for(seconds):
    """Returns a request that takes so long."""
    return asked({"seconds": ("FP64", [1], [seconds])})


def said(answer):
    """Returns what the script says of itself."""
    return outputs_of(answer)["output"][2][0]


class Load:
    """Clients that ask one after the other, each on a channel of its own, until stopped."""

    def __init__(self, port, clients, **options):
        self.failures, self.answers = [], []
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._ask, args=(port, options)) for _ in range(clients)]
        for thread in self._threads:
            thread.start()

    def _ask(self, port, options):
        with client(port, **options) as called:
            while not self._stop.is_set():
                call = called.start("ModelInfer", wait_for(0.001))
                error = call.exception()
                if error is None:
                    self.answers.append(said(call.result()))
                else:
                    self.failures.append(f"{error.code()} {error.details()}")

    def until(self, answer):
        """Waits until somebody was answered so."""
        until(lambda: answer in self.answers[-50:] or self.failures)

    def stop(self):
        """Ends the clients."""
        self._stop.set()
        for thread in self._threads:
            thread.join()


def clients_of_both(channels, port):
    """Returns a client of each of two workers, by its process id.

    Workers take turns, but one that is slow to wake, on a busy machine, leaves its turn to the other.
    """
    found, end = {}, time.monotonic() + PATIENCE
    while len(found) < 2:
        assert time.monotonic() < end, "one worker answers everybody"
        with contextlib.ExitStack() as opened:
            called = opened.enter_context(client(port))
            pid = int(said(called.infer(wait_for(0))))
            if pid not in found:
                found[pid] = called
                channels.push(opened.pop_all())
    return found


@pytest.mark.parametrize("secure", [False, True], ids=["plain", "TLS"])
def test_a_hand_over_loses_no_call(start, image, tmp_path, secure):
    """Two processes, eight clients, no failure; the second has both ports alone afterwards."""
    certificate, key = make_pair(tmp_path, "one")
    tls = {"tls_certificate": str(certificate), "tls_key": str(key)} if secure else {}
    first = start(image({"score.py": FIRST}), grpc_port=0, drain_seconds=20, **tls)
    port = first.wait("ready")["grpc_port"]
    load = Load(port, 8, certificate=certificate.read_bytes() if secure else None)
    load.until(1)
    answer, fds = first.hand_over()
    second = start(image({"score.py": SECOND}), fd=fds[0], grpc_fd=fds[1], fds=tuple(fds), **tls)
    for fd in fds:
        os.close(fd)
    first.ask("drain")
    status = first.process.wait(PATIENCE)
    load.until(2)
    load.stop()

    assert ({"ok": True}, 2, 0) == (answer, len(fds), status)
    assert [] == load.failures
    assert {1, 2} == set(load.answers)
    assert port == second.ask("status")["grpc_port"]


def test_drain_answers_the_calls_that_are_there(start, image, gate):
    """A call that runs is answered, and the process ends at once afterwards, though the channel stays open."""
    service = start(image(gated(FIRST, gate)), grpc_port=0, drain_seconds=20)
    with client(service.wait("ready")["grpc_port"]) as called:
        called.infer(wait_for(0))
        running = called.start("ModelInfer", wait_for(1))
        gate.until_come()
        service.process.terminate()
        service.wait("draining")
        begun = time.monotonic()
        gate.open()
        status = service.process.wait(PATIENCE)
        took = time.monotonic() - begun
        answer = said(running.result())

    assert (0, 1) == (status, answer)
    assert took < 4  # a channel that had not been told is left after five seconds


def test_a_call_over_the_drain_time_is_cut(start, image, gate):
    """The deadline of the drain holds for calls too."""
    service = start(image(gated(FIRST, gate)), grpc_port=0, drain_seconds=0.5)
    with client(service.wait("ready")["grpc_port"]) as called:
        running = called.start("ModelInfer", wait_for(1))
        gate.until_come()
        service.stop()

        assert grpc.StatusCode.UNAVAILABLE == running.exception().code()


def test_workers_share_the_port(start, image, gate):
    """Connections go to all workers, which drain together without a lost call."""
    service = start(image(gated(PROCESS, gate)), grpc_port=0, drain_seconds=20, workers=2)
    port = service.wait("ready")["grpc_port"]
    with contextlib.ExitStack() as channels:
        calling = clients_of_both(channels, port)
        running = [called.start("ModelInfer", wait_for(1)) for called in calling.values()]
        came = gate.until_come(2)
        service.process.terminate()
        service.wait("draining")
        gate.open()
        status = service.process.wait(PATIENCE)

        assert [*calling] == [int(said(call.result())) for call in running]
    assert {*calling} == {*came}
    assert 0 == status


def test_a_killed_worker_loses_only_its_own_calls(start, image, gate):
    """The other answers on; channels of the dead one find another, and its place is taken anew."""
    service = start(image(gated(PROCESS, gate)), grpc_port=0, workers=2)
    port = service.wait("ready")["grpc_port"]
    with contextlib.ExitStack() as channels:
        calling = clients_of_both(channels, port)
        pids, (one, two) = list(calling), calling.values()
        running = [called.start("ModelInfer", wait_for(1)) for called in (one, two)]
        gate.until_come(2)
        os.kill(pids[0], signal.SIGKILL)
        lost = running[0].exception()
        gate.open()
        kept = int(said(running[1].result()))
        again = int(said(one.infer(wait_for(0), wait_for_ready=True)))
        restarts = until(
            lambda: [count for worker in service.ask("status")["workers"] if (count := worker["restarts"])]
        )

    assert grpc.StatusCode.UNAVAILABLE == lost.code()
    assert kept == pids[1]
    assert again != pids[0]
    assert [1] == restarts


def test_certificates_are_those_of_https_and_are_read_again(start, image, tmp_path):
    """A channel trusts the certificate in the file; after a renewal new channels see the new one, open ones go on."""
    pairs = [make_pair(tmp_path, name) for name in ("one", "two")]
    mounted = [tmp_path / "tls.crt", tmp_path / "tls.key"]

    def mount(pair):
        for place, file in zip(mounted, pair, strict=True):
            fresh = place.with_suffix(".new")
            fresh.write_bytes(file.read_bytes())
            fresh.replace(place)

    mount(pairs[0])
    service = start(image({"score.py": FIRST}), grpc_port=0, tls_certificate=str(mounted[0]), tls_key=str(mounted[1]))
    port = service.wait("ready")["grpc_port"]
    trusted = [pair[0].read_bytes() for pair in pairs]
    with client(port, certificate=trusted[0]) as called, client(port, certificate=trusted[1]) as early:
        answers = [said(called.infer(wait_for(0)))]
        refused = early.failure("ServerLive").code()
        mount(pairs[1])
        until(lambda: service.log.count("was read again") == 2)
        with client(port, certificate=trusted[1]) as late:
            answers.append(said(late.infer(wait_for(0))))
        answers.append(said(called.infer(wait_for(0))))
    with client(port) as plain:
        unsecured = plain.failure("ServerLive").code()

    assert [1, 1, 1] == answers
    assert [grpc.StatusCode.UNAVAILABLE] * 2 == [refused, unsecured]


def test_collected_data_is_that_of_rest(start, image, tmp_path):
    """A call is kept as the request to /v2 with the same tensors as JSON is."""
    service = start(image({"score.py": FIRST}), grpc_port=0, **collecting(tmp_path / "kept"))
    with client(service.wait("ready")["grpc_port"]) as called:
        called.infer(wait_for(0.25))
    value = {"inputs": [{"name": "seconds", "datatype": "FP64", "shape": [1], "data": [0.25]}]}
    assert 200 == service.request("POST", "/v2/models/diabetes/infer", json.dumps(value).encode()).status
    found = until(lambda: len(kept := rows(tmp_path / "kept", "inputs")) == 2 and kept)
    answers = until(lambda: len(kept := rows(tmp_path / "kept", "predictions")) == 2 and kept)

    for kept in (found, answers):
        one, two = ({name: text for name, text in row.items() if not name.startswith("$aml_")} for row in kept)
        assert one == two
    assert "0.25" == found[0]["seconds"]


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_are_accepted_during_the_delay_of_the_drain(start, image, workers):
    """Once told to stop the service says that it is not ready, and answers on, so that clients have time to notice."""
    service = start(image({"score.py": FIRST}), grpc_port=0, drain_delay_seconds=PATIENCE, workers=workers)
    port = service.wait("ready")["grpc_port"]
    service.process.terminate()
    told = service.wait("draining")
    try:
        with client(port) as called:
            unready = [called.call("ServerReady").ready, called.health()]
            answer = said(called.infer(wait_for(0)))
        rest = service.request("POST", "/v2/models/diabetes/infer", b"{}").status
        ready = service.get("/readyz")
    finally:
        for process in told.get("workers", [told]):
            os.kill(process["pid"], signal.SIGKILL)
        service.process.wait(PATIENCE)

    assert [False, 2] == unready
    assert (1, 400, 503, {"state": "draining"}) == (answer, rest, ready.status, ready.json)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_ends_once_the_delay_of_the_drain_is_over(start, image, workers):
    """And not before."""
    service = start(image({"score.py": FIRST}), drain_delay_seconds=0.5, workers=workers)
    begun = time.monotonic()
    status = service.stop()

    assert 0 == status
    assert time.monotonic() - begun > 0.5


def test_a_socket_that_was_handed_over_is_left_without_delay(start, image):
    """Somebody else accepts there already."""
    first = start(image({"score.py": FIRST}), grpc_port=0, drain_delay_seconds=600)
    _, fds = first.hand_over()
    first.ask("drain")
    for fd in fds:
        os.close(fd)

    assert 0 == first.process.wait(PATIENCE)


def test_grpc_needs_its_feature(monkeypatch, tmp_path):
    """Without its packages a service that is to speak gRPC does not start, and says what to do; others do."""
    monkeypatch.setitem(sys.modules, "h2", None)
    check_packages(Settings(tmp_path))

    with pytest.raises(StartError, match="build the image with the feature 'grpc'"):
        check_packages(Settings(tmp_path, grpc_port=0))


def test_two_ports_must_differ(start, image):
    """The same number for HTTP and gRPC is a wrong setting."""
    service = start(image({"score.py": FIRST}), wait=False, port=8890, grpc_port=8890)

    assert 2 == service.process.wait(PATIENCE)
    assert "grpc_port: is the port of HTTP, got 8890; choose another" in service.log


# Clients of bad manners, which no library is.


class Wire:
    """A connection on which a test writes frames itself."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.h2 = H2Connection(H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.events = []
        self.flush()

    def flush(self):
        """Sends what h2 has made."""
        self.socket.sendall(self.h2.data_to_send())

    def begin(self, name="ServerLive", **headers):
        """Begins a call; returns its stream."""
        number = self._head(name, **headers)
        self.flush()
        return number

    def send(self, number, data, *, end=True):
        """Sends a part of a message."""
        self.h2.send_data(number, data, end_stream=end)
        self.flush()

    def ask(self, name="ServerLive", data=b"\0\0\0\0\0", **headers):
        """Makes a whole call, which leaves in one piece; returns its stream."""
        number = self._head(name, **headers)
        self.send(number, data)
        return number

    def until(self, kind, number=None):
        """Reads until an event of a kind comes; returns it, nothing when the connection ends before."""
        while True:
            for event in self.events:
                if isinstance(event, kind) and (number is None or event.stream_id == number):
                    self.events.remove(event)
                    return event
            data = self.socket.recv(65536)
            if not data:
                return None
            self.events += self.h2.receive_data(data)
            self.flush()

    def status(self, number):
        """Returns code and text at the end of a call, wherever they come."""
        while True:
            event = self.until((ResponseReceived, TrailersReceived, StreamReset), number)
            if event is None or isinstance(event, StreamReset):
                return None
            found = dict(event.headers)
            if "grpc-status" in found:
                return int(found["grpc-status"]), found.get("grpc-message", "")

    def close(self):
        """Ends it."""
        self.socket.close()

    def _head(self, name, **headers):
        number = self.h2.get_next_available_stream_id()
        fields = {
            ":method": "POST",
            ":scheme": "http",
            ":path": f"/inference.GRPCInferenceService/{name}",
            ":authority": "x",
            "content-type": "application/grpc",
            "te": "trailers",
            **{key.replace("_", "-"): value for key, value in headers.items()},
        }
        if "method" in headers:
            fields[":method"] = fields.pop("method")
        self.h2.send_headers(number, list(fields.items()))
        return number


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """An image."""
    return write_image(tmp_path_factory.mktemp("served") / "root", {"score.py": FIRST})


@pytest.fixture(scope="module")
def served(start_shared, root):
    """A service that takes small messages alone, and its port for gRPC."""
    service = start_shared(root, grpc_port=0, max_body_bytes=200_000)
    return service, service.wait("ready")["grpc_port"]


@pytest.fixture(scope="module")
def hasty(start_shared, root):
    """The port of a service that waits for nobody for long."""
    return start_shared(root, grpc_port=0, read_timeout_s=1, idle_timeout_s=2).wait("ready")["grpc_port"]


@pytest.fixture
def wire(served):
    """A connection to the patient one."""
    with contextlib.closing(Wire(served[1])) as made:
        yield made


@pytest.fixture
def hasty_wire(hasty):
    """A connection to the hasty one."""
    with contextlib.closing(Wire(hasty)) as made:
        yield made


EMPTY = b"\0\0\0\0\0"
INFER = "/inference.GRPCInferenceService/ModelInfer"


def frame(kind, flags, stream, payload):
    """Returns a frame, whatever it may mean."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


@pytest.mark.parametrize(
    ("data", "code", "text"),
    [
        (EMPTY, 0, ""),
        (b"", 3, "message: is missing, or cut off"),
        (b"\0\0\0\0\5ab", 3, "message: is missing, or cut off"),
        (EMPTY + b"x", 3, "message: something follows its end; this call takes one message"),
        (b"\7\0\0\0\0", 3, "message: begins with 0 or 1, got 7"),
        (b"\1\0\0\0\0", 3, "message: is marked as compressed, and grpc-encoding does not say how"),
        (b"\0\xff\xff\xff\xff", 8, "The message must not exceed 200000 bytes, got 4294967295."),
    ],
)
def test_messages_that_are_none_are_refused(wire, data, code, text):
    """Each with its reason, and the connection goes on."""
    number = wire.begin()
    wire.send(number, data)
    found = wire.status(number)
    again = wire.begin()
    wire.send(again, EMPTY)

    assert (code, text) == found
    assert (0, "") == wire.status(again)


def test_an_unknown_compression_is_refused_with_those_that_are_read(wire):
    """As the protocol wants it."""
    number = wire.begin(grpc_encoding="snappy")
    wire.send(number, b"\1\0\0\0\0")
    event = wire.until(ResponseReceived, number)

    assert ("12", "identity, gzip, deflate") == tuple(
        dict(event.headers)[name] for name in ("grpc-status", "grpc-accept-encoding")
    )


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"method": "GET"}, "405"),
        ({"content_type": "text/plain"}, "415"),
        ({"content_type": "application/grpc-web+proto"}, "415"),
        ({"content_type": "application/grpc+json"}, "415"),
    ],
)
def test_what_is_no_call_gets_a_status_of_http(wire, headers, status):
    """Browsers and probes of HTTP see why."""
    number = wire.begin(**headers)

    assert status == dict(wire.until(ResponseReceived, number).headers)[":status"]


def test_a_message_that_does_not_arrive_ends_its_call(hasty_wire):
    """A slow client is held to the same time as over HTTP; other calls on the connection are answered meanwhile."""
    slow = hasty_wire.begin()
    hasty_wire.send(slow, b"\0\0", end=False)
    other = hasty_wire.ask()

    assert (0, "") == hasty_wire.status(other)
    assert (4, "The request did not arrive in time.") == hasty_wire.status(slow)


def test_an_answer_that_is_not_taken_ends_its_call(hasty_wire):
    """A client that opens no window gets the head and then a reset; other calls on the connection are answered."""
    hasty_wire.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
    number = hasty_wire.ask("ServerMetadata")

    assert ErrorCodes.CANCEL == hasty_wire.until(StreamReset, number).error_code
    hasty_wire.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 65_535})
    again = hasty_wire.ask()
    assert (0, "") == hasty_wire.status(again)


def test_a_deadline_is_kept_by_the_service_too(wire):
    """Also for a client that does not watch it."""
    number = wire.begin(grpc_timeout="100m")

    assert (4, "The deadline of the call is over.") == wire.status(number)


def test_an_idle_connection_is_told_to_leave(hasty):
    """After the idle time, so that no call on its way is lost; a client that does not listen is left."""
    begun = time.monotonic()
    with contextlib.closing(Wire(hasty)) as wire:
        data = read_all(wire.socket)
    took = time.monotonic() - begun
    goodbyes = []
    while data:
        frame, length = Frame.parse_frame_header(memoryview(data[:9]))
        if isinstance(frame, GoAwayFrame):
            frame.parse_body(memoryview(data[9 : 9 + length]))
            goodbyes.append((frame.last_stream_id, frame.error_code))
        data = data[9 + length :]

    assert [(2**31 - 1, 0), (0, 0)] == goodbyes
    assert took >= 4


@pytest.mark.parametrize("more", [b"", b"\0\0\4\x08\0\0\0\0\0\0\0\0\1"], ids=["alone", "with a window"])
def test_a_client_that_says_goodbye_gets_the_answers_it_waits_for(wire, more):
    """Some do so as soon as they will ask nothing more (RFC 9113, 6.8); then the connection ends."""
    number = wire.begin("ModelInfer")
    message = wait_for(0.3).SerializeToString()
    wire.send(number, len(message).to_bytes(5, "big") + message)
    wire.socket.sendall(GoAwayFrame(0).serialize() + more)

    assert (0, "") == wire.status(number)
    with contextlib.suppress(ProtocolError):  # of a client made with h2, after a goodbye
        assert wire.until(StreamReset) is None


def test_a_client_that_resets_its_calls_harms_nobody(wire):
    """Hundreds of calls begun and given up, then one that is answered."""
    for _ in range(300):
        number = wire.begin("ModelInfer")
        wire.h2.reset_stream(number)
    wire.flush()
    last = wire.begin()
    wire.send(last, EMPTY)

    assert (0, "") == wire.status(last)


@pytest.mark.parametrize(
    ("data", "code"),
    [
        ([frame(1, 0, 1, b"\0" * 16_000), *[frame(9, 0, 1, b"\0" * 16_000)] * 5], ErrorCodes.PROTOCOL_ERROR),
        ([(15_000_000).to_bytes(3, "big") + b"\0\0\0\0\0\1"], ErrorCodes.FRAME_SIZE_ERROR),
    ],
    ids=["a head without end", "a long frame"],
)
def test_what_is_too_long_is_refused_before_it_is_there(wire, data, code):
    """Megabytes of a frame or a head would be held for each connection, and no call has begun that could be late."""
    wire.until(WindowUpdated)  # what is to be confirmed was, and nothing stands between the frames
    wire.socket.sendall(b"".join(data))

    assert code == wire.until(ConnectionTerminated).error_code


def test_a_head_has_the_limits_that_it_has_over_http(wire):
    """Two hundred headers, counted one by one."""
    found = []
    for count in (198, 199):  # beside content-type and te
        number = wire.begin(**{f"x_{header}": "1" for header in range(count)})
        wire.send(number, EMPTY)
        found.append(wire.status(number))

    assert (0, "") == found[0]
    assert (8, "The head of a request must not exceed 65536 bytes or 200 headers.") == found[1]


def test_an_answer_that_is_taken_byte_by_byte_ends_its_call():
    """Who takes a byte now and then gains nothing by it; who takes sixteen thousand in a second has that second."""
    limits = Limits()
    call = Call(1, Request("POST", "/"), limits, 0.0)
    call.answer(b"x" * 1_000_000, 10.0)
    call.out = call.out[100:]

    assert not call.is_stuck(10.0 + limits.read_s)
    assert call.is_stuck(11.0 + limits.read_s)
    call.out = call.out[40_000:]
    assert not call.is_stuck(11.0 + limits.read_s)


class Nobody:
    """Screens nothing, and keeps what it should answer."""

    def __init__(self):
        self.asked = []

    def screen(self, request):
        """Let it pass."""

    def answer(self, request, send):
        """Keep it."""
        self.asked.append(request)

    def finish(self, reply, request):
        """Add nothing."""
        return reply


@pytest.mark.parametrize(("calls", "is_sent_away"), [(1_000, False), (1_001, True)])
def test_a_client_that_only_resets_its_calls_is_sent_away(calls, is_sent_away):
    """Each begins work for which nobody waits, and h2's limit of open streams does not hold: those are closed."""

    async def sent():
        transport, client = FakeWire(asyncio.get_running_loop()), H2Connection()
        connection = GrpcConnection(Nobody(), Open(), limits=Limits())
        client.initiate_connection()
        connection.connection_made(transport)
        for number in range(1, 2 * calls, 2):
            head = [(":method", "POST"), (":scheme", "http"), (":path", INFER), (":authority", "x")]
            client.send_headers(number, [*head, ("content-type", "application/grpc")])
            client.reset_stream(number)
            connection.data_received(client.data_to_send())
        goodbyes = [event for event in client.receive_data(transport.sent) if isinstance(event, ConnectionTerminated)]
        connection.connection_lost(None)
        return transport.closing, [event.error_code for event in goodbyes]

    assert (is_sent_away, [ErrorCodes.ENHANCE_YOUR_CALM] * is_sent_away) == asyncio.run(sent())


@pytest.mark.parametrize("coding", ["gzip", "identity"])
def test_messages_take_room(coding):
    """A few bytes may become a hundred megabytes, and small messages are a thousand on each connection."""
    data = gzip.compress(bytes(100_000)) if coding == "gzip" else bytes(60_000)
    fitting = 1 if coding == "gzip" else 2

    async def sent():
        room, nobody = Room(0), Nobody()
        taken = Hold(room)
        assert taken.grow((256 << 20) - 150_000)
        transport, client = FakeWire(asyncio.get_running_loop()), H2Connection()
        connection = GrpcConnection(nobody, Open(), limits=Limits(room=room))
        client.initiate_connection()
        connection.connection_made(transport)
        client.receive_data(transport.sent)
        transport.sent = b""
        for number in range(1, 2 * fitting + 2, 2):
            head = [(":method", "POST"), (":scheme", "http"), (":path", INFER), (":authority", "x")]
            client.send_headers(number, [*head, ("content-type", "application/grpc"), ("grpc-encoding", coding)])
            sign = b"\1" if coding == "gzip" else b"\0"
            client.send_data(number, sign + len(data).to_bytes(4, "big") + data, end_stream=True)
            connection.data_received(client.data_to_send())
        events = client.receive_data(transport.sent)
        connection.connection_lost(None)
        statuses = [dict(event.headers)[b"grpc-status"] for event in events if isinstance(event, ResponseReceived)]
        return len(nobody.asked), statuses

    assert (fitting, [b"14"]) == asyncio.run(sent())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=300), preface=st.booleans(), call=st.booleans())
def test_whatever_comes_ends_at_most_its_connection(served, data, preface, call):
    """Bytes that are no HTTP/2, or no frames of a call: the process says goodbye or nothing, and serves on."""
    service, port = served
    with contextlib.closing(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)) as plain:
        if preface:
            http2 = H2Connection(H2Configuration())
            http2.initiate_connection()
            if call:
                http2.send_headers(1, [(":method", "POST"), (":scheme", "http"), (":path", "/x"), (":authority", "x")])
            plain.sendall(http2.data_to_send())
        with contextlib.suppress(ConnectionError):
            plain.sendall(data)
            with contextlib.suppress(OSError):  # the service has closed
                plain.shutdown(socket.SHUT_WR)
            read_all(plain)

    assert "Traceback" not in service.log
    assert service.process.poll() is None


FRAMES = st.lists(
    st.builds(
        frame,
        st.integers(0, 10),
        st.sampled_from([0, 1, 4, 5, 8, 0x20, 0xFF]),
        st.integers(0, 9),
        st.one_of(st.binary(max_size=40), st.sampled_from([b"\0" * 4, b"\0" * 8, EMPTY, b"\x83\x86\x44\x01/"])),
    ),
    max_size=12,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(frames=FRAMES)
def test_whatever_frames_come_end_at_most_their_connection(served, frames):
    """In any order, with any flags, on any stream; another connection is served meanwhile."""
    service, port = served
    with contextlib.closing(Wire(port)) as other, contextlib.closing(Wire(port)) as wire:
        begun = wire.begin()
        with contextlib.suppress(ConnectionError):
            wire.socket.sendall(frame(0, 1, begun, EMPTY) + b"".join(frames))
            with contextlib.suppress(OSError):  # the service has closed
                wire.socket.shutdown(socket.SHUT_WR)
            read_all(wire.socket)
        number = other.begin()
        other.send(number, EMPTY)

        assert (0, "") == other.status(number)
    assert "Traceback" not in service.log


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200))
def test_whatever_a_message_holds_is_refused_as_such(served, data):
    """Bytes in the place of a message are an invalid argument, or name no model that is here."""
    service, port = served
    with contextlib.closing(Wire(port)) as wire:
        number = wire.begin("ModelInfer")
        wire.send(number, len(data).to_bytes(5, "big") + data)
        code, _ = wire.status(number)

    assert code in {3, 5}
    assert "Traceback" not in service.log


def test_ended_streams_are_announced(wire):
    """A good answer ends its stream, so that clients need not wait."""
    number = wire.begin()
    wire.send(number, EMPTY)

    assert wire.until(StreamEnded, number) is not None
