import os
import sys
import time
import numpy as np
import onnxruntime
from inference_schema.schema_decorators import input_schema, output_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType


def init():
    global session, input_name, output_name
    model = os.path.join(os.getenv('AZUREML_MODEL_DIR'), 'model.onnx')
    session = onnxruntime.InferenceSession(model, None)
    input_name = session.get_inputs()[0].name
    output_name = session.get_outputs()[0].name


@input_schema('data', NumpyParameterType(np.array([[0.1, 0.2, 0.3]], dtype=np.float32)))
@output_schema(NumpyParameterType(np.array([0.5], dtype=np.float32)))
def run(data):
    start = time.time()
    result = session.run([output_name], {input_name: data})[0]
    print('took', time.time() - start, 's', file=sys.stderr)
    return result.ravel()
