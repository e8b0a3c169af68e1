"""The threads that run user code: who is answered when."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from mlserve_scoring.errors import ScoringTimeoutError
from mlserve_scoring.scorers import tasks
from mlserve_scoring.scorers.lanes import InterruptedRun, Lanes, _Job
from mlserve_scoring.scripts.own_loop import own_loop


def test_a_call_is_answered_while_the_next_one_runs():
    """Short calls are answered in groups, and yet none waits for a long call behind it."""
    release = threading.Event()

    async def run():
        loop = asyncio.get_running_loop()
        lanes = Lanes(loop, count=1, max_waiting=10, timeout_s=60)
        first: asyncio.Future[object] = loop.create_future()
        second: asyncio.Future[object] = loop.create_future()
        lanes.submit(lambda: "short", first.set_result)
        lanes.submit(lambda: release.wait(30), second.set_result)
        answers = [await asyncio.wait_for(first, 10), second.done()]
        release.set()
        answers.append(await asyncio.wait_for(second, 10))
        lanes.close()
        return answers

    answers = asyncio.run(run())

    assert ["short", False, True] == answers


def test_calls_given_before_the_end_of_a_turn_survive_the_close():
    """Closing hands out what was not handed out yet, so that everybody is answered."""

    async def run():
        loop = asyncio.get_running_loop()
        lanes = Lanes(loop, count=2, max_waiting=10, timeout_s=60)
        futures: list[asyncio.Future[object]] = [loop.create_future() for _ in range(5)]
        for number, future in enumerate(futures):
            lanes.submit(lambda number=number: number, future.set_result)
        lanes.close()
        return await asyncio.wait_for(asyncio.gather(*futures), 10)

    assert [0, 1, 2, 3, 4] == asyncio.run(run())


def test_the_last_answer_before_a_close_is_told_though_one_was_told_just_now():
    """Else a thread leaves that to the loop, which looks every few milliseconds, but not after the close."""

    async def run():
        loop = asyncio.get_running_loop()
        lanes = Lanes(loop, count=1, max_waiting=1, timeout_s=60)
        future: asyncio.Future[object] = loop.create_future()
        lanes.submit(lambda: "answer", future.set_result)
        lanes._told = time.monotonic() + 600
        lanes.close()
        return await asyncio.wait_for(future, 60)

    assert "answer" == asyncio.run(run())


@pytest.fixture
def calls(monkeypatch):
    """The calls of asynchronous scripts, as they are made."""
    made = []

    class Call(tasks._Call):
        def __init__(self, work, done):
            super().__init__(work, done)
            made.append(self)

    monkeypatch.setattr(tasks, "_Call", Call)
    return made


def stalled_until(fact):
    """Keep the loop from going on until something holds."""
    end = time.monotonic() + 60
    while not fact():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.001)


def test_a_call_that_ended_during_a_stall_is_not_late():
    """The loop may look at the times before it hears of what ended meanwhile."""

    async def run():
        loop = asyncio.get_running_loop()
        lanes = Lanes(loop, count=1, max_waiting=1, timeout_s=60)
        future: asyncio.Future[object] = loop.create_future()
        lanes.submit(lambda: "answer", future.set_result)
        (job,) = lanes._open
        lanes._hand_out()
        stalled_until(lambda: lanes._ended)
        job.started -= 61
        lanes._check_times()
        lanes.close()
        return await asyncio.wait_for(future, 60)

    assert "answer" == asyncio.run(run())


def test_an_awaited_call_that_ended_during_a_stall_is_not_late(calls):
    """As on threads; nor is what is awaited beside it interrupted in its place."""

    async def run():
        loop = asyncio.get_running_loop()
        awaiting = tasks.Tasks(loop, count=1, max_waiting=1, timeout_s=60)
        awaiting.start()
        future: asyncio.Future[object] = loop.create_future()

        async def work():
            return "answer"

        awaiting.submit(work, future.set_result)
        (call,) = calls
        stalled_until(lambda: call.ended)
        awaiting._too_late(call)
        awaiting._abandon(call)
        answer = await asyncio.wait_for(future, 60)
        awaiting.close()
        await loop.run_in_executor(None, awaiting._thread.join, 60)
        awaiting._own.close()
        return answer, awaiting.is_stuck

    assert ("answer", False) == asyncio.run(run())


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, asyncio.CancelledError])
def test_whatever_an_awaited_call_raises_the_next_one_is_awaited(kind):
    """Two of them come out of the loop as well, which is then run again."""

    async def bad():
        await asyncio.sleep(0)
        raise kind

    async def good():
        return "answer"

    async def run():
        loop = asyncio.get_running_loop()
        awaiting = tasks.Tasks(loop, count=1, max_waiting=1, timeout_s=600)
        awaiting.start()
        futures: list[asyncio.Future[object]] = [loop.create_future() for _ in range(2)]
        for work, future in zip((bad, good), futures, strict=True):
            awaiting.submit(work, future.set_result)
        answers = await asyncio.wait_for(asyncio.gather(*futures), 60)
        awaiting.close()
        await loop.run_in_executor(None, awaiting._thread.join, 60)
        awaiting._own.close()
        return answers

    error, answer = asyncio.run(run())

    assert kind is type(error)
    assert answer == "answer"


def test_a_call_that_has_begun_is_not_taken_back():
    """It is held to its own time then: answered as one that never began, it could run for ever."""
    begun, release = threading.Event(), threading.Event()
    running, waiting = (_Job(lambda: begun.set() or release.wait(60), lambda _: None) for _ in range(2))
    thread = threading.Thread(target=running.run)
    thread.start()
    begun.wait(60)
    told = (running.cancel(), waiting.cancel())
    release.set()
    thread.join()

    assert (False, True) == told


def test_an_interruption_before_the_first_step_of_a_call_ends_the_call_alone():
    """A thread that waited for the processor so long that its call was late must not die of it."""

    class Late:
        def __init__(self):
            self.lock = threading.Lock()
            self.left = 0

        def __enter__(self):
            self.lock.acquire()

        def __exit__(self, *_):
            self.lock.release()
            self.left += 1
            if self.left == 1:
                raise InterruptedRun

    job = _Job(lambda: "answer", lambda _: None)
    job._lock = Late()
    result = job.run()

    assert isinstance(result, InterruptedRun)
    assert not job.is_running


def test_an_answer_that_cannot_be_given_keeps_nobody_waiting():
    """Calls that ended with it are answered, and later ones too."""

    def broken(_result):
        raise ValueError("no tensors")

    async def run():
        loop = asyncio.get_running_loop()
        lanes = Lanes(loop, count=1, max_waiting=10, timeout_s=60)
        futures: list[asyncio.Future[object]] = [loop.create_future() for _ in range(2)]
        lanes.submit(lambda: 1, broken)
        lanes.submit(lambda: 2, futures[0].set_result)
        answers = [await asyncio.wait_for(futures[0], 20)]
        lanes.submit(lambda: 3, futures[1].set_result)
        answers.append(await asyncio.wait_for(futures[1], 20))
        lanes.close()
        return answers, lanes.waiting

    assert ([2, 3], 0) == asyncio.run(run())


def test_every_thread_of_a_script_has_a_loop_of_its_own():
    """v1's one thread was the main one, where asyncio makes a loop; it is closed when the thread ends."""

    async def five():
        return 5

    def run():
        loop = asyncio.get_event_loop()
        together.wait(30)  # so that each call has a thread of its own
        return loop, loop.run_until_complete(five()), asyncio.run(five())

    together = threading.Barrier(2)

    async def twice(lanes, work):
        loop = asyncio.get_running_loop()
        futures: list[asyncio.Future[object]] = [loop.create_future() for _ in range(2)]
        for future in futures:
            lanes.submit(work, future.set_result)
        return await asyncio.wait_for(asyncio.gather(*futures), 60)

    async def both():
        loop = asyncio.get_running_loop()
        lanes = Lanes(loop, count=2, max_waiting=10, timeout_s=60, around=own_loop)
        answers = await twice(lanes, run)
        threads = await twice(lanes, lambda: together.wait(30) < 2 and threading.current_thread())
        lanes.close()
        for thread in threads:
            await loop.run_in_executor(None, thread.join, 30)
        return answers

    (first, *some), (second, *others) = asyncio.run(both())

    assert [5, 5] == some == others
    assert first is not second
    assert first.is_closed()
    assert second.is_closed()


