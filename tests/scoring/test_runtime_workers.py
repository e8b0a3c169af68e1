"""Several processes on one port: they start together, die alone, and end together."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.client
import os
import signal
import socket
import time
from pathlib import Path

import pytest
from mlserve_scoring.transport import sharing
from mlserve_scoring.transport.limits import Limits
from mlserve_scoring.transport.listener import Server
from mlserve_scoring.transport.sharing import Counts, TurnTaking, shared_counts
from scoring_kit import PATIENCE, read_reply

WHO = """
    import os
    def init():
        pass
    def run(data):
        return os.getpid()
"""
HELD = """
    import os, pathlib, time
    def init():
        pass
    def run(data):
        folder = pathlib.Path(data)
        (folder / f"begun-{os.getpid()}").touch()
        while not (folder / "go").exists():
            time.sleep(0.01)
        return os.getpid()
"""


def ended(pid):
    """Whether a process is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(condition):
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def pids(service):
    """The workers' process ids."""
    return [worker["pid"] for worker in service.ask("status")["workers"]]


def test_every_worker_answers(start, image):
    """Each is a process of its own with an init() of its own, and all are asked."""
    service = start(image({"score.py": WHO}), workers=3)
    status = service.ask("status")
    answered = set()
    with concurrent.futures.ThreadPoolExecutor(12) as pool:

        def all_have_answered():
            answers = pool.map(lambda _: service.request("POST", "/score", "x"), range(60))
            answered.update(answer.json for answer in answers)
            return len(answered) >= 3

        until(all_have_answered)

    assert ["ready"] * 3 == [worker["state"] for worker in status["workers"]]
    assert status["pid"] == service.process.pid
    assert answered == set(pids(service))


def test_a_killed_worker_is_replaced_and_loses_only_its_own_requests(start, image, tmp_path):
    """Those that others answer come back, new ones are answered at once, and the place is filled again."""
    service = start(image({"score.py": HELD}), workers=2)
    first, second = pids(service)
    asked = []

    def ask():
        with contextlib.suppress(http.client.HTTPException, OSError):
            return service.request("POST", "/score", str(tmp_path)).json
        return None

    with concurrent.futures.ThreadPoolExecutor(100) as pool:

        def both_have_begun():
            asked.append(pool.submit(ask))
            return all((tmp_path / f"begun-{pid}").exists() for pid in (first, second))

        until(both_have_begun)
        os.kill(first, signal.SIGKILL)
        (tmp_path / "go").touch()
        answers = [future.result() for future in asked]
    after = service.request("POST", "/score", str(tmp_path)).json
    until(lambda: [worker["state"] for worker in service.ask("status")["workers"]] == ["ready", "ready"])

    assert {None, second} <= set(answers) <= {None, second, *pids(service)}
    assert after in {second, *pids(service)}
    assert first not in pids(service)
    assert [1, 0] == [worker["restarts"] for worker in service.ask("status")["workers"]]
    service.wait_for_log("worker 0 ended with SIGKILL")


def test_a_script_that_ends_the_process_is_started_again(start, image):
    """os._exit in run() loses that request alone."""
    script = "import os\ndef init(): pass\ndef run(data):\n    if data == 'die': os._exit(7)\n    return data"
    service = start(image({"score.py": script}), workers=2)
    with pytest.raises((http.client.HTTPException, OSError)):
        service.request("POST", "/score", "die")
    answers = {service.request("POST", "/score", "live").json for _ in range(10)}
    service.wait_for_log("ended with status 7")
    until(lambda: [worker["state"] for worker in service.ask("status")["workers"]] == ["ready", "ready"])

    assert {"live"} == answers


def test_what_no_worker_can_start_is_told_once(start, image):
    """The error is the one that a single process would tell, and no worker is left."""
    service = start(
        image({"score.py": "def init():\n    raise ValueError('x')\ndef run(data): pass"}), workers=2, wait=False
    )
    end = time.monotonic() + PATIENCE
    status = {}
    while status.get("state") != "failed" and time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            status = service.ask("status")
        time.sleep(0.01)
    code = service.process.wait(PATIENCE)

    assert ("init() raised ValueError: x", "score.py", 2) == tuple(
        status["error"][key] for key in ("message", "file", "line")
    )
    assert code == 3
    assert service.log.rstrip().endswith("the service cannot start: score.py:2: init() raised ValueError: x")
    assert all(ended(worker["pid"]) for worker in status["workers"] if worker["pid"])


def test_all_drain_together(start, image, tmp_path):
    """What was asked is answered, begun or not, and no process is left."""
    service = start(image({"score.py": HELD}), workers=2, drain_seconds=PATIENCE)
    workers = pids(service)
    body = str(tmp_path).encode()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(service.connect()) for _ in range(4)]
        for client in clients:
            client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        until(lambda: any(tmp_path.glob("begun-*")))
        service.process.send_signal(signal.SIGTERM)
        service.wait("draining")
        (tmp_path / "go").touch()
        answers = [read_reply(client)[0] for client in clients]
    code = service.process.wait(PATIENCE)

    assert [200] * 4 == answers
    assert code == 0
    assert all(map(ended, workers))


