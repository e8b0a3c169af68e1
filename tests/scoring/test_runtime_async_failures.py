"""Exceptions that asyncio treats in its own way: an asynchronous script fails by them as a plain one does."""

from __future__ import annotations

import http.client

import pytest
from scoring_kit import write_image

ASYNC = """
    import asyncio, json, sys

    async def init():
        pass

    async def run(data):
        kind = json.loads(data)
        if kind == "left behind":
            await asyncio.wait([asyncio.create_task(leaving())])
        if kind == "called back":
            loop, called = asyncio.get_running_loop(), asyncio.Event()
            loop.call_soon(sys.exit, "of a callback")
            loop.call_soon(called.set)
            await called.wait()
        if kind == "awaited":
            await asyncio.create_task(leaving())
        if kind == "cancelled":
            raise asyncio.CancelledError
        if kind == "cancelled task":
            task = asyncio.create_task(asyncio.sleep(600))
            await asyncio.sleep(0)
            task.cancel()
            await task
        if kind == "cancelled itself":
            asyncio.current_task().cancel()
            await asyncio.sleep(0)
        if kind == "long":
            await asyncio.sleep(600)
        if kind.startswith("part"):
            return parts(kind)
        if kind == "endless":
            return endless()
        if kind == "plain part":
            return plain_parts()
        return kind

    async def leaving():
        await asyncio.sleep(0)
        sys.exit("of a task")

    async def parts(kind):
        yield "first"
        await asyncio.sleep(0)
        if kind == "part cancelled":
            raise asyncio.CancelledError("of a part")
        if kind == "part interrupt":
            raise KeyboardInterrupt
        sys.exit("of a part")

    async def endless():
        try:
            while True:
                yield b"x" * 10_000
        finally:
            sys.exit("of the end")

    def plain_parts():
        yield "first"
        sys.exit("of a plain part")
"""


@pytest.fixture(scope="module")
def awaited(start_shared, tmp_path_factory):
    """A service whose script is asynchronous."""
    return start_shared(write_image(tmp_path_factory.mktemp("awaited") / "root", {"score.py": ASYNC}))


@pytest.mark.parametrize(
    ("kind", "cause"), [("left behind", "SystemExit: of a task"), ("called back", "SystemExit: of a callback")]
)
def test_an_exit_beside_a_call_is_logged_and_nothing_more(awaited, kind, cause):
    """The loop goes on, with the call during which it came."""
    answers = [awaited.score(word).json for word in (kind, "x")]
    awaited.wait_for_log(cause)

    assert [kind, "x"] == answers
    assert "a task of the script raised SystemExit" in awaited.log


def test_an_exit_of_a_task_that_a_call_awaits_is_500(awaited):
    """As one of the call itself."""
    answers = [awaited.score(word) for word in ("awaited", "x")]

    assert [500, 200] == [answer.status for answer in answers]
    assert "True" == answers[0].headers["x-ms-run-function-failed"]


@pytest.mark.parametrize("kind", ["part exit", "part interrupt", "part cancelled", "plain part"])
def test_an_exit_in_the_middle_of_a_stream_ends_that_stream(awaited, kind):
    """The last chunk does not come; others are answered as before."""
    with pytest.raises(http.client.IncompleteRead):
        awaited.score(kind)
    awaited.wait_for_log("run() failed while its answer was sent")

    assert "x" == awaited.score("x").json
    assert 200 == awaited.get("/readyz").status


def test_an_exit_of_a_generator_that_is_closed_is_logged(awaited):
    """Its client has gone, so that nobody else would hear of it."""
    with awaited.connect() as client:
        client.sendall(b'POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"endless"')
        assert client.recv(65536)
    awaited.wait_for_log("a generator failed while it was closed, SystemExit('of the end')")

    assert "x" == awaited.score("x").json


@pytest.mark.parametrize("strict_v1", [False, True])
def test_a_cancellation_by_the_script_is_its_failure(start, image, strict_v1):
    """Whatever it cancels, it is told as by a plain script, and the log says where."""
    plain = "import asyncio\ndef init(): pass\ndef run(data): raise asyncio.CancelledError"
    services = [start(image({"score.py": script}), strict_v1=strict_v1) for script in (plain, ASYNC)]
    expected = services[0].score("cancelled")
    answers = [services[1].score(kind) for kind in ("cancelled", "cancelled task", "cancelled itself")]

    assert (500, "True") == (expected.status, expected.headers["x-ms-run-function-failed"])
    for answer in answers:
        assert expected.body == answer.body
        assert (500, "True") == (answer.status, answer.headers["x-ms-run-function-failed"])
        services[1].wait_for_log(f"run() raised [{answer.headers['x-request-id']}")
    assert "answering failed" not in services[1].log


def test_the_cause_of_a_cancellation_in_a_stream_is_logged(awaited):
    """Not only that there was one."""
    with pytest.raises(http.client.IncompleteRead):
        awaited.score("part cancelled")

    awaited.wait_for_log("CancelledError: of a part")


def test_a_cancellation_by_the_service_is_no_failure_of_the_script(start, image):
    """Its time is over: that alone is told."""
    service = start(image({"score.py": ASYNC}), scoring_timeout_ms=500)
    answer = service.score("long")

    assert 504 == answer.status
    assert 200 in (service.score("x").status for _ in range(100))  # on a busy machine any may take longer
    assert "run() raised" not in service.log
