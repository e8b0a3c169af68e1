"""Wrong inputs: every one of a resource in one preview, each at its property path."""

from __future__ import annotations

import contextlib
import socket

import pytest
from programs import free_port, program, quickstart, replaced, tiny


def test_every_wrong_input_of_a_model_in_one_preview(workspace):
    """Name, path, framework, tags and resources are wrong at once: five lines, each at its property."""
    body = """
    RegisteredModel(
        "wrong",
        path="nothing.bin",
        name="not a name!",
        model_framework="Prolog",
        model_framework_version=7,
        tags={"area": 3},
        resource_configuration={"cpu": -1},
    )
    """
    failed = workspace.stack(program(workspace.folder / "program", body)).preview().failed()

    for path in ("path", "name", "modelFramework", "modelFrameworkVersion", "tags.area", "resourceConfiguration.cpu"):
        assert f"property {path} " in failed.text, f"{path}: {failed.text}"


@pytest.fixture
def sample(workspace, stacks):
    """A quickstart that is not deployed."""
    return quickstart(stacks, workspace.folder / "stacks", (free_port(), free_port()))


def test_every_wrong_input_of_an_image_in_one_preview(workspace, sample):
    """An image's wrong name, script, environment variable and trial are told together."""
    replaced(
        sample / "__main__.py",
        'entry_script="score.py", source_directory="src"',
        'name="A", entry_script="scores.py", source_directory="src", trial="perhaps", python_version="2.7"',
    )
    failed = workspace.stack(sample).preview().failed()

    for path in ("name", "entryScript", "trial", "pythonVersion"):
        assert f"property {path} " in failed.text, f"{path}: {failed.text}"


def test_every_wrong_setting_of_a_service_in_one_preview(workspace, sample):
    """Wrong numbers of a service are told together, each with what it was given."""
    text = (sample / "__main__.py").read_text(encoding="utf-8")
    head, _, tail = text.partition("service = LocalService(")
    wrong = "port=70000, cpu_cores=0, memory_gb=-1, scoring_timeout_ms=0, max_queue=-1)"
    (sample / "__main__.py").write_text(
        f'{head}service = LocalService("diabetes", image=image, {wrong}{tail.partition(")")[2]}', encoding="utf-8"
    )
    failed = workspace.stack(sample).preview().failed()

    for path in ("port", "cpuCores", "memoryGb", "scoringTimeoutMs", "maxQueue"):
        assert f"property {path} " in failed.text, f"{path}: {failed.text}"


def test_unknown_argument_is_refused_with_a_proposal(workspace):
    """A misspelt argument is no silent default."""
    body = 'RegisteredModel("wrong", path="model.bin", tag={"a": "b"})'
    failed = workspace.stack(program(workspace.folder / "program", body)).preview().failed()

    assert "'tag'" in failed.output
    assert "'tags'" in failed.output


def test_port_that_is_taken_is_told_in_the_preview(workspace, sample):
    """Another program's port is refused before anything is touched, and the holder is named."""
    text = (sample / "__main__.py").read_text(encoding="utf-8")
    port = int(text.partition("port=")[2].partition(")")[0])
    stack = workspace.stack(sample)
    with contextlib.closing(socket.socket()) as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        failed = stack.preview().failed()

    assert "property port " in failed.text, failed.text
    assert "python" in failed.text or "pytest" in failed.text, failed.text
    assert {} == stack.resources()


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("  - python=3.6.2", ["python", "3.6", "3.10"]),
        ("      - scikit-learn==0.20.0", ["scikit-learn", "0.20.0"]),
        ("      - no-such-package-of-anyone-7341", ["no-such-package-of-anyone-7341"]),
        ("    - broken: [", ["env.yml"]),
    ],
)
def test_environment_that_cannot_be_had_is_refused(workspace, sample, line, told):
    """Old Pythons, pins without wheels, unknown packages and broken files are refused by the preview, by name."""
    old = "  - python=3.11" if "python=" in line else "      - numpy"
    replaced(sample / "src" / "env.yml", old, line)
    failed = workspace.stack(sample).preview().failed()

    assert [] == [word for word in told if word not in failed.text], failed.text
    assert "condaFile" in failed.text, failed.text


def test_script_of_azure_ml_v1_runs_unmodified(workspace, sample):
    """The `sklearn.externals.joblib` of v1's samples is there for those who still import it."""
    replaced(
        sample / "src" / "score.py",
        "import onnxruntime\n",
        "import onnxruntime\nfrom sklearn.externals import joblib\n",
    )
    replaced(sample / "src" / "env.yml", "      - numpy\n", "      - numpy\n      - scikit-learn\n      - joblib\n")

    workspace.stack(sample).preview().ok()


def test_a_pickle_that_the_packages_cannot_load_is_refused(workspace):
    """The preview names model, file and package before the script is tried; nothing in the pickle runs."""
    folder = tiny(workspace.folder / "program", (free_port(), free_port()))
    replaced(folder / "__main__.py", 'path="weights.json"', 'path="price.pkl"')
    (folder / "price.pkl").write_bytes(b"cxgboost.sklearn\nXGBRegressor\n(tR.")
    failed = workspace.stack(folder).preview().failed()

    assert "property models[0] " in failed.text, failed.text
    assert "price.pkl cannot be loaded: no module named 'xgboost' in the environment" in failed.text
