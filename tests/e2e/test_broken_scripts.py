"""An entry script that cannot work is refused by the preview, with file and line, before anything is touched."""

from __future__ import annotations

import json
import re

import pytest
from engine import Stack
from programs import free_port, quickstart, replaced
from scoring_client import prediction

SECONDS = 120  # v1 told it after twenty minutes; here it takes two seconds, with room for a machine that is busy


@pytest.fixture(scope="module")
def serving(workspaces, stacks) -> tuple[Stack, str]:
    """A quickstart that serves, and its address."""
    workspace, ports = workspaces(), (free_port(), free_port())
    stack = workspace.stack(quickstart(stacks, workspace.folder / "stacks", ports))
    stack.up().ok()
    stack.up().ok()  # the first one makes the store, whose id the inputs then have
    return stack, f"http://127.0.0.1:{ports[0]}/score"


def known(stack: Stack) -> dict[str, str]:
    """What the state knows of each resource; ciphers are written anew by every update, whatever it does."""
    values = {name: [resource.get("inputs"), resource.get("outputs")] for name, resource in stack.resources().items()}
    return {name: re.sub(r'"ciphertext": "[^"]*"', "", json.dumps(value)) for name, value in values.items()}


@pytest.fixture
def script(serving):
    """The entry script, put back after the test; the service must have answered all the while."""
    stack, url = serving
    file = stack.program / "src" / "score.py"
    kept, before, answer = file.read_text(encoding="utf-8"), known(stack), prediction(url)
    yield file
    file.write_text(kept, encoding="utf-8")
    assert before == known(stack), "the state was touched"
    assert answer == prediction(url)


BROKEN = {
    "syntax error": ("def init():", "def init(:", ["score.py:13", "syntax"]),
    "no run": ("def run(data):", "def walk(data):", ["score.py:22: no run()"]),
    "no init": ("def init():", "def start():", ["score.py:22: no init()"]),
    "unknown import": (
        "import numpy as np",
        "import numpy as np\nimport tensorflow",
        ["score.py:4", "tensorflow", "env.yml"],
    ),
    "init raises": (
        "    global session\n",
        "    global session\n    {}['weights']\n",
        ["score.py:15", "KeyError", "weights"],
    ),
    "run raises": ("    return prediction", "    return predictions", ["score.py:22", "predictions"]),
    "answer does not match": ("prediction.ravel().tolist()", "{'answer': 'high'}", ["score.py", "output"]),
    "unknown model": (
        'get_model_path("diabetes")',
        'get_model_path("diabetis")',
        ["score.py:15", "diabetis", "diabetes"],
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_preview_refuses_a_script_that_cannot_work(serving, script, case):
    """Each mistake is told with its place, and nothing is touched."""
    old, new, told = BROKEN[case]
    replaced(script, old, new)

    preview = serving[0].preview()
    preview.failed()
    assert [] == [text for text in told if text not in preview.text], preview.text
    assert preview.seconds < SECONDS


def test_preview_tells_all_mistakes_at_once(serving, script):
    """Three mistakes of one script are three lines of one preview."""
    replaced(script, "import numpy as np", "import numpy as np\nimport tensorflow\nimport torch")
    replaced(script, "def run(data):", "def walk(data):")

    text = serving[0].preview().failed().text
    assert [] == [word for word in ("tensorflow", "torch", "run") if word not in text], text


def test_up_is_refused_like_the_preview(serving, script):
    """Without a preview, the update itself refuses before its first effect."""
    replaced(script, "    global session\n", "    global session\n    raise RuntimeError('no weights')\n")

    failed = serving[0].up().failed()
    assert "no weights" in failed.output
    assert "score.py:15" in failed.output


def test_a_script_that_takes_too_long_is_told_where_it_hangs(serving, script):
    """As long as the program allows, which leaves alone what is built."""
    stack = serving[0]
    replaced(stack.program / "__main__.py", 'conda_file="env.yml")', 'conda_file="env.yml", trial_seconds=4)')
    assert {} == stack.preview().ok().changes
    # Without libraries, whose imports count too and may be all that a busy machine has time for.
    script.write_text("def init():\n    import time; time.sleep(600)\ndef run(data): return data\n", encoding="utf-8")

    text = stack.preview().failed().text
    assert "init and the samples took more than 4 s" in text
    assert "in init at score.py:2; make them faster, raise trial_seconds" in text
    replaced(stack.program / "__main__.py", ", trial_seconds=4", "")


def test_a_mended_script_is_deployed(serving):
    """After the mistakes a working edit moves code layer and service, and only these."""
    stack, url = serving
    file = stack.program / "src" / "score.py"
    kept = file.read_text(encoding="utf-8")
    replaced(file, "prediction.ravel().tolist()", "[float(value) for value in prediction.ravel()]")

    preview = stack.preview().ok()
    assert {"Image diabetes", "LocalProcess diabetes", "ServiceRecord diabetes"} == set(preview.changes), preview.output
    assert [p for p in preview.step("Image diabetes").paths if p.startswith("layers")] == ["layers.code"]
    answer = prediction(url)
    stack.up().ok()
    assert answer == prediction(url)
    file.write_text(kept, encoding="utf-8")  # for the other tests, which a worker may run after this one
    stack.up().ok()
