"""Every argument of a component is honoured or refused: each says here when it counts, and where it does nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from pulumi_mlserve.clients.models.model_scan import scan
from pulumi_mlserve.components.local_service import LocalService, LocalServiceArgs
from pulumi_mlserve.components.registered_model import RegisteredModelArgs
from pulumi_mlserve.components.scoring_image import ScoringImageArgs
from pulumi_mlserve.core.environments.environment import environment_from
from pulumi_mlserve.core.images.builders import builder_problems
from pulumi_mlserve.core.images.destination import destination_problems
from pulumi_mlserve.core.images.image import check_image
from pulumi_mlserve.core.model import check_model
from pulumi_mlserve.core.problems import InvalidInputError, Problem
from pulumi_mlserve.core.service import check_local_service
from pulumi_mlserve.core.service_keys import check_keys
from pulumi_mlserve.core.shapes import shape_of
from pulumi_mlserve.provider import image_environment, service_surroundings
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers.image import ImageHandler
from pulumi_mlserve.provider.image_environment import read_environment
from pulumi_mlserve.provider.service_surroundings import surroundings_problems
from pulumi_mlserve.provider.values import UNKNOWN

ALWAYS = None
"""The argument counts whatever else is given."""
DIGEST = "sha256:" + "0" * 64
URN = "urn:pulumi:dev::shop::mlserve:index:LocalService$mlserve:index:LocalProcess::price"
ACR = "/subscriptions/1/resourceGroups/rg/providers/Microsoft.ContainerRegistry/registries/shop"
STEPS = {"builder": "acr", "extra_docker_file_steps": "steps", "python_version": "3.11", "registry": "shop.azurecr.io"}
IMAGE = {"name": "price", "digest": DIGEST, "reference": f"price@{DIGEST}", "features": ["grpc"]}
SCRIPT = {"image": IMAGE | {"entry_script": "score.py"}}
MODEL = {"image": IMAGE | {"entry_script": "", "models": [{"name": "m", "digest": DIGEST}]}}
STRING = "InstrumentationKey=11111111-2222-3333-4444-555555555555"
KEY = "a-key-of-sixteen-or-more"


@dataclass(frozen=True)
class Counts:
    """When an argument has an effect.

    Attributes:
        when: Arguments with which it has one.
        idle: Arguments with which it has none, each with where that is said; the argument itself by default.
    """

    when: dict[str, Any]
    idle: list[dict[str, Any]]
    at: str = ""
    value: Any = field(default=None)


LOCAL_SERVICE = {
    **dict.fromkeys(
        (
            *("access_log", "auth_enabled", "collect_model_data", "cors_origins", "cpu_cores", "description", "docs"),
            *("drain_seconds", "enable_app_insights", "entra", "environment_variables", "grpc_enabled"),
            *("idle_timeout_s", "image", "log_format", "log_level", "max_body_bytes", "max_concurrent_requests"),
            *("max_queue", "memory_gb", "metrics", "name", "otlp_endpoint", "path_prefix", "port", "properties"),
            *("read_timeout_s", "scoring_timeout_ms", "ssl_enabled", "start_seconds", "strict_v1", "tags", "workers"),
        ),
        ALWAYS,
    ),
    "app_insights_connection_string": Counts({"enable_app_insights": True}, [{}], value=STRING),
    "data_collection": Counts({"collect_model_data": True}, [{}], value={"format": "jsonl"}),
    "grpc_port": Counts({"grpc_enabled": True}, [{}], value=8001),
    "health": Counts({"auth_enabled": True, "keys": {}}, [{}], value="protected"),
    "model_threads": Counts(MODEL, [SCRIPT], value=2),
    "onnx_provider_options": Counts(
        MODEL | {"onnx_providers": ["cuda", "cpu"]},
        [
            MODEL,
            SCRIPT | {"onnx_providers": ["cuda", "cpu"]},
            MODEL | {"onnx_providers": ["cuda", "cpu"], "onnx_provider_options": {"cpu": {"x": "y"}}},
            MODEL | {"onnx_providers": ["cuda", "cpu"], "model": "LightGBM"},
        ],
        value={"cuda": {"device_id": "1"}},
    ),
    "onnx_providers": Counts(MODEL, [SCRIPT, MODEL | {"model": "scikit-learn"}], value=["cuda", "cpu"]),
    **{f"{which}_key": Counts({"auth_enabled": True}, [{}], value=KEY) for which in ("primary", "secondary")},
    **{
        f"{which}_key_generation": Counts(
            {"auth_enabled": True}, [{}, {"auth_enabled": True, f"{which}_key": KEY}], value=2
        )
        for which in ("primary", "secondary")
    },
    **{
        name: Counts({"ssl_enabled": True}, [{}, {"ssl_enabled": False}], value="localhost")
        for name in ("ssl_cert_pem_file", "ssl_cname", "ssl_key_pem_file")
    },
    "telemetry": Counts({"otlp_endpoint": "http://127.0.0.1:4318"}, [{}], value={"sample": 0.5}),
}
SCORING_IMAGE = {
    **dict.fromkeys(
        (
            *("base_image", "conda_file", "description", "enable_gpu", "environment_variables", "features", "models"),
            *("name", "platform", "properties", "python_version", "registry", "requirements_file", "runtime"),
            *("samples", "source_directory", "standins", "tags", "trial"),
        ),
        ALWAYS,
    ),
    "acr_id": Counts(STEPS, [{}, {"builder": "native"}, STEPS | {"builder": "docker"}], value=ACR),
    "base_image_registry": Counts(
        {"base_image": "base:1"}, [{}, {"base_image": "scratch"}], value={"address": "r.example"}
    ),
    "base_packages": Counts({"base_image": "base:1"}, [{}, {"base_image": "scratch"}], "base_image", ["torch"]),
    "builder": Counts(STEPS | {"acr_id": ACR}, [{}], value="acr"),
    "cuda_version": Counts({"enable_gpu": True}, [{}, {"enable_gpu": False}], value="12"),
    "entry_script": Counts({"source_directory": "FOLDER"}, [{}], "source_directory", "score.py"),
    "extra_docker_file_steps": Counts(STEPS | {"acr_id": ACR}, [{}, {"builder": "native"}], value="steps"),
    "extras": Counts({"requirements_file": "pyproject.toml"}, [{}, {"requirements_file": "a.txt"}], value=["gpu"]),
    "registry_tag": Counts({"registry": "r.example"}, [{}, {"registry": ""}], value="new"),
    "repository": Counts({"registry": "r.example"}, [{}, {"registry": ""}], value="team/price"),
    "trial_seconds": Counts(
        {"trial": "required"},
        [{"trial": "off"}, {"base_image": "base:1", "base_packages": ["torch"]}],
        value=9,
    ),
    "upgrade": Counts(
        {"base_image": "base:1"},
        [{}, {"registry": ""}, {"base_image": "scratch", "registry": "r.example"}, {"base_image": f"base@{DIGEST}"}],
        value=["runtime", "base_image"],
    ),
}
REGISTERED_MODEL = {
    **dict.fromkeys(
        (
            *("description", "model_framework", "name", "path", "properties", "resource_configuration"),
            *("sample_input", "tags", "workspace"),
        ),
        ALWAYS,
    ),
    "child_paths": Counts({"path": "FOLDER"}, [{"path": "FOLDER/a"}], value=["a"]),
    "model_framework_version": Counts({"model_framework": "Onnx"}, [{}], "model_framework", "1"),
    "sample_output": Counts({"sample_input": [1]}, [{}], "sample_input", [2]),
    "upgrade": Counts(
        {"path": "models:/price@champion"},
        [{"path": "model/ridge.onnx"}, {"path": "models:/price/1"}, {"path": "runs:/1/model"}, {"path": "az://c/m"}],
        value=["alias"],
    ),
    "workspace_datastore": Counts({"workspace": "/subscriptions/1"}, [{}], "workspace", "store"),
}
TABLES = {
    "LocalService": (LOCAL_SERVICE, LocalServiceArgs),
    "RegisteredModel": (REGISTERED_MODEL, RegisteredModelArgs),
    "ScoringImage": (SCORING_IMAGE, ScoringImageArgs),
}
RULES = [
    pytest.param(kind, name, counts, id=f"{kind}-{name}")
    for kind, (table, _) in TABLES.items()
    for name, counts in table.items()
    if counts is not ALWAYS
]


@pytest.fixture
def refused(monkeypatch, tmp_path):
    """Returns where the arguments of a component are refused, before anything is made."""
    (tmp_path / "a").write_text("1")

    def local_service(given):
        kind = given.pop("model", "ONNX")
        monkeypatch.setattr(service_surroundings, "kind_answering", lambda _call, _models: kind)
        own = {"auth_enabled", *(name for name in given if "_key" in name and "ssl" not in name)}
        rest = {name: value for name, value in given.items() if name not in {*own, "image", "keys"}}
        found = [*LocalService.rules.check({"image": IMAGE, **given}), *check_local_service(rest)]
        call = Call(URN, news={"image": IMAGE, **given}, olds={"image": given.get("image", IMAGE), **rest})
        return found + surroundings_problems(call, rest, {p.top for p in found})

    def scoring_image(given):
        kept = {name: value for name, value in given.items() if name not in {"builder", "acr_id", "runtime"}}
        kept.pop("extra_docker_file_steps", None)
        kept |= {"source_directory": str(tmp_path)} if "source_directory" in kept else {}
        found = [*builder_problems(given, given.get("registry")), *check_image({"name": "price", **kept})]
        found += destination_problems(kept)
        found += ImageHandler().check(Call(URN, news={"name": "price", "source_directory": UNKNOWN, **kept})).problems
        return found + environment_problems(given)

    def registered_model(given):
        path = given.get("path", "x").replace("FOLDER", str(tmp_path))
        return check_model({"name": "m", **given, "path": path}) + scan_problems(path, given.get("child_paths"))

    judges = {"LocalService": local_service, "ScoringImage": scoring_image, "RegisteredModel": registered_model}
    return lambda kind, given: {problem.path for problem in judges[kind](dict(given))}


def environment_problems(given) -> list[Problem]:
    """What is wrong with what is said of an environment file."""
    name = given.get("requirements_file")
    text = '[project]\nname = "a"\nversion = "1"\n[project.optional-dependencies]\ngpu = []\n' if name else None
    if not name or not name.endswith(".toml"):
        text = text and ""
    try:
        environment_from(requirements_text=text, file_name=name, extras=given.get("extras", ()))
    except InvalidInputError as invalid:
        return list(invalid.problems)
    return []


def scan_problems(path, children) -> list[Problem]:
    """What is wrong with choosing these of a model's files."""
    if children is None:
        return []
    try:
        scan(path, children)
    except InvalidInputError as invalid:
        return list(invalid.problems)
    return []


