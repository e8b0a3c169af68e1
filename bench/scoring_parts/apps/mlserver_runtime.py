"""A custom MLServer runtime for one ONNX model."""

from __future__ import annotations

import os

import onnxruntime
from mlserver import MLModel
from mlserver.codecs import NumpyCodec
from mlserver.types import InferenceRequest, InferenceResponse


class OnnxRuntime(MLModel):
    """Answers with onnxruntime."""

    async def load(self) -> bool:
        """Load the model."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])
        return True

    async def predict(self, payload: InferenceRequest) -> InferenceResponse:
        """Answer one request."""
        given = payload.inputs[0]
        (output,) = self._session.run(None, {given.name: NumpyCodec.decode_input(given).astype("float32")})
        return InferenceResponse(model_name=self.name, outputs=[NumpyCodec.encode_output("y", output)])
