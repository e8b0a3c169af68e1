"""What ``strict_v1`` gives scripts and clients beyond what the comparison with v1's server asks."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from grpc_kit import asked, client
from mlserve_scoring.errors import (
    InvalidRequestError,
    ScoringTimeoutError,
    ScriptFailedError,
    UnsupportedContentError,
)
from mlserve_scoring.routes import failures, v1_replies
from mlserve_scoring.scorers.json_body import json_object
from mlserve_scoring.scripts import as_v1
from mlserve_scoring.transport.message import Request

JSON = {b"content-type": b"application/json"}
DECLARED = """
    import numpy as np
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.schema_decorators import input_schema

    def init():
        pass

    @input_schema("x", NumpyParameterType(np.array([1.0])))
    def run(x):
        return {"y": [1.5, float("nan")]}
"""
ASYNC = """
    def init():
        pass

    async def run(data):
        return {"text": float("nan"), "json": 1}[data]
"""


def request(body: bytes, headers=JSON) -> Request:
    """A request with a body."""
    return Request("POST", "/score", headers=headers, body=body)


def test_results_are_written_as_python_writes_them():
    """With NaN, escapes and blanks, so that clients that compare texts find the same."""
    assert b'{"a": [NaN, Infinity, 1.0], "b": "\\u00e9"}' == as_v1.written({"a": [math.nan, math.inf, 1.0], "b": "é"})
    assert b"{}" == as_v1.written(None)
    with pytest.raises(TypeError, match="ndarray is not JSON serializable"):
        as_v1.written([np.zeros(2)])


def test_numbers_that_are_no_json_reach_declared_parameters():
    """v1 read a body as Python does."""
    found = json_object(request(b'{"data": [NaN, -Infinity], "more": 1}'))

    assert math.isnan(found["data"][0])
    assert -math.inf == found["data"][1]
    assert 1 == found["more"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"{", "Expecting property name enclosed in double quotes: line 1 column 2"),
        (b"[NaN]", "should be a JSON dictionary"),
        (b"[1]", "should be a JSON dictionary"),
        (b"", "is empty"),
    ],
)
def test_bodies_that_are_none_are_told_in_pythons_words(body, text):
    """What v1 answered, word for word."""
    with pytest.raises(InvalidRequestError, match=text):
        json_object(request(body))


def test_content_type_counts_as_ever():
    """What says that it is no JSON is not read as such."""
    with pytest.raises(UnsupportedContentError):
        json_object(request(b"{}", {b"content-type": b"text/plain"}))


def test_whatever_a_script_raises_is_its_failure():
    """A mismatch was an exception like any, and so was a body that ``get_json()`` could not read."""
    wrong = InvalidRequestError("data[0]: expected a number")
    found = as_v1.failure(wrong)

    assert isinstance(found, ScriptFailedError)
    assert wrong is found.__cause__
    assert "data" not in str(found)


def test_late_run_is_told_with_its_cause_and_counted(start, image):
    """500 as v1 answered, and still a timeout to whoever watches."""
    late = ScoringTimeoutError("Scoring timeout after 5 ms")
    script = "import time\ndef init(): pass\ndef run(data):\n    time.sleep(600)"
    service = start(image({"score.py": script}), strict_v1=True, scoring_timeout_ms=100, metrics="open")
    answer = service.request("POST", "/score", "x")

    assert (500, 504) == (v1_replies.failed(late).status, failures.failed(late).status)
    assert v1_replies.failed(late).body == failures.failed(late).body
    assert (500, "Scoring timeout after 100 ms") == (answer.status, answer.message)
    assert "True" == answer.headers["x-ms-run-function-failed"]
    assert "mlserve_scoring_timeouts_total 1" in service.get("/metrics").body.decode()


def test_a_late_run_is_500_wherever_it_was_asked_for(start, image):
    """``/v2`` and gRPC said 504, though what does not fit was 500 there too."""
    script = """
        import time
        from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
        from inference_schema.schema_decorators import input_schema

        def init():
            pass

        @input_schema("n", StandardPythonParameterType(1))
        def run(n):
            time.sleep(600 * (n == 600))
            return n
        """
    service = start(image({"score.py": script}), strict_v1=True, scoring_timeout_ms=500, metrics="open", grpc_port=0)
    tensor = {"name": "n", "datatype": "INT64", "shape": [1], "data": [600]}
    answer = service.request("POST", "/v2/models/diabetes/infer", json.dumps({"inputs": [tensor]}))
    with client(service.wait("ready")["grpc_port"]) as called:
        late = called.failure("ModelInfer", asked({"n": ("INT64", [1], [600])}))

    assert (500, {"error": "Scoring timeout after 500 ms"}) == (answer.status, answer.json)
    assert "True" == answer.headers["x-ms-run-function-failed"]
    assert ("INTERNAL", "Scoring timeout after 500 ms") == (late.code().name, late.details())
    assert "mlserve_scoring_timeouts_total 2" in service.get("/metrics").body.decode()


def test_asynchronous_scripts_are_awaited_all_the_same(start, image):
    """v1 could not; what they return is written in its manner."""
    service = start(image({"score.py": ASYNC}), strict_v1=True)

    assert (200, b"NaN") == ((answer := service.request("POST", "/score", "text")).status, answer.body)
    assert 500 == service.request("POST", "/score", "other").status
    assert b"1" == service.request("POST", "/score", "json").body


def test_tensors_may_hold_what_is_no_json(start, image):
    """The protocol's clients are answered as without strict_v1, in which NaN is null."""
    root = image({"score.py": DECLARED})
    body = {"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1.0]}]}
    answers = [
        service.request("POST", "/v2/models/diabetes/infer", json.dumps(body), {"Content-Type": "application/json"})
        for service in (start(root, strict_v1=strict) for strict in (False, True))
    ]

    assert [200, 200] == [answer.status for answer in answers], answers[1].body
    assert answers[0].json["outputs"] == answers[1].json["outputs"]


def test_a_sample_may_be_answered_with_what_is_no_json(start, image):
    """The service is ready all the same."""
    script = "def init(): pass\ndef run(data):\n    return float('nan')"
    service = start(image({"score.py": script}, samples=[{"input": 1}]), strict_v1=True)

    assert b"NaN" == service.request("POST", "/score", "1").body
