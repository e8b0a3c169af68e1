"""The settings of a local service: v1's rules, all problems at once, nothing ignored."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.declarations import LocalProcessInputs, ServiceRecordInputs
from pulumi_mlserve.core.service import LocalServiceSpec, check_local_service
from pulumi_mlserve.core.service_refusals import why_not_local
from pulumi_mlserve.core.shapes import shape_of

WHOLE = {
    "name": "diabetes",
    "description": "predicts",
    "tags": {"area": "health"},
    "properties": {"owner": "me"},
    "port": 8890,
    "cpu_cores": 1.5,
    "memory_gb": 2,
    "scoring_timeout_ms": 60_000,
    "max_concurrent_requests": 4,
    "max_queue": 0,
    "max_body_bytes": 1_000,
    "drain_seconds": 0,
    "start_seconds": 5,
    "environment_variables": {"MODE": "fast"},
    "cors_origins": ["*", "https://app.example.com:8443"],
    "path_prefix": "/api/v1/service/diabetes",
    "log_level": "DEBUG",
}


def messages(**settings) -> dict[str, str]:
    """Returns what is wrong, by its path."""
    return {problem.path: problem.message for problem in check_local_service(settings)}


def test_good_settings_are_accepted():
    """Every setting at once, with values that are right, has no problem."""
    assert [] == check_local_service(WHOLE)


def test_absent_settings_are_not_judged():
    """What is absent, or None, is somebody else's to judge: its value may be known later."""
    assert [] == check_local_service(dict.fromkeys(WHOLE))
    assert [] == check_local_service({})


def test_defaults_are_those_of_a_local_service():
    """Without settings: no limits, one minute for an answer, a queue of a thousand."""
    spec = LocalServiceSpec(name="abc")

    assert (None, None) == (spec.cpu_cores, spec.memory_gb)
    assert (60_000, 1_000, None) == (spec.scoring_timeout_ms, spec.max_queue, spec.port)


def test_all_problems_are_found_at_once():
    """One check returns every problem, each at its own path."""
    found = messages(name="A", port=0, cpu_cores=0, memory_gb="1", prot=1, tags={"a": 1}, cors_origins=["x"])

    assert {"name", "port", "cpu_cores", "memory_gb", "prot", "tags.a", "cors_origins[0]"} == set(found)


@pytest.mark.parametrize("name", ["ab", "a" * 33, "1abc", "abc-", "Abc", "a_b", "abc.d", ""])
def test_bad_names_are_refused(name):
    """A service's name follows v1's rule."""
    assert "not a service name" in messages(name=name)["name"]


@pytest.mark.parametrize("name", ["abc", "a" * 32, "a-1", "a0b"])
def test_good_names_are_accepted(name):
    """A service's name of 3 to 32 characters is fine, at both ends of the range."""
    assert {} == messages(name=name)


@pytest.mark.parametrize(
    ("setting", "value", "text"),
    [
        ("port", 65_536, "must be at most 65,535, got 65536"),
        ("port", "8890", "must be a whole number, got '8890'"),
        ("port", True, "must be a whole number, got True"),
        ("cpu_cores", -1, "must be greater than 0, got -1"),
        ("cpu_cores", float("nan"), "must be a finite number, got nan"),
        ("memory_gb", float("inf"), "must be a finite number, got inf"),
        ("scoring_timeout_ms", 0, "must be at least 1, got 0"),
        ("max_concurrent_requests", 0, "must be at least 1, got 0"),
        ("max_queue", -1, "must be at least 0, got -1"),
        ("tags", ["a"], "must be a map, got ['a']"),
        ("cors_origins", "*", "must be a list, got '*'"),
        ("log_level", "loud", "must be one of 'DEBUG', 'INFO', 'WARNING', 'ERROR' or 'CRITICAL', got 'loud'"),
        ("path_prefix", "api", "not the beginning of a URL's path, got 'api'; such as '/api/v1/service/diabetes'"),
    ],
)
def test_bad_values_are_refused(setting, value, text):
    """A value of the wrong type or range is refused with what it must be and what was given."""
    assert {setting: text} == messages(**{setting: value})


def test_wrong_setting_gets_the_right_name():
    """A setting that does not exist is refused, with the one that was probably meant."""
    found = messages(memory_bg=1, replica_max_concurrent_requests=2, xyzzy=1)

    assert "there is no such setting; did you mean 'memory_gb'?" == found["memory_bg"]
    assert (
        "there is no such setting; did you mean 'max_concurrent_requests'?" == found["replica_max_concurrent_requests"]
    )
    assert "there is no such setting" == found["xyzzy"]


@pytest.mark.parametrize("setting", ["num_replicas", "ssl_enabled", "token_auth_enabled", "enable_app_insights"])
def test_settings_of_other_targets_are_refused(setting):
    """A setting that a local service cannot honour is refused with the reason, never ignored."""
    assert {setting: why_not_local(setting)} == messages(**{setting: True})


def test_no_setting_is_both_known_and_refused():
    """A setting that a local service has is not among those that it refuses."""
    assert [] == [name for name in LocalServiceSpec.model_fields if why_not_local(name)]


def test_origin_with_a_slash_gets_the_right_one():
    """An origin that ends in a slash never matches a browser's, so the one without is proposed."""
    found = messages(cors_origins=["https://a.example/"])

    assert "not an origin, got 'https://a.example/'; did you mean 'https://a.example'?" == found["cors_origins[0]"]


def test_variables_of_the_runtime_are_refused():
    """A variable that the runtime sets itself cannot be set: it would be ignored."""
    found = messages(environment_variables={"PYTHONPATH": "/x", "AZUREML_MODEL_DIR": "/y", "A=B": "", "OK": "1"})

    assert {f"environment_variables.{name}" for name in ("PYTHONPATH", "AZUREML_MODEL_DIR", "A=B")} == set(found)


def test_values_of_secrets_are_not_shown():
    """What is wrong with a variable is said without its value."""
    found = messages(environment_variables={"A": 987})

    assert {"environment_variables.A"} == set(found)
    assert "987" not in str(found)
    assert "fast" not in repr(LocalServiceSpec(**WHOLE))


@pytest.mark.parametrize("name", sorted(LocalServiceSpec.model_fields))
def test_every_rule_is_of_a_declared_input(name):
    """A setting that has a rule and that no resource takes would be refused by nobody and honoured by nobody."""
    declared = shape_of(LocalProcessInputs).by_name | shape_of(ServiceRecordInputs).by_name

    assert name in declared or name in NOT_OFFERED


NOT_OFFERED = {"log_level", "path_prefix"}
