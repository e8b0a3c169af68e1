"""The documents of a service: valid for every kind of contract, and true: what they promise is what is answered."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from openapi_spec_validator import validate
from scoring_kit import PATIENCE
from served_kinds import KEY, SAMPLES, write_kind

KINDS = ("model", "table", "declared", "samples", "text", "plain", "encoded", "raw")
DOCUMENTS = ("/openapi.json", "/swagger.json?version=3", "/swagger.json?version=3.1")


@pytest.fixture(scope="module")
def served(start_shared, tmp_path_factory):
    """A function that returns the service of a kind, started once."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "keys.json").write_text(json.dumps({"primary": KEY, "secondary": "s" * 32}), encoding="utf-8")
    started = {}

    def service(kind):
        if kind not in started:
            guarded = {"keys_file": str(folder / "keys.json"), "path_prefix": "/api/v1"} if kind == "model" else {}
            started[kind] = start_shared(write_kind(folder, kind), **guarded)
        return started[kind]

    return service


def document(service, path="/openapi.json"):
    """A document of a service."""
    answer = service.get(path, Authorization=f"Bearer {KEY}")
    assert answer.status == 200, answer.body
    return answer.json


@pytest.mark.parametrize("kind", KINDS)
def test_every_document_is_valid(served, kind):
    """In each version; version 2 where it can say what the contract is."""
    for path in DOCUMENTS:
        validate(document(served(kind), path))
    two = served(kind).get("/swagger.json", Authorization=f"Bearer {KEY}")
    if kind in {"declared", "samples"}:  # arrays of mixed types
        assert (404, True) == (two.status, "Use version 3" in two.message)
    else:
        validate(two.json)


def test_it_names_the_service_and_all_its_routes(served):
    """Below the prefix, with the key where one is needed."""
    told = document(served("model"))
    locked = {path for path, methods in told["paths"].items() for entry in methods.values() if entry.get("security")}

    assert ("3.1.0", "diabetes", "/api/v1") == (told["openapi"], told["info"]["title"], told["servers"][0]["url"])
    model = "/v2/models/double/versions/1"
    assert {
        *("/", "/healthz", "/readyz", "/score", "/swagger.json", "/openapi.json", "/docs", "/metrics", "/v2"),
        *("/v2/health/live", "/v2/health/ready", model, f"{model}/ready", f"{model}/infer"),
    } == set(told["paths"])
    assert {"/score", "/swagger.json", "/openapi.json", "/metrics", "/v2", model, f"{model}/infer"} == locked
    assert "bearer" == told["components"]["securitySchemes"]["Key"]["scheme"]


def test_it_tells_every_status_of_scoring(served):
    """Those of the table in docs/scoring.md that scoring can meet."""
    score = document(served("model"))["paths"]["/score"]["post"]["responses"]

    assert {"200", "400", "401", "408", "413", "415", "431", "500", "503", "504"} == set(score)


def test_samples_are_examples(served):
    """With the answers they got."""
    score = document(served("samples"))["paths"]["/score"]["post"]
    given = score["requestBody"]["content"]["application/json"]["examples"]
    answered = score["responses"]["200"]["content"]["application/json"]["examples"]

    assert [sample["input"] for sample in SAMPLES] == [example["value"] for example in given.values()]
    assert [{"length": 23}, {"length": 11}] == [example["value"] for example in answered.values()]


@pytest.mark.parametrize("kind", ["model", "table", "declared", "plain"])
def test_the_example_of_tensors_is_answered(served, kind):
    """Made of the sample, whatever the inputs are."""
    (path,) = [path for path in document(served(kind))["paths"] if path.endswith("/infer")]
    infer = document(served(kind))["paths"][path]["post"]
    example = infer["requestBody"]["content"]["application/json"]["examples"]["sample0"]["value"]
    answer = served(kind).request("POST", path, json.dumps(example), {"Authorization": f"Bearer {KEY}"})

    assert 200 == answer.status, answer.body


