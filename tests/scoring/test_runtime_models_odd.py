"""A model without a script that gives what it should not fails that request alone: nobody waits for ever."""

from __future__ import annotations

import asyncio
import json
import logging
import sys

import cloudpickle
import numpy as np
import pytest
from mlserve_scoring.errors import InvalidRequestError, ResultError, ScoringError
from mlserve_scoring.models.loaded import Port
from mlserve_scoring.models.model_scorer import ModelScorer
from mlserve_scoring.observing.current import current_ids
from mlserve_scoring.routes.open_inference_infer import infer_handler
from mlserve_scoring.routes.open_inference_scorers import ModelInferring, tensors_of
from mlserve_scoring.scorers.lanes import Lanes
from mlserve_scoring.scorers.results import Answer
from mlserve_scoring.transport.message import Request
from scoring_kit import JSON_HEADERS, write_image

SOON_S = 30  # who waits longer is not answered at all
FORGETS, SCALAR, NO_PARTS, UNWRITABLE, RAISES, REFUSES, GOOD = 1, 2, 3, 4, 5, 6, 9
WAYS = {"one by one": {}, "shared runs": {"shares": True}, "threads": {"has_lanes": True}}


def refuse():
    """Refuse the input."""
    raise InvalidRequestError("6 is not liked here")


class Odd:
    """Gives two outputs, and to some rows what no model should give."""

    inputs = (Port("x", "float32", (None, 2)),)
    outputs = (Port("a", "float32", (None, 2)), Port("b", "float32", (None, 2)))
    sample = None

    def run(self, inputs):
        """Return the rows twice."""
        x = inputs["x"]
        second = {
            FORGETS: list,
            SCALAR: lambda: [np.float32(1)],
            NO_PARTS: lambda: [dict.fromkeys(range(len(x)), 1)],
            UNWRITABLE: lambda: [[{("a",): 1} if row[0] == UNWRITABLE else row.tolist() for row in x]],
            RAISES: lambda: [1 / 0],
            REFUSES: refuse,
            GOOD: lambda: [x],
        }
        return [x, *second[int(x[:, 0].min())]()]


def asked_for(value):
    """A body for each way to ask."""
    return json.dumps([[value, 0]]).encode()


def scorer_of(*, shares=False, has_lanes=False):
    """A scorer of the odd model; called on the loop."""
    loop = asyncio.get_running_loop()
    scorer = ModelScorer(Odd(), loop)
    scorer._shares = scorer._rows.shares = shares
    if has_lanes:
        scorer.use(Lanes(loop, count=1, max_waiting=99, timeout_s=SOON_S))
    return scorer


def together(begin, bodies, **options):
    """What all get who ask in one turn of the loop; ``begin`` gets a scorer and returns what asks."""

    async def happened():
        scorer = scorer_of(**options)
        ask, answers = begin(scorer), []
        for body in bodies:
            answers.append(asyncio.get_running_loop().create_future())
            ask(body, answers[-1].set_result)
        try:
            return await asyncio.wait_for(asyncio.gather(*answers), SOON_S)
        finally:
            scorer.close()

    return asyncio.run(happened())


def scoring(kind):
    """Asks as ``/score`` does; another type than the plain one is not read as plain rows."""

    def begin(scorer):
        return lambda body, done: scorer.score(
            Request("POST", "/score", headers={b"content-type": kind}, body=body), done
        )

    return begin


@pytest.mark.parametrize("odd", [FORGETS, SCALAR, NO_PARTS, UNWRITABLE])
@pytest.mark.parametrize("kind", [b"application/json", b"application/json; charset=utf-8"])
@pytest.mark.parametrize("way", WAYS)
def test_all_of_a_turn_are_answered_as_alone(way, kind, odd):
    """Whatever one of them gets: a 500 where it has no answer."""
    bodies = [asked_for(value) for value in (GOOD, odd, GOOD)]
    first, own, last = together(scoring(kind), bodies, **WAYS[way])
    alone = together(scoring(kind), [asked_for(odd)], has_lanes=True)[0]

    assert b'{"a":[[9.0,0.0]],"b":[[9.0,0.0]]}' == first.body == last.body
    assert (odd in {FORGETS, UNWRITABLE}) == isinstance(own, (ResultError, ValueError, TypeError))
    assert str(alone) == str(own) or alone.body == own.body


@pytest.mark.parametrize("odd", [FORGETS, SCALAR, NO_PARTS])
@pytest.mark.parametrize("way", WAYS)
def test_all_who_send_tensors_in_a_turn_are_answered(way, odd):
    """Also where the model runs on threads."""

    def begin(scorer):
        handler = infer_handler(ModelInferring(scorer), {"model_name": "m"}, tensors_of(Odd.inputs))
        return lambda body, done: handler(Request("POST", "/v2/models/m/infer", body=body), done)

    def body(value):
        data = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [value, 0]}
        return json.dumps({"inputs": [data]}).encode()

    replies = together(begin, [body(value) for value in (GOOD, odd, GOOD)], **WAYS[way])

    assert [200, 500 if odd == FORGETS else 200, 200] == [reply.status for reply in replies]
    assert [2, 2] == [len(json.loads(replies[number].body)["outputs"]) for number in (0, 2)]


