"""The stand-ins for v1's packages, as unmodified scripts use them."""

from __future__ import annotations

import base64
import datetime as dt
import importlib
import json
import subprocess
import sys
from decimal import Decimal
from types import ModuleType, SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest
from mlserve_scoring.errors import SchemaMismatchError
from mlserve_scoring.process import surroundings
from scoring_kit import runtime_environment

PATHS = """
    import os
    from azureml.core.model import Model

    def init():
        pass

    def run(data):
        if data == "env":
            starts = ("AZUREML_", "AML_", "SERVICE_", "OWN")
            return {name: value for name, value in os.environ.items() if name.startswith(starts)}
        if data == "cwd":
            return os.getcwd()
        try:
            return Model.get_model_path(*eval(data))
        except Exception as error:
            return f"{type(error).__name__}: {error}"
"""


def ask(service, data):
    """What the script answers."""
    return service.request("POST", "/score", data).json


def test_model_paths_are_v1s(start, image, tmp_path):
    """A file's path for a file, a folder's for a folder, the highest version unless one is given."""
    (tmp_path / "ridge.pkl").write_bytes(b"x")
    (tmp_path / "bundle").mkdir()
    root = image({"score.py": PATHS}, models=[("one", tmp_path / "ridge.pkl"), ("two", tmp_path / "bundle")])
    app = root / "var/azureml-app"
    (app / "azureml-models/one/10").mkdir()
    (app / "azureml-models/one/10/new.pkl").write_bytes(b"y")
    (app / "azureml-models/one/3").mkdir()
    (app / "local.pkl").write_bytes(b"z")
    service = start(root)

    assert ask(service, "'one',") == str(app / "azureml-models/one/10/new.pkl")
    assert ask(service, "'one', 1") == str(app / "azureml-models/one/1/ridge.pkl")
    assert ask(service, "'two',") == str(app / "azureml-models/two/1/bundle")
    assert ask(service, "'local.pkl',") == "local.pkl"
    assert ask(service, "'three',").startswith("ModelNotFoundException: Model three not found in cache at ")
    assert "models in this image: one, two" in ask(service, "'three',")
    assert "it has 1, 3, 10" in ask(service, "'one', 7")
    assert "expected one file or folder" in ask(service, "'one', 3")
    assert ask(service, "'one', '1'").startswith("TypeError: version must be a whole number")


def test_the_environment_is_v1s(start, image, tmp_path):
    """Variables and folders; a service's variables win over the image's, ours over both."""
    (tmp_path / "m.pkl").write_bytes(b"x")
    root = image(
        {"sub/score.py": PATHS},
        entry="sub/score.py",
        models=[("m", tmp_path / "m.pkl")],
        variables={"OWN": "image", "OWN2": "b"},
    )
    service = start(root, variables={"OWN": "service", "AML_APP_ROOT": "/wrong"})
    app = str(root / "var/azureml-app")
    variables = ask(service, "env")

    assert variables["AML_APP_ROOT"] == variables["AZUREML_SOURCE_DIRECTORY"] == ask(service, "cwd") == app
    assert variables["AZUREML_MODEL_DIR"] == f"{app}/azureml-models/m/1"
    assert variables["AZUREML_ENTRY_SCRIPT"] == "sub/score.py"
    assert variables["SERVICE_NAME"] == "diabetes"
    assert (variables["OWN"], variables["OWN2"]) == ("service", "b")


def test_local_modules_are_found(trial, image):
    """Beside the entry script and at the app root."""
    files = {
        "sub/score.py": "import beside, above\ndef init(): pass\ndef run(data): return beside.x + above.x",
        "sub/beside.py": "x = 1",
        "above.py": "x = 2",
    }

    assert trial(image(files, entry="sub/score.py", samples=[{"input": 0, "output": 3}]))["problems"] == []


def test_what_needs_a_workspace_is_refused_when_used(trial, image):
    """Importing works; the text says what to do instead."""
    script = """
        from azureml.core import Dataset, Environment, Experiment, Model, Run, Workspace
        from azureml.core.run import Run as Same
        from azureml.monitoring import ModelDataCollector

        def init():
            ModelDataCollector("m", identifier="inputs", feature_names=["a"]).collect([1])
            ModelDataCollector("m", designation="predictions").add_correlations([1], {})

        def run(data):
            name = data.strip('"')
            if name == "Workspace":
                Workspace.from_config()
            elif name == "Run":
                Same.get_context()
            else:
                Model(1)
    """
    verdict = trial(image({"score.py": script}, samples=[{"input": name} for name in ("Workspace", "Run", "Model")]))

    texts = [problem["message"] for problem in verdict["problems"]]
    assert len(texts) == 3
    assert all("Model.get_model_path(NAME)" in text for text in texts)
    assert verdict["output"].count("nothing is collected here, calls are accepted and ignored") == 1


