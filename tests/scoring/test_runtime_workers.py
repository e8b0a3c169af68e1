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
from mlserve_scoring.transport.sharing import Counts, TurnTaking, shared_counts

WHO = """
    import os
    def init():
        pass
    def run(data):
        return os.getpid()
"""
WAITS = """
    import os, time
    def init():
        pass
    def run(data):
        time.sleep(float(data))
        return os.getpid()
"""


def ended(pid):
    """Whether a process is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] == "Z"


def until(condition, seconds=20):
    """Wait until a condition holds."""
    end = time.monotonic() + seconds
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
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        answered = {answer.json for answer in pool.map(lambda _: service.request("POST", "/score", "x"), range(300))}

    assert ["ready"] * 3 == [worker["state"] for worker in status["workers"]]
    assert status["pid"] == service.process.pid
    assert answered == set(pids(service))


def test_a_killed_worker_is_replaced_and_loses_only_its_own_requests(start, image):
    """Those that others answer come back, new ones are answered at once, and the place is filled again."""
    service = start(image({"score.py": WAITS}), workers=2)
    first, second = pids(service)

    def ask():
        with contextlib.suppress(http.client.HTTPException, OSError):
            return service.request("POST", "/score", "0.3").json
        return None

    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask) for _ in range(16)]
        time.sleep(0.2)
        os.kill(first, signal.SIGKILL)
        answers = [future.result() for future in asked]
    after = service.request("POST", "/score", "0").json
    until(lambda: [worker["state"] for worker in service.ask("status")["workers"]] == ["ready", "ready"])

    assert {first, second, None} >= set(answers)
    assert second in answers
    assert after in {second, *pids(service)}
    assert first not in pids(service)
    assert [1, 0] == [worker["restarts"] for worker in service.ask("status")["workers"]]
    assert "worker 0 ended with SIGKILL" in service.log


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
    end = time.monotonic() + 30
    status = {}
    while status.get("state") != "failed" and time.monotonic() < end:
        with contextlib.suppress(OSError, ValueError):
            status = service.ask("status")
    code = service.process.wait(15)

    assert ("init() raised ValueError: x", "score.py", 2) == tuple(
        status["error"][key] for key in ("message", "file", "line")
    )
    assert code == 3
    assert service.log.rstrip().endswith("the service cannot start: score.py:2: init() raised ValueError: x")
    assert all(ended(worker["pid"]) for worker in status["workers"] if worker["pid"])


def test_all_drain_together(start, image):
    """What was begun is answered, and no process is left."""
    service = start(image({"score.py": WAITS}), workers=2)
    workers = pids(service)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(service.request, "POST", "/score", "0.6") for _ in range(4)]
        time.sleep(0.3)
        code = service.stop()
        answers = [future.result().status for future in asked]

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
    old = start(image({"score.py": WHO}), workers=2)
    stop = time.monotonic() + 30
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
            assert old.process.wait(15) == 0
            until(lambda: counted[0] > 200)
        finally:
            done.append(True)
        for future in asking:
            future.result()

    assert [] == wrong
    assert new.request("POST", "/score", "x").json in pids(new)


def test_connections_are_shared_evenly(start, image):
    """However fast they come, no worker is left with few; one that is busy for a millisecond may get fewer."""
    service = start(image({"score.py": WHO}), workers=2)
    kept = [http.client.HTTPConnection("127.0.0.1", service.port, timeout=20) for _ in range(20)]
    for connection in kept:
        connection.connect()
    answered = []
    for connection in kept:
        connection.request("POST", "/score", "x")
        answered.append(connection.getresponse().read())
    for connection in kept:
        connection.close()
    counts = [answered.count(str(pid).encode()) for pid in pids(service)]

    assert 20 == sum(counts)
    assert min(counts) >= 5


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

    was_away = asyncio.run(asyncio.wait_for(run(), 20))

    assert was_away
