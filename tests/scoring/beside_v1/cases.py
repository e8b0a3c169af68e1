"""What both servers are asked, script by script."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import quote

JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Case:
    """One request.

    Attributes:
        name: Of the case, unique in all.
        body: A text or bytes as they are, anything else as JSON.
    """

    name: str
    body: object = None
    method: str = "POST"
    path: str = "/score"
    headers: dict[str, str] = field(default_factory=lambda: dict(JSON))

    @property
    def data(self) -> bytes | None:
        """The body as bytes."""
        if self.body is None:
            return None
        if isinstance(self.body, bytes):
            return self.body
        return (self.body if isinstance(self.body, str) else json.dumps(self.body)).encode()


RESULTS = r"""
import asyncio
import datetime
import json

import numpy as np
import pandas as pd


def init():
    pass


class Own:
    pass


KINDS = {
    "text": lambda: "words",
    "text with marks": lambda: 'a "quote", é and \n',
    "encoded": lambda: json.dumps({"a": [1]}),
    "dict": lambda: {"a": 1, "b": [True, None, 1.5]},
    "list": lambda: [1, 2, 3],
    "empty list": lambda: [],
    "tuple": lambda: (1, "two"),
    "int": lambda: 7,
    "big int": lambda: 2**60,
    "float": lambda: 0.1,
    "true": lambda: True,
    "none": lambda: None,
    "nested none": lambda: {"a": None},
    "float64": lambda: np.float64(2.5),
    "flask form": lambda: ("text", 418),
    "number keys": lambda: {1: "a"},
    "unicode": lambda: {"ключ": "värde"},
    "nan": lambda: float("nan"),
    "infinity": lambda: [float("inf")],
    "array": lambda: np.array([[1.5, 2.0]]),
    "float32": lambda: np.float32(1.5),
    "int64": lambda: np.int64(3),
    "bool_": lambda: np.bool_(True),
    "frame": lambda: pd.DataFrame({"a": [1, 2]}),
    "series": lambda: pd.Series([1, 2]),
    "datetime": lambda: datetime.datetime(2019, 5, 31, 12, 30),
    "bytes": lambda: b"abc",
    "set": lambda: {1},
    "own": Own,
    "of the thread's loop": lambda: asyncio.get_event_loop().run_until_complete(asyncio.sleep(0, 5)),
    "keys of all kinds": lambda: {1.5: 1, True: 2, None: 3, float("nan"): 4, 2**70: 5, np.float64(2.5): 6, 1e30: 7},
    "numpy keys": lambda: dict(zip(np.array([0, 1]), [0.25, 0.75])),
    "date keys": lambda: {datetime.date(2019, 5, 31): 1},
    "tuple keys": lambda: {(1, 2): 3},
    "two keys alike": lambda: {1: "a", "1": "b"},
    "two columns alike": lambda: pd.DataFrame([[1, 2]], columns=["a", "a"]),
    "very big int": lambda: {"a": 2**70, "b": [-(2**70)]},
    "half a character": lambda: {"\ud83d": "a\ude00é"},
    "deep": lambda: json.loads("[" * 300 + "]" * 300),
    "span": lambda: datetime.timedelta(seconds=1),
    "raises": lambda: 1 / 0,
    "raises with a secret": lambda: (_ for _ in ()).throw(RuntimeError("password 1234")),
}


def run(data):
    return KINDS[data]()
"""

TEXT = """
def init():
    pass


def run(data):
    return {"got": data, "kind": type(data).__name__}
"""

HEADERS = """
def init():
    pass


def run(data, request_headers):
    wanted = ("X-Own", "Content-Type", "X-Ms-Client-Request-Id")
    return {name: request_headers.get(name) for name in wanted}
"""

NUMPY = """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0, 3.0]])))
@input_schema("scale", StandardPythonParameterType(2.0))
@output_schema(NumpyParameterType(np.array([6.0])))
def run(data, scale=2.0):
    return (data.sum(axis=1) * scale).tolist()