def test_old_joblib_imports_work(tmp_path):
    """Beside a real scikit-learn; the real joblib stays as it is, and old pickles find its parts."""
    joblib.dump(np.arange(3), tmp_path / "a.joblib")
    code = f"""
import sys
from mlserve_scoring.process import surroundings
sys.meta_path.insert(0, surroundings.JoblibAlias())
from sklearn.externals import joblib
import sklearn.externals.joblib as same
import joblib as real
from sklearn.externals.joblib.numpy_pickle import NumpyArrayWrapper
assert joblib is same is real and real.__name__ == "joblib" == real.__spec__.name
assert NumpyArrayWrapper.__module__ == "joblib.numpy_pickle"
print(joblib.load({str(tmp_path / "a.joblib")!r}).sum())
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=runtime_environment(), capture_output=True, text=True, check=False
    )

    assert (done.stdout, done.stderr) == ("3\n", "")


def test_light_modules_import_nothing_heavy():
    """The image builder imports them; so does the start of every process."""
    code = """
import sys
import mlserve_scoring.contract, mlserve_scoring.manifest, mlserve_scoring.settings, mlserve_scoring.__main__
print(sorted({"uvloop", "httptools", "orjson", "numpy", "onnxruntime", "asyncio"} & set(sys.modules)))
"""
    done = subprocess.run(
        [sys.executable, "-c", code], env=runtime_environment(), capture_output=True, text=True, check=True
    )

    assert done.stdout == "[]\n"


def test_a_text_script_starts_without_numpy(start, image):
    """What a script does not need is not loaded."""
    heavy = "('numpy', 'pandas', 'onnxruntime', 'h2', 'google.protobuf')"
    script = f"import sys\ndef init(): pass\ndef run(data): return [n for n in {heavy} if n in sys.modules]"

    assert ask(start(image({"score.py": script})), "x") == []


def test_spark_types_without_spark_are_named_with_what_to_add(trial, image):
    """The place is the script's own line, not one of ours."""
    script = """
        import json
        from inference_schema.parameter_types.spark_parameter_type import SparkParameterType

        def init(): pass
        def run(data): return data
    """
    verdict = trial(image({"score.py": script}))
    (problem,) = verdict["problems"]

    assert ("score.py", 3, "import") == (problem["file"], problem["line"], problem["stage"])
    assert "ModuleNotFoundError: No module named 'pyspark'" == problem["message"]
    assert problem["todo"].startswith("add 'pyspark' to the environment")


@pytest.fixture
def spark(types, monkeypatch):
    """The stand-in's type for Spark's data frames, with as much of Spark as it asks; the real one needs Java."""

    class DataFrame:
        schema = SimpleNamespace(
            fields=[
                SimpleNamespace(name=name, dataType=SimpleNamespace(typeName=lambda kind=kind: kind))
                for name, kind in (("id", "long"), ("price", "double"), ("sum", "decimal"), ("day", "date"))
            ]
        )

    made = SimpleNamespace(createDataFrame=lambda rows, schema: rows)
    session = SimpleNamespace(builder=SimpleNamespace(getOrCreate=lambda: made))
    sql = ModuleType("pyspark.sql")
    sql.DataFrame, sql.SparkSession = DataFrame, session
    monkeypatch.setitem(sys.modules, "pyspark", ModuleType("pyspark"))
    monkeypatch.setitem(sys.modules, "pyspark.sql", sql)
    monkeypatch.syspath_prepend(str(surroundings.STANDINS))
    name = "inference_schema.parameter_types.spark_parameter_type"
    monkeypatch.delitem(sys.modules, name, raising=False)
    module = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    return module.SparkParameterType(DataFrame())


def test_json_becomes_what_spark_takes(spark):
    """Whole numbers for fractions, texts for dates and decimals; what is none is 400 with its place."""
    row = {"id": 1, "price": 2, "sum": "0.10", "day": "2024-02-29", "more": 1}
    plain = {"id": "x", "price": True, "day": None}

    assert [{**row, "price": 2.0, "sum": Decimal("0.10"), "day": dt.date(2024, 2, 29)}] == spark.deserialize_input(
        [row]
    )
    assert [plain, 5] == spark.deserialize_input([plain, 5])
    for name, value in (("day", "soon"), ("sum", "much")):
        with pytest.raises(SchemaMismatchError, match=f"{name}: expected (date|decimal), got '{value}'"):
            spark.deserialize_input([{name: value}])


