"""The settings of a local service: v1's rules, all problems at once, nothing ignored."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from mlserve_scoring.settings import Collection, Settings
from mlserve_scoring.v1_variables import problem_of

from pulumi_mlserve.components.local_service import LocalServiceArgs
from pulumi_mlserve.core import service
from pulumi_mlserve.core.image_declarations import ImageInputs
from pulumi_mlserve.core.images import image
from pulumi_mlserve.core.local_process_declarations import LocalProcessInputs
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.service import LocalServiceSpec, check_local_service
from pulumi_mlserve.core.service_declarations import ServiceRecordInputs
from pulumi_mlserve.core.service_refusals import why_not_local
from pulumi_mlserve.core.service_runtime import runtime_form
from pulumi_mlserve.core.service_together import features_needed
from pulumi_mlserve.core.shapes import shape_of
from pulumi_mlserve.core.variables import disagreements

WHOLE = {
    "name": "diabetes",
    "description": "predicts",
    "tags": {"area": "health"},
    "properties": {"owner": "me"},
    "port": 8890,
    "grpc_enabled": True,
    "grpc_port": 8001,
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
    "read_timeout_s": 5,
    "idle_timeout_s": 7.5,
    "workers": 2,
    "model_threads": 2,
    "onnx_providers": ["cuda", "cpu"],
    "onnx_provider_options": {"cuda": {"gpu_mem_limit": "2147483648"}},
    "path_prefix": "/api/v1/service/diabetes",
    "log_level": "DEBUG",
    "log_format": "json",
    "access_log": True,
    "metrics": "open",
    "health": "protected",
    "docs": False,
    "strict_v1": True,
    "ssl_enabled": True,
    "ssl_cert_pem_file": "tls/cert.pem",
    "ssl_key_pem_file": "tls/key.pem",
    "ssl_cname": "diabetes.example.com",
    "entra": {
        "tenant_id": "11111111-2222-3333-4444-555555555555",
        "audiences": ["api://diabetes"],
        "roles": ["Score.All"],
        "authority": "https://login.example.com",
        "leeway_s": 5,
    },
    "collect_model_data": True,
    "data_collection": {
        "target": "az://collected",
        "automatic": False,
        "format": "jsonl",
        "sample": 0.5,
        "max_waiting_mb": 4,
        "flush_seconds": 1,
        "workspace": "sub/group/workspace",
        "version": "3",
        "options": {"account_name": "me", "account_key": "hunter2"},
    },
    "enable_app_insights": True,
    "app_insights_connection_string": "InstrumentationKey=11111111-2222-3333-4444-555555555555",
    "otlp_endpoint": "http://127.0.0.1:4318",
    "telemetry": {"sample": 0.1, "log_answers": False, "dimensions": {"team": "care"}},
}

V1 = """
auth_enabled autoscale_enabled autoscale_max_replicas autoscale_min_replicas autoscale_refresh_seconds
autoscale_target_utilization blobfuse_enabled cmk_key_name cmk_key_version cmk_vault_base_url collect_model_data
compute_target_name cpu_cores cpu_cores_limit deployment_config deployment_target description dns_name_label
enable_app_insights failure_threshold gpu_cores inference_config initial_delay_seconds is_control_version_type
is_default location max_request_wait_time memory_gb memory_gb_limit models name namespace num_replicas overwrite
period_seconds primary_key properties replica_max_concurrent_requests scoring_timeout_ms secondary_key
ssl_cert_pem_file ssl_cname ssl_enabled ssl_key_pem_file subnet_name success_threshold tags timeout_seconds
token_auth_enabled traffic_percentile version_name vnet_name
"""


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
        ("onnx_providers", [], "must not be empty, give at least 1"),
    ],
)
def test_bad_values_are_refused(setting, value, text):
    """A value of the wrong type or range is refused with what it must be and what was given."""
    assert {setting: text} == messages(**{setting: value})


@pytest.mark.parametrize(
    ("prefix", "todo"),
    [("api", "did you mean '/api'?"), ("/api/", "did you mean '/api'?"), ("/", "such as '/api/v1/service/diabetes'")],
)
def test_slashes_of_a_prefix_are_told(prefix, todo):
    """Where only they are wrong, with the right one."""
    rule = f"not the beginning of a URL's path, got {prefix!r}; write a '/' before it and none after it"

    assert {"path_prefix": f"{rule}; {todo}"} == messages(path_prefix=prefix)


def test_wrong_setting_gets_the_right_name():
    """A setting that does not exist is refused, with the one that was probably meant."""
    found = messages(memory_bg=1, replica_max_concurrent_requests=2, xyzzy=1)

    assert "there is no such setting; did you mean 'memory_gb'?" == found["memory_bg"]
    assert (
        "there is no such setting; did you mean 'max_concurrent_requests'?" == found["replica_max_concurrent_requests"]
    )
    assert "there is no such setting" == found["xyzzy"]


@pytest.mark.parametrize(
    "setting",
    ["num_replicas", "leaf_domain_label", "token_auth_enabled", "gpu_cores", "traffic_percentile", "is_default"],
)
def test_settings_of_other_targets_are_refused(setting):
    """A setting that a local service cannot honour is refused with the reason, never ignored."""
    assert {setting: why_not_local(setting)} == messages(**{setting: True})


def test_no_setting_is_both_known_and_refused():
    """A setting that a local service has is not among those that it refuses."""
    assert [] == [name for name in LocalServiceSpec.model_fields if why_not_local(name)]


def test_every_setting_of_v1s_services_is_had_or_refused_with_the_reason():
    """azureml-core 1.61: deploy_configuration of ACI and AKS, versions of AKS endpoints, arguments of Model.deploy."""
    had = shape_of(LocalServiceArgs).by_name

    assert set() == {name for name in V1.split() if name not in had and why_not_local(name) is None}


def test_origin_with_a_slash_gets_the_right_one():
    """An origin that ends in a slash never matches a browser's, so the one without is proposed."""
    found = messages(cors_origins=["https://a.example/"])

    assert "not an origin, got 'https://a.example/'; did you mean 'https://a.example'?" == found["cors_origins[0]"]


