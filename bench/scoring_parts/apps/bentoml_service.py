"""A BentoML service for one ONNX model."""

from __future__ import annotations

import os

import bentoml
import numpy as np
import onnxruntime


@bentoml.service(workers=1, threads=int(os.environ["THREADS"]), traffic={"timeout": 60})
class Bench:
    """Answers with onnxruntime."""

    def __init__(self) -> None:
        """Load the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])

    @bentoml.api(route="/score")
    def score(self, data: np.ndarray) -> np.ndarray:
        """Answer one request."""
        answer: np.ndarray = self.session.run(None, {"x": data.astype(np.float32)})[0]
        return answer