@pytest.fixture(scope="module")
def types():
    """The stand-in's modules, imported as scripts do."""
    sys.path.insert(0, str(surroundings.STANDINS))
    try:
        from inference_schema import schema_decorators, schema_util  # noqa: PLC0415  # found only in here
        from inference_schema.parameter_types import (  # noqa: PLC0415
            abstract_parameter_type,
            numpy_parameter_type,
            pandas_parameter_type,
            standard_py_parameter_type,
        )
    finally:
        sys.path.remove(str(surroundings.STANDINS))

    class Types:
        Abstract = abstract_parameter_type.AbstractParameterType
        Numpy = numpy_parameter_type.NumpyParameterType
        Pandas = pandas_parameter_type.PandasParameterType
        Python = standard_py_parameter_type.StandardPythonParameterType
        input_schema = staticmethod(schema_decorators.input_schema)
        output_schema = staticmethod(schema_decorators.output_schema)
        util = schema_util

    return Types


def call(types, kind, value):
    """What a decorated function gets for a JSON value."""

    @types.input_schema("data", kind)
    def run(data):
        return data

    return run(data=json.loads(json.dumps(value)))


@pytest.mark.parametrize(
    ("sample", "value"),
    [
        (np.array([[1.0, 2.0]], dtype="float32"), [[1, 2], [3, 4.5]]),
        (np.array([True]), [True, False]),
        (np.array(["abc"]), ["x", "y"]),
        (np.array(["2020-01-01"], dtype="datetime64[s]"), ["2021-02-03T04:05:06"]),
        (np.zeros((1, 2, 3), dtype="uint8"), np.ones((4, 2, 3), dtype=int).tolist()),
    ],
)
def test_arrays_get_the_samples_type(types, sample, value):
    """And any length on the first axis."""
    array = call(types, types.Numpy(sample), value)

    assert array.dtype == sample.dtype
    assert array.shape[0] == len(value)


def test_structured_arrays_and_durations_are_read(types):
    """Rows as objects or arrays; durations as a number and a unit."""
    sample = np.array([("a", 1)], dtype=[("name", "U4"), ("age", "int32")])
    array = call(types, types.Numpy(sample), [{"name": "b", "age": 2}, ["c", 3]])
    durations = call(types, types.Numpy(np.array([1], dtype="timedelta64[D]")), ["3 days", "48 hours"])

    assert array.tolist() == [("b", 2), ("c", 3)]
    assert durations.tolist() == [dt.timedelta(3), dt.timedelta(2)]
    assert types.Numpy(sample).input_to_swagger()["example"] == [{"name": "a", "age": 1}]


@pytest.mark.parametrize(
    ("orient", "value"),
    [
        ("records", [{"a": 1, "b": "x"}, {"a": 2.5, "b": "y"}]),
        ("split", {"columns": ["a", "b"], "index": [0, 1], "data": [[1, "x"], [2.5, "y"]]}),
        ("index", {"0": {"a": 1, "b": "x"}, "1": {"a": 2.5, "b": "y"}}),
        ("columns", {"a": {"0": 1, "1": 2.5}, "b": {"0": "x", "1": "y"}}),
    ],
)
def test_frames_are_read_in_every_orientation(types, orient, value):
    """With the sample's types."""
    frame = call(types, types.Pandas(pd.DataFrame({"a": [1.0], "b": ["s"]}), orient=orient), value)

    assert frame["a"].tolist() == [1.0, 2.5]
    assert frame["b"].tolist() == ["x", "y"]
    assert frame["a"].dtype == "float64"


