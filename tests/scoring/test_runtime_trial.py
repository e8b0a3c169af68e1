"""Trial verdicts: one bad script per mistake, each named by file and line, and what to do."""

from __future__ import annotations

import pytest
from scoring_kit import PATIENCE

RUN = "\ndef run(data):\n    return data\n"
INIT = "def init():\n    pass\n"
NUMPY = """
import json
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema

def init():
    pass

@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
@output_schema(NumpyParameterType(np.array([1.0])))
def run(data):
    return {answer}
"""


@pytest.mark.parametrize(
    ("script", "stage", "message", "line", "todo"),
    [
        ("import nothing_like_it" + RUN, "import", "ModuleNotFoundError: No module named 'nothing_like_it'", 1, "add "),
        (INIT + "def run(data:\n    pass", "import", "SyntaxError", 3, "correct the syntax"),
        ("\n\nraise SystemExit(4)", "import", "SystemExit: 4", 3, "do not end the process"),
        (RUN, "import", "has no init()", None, "define init()"),
        (INIT, "import", "has no run()", None, "define run(data)"),
        (INIT + "run = 3", "import", "run is no function, got int", None, "define run(data)"),
        (INIT + "def run(): pass", "import", "run() takes no parameter", 3, "add a parameter"),
        (INIT + "def run(*data): pass", "import", "run() cannot take positional-only", 3, "name its parameters"),
        (INIT + "def run(a, /): pass", "import", "run() cannot take positional-only", 3, "name its parameters"),
        (INIT + "def run(data, **more): pass", "import", "run() cannot take positional-only", 3, "name its parameters"),
        (INIT + "def run(request_headers): pass", "import", "run() takes nothing but request_headers", 3, "add a "),
        (INIT + "def run(a, b): pass", "import", "run() needs a second argument 'b'", 3, "give it a default"),
        ("async def init(): pass\ndef run(data): pass", "import", "init() is asynchronous", 1, "define it with def"),
        (
            "from azureml.contrib.services.aml_request import rawhttp\n"
            "from inference_schema.schema_decorators import input_schema\n"
            "from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType\n"
            + INIT
            + "@rawhttp\n@input_schema('data', StandardPythonParameterType(1))\ndef run(data): pass",
            "import",
            "run() has both @rawhttp and @input_schema",
            6,
            "keep one",
        ),
        (
            "def init():\n    open('model.pkl')" + RUN,
            "init",
            "init() raised FileNotFoundError",
            2,
            "Model.get_model_path",
        ),
        ("def init():\n    import sys; sys.exit('no')" + RUN, "init", "init() raised SystemExit: no", 2, "do not end"),
        ("def init():\n    import os; os._exit(9)" + RUN, "init", "the process ended while loading", None, "os._exit"),
        (NUMPY.format(answer="1 / 0"), "run", "sample 0: run() raised ZeroDivisionError", 13, "make run() answer"),
        (NUMPY.format(answer="object()"), "run", "sample 0: TypeError: run() returned a value of type", 10, "make"),
        (NUMPY.format(answer="'oh no'"), "output", "sample 0: the answer does not fit @output_schema", 10, "make"),
        (NUMPY.format(answer="data.tolist()"), "output", "sample 0: the answer does not fit", 10, "make"),
    ],
)
def test_each_mistake_has_its_message(image, trial, script, stage, message, line, todo):
    """With the file below the app root, the user's innermost line, and what to do."""
    verdict = trial(image({"sub/score.py": script}, entry="sub/score.py"))

    assert verdict["ok"] is False
    (problem,) = verdict["problems"]
    assert problem["message"].startswith(message)
    assert (problem["stage"], problem["file"], problem["line"]) == (stage, "sub/score.py", line)
    assert todo in problem["todo"]


def test_a_missing_entry_script_is_named(image, trial):
    """The manifest says one, the image has none."""
    (problem,) = trial(image())["problems"]

    assert problem["message"] == "there is no entry script 'score.py'"


def test_the_innermost_frame_of_the_users_code_is_named(image, trial):
    """Not the library's frame below it, not the entry script above it."""
    files = {
        "score.py": "import lib\ndef init(): lib.load()\ndef run(data): pass",
        "lib.py": "import json\ndef load():\n    json.loads('{')",
    }
    (problem,) = trial(image(files))["problems"]

    assert (problem["file"], problem["line"]) == ("lib.py", 3)


