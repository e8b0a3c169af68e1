"""One image for each kind of contract: a model, declared parameters of every type, samples alone, the raw request."""

from __future__ import annotations

import joblib
import pandas as pd
from onnx import TensorProto, helper, save
from scoring_kit import write_image
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

KEY = "k" * 32

DECLARED = """
    import datetime as dt
    import numpy as np
    import pandas as pd
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    def init():
        pass

    @input_schema("numbers", NumpyParameterType(np.array([[1.0, 2.0]])))
    @input_schema("frame", PandasParameterType(pd.DataFrame({"age": [41], "sex": ["f"]})))
    @input_schema("nested", StandardPythonParameterType({
        "inner": NumpyParameterType(np.array([1, 2])), "words": ["a"], "nothing": {}, "mixed": [1, "x"],
    }))
    @input_schema("day", StandardPythonParameterType(dt.date(2024, 2, 29)))
    @input_schema("flag", StandardPythonParameterType(True))
    @output_schema(StandardPythonParameterType({"sums": NumpyParameterType(np.array([1.5])), "count": 1}))
    def run(numbers, frame, nested, day, flag, factor=1):
        return {"sums": numbers.sum(axis=1), "count": len(frame)}
    """
TEXT = """
    import json

    def init():
        pass

    def run(data):
        return {"length": len(data)}
    """
PLAIN = """
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    def init():
        pass

    @input_schema("name", StandardPythonParameterType("Ada"))
    @input_schema("ages", StandardPythonParameterType([36]))
    @input_schema("options", StandardPythonParameterType({"loud": False, "times": 1}), optional=True)
    @output_schema(StandardPythonParameterType({"greeting": "Hello Ada", "count": 1}))
    def run(name, ages, options=None):
        return {"greeting": f"Hello {name}", "count": len(ages)}
    """
ENCODED = """
    import json
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    def init():
        pass

    @input_schema("data", StandardPythonParameterType([1]))
    @output_schema(StandardPythonParameterType({"count": 1}))
    def run(data):
        return json.dumps({"count": len(data)})
    """
RAW = """
    from azureml.contrib.services.aml_request import rawhttp
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    @rawhttp
    def run(request):
        return AMLResponse(str(len(request.get_data(False))), 200)
    """
SAMPLES = [{"input": {"data": [[1, "x", None]]}}, {"input": {"data": []}}]


def doubling(path):
    """Write a model that answers ``x`` [any, 3] twice as large."""
    graph = helper.make_graph(
        [helper.make_node("Add", ["x", "x"], ["y"])],
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


def table(path):
    """Write a scikit-learn model of a table with a column of texts and one of numbers."""
    frame = pd.DataFrame({"age": [20, 40, 60, 80], "sex": ["m", "f", "m", "f"]})
    columns = make_column_transformer((OneHotEncoder(), ["sex"]), remainder="passthrough")
    joblib.dump(make_pipeline(columns, LogisticRegression()).fit(frame, ["no", "no", "yes", "yes"]), path)
    return path


def write_kind(folder, kind):
    """Write the image of a kind and return its root."""
    if kind == "table":
        return write_image(folder / kind, entry=None, models=[("table", table(folder / "table.joblib"))])
    if kind == "model":
        return write_image(folder / kind, entry=None, models=[("double", doubling(folder / "double.onnx"))])
    scripts = {"declared": DECLARED, "samples": TEXT, "text": TEXT, "plain": PLAIN, "encoded": ENCODED, "raw": RAW}
    samples = {"samples": SAMPLES, "text": [], "raw": []}.get(kind)
    return write_image(folder / kind, {"score.py": scripts[kind]}, samples=samples)