def test_nothing_of_an_interrupted_call_is_on_the_loop_of_the_next():
    """Neither its coroutines go on while another request is answered, nor does that one end before its time."""
    steps, begun = [], threading.Event()

    async def endless():
        while True:
            steps.append(asyncio.get_running_loop())
            begun.set()
            await asyncio.sleep(0)

    async def short():
        for _ in range(20):
            await asyncio.sleep(0)
        return "answer"

    def given(main):
        loop = asyncio.get_event_loop()
        return loop, loop.run_until_complete(main())

    async def run():
        loop = asyncio.get_running_loop()
        lanes = Lanes(loop, count=1, max_waiting=10, timeout_s=60, around=own_loop)

        def asked(main):
            future = loop.create_future()
            lanes.submit(lambda: given(main), future.set_result)
            return asyncio.wait_for(future, 60)

        interrupted = asked(endless)
        await loop.run_in_executor(None, begun.wait, 60)
        lanes._timeout_s = 0.05  # of this call alone: the others may have to wait for the processor
        late = await interrupted
        lanes._timeout_s = 60
        again = await asked(short)
        so_far = len(steps)
        more = await asked(short)
        lanes.close()
        return late, again, more, so_far

    late, (first, one), (second, two), so_far = asyncio.run(run())

    assert isinstance(late, ScoringTimeoutError)
    assert ["answer", "answer"] == [one, two]
    assert first is second  # a loop is made anew for what was interrupted alone
    assert {id(first)}.isdisjoint(map(id, steps))
    assert len(steps) == so_far


def test_a_loop_that_takes_itself_for_running_is_left(monkeypatch):
    """The thread goes on with another one."""
    with own_loop():
        loop = asyncio.get_event_loop()
        monkeypatch.setattr(loop, "is_running", lambda: True)
        asyncio.events._set_running_loop(loop)

    with own_loop():
        assert asyncio.get_event_loop().run_until_complete(asyncio.sleep(0, "answer")) == "answer"
    monkeypatch.undo()
    loop.close()
