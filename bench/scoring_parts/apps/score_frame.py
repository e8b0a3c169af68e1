"""A v1 script that declares a table and answers with a scikit-learn pipeline."""

import os

import joblib
import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema, output_schema

sample = pd.DataFrame([{**{f"f{index}": 0.5 for index in range(8)}, "colour": "red"}])


def init() -> None:
    """Load the model."""
    global model  # noqa: PLW0603
    model = joblib.load(os.path.join(os.environ["AZUREML_MODEL_DIR"], "model.joblib"))  # noqa: PTH118


@input_schema("data", PandasParameterType(sample))
@output_schema(NumpyParameterType(np.array([0.5])))
def run(data: pd.DataFrame) -> list[float]:
    """Answer one request."""
    return model.predict(data).tolist()
