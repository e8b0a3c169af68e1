"""From start to end of a serving process: keys, limits, hand-over, drain, a start that fails."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import stat
import threading
import time
from pathlib import Path

import pytest
from collection_kit import until
from gate_kit import Gate
from scoring_kit import JSON_HEADERS, PATIENCE, read_reply

PLAIN = {"score.py": "def init(): pass\ndef run(data): return data"}
SLOW = {
    "score.py": """
        import time

        def init():
            pass

        def run(data):
            time.sleep(float(data))
            return data
    """
}
WAITING = {
    "score.py": """
        import gate

        def init():
            pass

        def run(data):
            gate.wait()
            return data
    """
}
KEYS = {"primary": "first-key", "secondary": "second-key"}


def bearer(key):
    """The header that shows a key."""
    return {**JSON_HEADERS, "Authorization": f"Bearer {key}"}


@pytest.fixture
def gate(tmp_path):
    """Where a script waits."""
    return Gate(tmp_path / "gate")


@pytest.fixture
def keyed(start, image, tmp_path):
    """A service with keys, and their file."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(KEYS))
    return start(image(PLAIN), keys_file=str(file)), file


def test_either_key_opens(keyed):
    """And nothing else does: 401 with a message."""
    service, _ = keyed
    shown = [bearer("first-key"), bearer("second-key"), {"Authorization": "bearer second-key"}]
    wrong = [{}, bearer("third"), {"Authorization": "first-key"}, {"Authorization": "Basic first-key"}, bearer("")]

    assert [200] * 3 == [service.request("POST", "/score", "1", headers).status for headers in shown]
    refused = [service.request("POST", "/score", "1", headers) for headers in wrong]
    assert [401] * 5 == [answer.status for answer in refused]
    assert "Authorization: Bearer KEY" in refused[0].message
    assert service.get("/swagger.json").status == 401


def test_health_needs_no_key(keyed):
    """Probes carry none."""
    service, _ = keyed

    assert [200] * 3 == [service.get(path).status for path in ("/", "/healthz", "/readyz")]


def test_changed_keys_count_at_once(keyed):
    """A rotated key needs no restart; a broken file keeps the last good keys."""
    service, file = keyed
    new = file.with_suffix(".new")
    new.write_text(json.dumps({"primary": "first-key", "secondary": "rotated"}))
    new.replace(file)
    rotated = [service.request("POST", "/score", "1", bearer(key)).status for key in ("rotated", "second-key")]
    file.write_text("{")

    assert rotated == [200, 401]
    assert service.request("POST", "/score", "1", bearer("rotated")).status == 200
    assert "rotated" not in service.log


def test_a_large_body_without_key_is_refused_before_it_is_read(keyed):
    """Nobody without a key fills the memory."""
    service, _ = keyed

    reply = service.raw(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 90000000\r\n\r\nabc")

    assert reply.startswith(b"HTTP/1.1 401 ")


def test_a_run_over_its_time_is_504(start, image):
    """The script is interrupted, so that the next request is answered; health answers all the time."""
    loop = "def init(): pass\ndef run(data):\n    while data == 'loop': pass\n    return data"
    service = start(image({"score.py": loop}), scoring_timeout_ms=1000)
    answer = service.request("POST", "/score", "loop")

    assert (answer.status, answer.message) == (504, "Scoring timeout after 1000 ms")
    assert answer.headers["x-ms-run-function-failed"] == "True"
    assert service.request("POST", "/score", "next").json == "next"


def test_a_script_cannot_swallow_its_end(start, image):
    """v1 scripts catch every exception; the interruption is none of those."""
    script = """
        def init():
            pass

        def run(data):
            try:
                while data == "loop":
                    pass
            except Exception as error:
                return str(error)
            return data
    """
    service = start(image({"score.py": script}), scoring_timeout_ms=1000)

    assert [504, 504, 200] == [service.request("POST", "/score", data).status for data in ("loop", "loop", "x")]


def test_a_full_queue_is_503(start, image, gate):
    """With Retry-After, at once; those in the queue are answered."""
    service = start(image({**WAITING, **gate.files}), max_queue=1)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(service.request("POST", "/score", "x"))) for _ in range(5)
    ]
    for thread in threads:
        thread.start()
    until(lambda: len(answers) == 3)
    refused = [*answers]
    gate.open()
    for thread in threads:
        thread.join()

    assert [503] * 3 == [answer.status for answer in refused]
    assert [200] * 2 == [answer.status for answer in answers[3:]]
    assert refused[0].headers["retry-after"] == "1"
    assert refused[0].message


