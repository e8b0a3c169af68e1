"""The script that trains the quickstart's model."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest


@pytest.fixture
def train(repository, tmp_path):
    """Trains with an alpha into a file and returns its bytes."""

    def train(name: str, alpha: str) -> bytes:
        script = repository / "stacks" / "quickstart" / "train.py"
        subprocess.run([sys.executable, script, "--alpha", alpha, "--output", tmp_path / name], check=True)
        return (tmp_path / name).read_bytes()

    return train


def test_training_is_repeatable(train):
    """The same alpha gives the same bytes, another one gives others."""
    first, again, other = train("a.onnx", "0.4"), train("b.onnx", "0.4"), train("c.onnx", "1")

    assert first == again
    assert first != other


def test_committed_model_answers_the_sample(repository):
    """The model that is committed takes the sample request by the names that the services use."""
    quickstart = repository / "stacks" / "quickstart"
    data = json.loads((quickstart / "sample.json").read_text())["data"]
    session = onnxruntime.InferenceSession(quickstart / "model" / "ridge.onnx", providers=["CPUExecutionProvider"])

    (prediction,) = session.run(["prediction"], {"data": np.array(data, dtype=np.float32)})

    assert [193, 81] == [round(float(value)) for value in prediction.ravel()]
