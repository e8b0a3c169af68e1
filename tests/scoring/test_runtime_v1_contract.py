"""The scoring contract of azureml-inference-server-http, as v1 clients and scripts know it."""

from __future__ import annotations

import json
import re

import pytest
from scoring_kit import JSON_HEADERS, write_image

RESULTS = """
    import datetime, json
    import numpy as np
    import pandas as pd
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    class Own:
        pass

    def run(data):
        return {
            "str": lambda: json.dumps([1]),
            "dict": lambda: {"a": (1, 2.5), 3: True},
            "none": lambda: None,
            "nan": lambda: [float("nan"), float("inf"), np.float32("nan")],
            "tuple": lambda: ("text", 418),
            "ndarray": lambda: np.arange(4, dtype="int32").reshape(2, 2).T,
            "scalars": lambda: [np.float64(1.5), np.float32(0.1), np.int64(3), np.bool_(True)],
            "dates": lambda: [datetime.datetime(2020, 1, 2, 3), datetime.date(2020, 1, 2), pd.Timestamp("2020-01-02")],
            "frame": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", None]}),
            "odd": lambda: [{1}, b"ab", pd.Series([1, 2]), pd.NaT, np.array(["u"])],
            "big": lambda: [2**70, float("nan")],
            "own": lambda: Own(),
            "response": lambda: AMLResponse("teapot", 418, {"X-A": "b, c", "Date-Like": "Mon, 1 Jan"}),
            "failing": lambda: AMLResponse({"a": 1}, 503, json_str=True),
            "empty": lambda: AMLResponse(None, 200),
            "bytes": lambda: AMLResponse(b"\\xff\\x00", 200, {"Content-Type": "image/png"}),
            "raise": lambda: 1 / 0,
            "exit": lambda: exit(1),
        }[data]()
"""


POWER_BI = """
    import pandas as pd
    from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    rows = PandasParameterType(pd.DataFrame({{"age": [1.5]}}), enforce_shape=False)

    def init():
        pass

    @input_schema("GlobalParameters", StandardPythonParameterType({{"scale": 1.0}}), optional=True)
    @input_schema("Inputs", StandardPythonParameterType({{"data": rows}}))
    @output_schema(StandardPythonParameterType({sample}))
    def run(Inputs, GlobalParameters={{"scale": 2.0}}):
        values = [float(age) * GlobalParameters["scale"] for age in Inputs["data"]["age"]]
        return {returned}
"""


@pytest.fixture(scope="module")
def results(start_shared, tmp_path_factory):
    """A script that returns what it is asked for."""
    return start_shared(write_image(tmp_path_factory.mktemp("results") / "root", {"score.py": RESULTS}))


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("str", "[1]"),
        ("dict", {"a": [1, 2.5], "3": True}),
        ("none", {}),
        ("nan", [None, None, None]),
        ("tuple", ["text", 418]),
        ("ndarray", [[0, 2], [1, 3]]),
        ("scalars", [1.5, 0.1, 3, True]),
        ("dates", ["2020-01-02T03:00:00", "2020-01-02", "2020-01-02T00:00:00"]),
        ("frame", [{"a": 1, "b": "x"}, {"a": 2, "b": None}]),
        ("odd", [[1], "YWI=", [1, 2], None, ["u"]]),
        ("big", [2**70, None]),
    ],
)
def test_results_become_json(results, kind, body):
    """v1's forms stay, and what v1 failed on is written too; text is encoded twice, NaN is null."""
    answer = results.request("POST", "/score", kind)

    assert (answer.status, answer.json) == (200, body)
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-ms-run-function-failed"] == "False"
    assert re.fullmatch(r"\d+\.\d{3}", answer.headers["x-ms-run-fn-exec-ms"])


def test_a_result_without_json_form_is_an_internal_error(results):
    """run() is not said to have failed, the log has the type, the answer does not."""
    answer = results.request("POST", "/score", "own")

    assert (answer.status, answer.headers["x-ms-run-function-failed"]) == (500, "False")
    assert answer.message == "An unexpected internal error occurred. Check the logs for more info."
    results.wait_for_log("Own")


@pytest.mark.parametrize("kind", ["raise", "exit"])
def test_a_failing_script_is_500_and_leaks_nothing(results, kind):
    """The traceback goes to the log; sys.exit ends no process."""
    answer = results.request("POST", "/score", kind)

    assert (answer.status, answer.headers["x-ms-run-function-failed"]) == (500, "True")
    assert answer.message == "An unexpected error occurred in scoring script. Check the logs for more info."
    assert "x-ms-run-fn-exec-ms" not in answer.headers
    assert results.request("POST", "/score", "none").status == 200
    results.wait_for_log("ZeroDivisionError" if kind == "raise" else "SystemExit")


