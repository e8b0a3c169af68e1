import os
import joblib
import pandas as pd
from inference_schema.schema_decorators import input_schema, output_schema
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
import numpy as np

data_sample = PandasParameterType(pd.DataFrame({
    "age": pd.Series([34.0], dtype="float64"),
    "bmi": pd.Series([21.5], dtype="float64"),
    "smoker": pd.Series([False], dtype="bool"),
}))
input_sample = StandardPythonParameterType({"data": data_sample})
global_parameters = StandardPythonParameterType({"scale": 1.0})
output_sample = StandardPythonParameterType({"Results": NumpyParameterType(np.array([1.0]))})


def init():
    global model
    model_path = os.path.join(os.getenv("AZUREML_MODEL_DIR"), "model.pkl")
    model = joblib.load(model_path)


@input_schema("Inputs", input_sample)
@input_schema("GlobalParameters", global_parameters)
@output_schema(output_sample)
def run(Inputs, GlobalParameters):
    data = Inputs["data"]
    assert list(data.columns) == ["age", "bmi", "smoker"]
    result = model.predict(data) * GlobalParameters["scale"]
    return {"Results": result.tolist()}