def test_a_wait_over_the_scoring_time_is_503(start, image):
    """Its turn never came, which is not the script's failure."""
    service = start(image(SLOW), scoring_timeout_ms=500)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(service.request("POST", "/score", "600"))) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    waited = [answer for answer in answers if answer.status == 503]

    # Who comes late may get the turn of one that was given up.
    assert {503, 504} >= {answer.status for answer in answers}
    assert waited
    assert {"The request waited 500 ms for its turn. Try again later."} == {answer.message for answer in waited}
    assert {"False"} == {answer.headers["x-ms-run-function-failed"] for answer in waited}


@pytest.mark.parametrize(("allowed", "together"), [(None, 1), (4, 4)])
def test_one_run_at_a_time_unless_allowed(start, image, allowed, together):
    """Scripts are not asked to be thread-safe; a service may say that its script is."""
    script = f"""
        import threading, time
        lock, together = threading.Lock(), threading.Barrier({together})
        at_once = most = 0

        def init():
            pass

        def run(data):
            global at_once, most
            with lock:
                at_once += 1
                most = max(most, at_once)
            together.wait(60)
            time.sleep(0.05)  # one more, where it is let in, comes meanwhile
            with lock:
                at_once -= 1
            return most
    """
    service = start(image({"score.py": script}), max_concurrent_requests=allowed)
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(service.request("POST", "/score", "x").json)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert together == max(answers)


def test_init_and_run_share_a_thread(start, image):
    """What belongs to a thread, such as a database connection, works."""
    script = """
        import sqlite3

        def init():
            global base
            base = sqlite3.connect(":memory:")

        def run(data):
            return base.execute("select 7").fetchone()
    """

    assert start(image({"score.py": script})).request("POST", "/score", "x").json == [7]


def test_the_control_socket_tells_the_state(start, image):
    """Only its owner may open it; unknown questions are answered with what can be asked."""
    service = start(image(PLAIN, samples=[{"input": "a", "output": '"a"'}]))
    status = service.ask("status")

    assert status["state"] == "ready"
    assert (status["pid"], status["revision"], status["samples_answered"]) == (service.process.pid, "r0", 1)
    assert stat.S_IMODE(Path(service.settings["control"]).stat().st_mode) == 0o600
    assert "status, handover, drain" in service.ask("nonsense")["error"]


def test_nothing_is_accepted_before_the_samples_were_answered(start, image, gate):
    """A request that comes early waits and is answered."""
    slow = "import gate\ndef init(): gate.wait()\ndef run(data): return data"
    service = start(image({"score.py": slow, **gate.files}), wait=False)
    service.wait("starting")
    gate.until_come()
    before = service.wait("starting")
    with service.connect() as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nearly")
        gate.open()
        status, _, body = read_reply(client)

    assert before["state"] == "starting"
    assert (200, b'"early"') == (status, body)
    assert service.ask("status")["state"] == "ready"


def test_sigterm_during_start_ends_at_once(start, image):
    """Whoever waits for init() need not."""
    service = start(image({"score.py": "import time\ndef init(): time.sleep(600)\ndef run(data): pass"}), wait=False)
    service.wait("starting")

    assert service.stop() == 0


@pytest.mark.parametrize(
    ("script", "samples", "message", "line"),
    [
        ("import nothing_like_it", None, "ModuleNotFoundError: No module named 'nothing_like_it'", 1),
        ("def init():\n    raise ValueError('x')\ndef run(data): pass", None, "init() raised ValueError: x", 2),
        (
            "def init(): pass\ndef run(data):\n    return data['x']",
            [{"input": 1}],
            "sample 0: run() raised TypeError",
            3,
        ),
        ("def init(): pass\ndef run(data): return 2", [{"input": 1, "output": 3}], "sample 0: expected 3, got 2", 2),
    ],
    ids=["import", "init", "run", "output"],
)
def test_a_failed_start_is_told_and_ends_with_3(start, image, script, samples, message, line):
    """The control socket names the user's line, once; then the process ends."""
    service = start(image({"score.py": script}, samples=samples), wait=False)
    status = {"state": "starting"}
    end = time.monotonic() + PATIENCE
    while status["state"] == "starting" and time.monotonic() < end:
        with contextlib.suppress(OSError):  # not there yet
            status = service.ask("status")
        time.sleep(0.005)

    assert status["state"] == "failed"
    assert status["error"]["message"].startswith(message)
    assert (status["error"]["file"], status["error"]["line"]) == ("score.py", line)
    assert status["error"]["output"]
    assert service.process.wait(9) == 3  # nobody asked, it would have waited ten seconds


