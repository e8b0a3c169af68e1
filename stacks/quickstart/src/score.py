"""An entry script as Azure ML SDK v1 documents it."""

import numpy as np
import onnxruntime
from azureml.core.model import Model
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema

SAMPLE_INPUT = np.array([[0.038, 0.051, 0.062, 0.022, -0.044, -0.035, -0.043, -0.003, 0.02, -0.018]])
SAMPLE_OUTPUT = np.array([193.2])


def init():
    global session
    session = onnxruntime.InferenceSession(Model.get_model_path("diabetes"), providers=["CPUExecutionProvider"])


@input_schema("data", NumpyParameterType(SAMPLE_INPUT))
@output_schema(NumpyParameterType(SAMPLE_OUTPUT))
def run(data):
    (prediction,) = session.run(["prediction"], {"data": data.astype(np.float32)})
    return prediction.ravel().tolist()