def test_declared_parameters_are_told(served):
    """By name, in the body and in the query; those with a default are not required."""
    told = document(served("plain"))
    schema = told["components"]["schemas"]["ServiceInput"]

    assert ["ages", "name"] == sorted(schema["required"])
    assert {"type": "array", "items": {"type": "integer", "format": "int64"}} == schema["properties"]["ages"]
    query = {entry["name"]: entry["required"] for entry in told["paths"]["/score"]["get"]["parameters"]}
    assert {"name": True, "ages": True, "options": False} == query


def test_a_text_that_holds_json_is_told_as_such(served):
    """``return json.dumps(x)`` is encoded twice, as v1 did."""
    schema = document(served("encoded"))["components"]["schemas"]["ServiceOutput"]

    assert ("string", "application/json") == (schema["type"], schema["contentMediaType"])
    assert {"count"} == set(schema["contentSchema"]["properties"])


def test_the_users_own_documents_win(start, image):
    """As v1 served them; ours beside them goes on."""
    own = {"swagger": "2.0", "info": {"title": "mine", "version": "1"}, "paths": {}}
    service = start(image({"score.py": "def init(): pass\ndef run(data): return 1", "swagger2.json": json.dumps(own)}))

    assert "mine" == service.get("/swagger.json").json["info"]["title"]
    assert "diabetes" == service.get("/openapi.json").json["info"]["title"]


def test_version_2_has_what_v1_had(served):
    """Titles, operations, security and definitions of v1's document."""
    told = served("model").get("/swagger.json", Authorization=f"Bearer {KEY}").json

    assert ("diabetes", ["https"]) == (told["info"]["title"], told["schemes"])
    assert {"Bearer": {"type": "apiKey", "name": "Authorization", "in": "header"}} == told["securityDefinitions"]
    operations = {path: entry["operationId"] for path, methods in told["paths"].items() for entry in methods.values()}
    assert {
        "/api/v1/": "ServiceHealthCheck",
        "/api/v1/score": "RunMLService",
        "/api/v1/swagger.json": "GetSwaggerSpec",
    } == operations
    assert {"ServiceInput", "ServiceOutput", "ErrorResponse"} == set(told["definitions"])


CHECKS = """
[checks.negative_data_rejection]  # forms that the document only mentions, and what can be converted, are answered too
enabled = false
[checks.allow_header_conformance]  # OPTIONS /score tells what v1 told
enabled = false
[[operations]]  # how many values a shape asks for is nothing that a schema can say
include-path-regex = "/infer$"
checks.positive_data_acceptance.enabled = false
"""
LOOSE = """
[checks.positive_data_acceptance]  # dates, and arrays that must all be of one length, are more than a schema can say
enabled = false
"""


@pytest.mark.timeout(1_000)  # a thousand requests and what is made up for them: minutes, where others work too
@pytest.mark.parametrize("kind", ["model", "plain", "declared"])
def test_replies_are_what_the_document_promises(served, tmp_path, kind):
    """Whatever is sent: no failure of the server, and no status, header or body that is not told."""
    service = served(kind)
    base = f"http://127.0.0.1:{service.port}{service.settings.get('path_prefix', '')}"
    checks = LOOSE + CHECKS if kind == "declared" else CHECKS
    (tmp_path / "schemathesis.toml").write_text(checks, encoding="utf-8")
    command = [
        *(str(Path(sys.executable).with_name("schemathesis")), "run", f"{base}/openapi.json", "--url", base),
        *("--header", f"Authorization: Bearer {KEY}", "--phases", "examples,coverage,fuzzing"),
        *("--max-examples", "15", "--seed", "4", "--workers", "1", "--request-timeout", str(PATIENCE)),
        *("--suppress-health-check", "too_slow"),  # which says something of the machine
        *("--generation-database", "none", "--no-color", "--warnings", "off"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=900)

    assert 0 == done.returncode, done.stdout[-8000:] + done.stderr[-2000:] + service.log[-2000:]
    assert service.process.poll() is None