"""

PANDAS = """
import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

FRAME = pd.DataFrame({"age": [40], "income": [10.5], "sex": ["f"]})


def init():
    pass


@input_schema("Inputs", StandardPythonParameterType({"rows": PandasParameterType(FRAME, enforce_shape=False)}))
@input_schema("GlobalParameters", StandardPythonParameterType({"method": "predict"}))
@output_schema(StandardPythonParameterType({"Results": [1.5]}))
def run(Inputs, GlobalParameters):
    frame = Inputs["rows"]
    return {"Results": (frame["age"] + frame["income"]).tolist(), "columns": list(frame.columns)}
"""

SLOW = """
import time


def init():
    pass


def run(data):
    time.sleep(30)
"""

DECLARED = """
import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema

DATED = pd.DataFrame({"date": ["2020-01-01"], "v": [1]})


def init():
    pass


@input_schema("data", StandardPythonParameterType([1]))
@input_schema("weights", NumpyParameterType(np.array([1.0])))
@input_schema("more", NumpyParameterType(np.array([1.0])), optional=True)
@input_schema("options", StandardPythonParameterType({"method": "x"}), optional=True)
@input_schema("days", PandasParameterType(DATED, enforce_column_type=False))
@input_schema("rows", PandasParameterType(pd.DataFrame({"a": pd.Series(dtype="float64")})))
def run(data, weights=[1, 2], more=None, options=None, days=[{"date": "2020-05-01", "v": 1}], rows=[{"a": 1}]):
    month = int(days["date"].dt.month.iloc[0])
    return [type(weights).__name__, float(weights.sum()), repr(more), repr(options), month, rows["a"].tolist()]
"""

VALUES = """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema


def init():
    pass


@input_schema("data", NumpyParameterType(np.array([[1.0, 2.0]])))
@input_schema("opt", StandardPythonParameterType({"k": 1}))
def run(data=[[1.0, 2.0]], opt={"k": 0}, loose=None):
    return [repr(data), repr(opt), repr(loose), opt]
"""

RAW = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse


def init():
    pass


@rawhttp
def run(request):
    how = request.args.get("how", "")
    if how == "status":
        return AMLResponse("teapot", 418)
    if how == "json":
        return AMLResponse({"a": [1]}, 200, json_str=True)
    if how == "none":
        return AMLResponse(None, 200)
    if how == "headers":
        return AMLResponse("x", 200, response_headers={"X-Answer": "42"})
    if how == "failed":
        return AMLResponse("x", 503)
    if how == "said":
        return AMLResponse("x", 200, run_function_failed=True)
    if how == "value":
        return {"plain": request.method}
    if how == "raise":
        raise ValueError("no")
    if how == "key":
        return request.args["no"]
    if how in ("body", "forced"):
        return request.get_json(force=how == "forced")
    if how == "read":
        files = {name: [(file.filename, file.mimetype, file.content_type, file.read().decode())
                        for file in request.files.getlist(name)] for name in request.files}
        return {
            "args": [request.args.get("n", default=5, type=int), request.args.getlist("n", type=int),
                     request.args.get("how", 1, int), list(request.args.items(multi=True))],
            "form": [request.form.get("a", type=float), request.form.to_dict(flat=False), len(request.data)],
            "values": [request.values.get("a"), request.values.getlist("n")],
            "files": files,
            "headers": [request.headers.get("X-N", 1, type=int), request.headers.get_all("x-n"),
                        dict(request.headers).get("X-N"), "X-N" in [name for name, _ in request.headers]],
            "routing": [request.endpoint, request.blueprint, request.blueprints, request.view_args,
                        request.routing_exception],
            "client": [request.user_agent.string, request.authorization.username, request.cookies.get("c", type=int),
                       request.accept_mimetypes.best_match(["text/html", "application/json"]),
                       request.referrer, list(request.access_route), request.is_secure],
            "environ": [request.environ["REQUEST_METHOD"], request.environ["PATH_INFO"], request.environ["HTTP_X_N"]],
        }
    if how.startswith("set "):
        response = AMLResponse("x", 200)
        exec(how[4:], {"r": response})
        said = [line for line in response.headers if line[0] not in ("Content-Length", "Content-Type")]
        response.headers["X-Answer"] = repr((response.status, response.mimetype, response.content_length, said))
        return response
    body = request.get_data(False)
    return AMLResponse(
        {"method": request.method, "size": len(body), "query": request.query_string.decode(), "path": request.path},
        200,
        json_str=True,
    )
"""