@pytest.mark.parametrize("kind", sorted(TABLES))
def test_every_argument_says_when_it_counts(kind):
    """A new one has to be put into the table, which asks whether it is refused wherever it does nothing."""
    table, args = TABLES[kind]

    assert shape_of(args).by_name.keys() == table.keys()


@pytest.mark.parametrize(("kind", "name", "counts"), RULES)
def test_an_argument_is_refused_where_it_would_do_nothing(refused, kind, name, counts):
    """At its place, or at that of what it needs; where it counts, nothing is said of it."""
    place = counts.at or name

    for idle in counts.idle:
        assert place in refused(kind, {name: counts.value, **idle}), idle
    assert place not in refused(kind, {name: counts.value, **counts.when})


DEFAULTS = {
    "LocalService": (
        SCRIPT,
        {"health": "open", "model_threads": 1, "onnx_providers": ["cpu"], "onnx_provider_options": {}},
    ),
    "RegisteredModel": ({"path": "x"}, {"upgrade": []}),
    "ScoringImage": (
        {"trial": "off"},
        {"trial_seconds": 120, "builder": "native", "extras": [], "upgrade": [], "base_packages": []},
    ),
}


@pytest.mark.parametrize("kind", sorted(DEFAULTS))
def test_a_default_that_is_given_is_taken_anywhere(refused, kind):
    """It says what is so without it."""
    beside, defaults = DEFAULTS[kind]

    assert set() == refused(kind, beside | defaults) & defaults.keys()