def test_frames_of_values_and_tables_are_read(types):
    """The other two orientations."""
    sample = pd.DataFrame({"a": [1], "b": [2]})
    table = json.loads(sample.to_json(orient="table"))
    values = call(types, types.Pandas(sample, enforce_column_type=False, orient="values"), [[1, 2], [3, 4]])

    assert values.to_numpy().tolist() == [[1, 2], [3, 4]]
    assert call(types, types.Pandas(sample, orient="table"), table).to_numpy().tolist() == [[1, 2]]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([{"a": 1}], "data: expected 2 columns, got 1 (missing b)"),
        ([{"a": 1, "b": "x", "c": 3}], "data: expected 2 columns, got 3 (unknown c)"),
        ([{"a": 1, "b": "x"}, {"a": "y", "b": "x"}], "data[1]['a']: is no float64"),
        (3, "data: expected an array or object, got a number"),
    ],
)
def test_frames_that_do_not_fit_are_refused_with_their_place(types, value, message):
    """Numbers of columns and their types; names are not checked, as in v1."""
    with pytest.raises(SchemaMismatchError) as caught:
        call(types, types.Pandas(pd.DataFrame({"a": [1.0], "b": ["s"]})), value)

    assert str(caught.value).startswith(message)


def test_frame_schemas_say_the_orientation_and_dates(types):
    """As Power BI reads them; whole numbers in a column of fractions do not make it one of whole numbers."""
    sample = pd.DataFrame({"a": [1.0], "when": pd.to_datetime(["2020-01-01"])})
    schema = types.Pandas(sample).input_to_swagger()

    assert schema["format"] == "pandas.DataFrame:records"
    assert schema["items"]["properties"]["a"] == {"type": "number", "format": "double"}
    assert schema["items"]["properties"]["when"] == {"type": "string", "format": "date-time"}
    assert schema["example"][0]["when"].startswith("2020-01-01T00:00:00")


@pytest.mark.parametrize(
    ("sample", "value", "expected"),
    [
        (1.5, 2, 2),
        ("s", "t", "t"),
        (b"x", base64.b64encode(b"\xff").decode(), b"\xff"),
        (bytearray(b"x"), base64.b64encode(b"\xff").decode(), bytearray(b"\xff")),
        (dt.date(2020, 1, 1), "2021-02-03", dt.date(2021, 2, 3)),
        (
            dt.datetime(2020, 1, 1),  # noqa: DTZ001  # samples rarely have a zone
            "2021-02-03T04:05:06Z",
            dt.datetime(2021, 2, 3, 4, 5, 6, tzinfo=dt.timezone.utc),
        ),
        (dt.time(1), "02:03:04", dt.time(2, 3, 4)),
        ({"a": 1}, {"a": 2, "b": 3}, {"a": 2, "b": 3}),
        ([1], [2, 3], [2, 3]),
    ],
)
def test_plain_values_are_read(types, sample, value, expected):
    """Dates, times and bytes travel as text."""
    assert call(types, types.Python(sample), value) == expected


@pytest.mark.parametrize(
    ("sample", "value", "message"),
    [
        (1, True, "data: expected int, got a boolean"),
        (1, 1.5, "data: expected int, got a number"),
        ("s", 1, "data: expected str, got a number"),
        ({"a": 1}, [1], "data: expected an object, got an array"),
        ([1], {"a": 1}, "data: expected an array, got an object"),
        (dt.date(2020, 1, 1), "soon", "data: is no date"),
        (dt.datetime(2020, 1, 1), "2020-01-01T00:00:00+99:99", "data: is no datetime"),  # noqa: DTZ001
        (dt.datetime(2020, 1, 1), "9" * 30, "data: is no datetime"),  # noqa: DTZ001
        (dt.time(1), "02:03:04+99:99", "data: is no time"),
    ],
)
def test_plain_values_of_another_type_are_refused(types, sample, value, message):
    """With the place."""
    with pytest.raises(SchemaMismatchError) as caught:
        call(types, types.Python(sample), value)

    assert str(caught.value).startswith(message)


def test_a_date_is_refused_without_dateutil_too(types, monkeypatch):
    """Which reads more forms of dates where it is installed."""
    monkeypatch.setitem(sys.modules, "dateutil", None)

    with pytest.raises(SchemaMismatchError, match="data: is no datetime"):
        call(types, types.Python(dt.datetime(2020, 1, 1)), "soon")  # noqa: DTZ001


def test_samples_may_be_nested(types):
    """An object that wraps a frame is the documented form for Power BI; the place goes all the way down."""
    kind = types.Python({"input1": types.Pandas(pd.DataFrame({"a": [1]})), "more": [types.Numpy(np.array([1.0]))]})
    inner = types.Python({"input1": types.Pandas(pd.DataFrame({"a": [1]}))})
    value = call(types, inner, {"input1": [{"a": 2}], "other": 1})

    assert value["input1"]["a"].tolist() == [2]
    assert value["other"] == 1
    with pytest.raises(SchemaMismatchError, match=r"^data\['input1'\]\[0\]\['a'\]: is no int64"):
        call(types, inner, {"input1": [{"a": "x"}]})
    assert kind.input_to_swagger()["properties"]["input1"]["items"]["properties"] == {
        "a": {"type": "integer", "format": "int64"}
    }