SET = (
    "r.status = '202 Accepted'",
    "r.status_code = 203; r.status = '404 Not Found'",
    "r.content_type = 'image/png'",
    "r.mimetype = 'text/csv'",
    "r.data = b'new'",
    "r.set_data('new'); r.headers.add('X-A', r.get_data(as_text=True))",
    "r.set_cookie('a', 'b c', httponly=True, samesite='lax'); r.delete_cookie('d')",
    "r.cache_control.no_cache = True; r.cache_control.max_age = 5",
    "r.set_etag('abc'); r.vary.add('Accept'); r.retry_after = 5",
    "r.headers.extend({'X-B': '3'}); r.headers.set('X-C', '4'); r.headers.setdefault('X-D', '5'); r.headers.pop('X-C')",
    "r.headers['x-ms-run-function-failed'] = True",
    "del r.content_length; r.response = iter(['a', 'b'])",
)
READ = {
    "X-N": "7",
    "Cookie": "c=1",
    "User-Agent": "ua/1",
    "Accept": "application/json",
    "Referer": "http://r/",
    "Authorization": "Basic dXNlcjpwYXNz",
}
PLAIN = {"Content-Type": "text/plain"}
FORM = {**READ, "Content-Type": "application/x-www-form-urlencoded"}
UPLOAD = {**READ, "Content-Type": "multipart/form-data; boundary=b"}
UPLOADED = '--b\r\nContent-Disposition: form-data; name="f"; filename="a.txt"\r\n\r\nabc\r\n--b--\r\n'

RESULT_KINDS = [line.split('"')[1] for line in RESULTS.splitlines() if line.startswith('    "') and '": ' in line]

VARIABLES = {"slow": {"SCORING_TIMEOUT_MS": "300"}}
"""What both servers are told, script by script, in v1's words."""