def test_responses_pass_through(results):
    """Status, headers and bytes of an AMLResponse are the script's; dates keep their commas."""
    teapot, failing, empty, image = (
        results.request("POST", "/score", kind) for kind in ("response", "failing", "empty", "bytes")
    )

    assert (teapot.status, teapot.body, teapot.headers["x-a"]) == (418, b"teapot", "b, c")
    assert (teapot.headers["date-like"], teapot.headers["content-type"]) == ("Mon, 1 Jan", "text/html; charset=utf-8")
    assert (failing.status, failing.json, failing.headers["x-ms-run-function-failed"]) == (503, {"a": 1}, "True")
    assert (empty.json, empty.headers["content-type"]) == ({}, "application/json")
    assert (image.body, image.headers["content-type"]) == (b"\xff\x00", "image/png")


ARGUMENTS = """
    import json

    def init():
        pass

    def run(body, request_headers, extra=1):
        plain = type(request_headers) is dict
        return {"body": body, "type": type(body).__name__, "headers": request_headers, "plain": plain}
"""


@pytest.fixture(scope="module")
def arguments(start_shared, tmp_path_factory):
    """An undecorated script that tells what it was called with."""
    return start_shared(write_image(tmp_path_factory.mktemp("arguments") / "root", {"score.py": ARGUMENTS}))