def test_a_taken_port_is_a_failed_start(start, image):
    """With the reason, not a traceback alone."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        service = start(image(PLAIN), wait=False, port=taken.getsockname()[1], control=None)

        assert service.process.wait(PATIENCE) == 3
    assert "Address already in use" in service.log


def test_wrong_settings_are_all_told(start, image):
    """Exit 2, one line each."""
    service = start(image(PLAIN), wait=False, port=70_000, colour="red", max_queue=-1)

    assert service.process.wait(PATIENCE) == 2
    assert all(text in service.log for text in ("port: must be", "colour: is no setting", "max_queue: must be"))


def test_drain_answers_what_is_in_flight(start, image, gate):
    """Then every reply says that it is the last, and the process ends with 0."""
    service = start(image({**WAITING, **gate.files}), drain_seconds=20)
    with service.connect() as busy, service.connect() as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_reply(idle)
        busy.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\n0.5")
        gate.until_come()
        told = service.ask("drain")
        state = service.ask("status")["state"]
        idle.sendall(b"GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n")
        ready = read_reply(idle)
        gate.open()
        answered = read_reply(busy)

    assert (told, state) == ({"ok": True}, "draining")
    assert (ready[0], ready[1]["connection"]) == (503, "close")
    assert (answered[0], answered[1]["connection"], answered[2]) == (200, "close", b'"0.5"')
    assert service.process.wait(PATIENCE) == 0
    assert not Path(service.settings["control"]).exists()


def test_drain_closes_idle_connections_after_a_while(start, image):
    """A client that keeps its connection open does not keep the process."""
    service = start(image(PLAIN), drain_seconds=1)
    with service.connect() as idle:
        idle.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        read_reply(idle)
        begun = time.monotonic()
        status = service.stop()
        took = time.monotonic() - begun

    assert status == 0
    assert took > 0.4


def test_sigterm_answers_connections_that_wait(start, image):
    """What the kernel took for us is not reset."""
    service = start(image(SLOW), drain_seconds=20)
    clients = [service.connect() for _ in range(20)]
    for client in clients:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\n0.01")
    service.process.terminate()
    statuses = [read_reply(client)[0] for client in clients]
    for client in clients:
        client.close()

    assert statuses == [200] * 20
    assert service.process.wait(PATIENCE) == 0


class Load:
    """Keep-alive clients that ask until told to stop; a closed connection is opened again only when announced."""

    def __init__(self, service, count):
        self.failures = []
        self.answers = [0] * count
        self.revisions = set()
        self._service = service
        self._going = True
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(count)]
        for thread in self._threads:
            thread.start()

    def until_more(self, count):
        """Wait until every client has had so many answers more."""
        before = [*self.answers]
        until(lambda: self.failures or all(now - then >= count for now, then in zip(self.answers, before, strict=True)))

    def stop(self):
        """End the clients."""
        self._going = False
        for thread in self._threads:
            thread.join()

    def _ask(self, number):
        client = None
        data = b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"
        try:
            while self._going:
                client = client or self._service.connect()
                client.sendall(data)
                status, headers, body = read_reply(client)
                self.revisions.add(json.loads(body))
                self.answers[number] += 1
                if status != 200:
                    self.failures.append((status, body))
                if headers.get("connection") == "close":
                    client.close()
                    client = None
        except Exception as error:  # noqa: BLE001  # any is a lost request
            self.failures.append(error)
        finally:
            if client is not None:
                client.close()


def named(name):
    """A script that answers with a name."""
    return {"score.py": f"def init(): pass\ndef run(data): return {name!r}"}


def test_a_hand_over_loses_nothing(start, image):
    """Two processes, ten keep-alive clients, no failure; the second has the port alone afterwards."""
    first = start(image(named("first")), drain_seconds=20)
    load = Load(first, 10)
    load.until_more(10)
    answer, fd = first.ask("handover", with_socket=True)
    second = start(image(named("second")), fd=fd, fds=(fd,))
    os.close(fd)
    drained = first.ask("drain")
    status = first.process.wait(PATIENCE)
    load.until_more(10)
    load.stop()

    assert (answer, drained, status) == ({"ok": True}, {"ok": True}, 0)
    assert load.failures == []
    assert load.revisions == {"first", "second"}
    assert second.port == first.port
    assert second.request("POST", "/score", "x").json == "second"


def test_a_candidate_that_fails_leaves_the_first_serving(start, image):
    """It had the socket and never accepted."""
    first = start(image(named("first")))
    load = Load(first, 4)
    _, fd = first.ask("handover", with_socket=True)
    candidate = start(image({"score.py": "def init(): 1 / 0\ndef run(data): pass"}), wait=False, fd=fd, fds=(fd,))
    os.close(fd)
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        candidate.wait("ready")
    candidate.process.wait(PATIENCE)
    load.until_more(10)
    load.stop()

    assert (load.failures, load.revisions) == ([], {"first"})
    assert first.ask("status")["state"] == "ready"


def test_user_threads_do_not_keep_the_process(start, image):
    """A script's own threads end with it."""
    script = """
        import threading, time

        def init():
            threading.Thread(target=time.sleep, args=(600,)).start()

        def run(data):
            return data
    """

    assert start(image({"score.py": script})).stop() == 0
