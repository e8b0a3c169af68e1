"""The Open Inference Protocol with an entry script: tensors are its declared parameters."""

from __future__ import annotations

import json

import pytest
from grpc_kit import asked, client, outputs_of
from scoring_kit import JSON_HEADERS, write_image

SCRIPT = """
    import numpy as np
    import pandas as pd
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    def init():
        pass

    @input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]], dtype="float32")))
    @input_schema("frame", PandasParameterType(pd.DataFrame({"a": [1], "b": ["x"]})))
    @input_schema("name", StandardPythonParameterType("sum"))
    @output_schema(StandardPythonParameterType({"sums": NumpyParameterType(np.array([1.0], dtype="float32"))}))
    def run(data, frame, name, factor=1):
        if name == "fail":
            raise RuntimeError("secret")
        if name == "list":
            return data.sum(axis=1)
        if name == "stream":
            return (str(row) for row in range(3))
        rows = frame.to_dict("records")
        return {"sums": data.sum(axis=1) * factor, "words": [name], "rows": rows, "nan": [float("nan")]}
    """


@pytest.fixture(scope="module")
def service(start_shared, tmp_path_factory):
    """A script with declared parameters of several kinds."""
    return start_shared(write_image(tmp_path_factory.mktemp("script") / "root", {"score.py": SCRIPT}))


def infer(service, *inputs, path="/v2/models/diabetes/infer", **more):
    """Ask for an inference; inputs are (name, datatype, shape, data)."""
    entries = [dict(zip(("name", "datatype", "shape", "data"), entry, strict=True)) for entry in inputs]
    return service.request("POST", path, json.dumps({"inputs": entries, **more}))


DATA = ("data", "FP32", [2, 2], [1, 2, 3, 4])
FRAME = ("frame", "BYTES", [1], ['[{"a": 7, "b": "y"}]'])


def name(word):
    """The text parameter."""
    return ("name", "BYTES", [1], [word])


def test_the_log_calls_a_failure_what_the_reply_calls_it(service):
    """The id of the reply leads to the exception, also where the service has chosen it."""
    answer = infer(service, DATA, FRAME, name("fail"))

    assert 500 == answer.status
    service.wait_for_log(f"run() raised [{answer.headers['x-request-id']}")


def test_declared_parameters_are_the_inputs(service):
    """What is no tensor is JSON in one text; the model has the service's name."""
    told = service.get("/v2/models/diabetes").json

    assert ("diabetes", "mlserve_script") == (told["name"], told["platform"])
    assert [
        {"name": "data", "datatype": "FP32", "shape": [-1, 2]},
        {"name": "frame", "datatype": "BYTES", "shape": [1]},
        {"name": "name", "datatype": "BYTES", "shape": []},
        {"name": "factor", "datatype": "BYTES", "shape": [1]},
    ] == sorted(told["inputs"], key=lambda entry: ["data", "frame", "name", "factor"].index(entry["name"]))
    assert [{"name": "sums", "datatype": "FP32", "shape": [-1]}] == told["outputs"]


def test_an_answer_by_name_becomes_tensors(service):
    """Of the declared type where there is one; what is no tensor is its JSON."""
    answer = infer(service, DATA, FRAME, name("sum"), ("factor", "INT64", [1], [2]), id="7")

    assert 200 == answer.status, answer.body
    assert "7" == answer.json["id"]
    assert {
        "sums": ("FP32", [2], [6.0, 14.0]),
        "words": ("BYTES", [1], ["sum"]),
        "rows": ("BYTES", [1], ['[{"a":7,"b":"y"}]']),
        "nan": ("FP64", [1], [None]),
    } == {output["name"]: (output["datatype"], output["shape"], output["data"]) for output in answer.json["outputs"]}


def test_an_answer_without_names_is_one_tensor(service):
    """It is called ``output``."""
    answer = infer(service, DATA, FRAME, name("list"))

    assert [{"name": "output", "datatype": "FP64", "shape": [2], "data": [3.0, 7.0]}] == answer.json["outputs"]


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((DATA, FRAME), "A value is not provided for the 'name' parameter."),
        ((DATA, FRAME, name("sum"), ("more", "INT64", [1], [1])), "inputs[3].name: 'more' is no parameter"),
        ((("data", "FP32", [1, 3], [1, 2, 3]), FRAME, name("sum")), "data[0]: expected 2 values"),
        ((DATA, ("frame", "BYTES", [1], ["{"]), name("sum")), "inputs[1].data[0]: is no JSON"),
    ],
)
def test_what_does_not_fit_is_refused(service, inputs, message):
    """By the decorators too, with their words."""
    answer = infer(service, *inputs)

    assert 400 == answer.status
    assert message in answer.json["error"]


def test_a_script_that_fails_tells_nothing(service):
    """With 500, in the protocol's form."""
    answer = infer(service, DATA, FRAME, name("fail"))

    assert (500, "True") == (answer.status, answer.headers["x-ms-run-function-failed"])
    assert "secret" not in answer.json["error"]