def test_an_undecorated_run_gets_the_body_as_text(arguments):
    """No JSON check, no Content-Type check; form bodies arrive as they were sent."""
    answer = arguments.request(
        "POST", "/score", "a=1&ü=2".encode(), {"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert (answer.json["body"], answer.json["type"]) == ("a=1&ü=2", "str")


def test_a_body_that_is_no_utf_8_is_400(arguments):
    """With v1's text."""
    answer = arguments.request("POST", "/score", b"\xff")

    assert answer.status == 400
    assert answer.message.startswith("Input cannot be decoded as UTF-8: ")


def test_a_get_passes_the_query_as_json(arguments):
    """Values are read as JSON where possible, repeated names become a list."""
    answer = arguments.get("/score?a=1&b=x&c=%5B1%5D&a=2&d=")

    assert json.loads(answer.json["body"]) == {"a": [1, 2], "b": "x", "c": [1], "d": ""}


def test_request_headers_is_a_plain_dict_of_title_cased_names(arguments):
    """The parameter is optional, and named exactly so."""
    answer = arguments.request("POST", "/score", "x", {"x-OWN-header": "v"})

    assert answer.json["headers"]["X-Own-Header"] == "v"
    assert answer.json["plain"] is True


def test_options_is_answered_with_nothing(arguments):
    """200, empty, and the script is not asked."""
    answer = arguments.request("OPTIONS", "/score")

    assert (answer.status, answer.body) == (200, b"")


DECORATED = """
    import numpy as np
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
    from inference_schema.schema_decorators import input_schema, output_schema

    def init():
        pass

    @input_schema("data", NumpyParameterType(np.array([[1, 2]])))
    @input_schema("scale", StandardPythonParameterType(1.0))
    @output_schema(StandardPythonParameterType({"sum": [1.0], "extra": ""}))
    def run(data, scale=2.0, request_headers=None):
        return {"sum": (data.sum(axis=1) * scale).tolist(), "extra": str(data.dtype)}
"""


@pytest.fixture(scope="module")
def decorated(start_shared, tmp_path_factory):
    """A script with declared samples."""
    return start_shared(write_image(tmp_path_factory.mktemp("decorated") / "root", {"score.py": DECORATED}))


def test_declared_parameters_are_converted(decorated):
    """Unknown keys are ignored, Python defaults honoured, whole-number samples truncate as in v1."""
    answer = decorated.score({"data": [[1.9, 2]], "unknown": 1})

    assert answer.json == {"sum": [6.0], "extra": "int64"}
    assert decorated.score({"data": [[1, 2]], "scale": 3}).json["sum"] == [9]


def test_a_get_passes_declared_parameters(decorated):
    """Each is one of the query."""
    assert decorated.get("/score?data=%5B%5B1,2%5D%5D&scale=1.5").json["sum"] == [4.5]


@pytest.mark.parametrize(
    ("status", "kind", "body", "message"),
    [
        (415, "text/plain", "{}", "Expects Content-Type to be application/json"),
        (415, "application/x-www-form-urlencoded", '{"data": [[1, 2]]}', "Expects Content-Type to be application/json"),
        (400, "application/json", "{", "POST body could not be decoded as JSON: "),
        (400, "application/json", "", "POST body is empty. Expecting a JSON dictionary."),
        (400, "application/json", "[1]", "POST body should be a JSON dictionary."),
        (400, "application/json", "{}", "A value is not provided for the 'data' parameter."),
        (400, "application/json", '{"data": 1}', "data: expected an array, got a number"),
        (400, "application/json", '{"data": [[1, 2], [3]]}', "data[1]: expected 2 values, got 1"),
        (400, "application/json", '{"data": [1, 2]}', "data: expected an array of 2 dimensions, got 1, shape (2,)"),
        (400, "application/json", '{"data": [[1, "x"]]}', "data[0][1]: is no int64"),
        (400, "application/json", '{"data": [[1, 2]], "scale": "x"}', "scale: expected float, got a string"),
    ],
)
def test_a_mismatch_is_the_callers_error(decorated, status, kind, body, message):
    """With the reason and the place."""
    answer = decorated.request("POST", "/score", body, {"Content-Type": kind})

    assert answer.status == status
    assert answer.message.startswith(message)


def test_json_by_another_name_is_json(decorated):
    """application/*+json, with parameters."""
    kind = {"Content-Type": "application/vnd.x+json; charset=utf-8"}

    assert decorated.request("POST", "/score", '{"data": [[1, 2]]}', kind).status == 200


def test_swagger_describes_the_samples(decorated):
    """Three versions, v1's operation names, the service's name."""
    second, third, newest = (
        decorated.get(f"/swagger.json{query}").json for query in ("", "?version=3", "?version=3.1")
    )

    assert (second["swagger"], third["openapi"], newest["openapi"]) == ("2.0", "3.0.3", "3.1.0")
    assert second["info"]["title"] == "diabetes"
    assert second["paths"]["/score"]["post"]["operationId"] == "RunMLService"
    given = second["definitions"]["ServiceInput"]
    assert given["example"] == {"data": [[1, 2]], "scale": 1.0}
    assert given["properties"]["data"]["format"] == "numpy.ndarray"
    assert third["components"]["schemas"]["ServiceOutput"]["required"] == ["sum", "extra"]


@pytest.mark.parametrize(
    ("sample", "returned", "answered", "swagger"),
    [
        ("[1.5]", "values", [2.0, 4.0], ("array", None)),
        ('{"Results": [1.5]}', '{"Results": values}', {"Results": [2.0, 4.0]}, ("object", {"Results"})),
        (
            '{"Results": {"WebServiceOutput0": [1.5]}}',
            '{"Results": {"WebServiceOutput0": values}}',
            {"Results": {"WebServiceOutput0": [2.0, 4.0]}},
            ("object", {"Results"}),
        ),
    ],
)
def test_the_form_of_power_bi_is_the_scripts(start, image, sample, returned, answered, swagger):
    """As in v1: the parameters' names make the request's form, what run() returns the answer's; nothing is wrapped."""
    service = start(image({"score.py": POWER_BI.format(sample=sample, returned=returned)}))
    body = {"Inputs": {"data": [{"age": 1.0}, {"age": 2.0}]}, "GlobalParameters": {"scale": 2.0}}
    definitions = service.get("/swagger.json").json["definitions"]
    openapi = service.get("/openapi.json").json["components"]["schemas"]

    assert answered == service.score(body).json
    assert answered == service.score({"Inputs": body["Inputs"]}).json
    assert 400 == service.score({**body, "GlobalParameters": 1.0}).status
    assert 400 == service.score({"inputs": body["Inputs"], "GlobalParameters": {"scale": 2.0}}).status
    for schemas in (definitions, openapi):
        assert {"Inputs", "GlobalParameters"} == set(schemas["ServiceInput"]["properties"])
        output = schemas["ServiceOutput"]
        assert swagger == (output["type"], set(output["properties"]) if "properties" in output else None)


def test_an_unknown_swagger_version_is_404(decorated):
    """With v1's text."""
    answer = decorated.get("/swagger.json?version=9")

    assert (answer.status, answer.message) == (
        404,
        "Swagger version [9] is not valid. Supported versions: [2, 3, 3.1].",
    )


def test_health_is_v1s(decorated):
    """200 and one word, as text."""
    answer = decorated.get("/")

    assert (answer.status, answer.body, answer.headers["content-type"]) == (
        200,
        b"Healthy",
        "text/html; charset=utf-8",
    )


def ids(answer):
    """The three ids of a reply."""
    return [answer.headers[name] for name in ("x-request-id", "x-ms-client-request-id", "x-ms-request-id")]


def test_request_ids_are_echoed(decorated):
    """By v1's rules for the deprecated name; a new id where none was sent."""
    fresh, own = ids(decorated.get("/")), ids(decorated.get("/", **{"x-request-id": "a"}))
    client = ids(decorated.get("/", **{"x-ms-client-request-id": "c"}))
    old = ids(decorated.get("/", **{"x-ms-request-id": "o"}))
    both = ids(decorated.get("/", **{"x-ms-request-id": "o", "x-ms-client-request-id": "c"}))

    assert re.fullmatch(r"[0-9a-f-]{36}", fresh[0])
    assert fresh[1:] == [None, fresh[0]]
    assert own == ["a", None, "a"]
    assert client[1:] == ["c", "c"]
    assert old[1:] == ["o", "o"]
    assert both[1:] == ["c", "o"]
    assert decorated.get("/", TraceId="t").headers["TraceId"] == "t"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("x-request-id", "x-request-id must not exceed 100 characters"),
        ("x-ms-request-id", "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"),
        ("x-ms-client-request-id", "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"),
    ],
)
def test_an_id_that_is_too_long_is_431(decorated, name, message):
    """With v1's text."""
    answer = decorated.score({"data": [[1, 2]]}, headers={name: "x" * 101})

    assert (answer.status, answer.message) == (431, message)