def test_variables_of_the_runtime_are_refused():
    """A variable that the runtime sets itself cannot be set: it would be ignored."""
    found = messages(environment_variables={"PYTHONPATH": "/x", "AZUREML_MODEL_DIR": "/y", "A=B": "", "OK": "1"})

    assert {f"environment_variables.{name}" for name in ("PYTHONPATH", "AZUREML_MODEL_DIR", "A=B")} == set(found)
    assert problem_of("AZUREML_MODEL_DIR", "/y") == found["environment_variables.AZUREML_MODEL_DIR"]


def test_v1s_variables_are_honoured_or_refused():
    """What stands for a setting is judged as one; what would do nothing says what to write instead."""
    good = {"SCORING_TIMEOUT_MS": "5000", "WORKER_COUNT": "2", "WORKER_PRELOAD": "false", "MODE": "fast"}
    found = messages(environment_variables={**good, "SERVICE_PATH_PREFIX": "a b"})

    assert {} == messages(environment_variables=good)
    assert ["environment_variables.SERVICE_PATH_PREFIX"] == [*found]
    found = messages(
        environment_variables={"SCORING_TIMEOUT_MS": "abc", "AML_APP_INSIGHTS_KEY": "k1", "SERVER_PORT": "1"}
    )
    prefix = "environment_variables."

    assert "must be a whole number from 1 to 86,400,000" == found[f"{prefix}SCORING_TIMEOUT_MS"]
    assert "enable_app_insights" in found[f"{prefix}AML_APP_INSIGHTS_KEY"]
    assert "give the service port" in found[f"{prefix}SERVER_PORT"]


def test_setting_that_a_variable_contradicts_is_told():
    """The setting wins, and nobody finds out by chance; the service's variable wins over the image's."""
    image, own = {"SCORING_TIMEOUT_MS": "5000", "WORKER_COUNT": "2"}, {"WORKER_COUNT": "4"}
    told = list(disagreements({"scoring_timeout_ms": 60_000, "workers": 4, "log_level": "INFO"}, image, own))
    origins = list(disagreements({"cors_origins": ["https://a.example"]}, {"AML_CORS_ORIGINS": "https://a.example"}))

    assert [
        "scoring_timeout_ms: 60000 wins over the environment variable SCORING_TIMEOUT_MS, which says otherwise"
    ] == told
    assert [] == origins


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

    assert name in declared


def test_settings_and_the_runtimes_agree():
    """What is not given is the same on both sides, and whatever the runtime can do has a setting."""
    spec, runtime = LocalServiceSpec(name="abc"), Settings(Path("/"))
    made = runtime_form({**WHOLE, "environment_variables": {"MODE": "fast"}}, collected="/data")
    renamed = {"certificate": "tls_certificate", "certificate_key": "tls_key"}
    reached = {renamed.get(name, name) for name in made}
    ours = {"root", "service", "revision", "host", "fd", "grpc_fd", "control", "keys_file"}  # of whoever starts it
    others = {name for name in vars(runtime) if "it is a setting of AKS services" in (why_not_local(name) or "")}
    same = [name for name in LocalServiceSpec.model_fields if hasattr(runtime, name) and name != "port"]

    assert {field.name for field in dataclasses.fields(Settings)} == ours | others | (reached & vars(runtime).keys())
    assert {name: getattr(runtime, name) for name in same} == {name: getattr(spec, name) for name in same}


