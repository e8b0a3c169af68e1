"""Large requests: they are read and answered beside the event loop, and nothing else about them differs."""

from __future__ import annotations

import asyncio
import itertools
import json
import threading
import time

import numpy as np
import pytest
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.model_scorer import ModelScorer
from mlserve_scoring.routes import open_inference_infer
from mlserve_scoring.scorers.lanes import Lanes
from mlserve_scoring.transport.message import Request
from scoring_kit import PATIENCE
from served_kinds import write_kind

ROWS = 20_000


class Sums:
    """A model that tells on which threads it ran."""

    inputs = (Port("x", "float64", (None, 2)),)
    outputs = (Port("sum", "float64", (None,)),)
    sample = None

    def __init__(self):
        self.threads = []

    def run(self, inputs):
        """Return the sum of each row."""
        self.threads.append(threading.current_thread())
        return [inputs["x"].sum(axis=1)]


def asked(rows):
    """A request for so many rows."""
    headers = {b"content-type": b"application/json"}
    return Request("POST", "/score", headers=headers, body=json.dumps({"data": [[1.5, 2]] * rows}).encode())


def test_a_large_request_of_a_short_model_runs_on_a_thread():
    """The loop answers small ones itself; the answers are the same."""
    model = Sums()

    async def answered():
        loop = asyncio.get_running_loop()
        scorer = ModelScorer(model, loop)
        scorer.use_for_large(Lanes(loop, count=1, max_waiting=5, timeout_s=20))
        futures = [loop.create_future() for _ in range(4)]
        scorer.score(asked(1), futures[0].set_result)
        scorer.score(asked(ROWS), futures[1].set_result)
        scorer.infer({"x": np.ones((1, 2))}, futures[2].set_result)
        scorer.infer({"x": np.ones((ROWS, 2))}, futures[3].set_result)
        found = [await future for future in futures]
        scorer.close()
        return found

    one, many, one_inferred, many_inferred = asyncio.run(answered())
    on_loop = [thread is threading.main_thread() for thread in model.threads]

    assert [False, False, True, True] == sorted(on_loop)
    assert ({"sum": [3.5]}, {"sum": [3.5] * ROWS}) == (json.loads(one.body), json.loads(many.body))
    assert (1, ROWS) == (len(one_inferred.values[0]), len(many_inferred.values[0]))


@pytest.mark.parametrize("rows", [1, ROWS])
def test_tensors_are_read_on_a_thread_where_they_are_many(monkeypatch, rows):
    """What is wrong with them is said as always."""
    threads = []

    def read(request, inputs):
        threads.append(threading.current_thread())
        return real(request, inputs)

    real = open_inference_infer.read_request
    monkeypatch.setattr(open_inference_infer, "read_request", read)

    class Counting:
        def prepared(self, request, asked):
            return lambda done: done(open_inference_infer.Inferred({"n": asked.inputs["x"].array[:1]}, 0.5))

    async def replies():
        loop = asyncio.get_running_loop()
        handler = open_inference_infer.infer_handler(Counting(), {}, ())
        found = []
        for shape in ([rows, 2], [rows, 3]):
            future = loop.create_future()
            tensor = {"name": "x", "shape": shape, "datatype": "FP64", "data": [1.5] * (2 * rows)}
            body = json.dumps({"inputs": [tensor]}).encode()
            handler(Request("POST", "/infer", body=body), future.set_result)
            found.append(await future)
        return found

    good, wrong = asyncio.run(replies())

    assert [rows == 1] * 2 == [thread is threading.main_thread() for thread in threads]
    assert 200 == good.status
    assert [1.5, 1.5] == json.loads(good.body)["outputs"][0]["data"]
    assert (400, "inputs[0].") == (wrong.status, json.loads(wrong.body)["error"][:10])


@pytest.mark.parametrize("rows", [1, ROWS])
def test_a_service_answers_large_requests_like_small_ones(start_shared, tmp_path, rows):
    """At both routes."""
    service = start_shared(write_kind(tmp_path, "model"))
    values = [[1.0, 2.0, 3.0]] * rows
    tensor = {"name": "x", "shape": [rows, 3], "datatype": "FP32", "data": values}
    inferred = service.request("POST", "/v2/models/double/infer", json.dumps({"inputs": [tensor]}))

    assert {"y": [[2.0, 4.0, 6.0]] * rows} == service.score({"x": values}).json
    assert [2.0, 4.0, 6.0] * rows == inferred.json["outputs"][0]["data"]
    assert "[0]: expected 3 values, got 1" in service.score({"x": [[1.0]] * rows * 20}).message


def test_an_error_quotes_no_more_than_a_piece_of_a_large_body(start_shared, tmp_path):
    """Else the reply would be as large as the request."""
    service = start_shared(write_kind(tmp_path, "model"))
    for body in ({"params": [1] * 500_000, "x": [[1, 2, 3]]}, [{"z" * 500_000: 1}]):
        answer = service.score(body)

        assert 400 == answer.status
        assert len(answer.body) < 3_000


def test_others_get_their_turn_while_a_large_body_is_read():
    """Between the pieces, not after seconds."""

    class Total(Sums):
        def run(self, inputs):
            return [inputs["x"].sum(keepdims=True)[0]]  # a large answer is written in one go

    async def turns():
        loop = asyncio.get_running_loop()
        scorer = ModelScorer(Total(), loop)
        scorer.use_for_large(Lanes(loop, count=1, max_waiting=5, timeout_s=PATIENCE))
        answered, times = loop.create_future(), []
        scorer.score(asked(500_000), answered.set_result)
        while not answered.done():
            times.append(time.process_time())  # how long that takes is for a busy machine to say
            await asyncio.sleep(0.001)
        scorer.close()
        return answered.result(), [*times, time.process_time()]

    answer, times = asyncio.run(turns())
    longest = max(later - earlier for earlier, later in itertools.pairwise(times))

    assert {"sum": [3.5 * 500_000]} == json.loads(answer.body)
    assert longest < 0.5 * (times[-1] - times[0])  # a quarter; of a body that is read in one go, four fifths