RAW = """
    from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    @rawhttp
    def run(request):
        if request.method == "OPTIONS":
            return AMLResponse("options", 200)
        if "image" in request.files:
            image = request.files["image"]
            return {"name": image.filename, "bytes": image.read().hex(), "field": request.form["field"]}
        return {
            "method": request.method, "data": request.get_data(False).hex(), "args": dict(request.args),
            "header": request.headers.get("x-own"), "path": request.path, "json": request.get_json(silent=True),
        }
"""


@pytest.fixture(scope="module")
def raw(start_shared, tmp_path_factory):
    """A @rawhttp script."""
    return start_shared(write_image(tmp_path_factory.mktemp("raw") / "root", {"score.py": RAW}))


def test_a_raw_script_gets_the_request_itself(raw):
    """Bytes, query, headers, method; OPTIONS too."""
    answer = raw.request("POST", "/score?a=b", b"\xff\x00", {"X-Own": "v"})

    assert answer.json == {
        "method": "POST",
        "data": "ff00",
        "args": {"a": "b"},
        "header": "v",
        "path": "/score",
        "json": None,
    }
    assert raw.request("OPTIONS", "/score").body == b"options"
    assert raw.get("/score").json["method"] == "GET"


def test_a_raw_script_reads_uploaded_files(raw):
    """Multipart forms, binary content untouched."""
    content = b"\r\n\xff--x\r\n"
    body = (
        b'--B\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n'
        b'--B\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\nContent-Type: image/png\r\n\r\n'
        + content
        + b"\r\n--B--\r\n"
    )

    answer = raw.request("POST", "/score", body, {"Content-Type": "multipart/form-data; boundary=B"})

    assert answer.json == {"name": "a.png", "bytes": content.hex(), "field": "value"}


def test_a_prefix_and_origins_are_honoured(start, image):
    """Routes answer with and without the prefix; browsers of named origins are let in, preflight included."""
    service = start(
        image({"score.py": "def init(): pass\ndef run(data): return data"}),
        path_prefix="/api/v1/service/diabetes",
        cors_origins=["https://a.example"],
    )
    preflight = {
        "Origin": "https://a.example",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }
    allowed = service.request("OPTIONS", "/score", headers=preflight)
    other = service.request("POST", "/score", "x", {"Origin": "https://b.example"})

    for path in ("/score", "/api/v1/service/diabetes/score"):
        assert service.request("POST", path, "x", JSON_HEADERS).json == "x"
    for path in (
        "/",
        "/readyz",
        "/api/v1/service/diabetes/",
        "/api/v1/service/diabetes",
        "/api/v1/service/diabetes/swagger.json",
    ):
        assert service.get(path).status == 200
    assert "/api/v1/service/diabetes/score" in service.get("/swagger.json").json["paths"]
    assert allowed.headers["access-control-allow-origin"] == "https://a.example"
    assert allowed.headers["access-control-allow-headers"] == "authorization"
    assert (other.status, other.headers["access-control-allow-origin"]) == (200, None)


@pytest.mark.parametrize("prefix", ["/score", "/v2", "/swagger.json", "/metrics"])
def test_a_prefix_hides_no_route_of_the_same_name(start, image, prefix):
    """What stands behind a route's path does not depend on the prefix; below it, all are there again."""
    service = start(image({"score.py": "def init(): pass\ndef run(data): return data"}), path_prefix=prefix)
    answers = [service.request("POST", path, "x", JSON_HEADERS) for path in ("/score", f"{prefix}/score")]
    servers = [service.get(path) for path in ("/v2", "/v2/", f"{prefix}/v2")]
    counted = service.get("/metrics").body.decode()

    assert ["x", "x"] == [answer.json for answer in answers]
    assert '"{}"' == service.get("/score").body.decode()
    assert ["mlserve"] * 3 == [server.json["name"] for server in servers]
    assert "2.0" == service.get("/swagger.json").json["swagger"]
    assert 'mlserve_requests_total{route="/score",method="POST",status="200"} 2' in counted
    assert "Healthy" == service.get(f"{prefix}/healthz").body.decode()