@pytest.mark.parametrize("part", ["entra", "collection", "telemetry"])
def test_objects_reach_the_runtime_whole(part):
    """Every field of an object among the settings differs from the runtime's default when the program says so."""
    made = runtime_form(WHOLE, collected="/data")[part]
    default = type(made)(
        **{field.name: None for field in dataclasses.fields(made) if field.default is field.default_factory}
    )

    assert [] == [
        field.name for field in dataclasses.fields(made) if getattr(made, field.name) == getattr(default, field.name)
    ]


def test_v1s_switch_alone_collects_as_v1_did():
    """All inputs and predictions, as CSV, without any code, into a folder of this machine."""
    made = runtime_form({"collect_model_data": True}, collected="/data/here")

    assert {"collection": Collection("/data/here", automatic=True, format="csv", sample=1)} == made
    assert {} == runtime_form({"collect_model_data": False}, collected="/data/here")


@pytest.mark.parametrize(
    ("settings", "paths"),
    [
        ({"ssl_enabled": True}, {"ssl_cert_pem_file", "ssl_key_pem_file"}),
        (
            {"ssl_cert_pem_file": "a", "ssl_key_pem_file": "b", "ssl_cname": "c"},
            {"ssl_cert_pem_file", "ssl_key_pem_file", "ssl_cname"},
        ),
        ({"ssl_enabled": False, "ssl_cname": "c"}, {"ssl_cname"}),
        ({"data_collection": {}}, {"data_collection"}),
        ({"enable_app_insights": True}, {"app_insights_connection_string"}),
        (
            {"app_insights_connection_string": WHOLE["app_insights_connection_string"]},
            {"app_insights_connection_string"},
        ),
        ({"telemetry": {}}, {"telemetry"}),
        ({"telemetry": {}, "otlp_endpoint": "http://127.0.0.1:4318"}, set()),
        ({"ssl_cname": "https://x"}, {"ssl_cname"}),
        ({"onnx_providers": []}, {"onnx_providers"}),
        ({"onnx_providers": ["cpu", "cuda"]}, {"onnx_providers"}),
        ({"onnx_provider_options": {"cuda": {"a": "b"}}}, {"onnx_provider_options"}),
        ({"onnx_provider_options": {"gpu": {"a": "b"}}}, {"onnx_provider_options.gpu"}),
        ({"onnx_provider_options": {"cpu": {"a": 1}}}, {"onnx_provider_options.cpu.a"}),
        ({"onnx_providers": ["cpu", "CUDAExecutionProvider"]}, {"onnx_providers[1]"}),
        (
            {"entra": {"tenant_id": "contoso", "audiences": [], "authority": "http://x"}},
            {"entra.tenant_id", "entra.audiences", "entra.authority"},
        ),
        ({"entra": {}}, {"entra.tenant_id", "entra.audiences"}),
        (
            {
                "collect_model_data": True,
                "data_collection": {"target": "here", "workspace": "w", "options": {"a": "b"}},
            },
            {"data_collection.target", "data_collection.workspace", "data_collection.options"},
        ),
        ({"collect_model_data": True, "data_collection": {"target": "az://c?sv=1&sig=s"}}, {"data_collection.target"}),
        ({"collect_model_data": True, "data_collection": {"target": "s3://k:s@b/p"}}, {"data_collection.target"}),
        (
            {"collect_model_data": True, "data_collection": {"sample": 0, "format": "xml"}},
            {"data_collection.sample", "data_collection.format"},
        ),
        ({"otlp_endpoint": "127.0.0.1:4318"}, {"otlp_endpoint"}),
        ({"enable_app_insights": True, "app_insights_connection_string": "secret"}, {"app_insights_connection_string"}),
        (
            {"read_timeout_s": 0, "idle_timeout_s": float("inf"), "workers": 0, "metrics": "on", "log_format": "xml"},
            {"read_timeout_s", "idle_timeout_s", "workers", "metrics", "log_format"},
        ),
    ],
)
def test_what_cannot_work_together_is_refused_at_its_place(settings, paths):
    """Several problems at once, each at the setting that has to change."""
    assert paths == set(messages(**settings))


def test_what_is_not_known_yet_is_not_judged():
    """A switch or a file that only the real run will know is no mistake."""
    later = ["ssl_enabled", "ssl_key_pem_file", "enable_app_insights", "collect_model_data"]
    given = {"ssl_cert_pem_file": "a", "app_insights_connection_string": WHOLE["app_insights_connection_string"]}

    assert [] == check_local_service({**given, "data_collection": {}, "telemetry": {}}, later)
    assert [] == check_local_service({"ssl_enabled": True, "ssl_cert_pem_file": "a"}, ["ssl_key_pem_file"])


