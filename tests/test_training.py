"""The script that trains the quickstart's model."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest


@pytest.fixture
def train(repository, tmp_path):
    """Trains with an alpha, in a Python that orders sets by that seed, and returns the bytes."""

    def train(seed: int, alpha: str) -> bytes:
        name = f"{seed}.onnx"
        script = repository / "stacks" / "quickstart" / "train.py"
        command = [sys.executable, script, "--alpha", alpha, "--output", tmp_path / name]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": str(seed)})
        return (tmp_path / name).read_bytes()

    return train


def test_training_is_repeatable(train):
    """The same alpha gives the same bytes, another one gives others."""
    first, again, other = train(1, "0.4"), train(2, "0.4"), train(3, "1")

    assert first == again
    assert first != other


def test_committed_model_answers_the_sample(repository):
    """The model that is committed takes the sample request by the names that the services use."""
    quickstart = repository / "stacks" / "quickstart"
    data = json.loads((quickstart / "sample.json").read_text())["data"]
    session = onnxruntime.InferenceSession(quickstart / "model" / "ridge.onnx", providers=["CPUExecutionProvider"])

    (prediction,) = session.run(["prediction"], {"data": np.array(data, dtype=np.float32)})

    assert [193, 81] == [round(float(value)) for value in prediction.ravel()]
