"""Azure ML v1's environment variables: honoured as defaults of settings, or said to do nothing."""

from __future__ import annotations

import json
import subprocess

import pytest
from beside_v1.real_server import real_python
from mlserve_scoring import v1_variables
from mlserve_scoring.settings import SettingsError
from scoring_kit import PATIENCE

SCRIPT = """
import os
import time


def init():
    pass


def run(data):
    time.sleep(float(data))
    return [os.environ.get("WORKER_COUNT"), os.getppid()]
"""
ORIGIN = "https://app.example.com"


def test_variables_of_an_image_are_defaults(start, image):
    """One service with many of them: timeout, path, origins, log level, and what the documents say."""
    variables = {
        "SCORING_TIMEOUT_MS": "300",
        "SERVICE_PATH_PREFIX": "api/v1/",
        "AML_CORS_ORIGINS": f"https://other.example.com, {ORIGIN}",
        "AZUREML_LOG_LEVEL": "error",
        "SERVICE_NAME": "prices",
        "SERVICE_VERSION": "2.5",
    }
    service = start(image({"score.py": SCRIPT}, variables=variables))
    swagger = service.get("/swagger.json").json

    late = service.request("POST", "/api/v1/score", "600")
    assert (504, "Scoring timeout after 300 ms") == (late.status, late.message)
    assert ORIGIN == service.get("/", Origin=ORIGIN).headers["Access-Control-Allow-Origin"]
    assert service.get("/", Origin="https://x.example").headers["Access-Control-Allow-Origin"] is None
    assert ("prices", "2.5") == (swagger["info"]["title"], swagger["info"]["version"])
    assert "/api/v1/score" in swagger["paths"]
    assert ("prices", "2.5") == tuple(service.get("/openapi.json").json["info"][name] for name in ("title", "version"))
    assert "ready on" not in service.log  # it is logged as INFO


def test_worker_count_makes_workers(start, image):
    """As many processes as v1's variable says share the port."""
    service = start(image({"score.py": SCRIPT}, variables={"WORKER_COUNT": "2"}))

    assert 2 == len(service.ask("status")["workers"])
    assert ["2", service.process.pid] == service.request("POST", "/score", "0").json
    service.stop()


def test_settings_and_the_services_variables_win(start, image):
    """A setting wins over a variable, even where it is as by default; a service's variable wins over the image's."""
    root = image({"score.py": SCRIPT}, variables={"SCORING_TIMEOUT_MS": "100", "SERVICE_PATH_PREFIX": "/image"})
    service = start(root, scoring_timeout_ms=60_000, variables={"SERVICE_PATH_PREFIX": "/service"})

    assert 200 == service.request("POST", "/service/score", "0.4").status
    assert 404 == service.request("POST", "/image/score", "0").status


def test_value_that_is_none_ends_the_start(start, image):
    """All of them are named at once, and none is quoted."""
    root = image({"score.py": SCRIPT}, variables={"SCORING_TIMEOUT_MS": "abc987"})
    service = start(root, wait=False, variables={"WORKER_COUNT": "0"})

    assert 2 == service.process.wait(PATIENCE)
    assert "variables.SCORING_TIMEOUT_MS: must be a whole number from 1 to 86,400,000\n" in service.log
    assert "variables.WORKER_COUNT: must be a whole number from 1 to 1,024\n" in service.log
    assert "abc987" not in service.log