def test_secrets_of_features_are_not_shown():
    """Neither a wrong connection string nor a wrong option is quoted."""
    found = messages(
        enable_app_insights=True,
        app_insights_connection_string="InstrumentationKey=hunter2",
        collect_model_data=True,
        data_collection={"target": "az://x", "options": {"account_key": 12_345}},
    )

    assert {"app_insights_connection_string", "data_collection.options.account_key"} == set(found)
    assert "hunter2" not in str(found)
    assert "12345" not in str(found)
    assert "hunter2" not in repr(LocalServiceSpec(**WHOLE))


@pytest.mark.parametrize(
    ("collected", "found"),
    [
        ({"format": "json"}, {"data_collection.format": "must be one of 'csv' or 'jsonl', got 'json'"}),
        ({"sample": 7.5}, {"data_collection.sample": "must be at most 1, got 7.5"}),
        ({"options": "hunter2"}, {"data_collection.options": "must be a map, got a str"}),
        (["hunter2"], {"data_collection": "must be an object, got a list"}),
    ],
)
def test_only_secrets_are_hidden(collected, found):
    """The rest of an object that holds a secret is shown, unless the object is of another form as a whole."""
    assert found == messages(collect_model_data=True, data_collection=collected)


def test_what_is_declared_a_secret_is_hidden():
    """Of a service and of an image; variables are so without being declared."""

    def secrets(declaration, before=""):
        for field in shape_of(declaration).fields if isinstance(declaration, type) else declaration.fields:
            if field.secret:
                yield before + field.name
            elif field.kind.shape is not None:
                yield from secrets(field.kind.shape, f"{before}{field.name}.")

    ours = {"environment_variables"}

    assert {*secrets(LocalProcessInputs)} - {"keys"} | ours == service._SECRETS
    assert {*secrets(ImageInputs)} | ours == image._SECRET


@pytest.mark.parametrize(
    ("target", "name", "text"),
    [
        ("az://x", "nonsense", "az:// has no such option; such as account_name, account_key, sas_key"),
        ("az://x", "acount_key", "az:// has no such option; did you mean 'account_key'?"),
        ("s3://x", "account_key", "s3:// has no such option; such as access_key_id, secret_access_key, region"),
        ("gs://x", "endpoint", "gs:// has no such option; such as service_account, "),
        ("s3://x", "AWS_REGIONS", "s3:// has no such option; did you mean 'region'?"),
    ],
)
def test_option_that_a_store_lacks_is_refused_at_its_place(target, name, text):
    """Before anything starts, and without its value."""
    found = messages(collect_model_data=True, data_collection={"target": target, "options": {name: "hunter2"}})

    assert [f"data_collection.options.{name}"] == [*found]
    assert text in found[f"data_collection.options.{name}"]
    assert "hunter2" not in str(found)


def test_secret_in_the_place_of_an_options_name_is_not_shown():
    """Such as a connection string."""
    options = {"AccountName=me;AccountKey=hunter2": "", "region": "eu", "allow_http": "true"}
    found = messages(collect_model_data=True, data_collection={"target": "s3://x", "options": options})

    assert ["data_collection.options"] == [*found]
    assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("settings", "needed"),
    [
        ({}, {}),
        ({"entra": WHOLE["entra"]}, {"entra": "entra"}),
        ({"otlp_endpoint": "http://x", "enable_app_insights": True}, {"telemetry": "enable_app_insights"}),
        ({"enable_app_insights": False}, {}),
        ({"collect_model_data": True}, {}),
        ({"collect_model_data": True, "data_collection": {"target": "/data"}}, {}),
        ({"collect_model_data": True, "data_collection": {"target": "az://x"}}, {"collection": "data_collection"}),
    ],
)
def test_settings_say_which_features_they_need(settings, needed):
    """A folder for collected data needs nothing of the image."""
    assert needed == features_needed(settings)


def test_grpc_needs_its_switch_and_a_port_of_its_own():
    """A port alone, and the port of HTTP, are refused; the switch asks the image for its feature."""
    alone = check_local_service({"name": "abc", "grpc_port": 8001})
    same = check_local_service({"name": "abc", "grpc_enabled": True, "port": 8001, "grpc_port": 8001})

    assert [Problem("grpc_port", "is given, but grpc_enabled is not true; switch it on or leave this out")] == alone
    assert [Problem("grpc_port", "is the port of HTTP, got 8001; choose another")] == same
    assert [] == check_local_service({"name": "abc", "grpc_enabled": True})
    assert {"grpc": "grpc_enabled"} == features_needed({"grpc_enabled": True})
    assert {} == features_needed({"grpc_enabled": False})