def test_all_failing_samples_are_told_at_once(image, trial):
    """One problem each; the good ones are no problem."""
    script = INIT + "def run(data):\n    if data == '1':\n        raise KeyError('a')\n    return int(data)"
    samples = [{"input": 1, "output": 1}, {"input": 2, "output": 2}, {"input": 3, "output": 4}, {"input": "x"}]
    problems = trial(image({"score.py": script}, samples=samples))["problems"]

    assert [text.split(":")[0] for text in (problem["message"] for problem in problems)] == [
        "sample 0",
        "sample 2",
        "sample 3",
    ]
    assert [problem["stage"] for problem in problems] == ["run", "output", "run"]
    assert problems[0]["line"] == 5


def test_a_good_script_gives_the_contract(image, trial):
    """Schemas and the answers to the samples; a text that holds JSON counts as what it holds."""
    verdict = trial(image({"score.py": NUMPY.format(answer="json.dumps(data.sum(axis=1).tolist())")}))

    assert (verdict["ok"], verdict["problems"], verdict["status"]) == (True, [], 0)
    assert verdict["contract"]["source"] == "decorators"
    assert verdict["contract"]["input"]["properties"]["data"]["items"]["items"] == {
        "type": "number",
        "format": "double",
    }
    assert verdict["samples"] == [{"input": {"data": [[1.0, 2.0]]}, "output": "[3.0]"}]
    assert 0 < verdict["seconds"] < PATIENCE


def test_samples_alone_give_a_contract(image, trial):
    """Of an undecorated script; outputs are compared within a tolerance."""
    script = "import json\n" + INIT + "def run(data):\n    return {'sum': sum(json.loads(data)['x']) + 1e-9}"
    verdict = trial(image({"score.py": script}), samples=[{"input": {"x": [1, 2.5]}, "output": {"sum": 3.5}}])

    assert verdict["ok"] is True
    assert verdict["contract"]["source"] == "samples"
    assert verdict["contract"]["output"]["properties"] == {"sum": {"type": "number"}}
    assert verdict["contract"]["samples"] == [{"input": {"x": [1, 2.5]}, "output": {"sum": 3.5}}]


def test_a_contract_holds_no_answer_that_only_came(image, trial):
    """Another processor, or the next second, may have another one: the image would be another one, too."""
    script = "import json, time\n" + INIT + "def run(data):\n    return {'x': json.loads(data)['x'], 'at': time.time()}"
    given = [{"input": {"x": [1, 2]}}, {"input": {"x": []}}]
    one, two = (trial(image({"score.py": script}), samples=given) for _ in range(2))

    assert one["samples"] != two["samples"]
    assert one["contract"] == two["contract"]
    assert given == one["contract"]["samples"]
    assert {"type": "array", "items": {"type": "number"}} == one["contract"]["input"]["properties"]["x"]


def test_without_samples_init_is_all(image, trial):
    """Nothing is known, and that is said."""
    verdict = trial(image({"score.py": INIT + RUN}))

    assert (verdict["ok"], verdict["contract"]["source"], verdict["samples"]) == (True, "none", [])


def test_megabytes_of_output_are_no_problem(image, trial):
    """Nor are prints at every stage."""
    script = "print('x' * 3_000_000)\ndef init(): print('y' * 100)\ndef run(data):\n    print('z')\n    return 1"
    verdict = trial(image({"score.py": script}, samples=[{"input": 1}]))

    assert verdict["ok"] is True
    assert len(verdict["output"]) > 3_000_000


def test_a_slow_sample_is_a_problem(image, trial):
    """The trial waits no longer than a service would, also for what cannot be interrupted."""
    script = "import time\n" + INIT + "def run(data):\n    time.sleep(600)"
    verdict = trial(image({"score.py": script}, samples=[{"input": 1}], timeout_ms=300))

    assert "Scoring timeout after 300 ms" in verdict["problems"][0]["message"]


def test_threads_of_the_script_do_not_keep_the_trial(image, trial):
    """It ends when the verdict is written."""
    script = "import threading, time\ndef init(): threading.Thread(target=time.sleep, args=(600,)).start()" + RUN

    assert trial(image({"score.py": script}))["ok"] is True
