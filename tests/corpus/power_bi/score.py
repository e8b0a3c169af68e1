import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema
import numpy as np


def init():
    pass


frame = PandasParameterType(pd.DataFrame({'age': [30], 'name': ['a']}))
scale = StandardPythonParameterType(1.5)
answer = NumpyParameterType(np.array([45.0]))


@input_schema('Inputs', frame)
@input_schema('GlobalParameters', scale, optional=True)
@output_schema(answer)
def run(Inputs, GlobalParameters=2.0):
    return (Inputs['age'] * GlobalParameters).tolist()