def test_workers_end_when_their_supervisor_is_killed(start, image):
    """Nobody is left to hold the port."""
    service = start(image({"score.py": WHO}), workers=2)
    workers = pids(service)
    service.process.kill()
    service.process.wait()

    until(lambda: all(map(ended, workers)))


def test_the_socket_is_handed_over_from_workers_to_workers(start, image):
    """Ten clients notice nothing."""
    old = start(image({"score.py": WHO}), workers=2, drain_seconds=PATIENCE)
    stop = time.monotonic() + 2 * PATIENCE
    wrong, counted, done = [], [0], []

    def ask():
        while not done and time.monotonic() < stop:
            try:
                answer = old.request("POST", "/score", "x")
                if answer.status != 200:
                    wrong.append(answer.status)
            except Exception as error:  # noqa: BLE001  # every kind counts
                wrong.append(error)
            counted[0] += 1

    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        asking = [pool.submit(ask) for _ in range(10)]
        try:
            _, fd = old.ask("handover", with_socket=True)
            new = start(old.settings["root"], workers=3, fd=fd, fds=(fd,))
            os.close(fd)
            old.ask("drain")
            assert old.process.wait(PATIENCE) == 0
            until(lambda: counted[0] > 200)
        finally:
            done.append(True)
        for future in asking:
            future.result()

    assert [] == wrong
    assert new.request("POST", "/score", "x").json in pids(new)


def test_connections_are_left_to_the_worker_that_has_fewer(monkeypatch):
    """However fast they come; here for longer than a millisecond, which is little where many processes want to run."""
    monkeypatch.setattr(sharing, "_WAIT_S", PATIENCE)

    class Nobody:
        """Is asked nothing."""

        screen = express = None

    async def run():
        fd = shared_counts(2)
        with socket.create_server(("127.0.0.1", 0)) as listening, contextlib.ExitStack() as clients:
            listening.setblocking(False)
            first, second = (
                Server(listening.dup(), limits=Limits(), counts=Counts(fd, number, 2)) for number in range(2)
            )

            async def there_are(count):
                while first.connections + second.connections != count:  # noqa: ASYNC110  # servers tell nobody
                    await asyncio.sleep(0)
                return first.connections, second.connections

            def connect(count):
                for _ in range(count):
                    clients.enter_context(socket.create_connection(listening.getsockname()))

            await first.start(Nobody())
            connect(10)
            shares = [await there_are(10)]
            await second.start(Nobody())
            connect(8)
            shares.append(await there_are(18))
            clients.close()
            await there_are(0)
            left = Counts(fd, 0, 2)._all.tolist()
            for server in (first, second):
                await server.stop_listening(take_rest=False)
                await server.drain(0)
        os.close(fd)
        return shares, left

    shares, left = asyncio.run(asyncio.wait_for(run(), PATIENCE))

    assert [(10, 0), (10, 8)] == shares
    assert [0, 0] == left


@pytest.mark.parametrize(
    ("own", "others", "may_take"),
    [(0, [0], True), (1, [0], True), (2, [0], False), (40, [37], True), (41, [37], False), (9, [None, None], True)],
)
def test_a_worker_leaves_connections_to_those_that_have_clearly_fewer(own, others, may_take):
    """One more, or a sixteenth more, is no reason to wake the others; who is absent does not count."""
    fd = shared_counts(1 + len(others))
    try:
        for number, connections in enumerate([own, *others]):
            if connections is not None:
                Counts(fd, number, 1 + len(others)).tell(connections)

        assert may_take == Counts(fd, 0, 1 + len(others)).may_take()
    finally:
        os.close(fd)


def test_few_and_long_connections_are_shared_to_the_last_one():
    """Clients of gRPC keep one: two of them on one of two workers would be there for days."""
    fd = shared_counts(2)
    try:
        Counts(fd, 0, 2).tell(1)
        Counts(fd, 1, 2).tell(0)

        assert not Counts(fd, 0, 2, surplus=0).may_take()
        assert Counts(fd, 1, 2, surplus=0).may_take()
    finally:
        os.close(fd)


def test_a_worker_that_came_too_late_leaves_the_next_to_others():
    """It is not woken for a millisecond; then it looks again, whoever has fewer."""

    async def run():
        taken = asyncio.get_running_loop().create_future()
        fd = shared_counts(1)
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.setblocking(False)
            counts = Counts(fd, 0, 1)
            counts.tell(0)
            turns = TurnTaking(server.dup(), counts, taken.set_result)
            turns._ready()  # woken, and there is nobody any more
            was_away = turns._timer is not None
            client = socket.create_connection(server.getsockname())
            (await taken).close()
            turns.close()
            client.close()
        os.close(fd)
        return was_away

    was_away = asyncio.run(asyncio.wait_for(run(), PATIENCE))

    assert was_away