@pytest.mark.parametrize("way", ["one by one", "shared runs"])
@pytest.mark.parametrize("kind", [b"application/json", b"application/json; charset=utf-8"])
def test_one_who_cannot_be_told_keeps_nobody_waiting(way, kind, caplog):
    """It is logged."""
    told = []

    def begin(scorer):
        ask = scoring(kind)(scorer)

        def asks(body, done):
            def tell(result):
                done(result)
                told.append(result)
                if len(told) == 1:
                    raise RuntimeError("the wire broke")

            ask(body, tell)

        return asks

    with caplog.at_level(logging.ERROR):
        answers = together(begin, [asked_for(GOOD)] * 3, **WAYS[way])

    assert [Answer] * 3 == [type(answer) for answer in answers]
    assert "the wire broke" in caplog.text


def test_what_cannot_be_read_is_told_whatever_it_raises(monkeypatch):
    """And those behind it are answered."""

    def read(_, request):
        if b"8" in request.body:
            raise OSError("the inside")
        if b"7" in request.body:
            raise InvalidRequestError("7 is not liked here")
        return {"x": np.array([[GOOD, 0]], "float32")}

    monkeypatch.setattr(ModelScorer, "_read", read)
    unusual = [b"[[%d, null]]" % number for number in (8, 7, 9)]
    unknown, wrong, good = together(scoring(b"application/json"), unusual)

    assert isinstance(unknown, ResultError)
    assert "the inside" not in str(unknown)
    assert "7 is not liked here" == str(wrong)
    assert b'{"a":[[9.0,0.0]],"b":[[9.0,0.0]]}' == good.body


@pytest.mark.parametrize("odd", [FORGETS, RAISES, REFUSES])
@pytest.mark.parametrize("way", ["one by one", "shared runs"])
def test_a_body_that_has_a_run_of_its_own_runs_the_model_once(monkeypatch, way, odd):
    """Whatever comes of it: a second run would cost as much, and fail again."""
    runs = []
    run = Odd.run
    monkeypatch.setattr(Odd, "run", lambda model, inputs: runs.append(1) or run(model, inputs))

    def on_the_lane(scorer):
        return lambda body, done: done(scorer.at_once([body])[0])

    answers = [*together(scoring(b"application/json"), [asked_for(odd)], **WAYS[way])]
    answers += together(on_the_lane, [asked_for(odd)], **WAYS[way])

    assert 2 == len(runs)
    assert 1 == len({(type(answer), str(answer)) for answer in answers})
    assert isinstance(answers[0], ScoringError)


@pytest.mark.parametrize("kind", [b"application/json", b"application/json; charset=utf-8"])
@pytest.mark.parametrize("way", WAYS)
def test_a_failed_run_of_its_own_is_logged_with_the_id_of_its_request(monkeypatch, way, kind):
    """However many came in one turn; of a run that several share nobody is named."""
    seen = []
    monkeypatch.setattr(logging.getLogger("mlserve.model"), "exception", lambda _: seen.append(current_ids().request))

    def begin(scorer):
        count = iter(range(9))

        def ask(body, done):
            headers = {b"content-type": kind, b"x-request-id": b"r-%d" % next(count)}
            scorer.score(Request("POST", "/score", headers=headers, body=body), done)

        return ask

    together(begin, [asked_for(value) for value in (RAISES, GOOD, RAISES)], **WAYS[way])

    assert ["r-0", "r-2"] == [own for own in seen if own]
    assert (way == "shared runs") == ("" in seen)


class Moody:
    """A classifier that gives probabilities of another number of targets than it gave its sample."""

    n_features_in_ = 2

    def fit(self, *_):
        """Do nothing; it marks an estimator."""
        return self

    def predict(self, rows):
        """Return the first column."""
        return np.asarray(rows)[:, 0]

    def predict_proba(self, rows):
        """Return one array a target, of one more where a row begins with a 1."""
        return [np.asarray(rows)] * (3 if (np.asarray(rows)[:, 0] == 1).any() else 2)


def test_a_service_answers_on_when_its_model_gives_other_outputs_than_it_said(start, tmp_path):
    """On the express lane, on the ordinary way and by tensors."""
    path = tmp_path / "m.pkl"
    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    try:
        path.write_bytes(cloudpickle.dumps(Moody()))
    finally:
        cloudpickle.unregister_pickle_by_value(sys.modules[__name__])
    service = start(write_image(tmp_path / "image", entry=None, models=[("m", path)]))
    tensor = {"name": "data", "shape": [1, 2], "datatype": "FP64", "data": [1, 0]}

    assert [500, 200] * 3 == [service.score([[value, 0]], timeout=SOON_S).status for value in (1, 0) * 3]
    assert 500 == service.request("POST", "/v2/models/m/infer", json.dumps({"inputs": [tensor]}), JSON_HEADERS).status
    assert 200 == service.score([[0, 0]], timeout=SOON_S).status