@pytest.mark.parametrize(
    "script",
    [
        "def init(): pass\ndef run(data): return data",
        "from azureml.contrib.services.aml_request import rawhttp\ndef init(): pass\n@rawhttp\ndef run(r): return 1",
    ],
    ids=["text", "raw"],
)
def test_a_script_without_parameters_says_so(start, image, script):
    """Its metadata are empty, and a request is refused with the way out."""
    service = start(image({"score.py": script}))
    answer = infer(service, DATA)

    assert [] == service.get("/v2/models/diabetes").json["inputs"]
    assert 400 == answer.status
    assert "run() declares no parameters" in answer.json["error"]


ODD = """
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema

    def init():
        pass

    def deep(levels, value):
        for _ in range(levels):
            value = [value]
        return value

    @input_schema("data", StandardPythonParameterType({"what": "sample"}))
    @input_schema("word", StandardPythonParameterType("text"))
    def run(data, word):
        answers = {"half": [{"n": "\\ud800"}], "text": "\\ud800", "large": [{"n": 10**30}], "larger": [10**30]}
        answers |= {"deep": {"x": [deep(600, 1), 2]}, "deeper": deep(2000, 1)}
        return answers.get(data["what"], repr((data.get("n"), word)))
    """


@pytest.fixture(scope="module")
def odd(start_shared, tmp_path_factory):
    """A script that says what it got, or answers oddly."""
    return start_shared(write_image(tmp_path_factory.mktemp("odd") / "root", {"score.py": ODD}))


@pytest.mark.parametrize(
    ("what", "datatype", "data"),
    [
        ("half", "BYTES", ['[{"n":"\\ud800"}]']),
        ("text", "BYTES", ["\ud800"]),
        ("deep", "BYTES", [f"[{'[' * 600}1{']' * 600},2]"]),
        ("large", "BYTES", [f'[{{"n":{10**30}}}]']),
        ("larger", "BYTES", [f"[{10**30}]"]),
    ],
)
def test_whatever_run_returns_is_answered(odd, what, datatype, data):
    """A client waited for ever for a half character, or for what is nested deep; large numbers became fractions."""
    answer = infer(odd, ("data", "BYTES", [1], [json.dumps({"what": what})]), ("word", "BYTES", [1], ["x"]))

    assert 200 == answer.status, answer.body
    (output,) = answer.json["outputs"]
    assert (datatype, data) == (output["datatype"], output["data"])


def test_an_answer_nested_too_deep_is_a_failure(odd):
    """It is said, whatever cannot be done with it."""
    answer = infer(odd, ("data", "BYTES", [1], ['{"what": "deeper"}']), ("word", "BYTES", [1], ["x"]))

    assert (500, True) == (answer.status, bool(answer.json["error"]))


@pytest.mark.parametrize(
    "value",
    [
        "1",
        "123456789012345678901234567890",
        "NaN",
        "-Infinity",
        '"\\ud800"',
        "[[" * 150 + "]]" * 150,
        "0.1e1",
        '{"a": 1, "a": 2}',
    ],
)
def test_a_text_of_json_is_read_as_for_score(odd, value):
    """``run()`` gets what it would get from there: large numbers whole, NaN, halves of characters, what is deep."""
    text = f'{{"what": "value", "n": {value}}}'
    scored = odd.request("POST", "/score", f'{{"data": {text}, "word": "x"}}', JSON_HEADERS)
    inferred = infer(odd, ("data", "BYTES", [1], [text]), ("word", "BYTES", [1], ["x"]))

    assert (200, 200) == (scored.status, inferred.status), inferred.body
    assert [scored.json] == inferred.json["outputs"][0]["data"]


@pytest.mark.parametrize("text", ["", "{", "{} {}", '{}, "word": 1', "1}", "\ufeff{}"])
def test_a_text_that_is_more_or_less_than_json_is_refused(odd, text):
    """At its place; nothing of it becomes another parameter."""
    answer = infer(odd, ("data", "BYTES", [1], [text]), ("word", "BYTES", [1], ["x"]))

    assert 400 == answer.status
    assert "inputs[0].data[0]: is no JSON: " in answer.json["error"]


VALUES = """
    import json
    import numpy as np
    from azureml.contrib.services.aml_response import AMLResponse
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    def init():
        pass

    @input_schema("array", NumpyParameterType(np.array([1.5, 2.5])))
    @input_schema("list", StandardPythonParameterType([1.5]))
    @input_schema("number", StandardPythonParameterType(1.5))
    @input_schema("answer", StandardPythonParameterType("got"))
    @output_schema(StandardPythonParameterType({"fraction": 1.5}))
    def run(array, list, number, answer):
        if answer == "got":
            return repr((array.tolist(), list, number))
        if answer == "refused":
            return AMLResponse("no", 422)
        return json.loads(answer)
    """


@pytest.fixture(scope="module")
def values(start_shared, tmp_path_factory):
    """A script that says what it got, or answers what it is told to."""
    root = write_image(tmp_path_factory.mktemp("values") / "root", {"score.py": VALUES})
    return start_shared(root, grpc_port=0)


