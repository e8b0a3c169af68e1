"""The plain v1 script for an ONNX model."""

import json
import os

import numpy as np
import onnxruntime


def init() -> None:
    """Load the model."""
    global session  # noqa: PLW0603
    path = os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.onnx")  # noqa: PTH118
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


def run(raw_data: str) -> list[list[float]]:
    """Answer one request."""
    data = np.array(json.loads(raw_data)["data"], dtype=np.float32)
    return session.run(None, {"x": data})[0].tolist()