SCRIPTS: dict[str, tuple[str, list[Case]]] = {
    "results": (RESULTS, [Case(f"result: {kind}", kind) for kind in RESULT_KINDS]),
    "text": (
        TEXT,
        [
            Case("text: json", {"data": [1]}),
            Case("text: no json", "words", headers={}),
            Case("text: empty", ""),
            Case("text: no body"),
            Case("text: unicode", "schön"),
            Case("text: no utf-8", b"\xff\xfe"),
            Case("text: another type", "<a/>", headers={"Content-Type": "application/xml"}),
            Case("text: form", "a=1&b=2", headers={"Content-Type": "application/x-www-form-urlencoded"}),
            Case("text: get", method="GET", path="/score?a=1&b=x&a=2", headers={}),
            Case("text: get without query", method="GET", headers={}),
            Case("text: get json values", method="GET", path="/score?a=[1,2]&b=true&c=null&d=1.5", headers={}),
            Case("text: options", method="OPTIONS", headers={}),
            Case("health", method="GET", path="/", headers={}),
            Case("health: head", method="HEAD", path="/", headers={}),
            Case("health: post", method="POST", path="/", headers={}),
            Case("unknown path", method="GET", path="/nothing", headers={}),
            Case("slash behind", "x", path="/score/"),
            Case("put", "x", method="PUT"),
            Case("delete", method="DELETE"),
            Case("head of score", method="HEAD", headers={}),
            Case("swagger", method="GET", path="/swagger.json", headers={}),
            Case("swagger 3", method="GET", path="/swagger.json?version=3", headers={}),
            Case("swagger 3.1", method="GET", path="/swagger.json?version=3.1", headers={}),
            Case("swagger 9", method="GET", path="/swagger.json?version=9", headers={}),
            Case("ids: own", "x", headers={**JSON, "x-request-id": "own"}),
            Case("ids: client", "x", headers={**JSON, "x-ms-client-request-id": "client", "x-request-id": "own"}),
            Case("ids: old", "x", headers={**JSON, "x-ms-request-id": "old", "x-request-id": "own"}),
            Case(
                "ids: all",
                "x",
                headers={
                    **JSON,
                    "x-ms-request-id": "old",
                    "x-ms-client-request-id": "client",
                    "x-request-id": "own",
                    "TraceId": "trace",
                },
            ),
            Case("ids: own too long", "x", headers={**JSON, "x-request-id": "a" * 101}),
            Case("ids: client too long", "x", headers={**JSON, "x-ms-client-request-id": "a" * 101}),
            Case("ids: longest", "x", headers={**JSON, "x-request-id": "a" * 100}),
        ],
    ),
    "headers": (
        HEADERS,
        [
            Case("request_headers", "x", headers={**JSON, "X-Own": "1", "X-Ms-Client-Request-Id": "c"}),
            Case("request_headers: odd case", "x", headers={**JSON, "x-oWN": "1"}),
        ],
    ),
    "numpy": (
        NUMPY,
        [
            Case("numpy", {"data": [[1, 2, 3], [4, 5, 6]]}),
            Case("numpy: all parameters", {"data": [[1, 2, 3]], "scale": 3.0}),
            Case("numpy: whole number for a fraction", {"data": [[1, 2, 3]], "scale": 3}),
            Case("numpy: an extra key", {"data": [[1, 2, 3]], "more": 1}),
            Case("numpy: charset", {"data": [[1, 2, 3]]}, headers={"Content-Type": "application/json; charset=utf-8"}),
            Case("numpy: json of another name", {"data": [[1, 2, 3]]}, headers={"Content-Type": "application/x+json"}),
            Case("numpy: no type", {"data": [[1, 2, 3]]}, headers={}),
            Case("numpy: text", {"data": [[1, 2, 3]]}, headers={"Content-Type": "text/plain"}),
            Case("numpy: no json", "{"),
            Case("numpy: nan", '{"data": [[NaN, 1, 2]]}'),
            Case("numpy: empty", ""),
            Case("numpy: a list", [[1, 2, 3]]),
            Case("numpy: missing", {"scale": 1.0}),
            Case("numpy: width", {"data": [[1, 2]]}),
            Case("numpy: axes", {"data": [1, 2, 3]}),
            Case("numpy: words", {"data": [["a", "b", "c"]]}),
            Case("numpy: ragged", {"data": [[1, 2, 3], [1]]}),
            Case("numpy: null", {"data": None}),
            Case("numpy: wrong scale", {"data": [[1, 2, 3]], "scale": "x"}),
            Case("numpy: no rows", {"data": []}),
            Case("numpy: swagger", method="GET", path="/swagger.json", headers={}),
            Case("numpy: swagger 3", method="GET", path="/swagger.json?version=3", headers={}),
        ],
    ),
    "values": (
        VALUES,
        [
            Case("json: large numbers", {"opt": {"k": 2**70, "l": [-(2**63) - 1, 2**64]}, "loose": 2**90}),
            Case("json: large numbers by get", method="GET", path=f"/score?loose={2**70}&opt={{}}", headers={}),
            Case("json: a very long number", {"loose": 10**4_000}),
            Case("json: gaps", '{"data": [[NaN, -Infinity]], "loose": Infinity}'),
            Case("json: gaps by get", method="GET", path="/score?data=[[NaN,1]]", headers={}),
            Case("json: beyond a double", '{"loose": [1e999, -1e999]}'),
            Case("json: half a character", '{"opt": {"\\ud83d": "\\ude00"}, "loose": "\\ud83d"}'),
            Case("json: mark", b'\xef\xbb\xbf{"opt": {"k": 1}}'),
            Case("json: utf-16", '{"opt": {"k": "ü"}}'.encode("utf-16")),
            Case("json: utf-32", '{"opt": {"k": "ü"}}'.encode("utf-32")),
            Case("json: utf-16 without mark", '{"opt": {"k": "ü"}}'.encode("utf-16-le")),
            Case("json: 300 deep", '{"opt": {"k": ' + "[" * 300 + "]" * 300 + "}}"),
            Case("json: wrong after a gap", '{"data": [[NaN, 1]], "opt": nan}'),
            Case("json: a control sign", '{"loose": "a\tb"}'),
        ],
    ),
    "pandas": (
        PANDAS,
        [
            Case(
                "pandas: records",
                {
                    "Inputs": {"rows": [{"age": 1, "income": 2.5, "sex": "m"}]},
                    "GlobalParameters": {"method": "predict"},
                },
            ),
            Case(
                "pandas: two records in another order",
                {
                    "Inputs": {"rows": [{"income": 2.5, "sex": "m", "age": 1}, {"income": 3, "sex": "f", "age": 2}]},
                    "GlobalParameters": {"method": "predict"},
                },
            ),
            Case("pandas: missing parameter", {"Inputs": {"rows": []}}),
            Case("pandas: wrong kind", {"Inputs": {"rows": 3}, "GlobalParameters": {"method": "predict"}}),
            Case("pandas: swagger", method="GET", path="/swagger.json", headers={}),
        ],
    ),
    "declared": (
        DECLARED,
        [
            Case("declared: defaults", {"data": [1]}),
            Case("declared: nulls", {"data": [1], "more": None, "options": None}),
            Case("declared: empty", {"data": [1], "more": [], "options": {}}),
            Case("declared: empty text", {"data": [1], "options": ""}),
            Case("declared: given", {"data": [1], "weights": [3], "more": [2], "options": {"method": "y"}}),
            Case("declared: dates", {"data": [1], "days": [{"date": "2020-07-01", "v": 2}], "rows": [{"a": 2}]}),
            Case("declared: by query", method="GET", path="/score?data=[1]&more=null&weights=[1.5]", headers={}),
        ],
    ),
    "slow": (SLOW, [Case("slow", "x")]),
    "raw": (
        RAW,
        [
            Case("raw", b"\x00\x01\xff", headers={"Content-Type": "application/octet-stream"}),
            Case("raw: query", b"x", path="/score?a=1&a=2"),
            Case("raw: get", method="GET", path="/score?a=1", headers={}),
            Case("raw: options", method="OPTIONS", headers={}),
            *(
                Case(f"raw: {how}", b"x", path=f"/score?how={how}")
                for how in ("status", "json", "none", "headers", "failed", "said", "value", "raise", "key")
            ),
            *(Case(f"raw: {text}", b"x", path=f"/score?how={quote('set ' + text)}") for text in SET),
            Case("raw: read", b"x", path="/score?how=read&n=3&n=4", headers=READ),
            Case("raw: read a form", "a=1.5&n=9&b=2", path="/score?how=read&n=3", headers=FORM),
            Case("raw: read a file", UPLOADED, path="/score?how=read&n=x", headers=UPLOAD),
            Case("raw: json body", {"a": [1]}, path="/score?how=body"),
            Case(
                "raw: json body as text", {"a": [1]}, path="/score?how=forced", headers={"Content-Type": "text/plain"}
            ),
            Case("raw: no json", "{", path="/score?how=body"),
            Case("raw: no json type", "{}", path="/score?how=body", headers={"Content-Type": "text/plain"}),
        ],
    ),
}