def test_users_may_define_their_own_kinds(types):
    """By v1's base class."""

    class Upper(types.Abstract):
        def deserialize_input(self, input_data):
            if not isinstance(input_data, str):
                raise TypeError("no text")
            return input_data.upper()

        def input_to_swagger(self):
            return {"type": "string", "example": "x"}

    class Word:
        pass

    kind = Upper(Word())

    assert call(types, kind, "abc") == "ABC"
    assert kind.supported_versions() == ["2.0", "3.0", "3.1"]
    with pytest.raises(SchemaMismatchError, match=r"^data: does not fit the declared sample, no text"):
        call(types, kind, 3)


def test_decorators_say_what_is_wrong(types):
    """At import, where the trial finds it."""
    with pytest.raises(ValueError, match="has no parameter 'other'"):
        types.input_schema("other", types.Python(1))(lambda data: data)
    with pytest.raises(ValueError, match="already declared"):
        types.output_schema(types.Python(1))(types.output_schema(types.Python(1))(lambda data: data))
    with pytest.raises(TypeError, match="must be a numpy array"):
        types.Numpy([1])
    with pytest.raises(ValueError, match="orient must be one of"):
        types.Pandas(pd.DataFrame(), orient="rows")


def test_decorated_functions_can_be_called_as_before(types):
    """By position or name, converted or not; schemas can be asked for."""

    @types.input_schema("scale", types.Python(1.5), convert_to_provided_type=False)
    @types.input_schema("data", types.Numpy(np.array([1])))
    @types.output_schema(types.Python([1.0]))
    def run(data, scale=2):
        """What it says."""
        return data * scale

    assert run([1, 2]).tolist() == [2, 4]
    assert run([3], scale=3).tolist() == [9]
    assert run.__doc__ == "What it says."
    assert types.util.is_schema_decorated(run)
    assert list(types.util.get_input_schema(run)["example"]) == ["scale", "data"]
    assert types.util.get_output_schema(run)["type"] == "array"


def test_v1s_own_decorators_are_understood(start, image):
    """A user who keeps the real packages has the same answers: declared parameters, 400, a contract."""
    files = {
        "inference_schema/__init__.py": "",
        "inference_schema/schema_util.py": """
            def is_schema_decorated(run):
                return hasattr(run, "declared")

            def get_input_schema(run):
                return {"type": "object", "properties": {"data": {"type": "integer"}}, "example": {"data": 3}}

            def get_output_schema(run):
                return {"type": "integer", "example": 6}
        """,
        "inference_schema/schema_decorators.py": """
            import functools

            def _deserialize_input_argument(value):
                if not isinstance(value, int):
                    raise ValueError("no int")
                return value

            def input_schema(function):
                @functools.wraps(function)
                def wrapper(data):
                    return function(_deserialize_input_argument(data))

                wrapper.declared = True
                return wrapper
        """,
        "score.py": """
            from inference_schema import schema_util
            from inference_schema.schema_decorators import input_schema

            def init():
                pass

            @input_schema
            def run(data):
                return 6 // (data - 1)
        """,
    }
    service = start(image(files))
    refused, failed = service.score({"data": "x"}), service.score({"data": 1})

    assert service.ask("status")["samples_answered"] == 1
    assert service.score({"data": 4}).json == 2
    assert (refused.status, refused.message) == (400, "The input does not fit the declared sample: no int")
    assert failed.status == 500
    assert service.get("/swagger.json").json["definitions"]["ServiceInput"]["example"] == {"data": 3}


def test_the_collector_of_v2_is_accepted(trial, image):
    """Scripts that collect go on; the log says once that nothing is kept."""
    script = """
        from azureml.ai.monitoring import Collector

        def init():
            global inputs, outputs
            inputs, outputs = Collector(name="model_inputs"), Collector(name="model_outputs", on_error=print)

        def run(data):
            context = inputs.collect([1])
            return outputs.collect([2], context).get_id() == context.get_id()
    """
    verdict = trial(image({"score.py": script}, samples=[{"input": 1, "output": True}]))

    assert verdict["problems"] == []
    assert verdict["output"].count("nothing is collected here, calls are accepted and ignored") == 1