def test_variable_without_effect_is_said(start, image):
    """An image made elsewhere may hold what a preview would have refused."""
    service = start(image({"score.py": SCRIPT}, variables={"SERVER_PORT": "6000", "AML_APP_INSIGHTS_KEY": "secret1"}))

    assert "the environment variable SERVER_PORT does nothing here; give the service port" in service.log
    assert "the environment variable AML_APP_INSIGHTS_KEY does nothing here" in service.log
    assert "secret1" not in service.log


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"SCORING_TIMEOUT_MS": " 5000 "}, {"scoring_timeout_ms": 5_000}),
        ({"WORKER_TIMEOUT": "30"}, {"scoring_timeout_ms": 30_000}),
        ({"WORKER_TIMEOUT": "30", "SCORING_TIMEOUT_MS": "5000"}, {"scoring_timeout_ms": 5_000}),
        ({"WORKER_TIMEOUT": "3", "SCORING_TIMEOUT_MS": "5000"}, {"scoring_timeout_ms": 3_000}),
        ({"WORKER_TIMEOUT": "0"}, {}),
        ({"WORKER_TIMEOUT": "0", "SCORING_TIMEOUT_MS": "5000"}, {"scoring_timeout_ms": 5_000}),
        ({"AML_CORS_ORIGINS": "*"}, {"cors_origins": ("*",)}),
        ({"AML_CORS_ORIGINS": ""}, {"cors_origins": ()}),
        ({"AZUREML_LOG_LEVEL": "warn"}, {"log_level": "WARNING"}),
        ({"SERVICE_PATH_PREFIX": "/"}, {"path_prefix": ""}),
        ({"OTHER": "1", "WORKER_PRELOAD": "false"}, {}),
    ],
)
def test_what_variables_say(variables, expected):
    """Units and forms are v1's; of two limits of time the shorter one counts, as it did there."""
    found = v1_variables.completed({}, variables, "settings")

    assert expected == found


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("SCORING_TIMEOUT_MS", "-1", "whole number"),
        ("SCORING_TIMEOUT_MS", "1.5", "whole number"),
        ("WORKER_TIMEOUT", "30s", "whole number"),
        ("WORKER_COUNT", "0", "from 1 to"),
        ("AML_CORS_ORIGINS", "microsoft.com, bing.com", "origins"),
        ("AML_CORS_ORIGINS", "https://a.example,", "origins"),
        ("AML_CORS_ORIGINS", "https://.*\\.example [a-z]", "origins"),
        ("AZUREML_LOG_LEVEL", "loud", "DEBUG, INFO"),
        ("SERVICE_PATH_PREFIX", "a b", "path"),
        ("APP_INSIGHTS_LOG_RESPONSE_ENABLED", "maybe", "true or false"),
        ("WORKER_PRELOAD", "true", "loads for itself"),
        ("WORKER_PRELOAD", "perhaps", "must be true or false"),
        ("AML_APP_INSIGHTS_ENABLED", "true", "enable_app_insights"),
        ("AML_MODEL_DC_STORAGE_ENABLED", "True", "collect_model_data"),
        ("SERVER_VERSION_LOG_RESPONSE_ENABLED", "false", "x-ms-server-version"),
        ("SEPERATE_HEALTH_ENDPOINT", "true", "health"),
        ("AZUREML_CORS_ORIGINS", "*", "cors_origins"),
        ("AZUREML_MODEL_DIR", "/m", "the runtime sets it to the folder of the image's models; leave it out"),
    ],
)
def test_what_cannot_be_honoured(name, value, part):
    """Each is a problem that says what to write, and never the value."""
    problem = v1_variables.problem_of(name, value)

    assert part in problem
    assert f"got {value!r}" not in problem


@pytest.mark.parametrize("name", ["AML_APP_INSIGHTS_ENABLED", "AML_MODEL_DC_STORAGE_ENABLED", "WORKER_PRELOAD"])
def test_what_is_done_anyhow_may_be_said(name):
    """A variable that says what is so is no problem."""
    assert "" == v1_variables.problem_of(name, "False")


def test_settings_are_a_problem_together():
    """All wrong variables are told at once."""
    with pytest.raises(SettingsError) as caught:
        v1_variables.completed({}, {"WORKER_COUNT": "x", "SCORING_TIMEOUT_MS": "y"}, "file")

    assert 2 == len(str(caught.value).splitlines())


def test_every_setting_of_v1s_server_is_known(tmp_path):
    """What the real server reads is honoured, refused, or the runtime's own to set."""
    text = """
import json
from azureml_inference_server_http import constants
from azureml_inference_server_http.server.config import AMLInferenceServerConfig, alias_mapping

prefixed = ["AML_" + name.upper() for name, field in AMLInferenceServerConfig.model_fields.items() if not field.alias]
named = [value for name, value in vars(constants).items() if name.startswith("ENV_")]
print(json.dumps([*alias_mapping, *prefixed, *named]))
"""
    done = subprocess.run([real_python(), "-c", text], capture_output=True, check=True, cwd=tmp_path)
    names = set(json.loads(done.stdout.splitlines()[-1]))

    assert {"TRANSPORT_PROTOCOL"} == names - v1_variables.KNOWN  # v1's command line always set it itself