def test_keys_that_are_known_later_are_judged_then():
    """A generation beside a given key replaces nothing, by whatever name and whenever it is known."""
    found = check_keys({"primary_key": UNKNOWN, "primary_generation": 2, "secondary_generation": 2})

    assert ["primary_generation"] == [problem.path for problem in found]


def test_what_is_not_known_yet_may_count():
    """A base or a registry that only the real run knows may be one to upgrade."""
    news = {"name": "price", "source_directory": UNKNOWN, "upgrade": ["base_image"], "registry": UNKNOWN}
    found = ImageHandler().check(Call(URN, news=news)).problems

    assert "upgrade" not in {problem.path for problem in found}


def test_a_committed_lock_is_upgraded_where_it_lies(monkeypatch, tmp_path):
    """`upgrade` resolves what the stack has locked; what a file holds is the file's."""
    (tmp_path / "requirements.txt").write_text("tiny==1.0\n")
    (tmp_path / "requirements.lock").write_text(
        f"# made for Python 3.11 on linux/amd64 from {DIGEST}\n# by mlserve lock requirements.txt\n"
        f"tiny==1.0 \\\n    --hash={DIGEST}\n"
    )
    monkeypatch.setattr(image_environment, "workplace", lambda _settings: pytest.fail("nobody is to be asked"))
    given = {"requirements_file": str(tmp_path / "requirements.txt"), "upgrade": ["lock"], "platform": "linux/amd64"}
    with pytest.raises(InvalidInputError) as caught:
        read_environment(Call(URN, news=given), given)

    (problem,) = caught.value.problems
    assert "upgrade" == problem.path
    assert "requirements.lock; run `mlserve lock " in problem.message
    assert problem.message.endswith(" --upgrade`, and leave 'lock' out")