def given(numbers=(1.0,), number=1.0, answer="got", datatype="FP64"):
    """Inputs for that script."""
    list_of = (datatype, [len(numbers)], list(numbers))
    return {
        "array": list_of,
        "list": list_of,
        "number": (datatype, [1], [number]),
        "answer": ("BYTES", [1], [answer]),
    }


def infer_values(service, **inputs):
    """Ask over REST."""
    return infer(service, *((name, *tensor) for name, tensor in given(**inputs).items()))


@pytest.fixture(scope="module")
def called(values):
    """A client of its calls."""
    with client(values.wait("ready")["grpc_port"]) as one:
        yield one


ODD_NUMBERS = (float("inf"), float("-inf"), float("nan"), 1.5)


def test_infinities_and_nan_reach_a_script_as_from_score(values, called):
    """All were written as null: arrays got NaN, lists ``None``, and one number was refused."""
    told = repr((list(ODD_NUMBERS), list(ODD_NUMBERS), float("-inf")))
    body = {"array": ODD_NUMBERS, "list": ODD_NUMBERS, "number": float("-inf"), "answer": "got"}
    scored = values.request("POST", "/score", json.dumps(body), JSON_HEADERS)
    inferred = infer_values(values, numbers=ODD_NUMBERS, number=float("-inf"))
    answer = called.infer(asked(given(ODD_NUMBERS, float("-inf"))))

    assert told == scored.json
    assert (200, [told]) == (inferred.status, inferred.json["outputs"][0]["data"])
    assert {"output": ("BYTES", [], [told])} == outputs_of(answer)


def test_null_among_fractions_is_nan_to_a_script(values):
    """As it is in every tensor."""
    answer = infer_values(values, numbers=(None, 0.5), number=None, datatype="FP32")

    assert ["([nan, 0.5], [nan, 0.5], nan)"] == answer.json["outputs"][0]["data"]


@pytest.mark.parametrize(
    ("answer", "datatype", "data"),
    [
        (2**64 + 1, "BYTES", [f"{2**64 + 1}"]),
        ([2**64 - 1, 1], "UINT64", [2**64 - 1, 1]),
        ([[2**63], [2**63 - 1]], "UINT64", [2**63, 2**63 - 1]),
        ([2**63 + 1, -1], "BYTES", [f"[{2**63 + 1},-1]"]),
        ([2**53, None], "FP64", [2.0**53, None]),
        ([2**53 + 1, None], "BYTES", [f"[{2**53 + 1},null]"]),
        ([2**53 + 1, 0.5], "BYTES", [f"[{2**53 + 1},0.5]"]),
        ([[3, 0.5], [1e300, None]], "FP64", [3.0, 0.5, 1e300, None]),
        ([True, 1], "BYTES", ["[true,1]"]),
        ([True, None], "BYTES", ["[true,null]"]),
        ([True, 0.5], "BYTES", ["[true,0.5]"]),
        ([[True], [False]], "BOOL", [True, False]),
        ([1, "a"], "BYTES", ['[1,"a"]']),
        (["1", None], "BYTES", ['["1",null]']),
        (["1", "a"], "BYTES", ["1", "a"]),
        ([[1], [2, 3]], "BYTES", ["[[1],[2,3]]"]),
        ([], "FP64", []),
        ([0.5] * 2_000 + [2**53 + 1], "BYTES", [f"[{'0.5,' * 2_000}{2**53 + 1}]"]),
        ([0.5] * 2_000 + [True], "BYTES", [f"[{'0.5,' * 2_000}true]"]),
        ([0] * 2_000 + [True], "BYTES", [f"[{'0,' * 2_000}true]"]),
        ([0.5] * 2_000 + [1], "FP64", [0.5] * 2_000 + [1.0]),
    ],
)
def test_an_answer_is_a_tensor_only_where_that_bends_nothing(values, called, answer, datatype, data):
    """Large numbers became fractions, ``true`` became 1, and numbers beside a text became texts."""
    text = json.dumps({"it": answer})
    (inferred,) = infer_values(values, answer=text).json["outputs"]
    (sent,) = outputs_of(called.infer(asked(given(answer=text)))).values()

    assert (datatype, data) == (inferred["datatype"], inferred["data"])
    assert (datatype, len(data)) == (sent[0], len(sent[2]))


def test_whole_numbers_have_the_precision_that_is_declared(values):
    """The output is one of fractions, so a client reads it as such."""
    (output,) = infer_values(values, answer=json.dumps({"fraction": [2**64 + 1, 2**53 + 1]})).json["outputs"]

    assert ("FP64", [2.0**64, 2.0**53]) == (output["datatype"], output["data"])


def test_a_status_of_the_script_is_no_failure_here_either(values):
    """The header said that ``run()`` had failed, which ``/score`` denied."""
    body = json.dumps({"array": [1.0], "list": [1.0], "number": 1.0, "answer": "refused"})
    scored = values.request("POST", "/score", body, JSON_HEADERS)
    inferred = infer_values(values, answer="refused")

    assert (422, 422) == (scored.status, inferred.status)
    assert scored.headers["x-ms-run-function-failed"] == inferred.headers["x-ms-run-function-failed"]
