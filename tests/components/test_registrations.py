"""Components register exactly the children they promise, with exactly these inputs."""

from __future__ import annotations

import asyncio
import gc

import pulumi
import pytest

import pulumi_mlserve
from pulumi_mlserve.core.images.base_image import runtime_problem
from pulumi_mlserve.core.images.refusals import why_not_image
from pulumi_mlserve.core.model_refusals import why_not_model
from pulumi_mlserve.core.service_refusals import why_not_local
from pulumi_mlserve.core.shapes import camel

# The SDK's mocks open an event loop in each of their threads and close none of them (pulumi 3.272).
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


USED = {"name": "ridge", "version": 1, "digest": "sha256:aa"}
OUTPUTS = {
    "mlserve:index:Model": {
        "version": 1,
        "digest": "sha256:aa",
        "uri": "models/m/versions/1",
        "size": 3,
        "framework": "Onnx",
        "sample": {},
    },
    "mlserve:index:Image": {
        "digest": "sha256:bb",
        "reference": "img@sha256:bb",
        "contract": {"schema": 1},
        "lock": "numpy==2",
        "size": 9,
        "python": "3.11",
    },
    "mlserve:index:PulledImage": {
        "name": "price",
        "digest": "sha256:" + "1" * 64,
        "contract": {"schema": 1},
        "features": ["telemetry"],
        "python": "3.11",
        "models": [USED],
    },
    "mlserve:index:LocalProcess": {
        "scoringUri": "http://127.0.0.1:8890/score",
        "swaggerUri": "http://127.0.0.1:8890/swagger.json",
        "state": "Healthy",
        "revision": "r1",
        "pid": 7,
    },
    "mlserve:index:ServiceKeys": {"primaryKey": "first-key-of-sixteen", "secondaryKey": "second-key-of-sixteen"},
    "mlserve:index:ServiceRecord": {"key": "records/p/s/svc.json", "since": "now"},
}


class Recorder(pulumi.runtime.Mocks):
    """Answers like the provider and keeps what was asked."""

    def __init__(self):
        self.made = {}

    def new_resource(self, args):
        """Record one registration."""
        kind = args.typ.rsplit(":", 1)[-1]
        self.made[f"{kind}::{args.name}"] = dict(args.inputs)
        extra = {"name": args.inputs.get("name")} if "name" in args.inputs else {}
        return f"id-{args.name}", {**args.inputs, **extra, **OUTPUTS.get(args.typ, {})}

    def call(self, args):
        """Refuse: components call no function."""
        raise AssertionError(f"no function is called, got {args.token}")


@pytest.fixture
def run():
    """Run a program to its end and return what it registered."""

    def go(program, *, preview=False):
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        recorder = Recorder()
        pulumi.runtime.set_mocks(recorder, project="p", stack="s", preview=preview)

        @pulumi.runtime.test
        def whole():
            return program()

        try:
            whole()
        finally:
            loop.run_until_complete(loop.shutdown_default_executor())  # their loops go with them, here and not later
            loop.close()
            asyncio.set_event_loop(None)
            gc.collect()
        return recorder.made

    yield go
    gc.collect()


MODEL = {
    "name": "diabetes",
    "version": 1,
    "digest": "sha256:aa",
    "uri": "models/m/versions/1",
    "framework": "Onnx",
    "sample": {},
}
IMAGE = {
    "name": "diabetes",
    "digest": "sha256:bb",
    "reference": "img@sha256:bb",
    "python": "3.11",
    "models": [MODEL],
    "features": [],
    "contract": {"schema": 1},
}


def chain(**service):
    """Return a service of an image of a model."""
    model = pulumi_mlserve.RegisteredModel("diabetes", path="ridge.onnx", tags={"area": "x"})
    image = pulumi_mlserve.ScoringImage("diabetes", models=[model])
    return pulumi_mlserve.LocalService("diabetes", image=image, **service)


def test_the_whole_chain_registers_these_and_no_others(run):
    """A model, an image, a service: three components, four children."""
    made = run(lambda: chain(port=8890, tags={"team": "y"}))

    assert {
        "RegisteredModel::diabetes": {},
        "Model::diabetes": {"name": "diabetes", "path": "ridge.onnx", "tags": {"area": "x"}},
        "ScoringImage::diabetes": {},
        "Image::diabetes": {"name": "diabetes", "models": [MODEL]},
        "LocalService::diabetes": {},
        "LocalProcess::diabetes": {"name": "diabetes", "image": {**IMAGE, "entryScript": ""}, "port": 8890},
        "ServiceRecord::diabetes": {
            "service": "diabetes",
            "target": "local",
            "image": {**IMAGE, "entryScript": ""},
            "scoringUri": "http://127.0.0.1:8890/score",
            "revision": "r1",
            "tags": {"team": "y"},
        },
    } == made


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("told", [{}, {"variables": {}}, {"variables": {"WORKER_COUNT": "2"}}])
def test_a_state_that_lacks_an_images_variables_leaves_its_ref_known(run, monkeypatch, preview, told):
    """An earlier release did not write them down: in a preview all that stands beside them would be unknown."""
    known = {"name": "price", "platform": "linux/amd64", "models": [], "device": "cpu"}
    monkeypatch.setitem(OUTPUTS, "mlserve:index:Image", {**OUTPUTS["mlserve:index:Image"], **known, **told})

    def program():
        image = pulumi_mlserve.ScoringImage("price", models=[])
        pulumi_mlserve.LocalService("parts", image=image)
        pulumi_mlserve.LocalService("whole", image=image.ref)

    made = run(program, preview=preview)

    for name in ("parts", "whole"):
        image = made[f"LocalProcess::{name}"]["image"]
        assert "sha256:bb" == image["digest"]
        assert told.get("variables") == image.get("variables")


@pytest.mark.parametrize("told", [{}, {"variables": {"WORKER_COUNT": "2"}}])
def test_the_variables_of_an_image_that_is_to_be_are_told_where_they_are_known(run, monkeypatch, told):
    """Without its digest nobody can look them up."""
    monkeypatch.setitem(OUTPUTS, "mlserve:index:Image", told)
    made = run(
        lambda: pulumi_mlserve.LocalService("parts", image=pulumi_mlserve.ScoringImage("price", models=[])),
        preview=True,
    )
    image = made["LocalProcess::parts"]["image"]

    assert pulumi.contains_unknowns(image["digest"])
    assert image["variables"] == told["variables"] if told else pulumi.contains_unknowns(image["variables"])


def test_auth_adds_keys_and_hands_them_over(run):
    """Two keys exist only with authentication, and the process gets both."""
    made = run(lambda: chain(auth_enabled=True, primary_key_generation=2))

    assert {"service": "diabetes", "primaryGeneration": 2} == made["ServiceKeys::diabetes"]
    keys = {"primary": "first-key-of-sixteen", "secondary": "second-key-of-sixteen"}
    assert secret(keys) == made["LocalProcess::diabetes"]["keys"]


def secret(value):
    """Return a value as the engine gets it when it is a secret."""
    return {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": value}


SETTINGS = {
    "workers": 2,
    "model_threads": 2,
    "onnx_providers": ["cpu"],
    "path_prefix": "/api",
    "log_level": "DEBUG",
    "log_format": "json",
    "access_log": True,
    "metrics": "open",
    "health": "protected",
    "docs": False,
    "strict_v1": True,
    "read_timeout_s": 5.5,
    "idle_timeout_s": 6.5,
    "ssl_enabled": True,
    "ssl_cert_pem_file": "cert.pem",
    "ssl_key_pem_file": "key.pem",
    "ssl_cname": "localhost",
    "collect_model_data": True,
    "enable_app_insights": True,
    "otlp_endpoint": "http://127.0.0.1:4318",
}


def test_every_setting_reaches_the_process(run):
    """Under its name on the wire, nested names too; what may open something as a secret, wherever it came from."""
    entra = {"tenant_id": "t", "audiences": ["a"], "leeway_s": 5}
    telemetry = {"log_answers": False, "dimensions": {"my_team": "x"}}
    made = run(
        lambda: chain(
            **SETTINGS,
            entra=entra,
            telemetry=telemetry,
            data_collection={"target": "az://x", "flush_seconds": 1, "options": {"account_key": "k"}},
            app_insights_connection_string="plain",
        )
    )["LocalProcess::diabetes"]

    assert {camel(name): value for name, value in SETTINGS.items()} == {
        camel(name): made[camel(name)] for name in SETTINGS
    }
    assert {"tenantId": "t", "audiences": ["a"], "leewayS": 5} == made["entra"]
    assert {"logAnswers": False, "dimensions": {"my_team": "x"}} == made["telemetry"]
    assert secret("plain") == made["appInsightsConnectionString"]
    collected = {"target": "az://x", "flushSeconds": 1, "options": {"account_key": "k"}}
    assert secret(collected) == made["dataCollection"]


def test_collected_data_without_options_hides_nothing(run):
    """A preview shows where data goes, unless how to get there is a secret."""
    made = run(lambda: chain(collect_model_data=True, data_collection={"format": "jsonl"}))

    assert {"format": "jsonl"} == made["LocalProcess::diabetes"]["dataCollection"]


def test_features_go_into_the_image_and_are_told_to_the_service(run):
    """Before the image is made, so that the first preview can refuse a service that needs another one."""

    def program():
        image = pulumi_mlserve.ScoringImage("diabetes", features=["telemetry"])
        pulumi_mlserve.LocalService("diabetes", image=image)

    made = run(program)
    assert ["telemetry"] == made["Image::diabetes"]["features"]
    assert ["telemetry"] == made["LocalProcess::diabetes"]["image"]["features"]


def test_a_bases_settings_go_to_the_image_and_its_password_is_a_secret(run):
    """v1's runtime chose between Python and Spark; there is nothing to choose any more."""
    access = {"address": "a.example", "username": "robot", "password": "hush"}

    def program():
        settings = {"base_image": "base:1", "base_image_registry": access, "enable_gpu": True, "cuda_version": "12"}
        pulumi_mlserve.ScoringImage("diabetes", runtime="python", **settings)

    made = run(program)["Image::diabetes"]

    assert ("base:1", True, "12") == (made["baseImage"], made["enableGpu"], made["cudaVersion"])
    assert {"value": access} == {name: one for name, one in made["baseImageRegistry"].items() if name == "value"}
    assert "runtime" not in made


def test_an_image_made_elsewhere_is_a_child_that_says_what_it_holds(run):
    """Its contract and features come from itself."""
    reference = "x.io/team/price@sha256:" + "1" * 64
    seen = {}

    def program():
        service = pulumi_mlserve.LocalService("price", image=reference)
        return service.contract.apply(lambda contract: seen.update(contract=contract))

    made = run(program)

    assert {"reference": reference} == made["PulledImage::price"]
    assert ["telemetry"] == made["LocalProcess::price"]["image"]["features"]
    assert reference == made["ServiceRecord::price"]["image"]["reference"]
    assert {"schema": 1} == seen["contract"]


@pytest.mark.parametrize("given", ["text", "mapping"])
def test_an_image_of_the_local_store_says_what_it_holds_too(run, given):
    """By its name alone, or named by hand: the record gets the models, the service the contract."""
    reference = "price@sha256:" + "1" * 64
    image = {"name": "price", "digest": "sha256:" + "1" * 64, "reference": reference}
    seen = {}

    def program():
        service = pulumi_mlserve.LocalService("price", image=reference if given == "text" else image)
        return service.contract.apply(lambda contract: seen.update(contract=contract))

    made = run(program)

    assert {"reference": reference} == made["PulledImage::price"]
    assert ["telemetry"] == made["LocalProcess::price"]["image"]["features"]
    assert [USED] == made["ServiceRecord::price"]["image"]["models"]
    assert reference == made["ServiceRecord::price"]["image"]["reference"]
    assert {"schema": 1} == seen["contract"]


def test_outputs_are_what_the_service_says(run):
    """Every promised output is there."""
    seen = {}

    def program():
        service = chain()
        without = pulumi_mlserve.LocalService("bare", image=IMAGE, docs=False, metrics="off")
        return pulumi.Output.all(
            service.scoring_uri,
            service.swagger_uri,
            service.state,
            service.auth_enabled,
            service.contract,
            service.openapi_uri,
            service.docs_uri,
            service.metrics_uri,
            without.docs_uri,
            without.metrics_uri,
        ).apply(lambda values: seen.update(values=values))

    run(program)

    assert [
        "http://127.0.0.1:8890/score",
        "http://127.0.0.1:8890/swagger.json",
        "Healthy",
        False,
        {"schema": 1},
        "http://127.0.0.1:8890/openapi.json",
        "http://127.0.0.1:8890/docs",
        "http://127.0.0.1:8890/metrics",
        "",
        "",
    ] == seen["values"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: pulumi_mlserve.RegisteredModel("m"), "RegisteredModel: 'path': is required"),
        (
            lambda: pulumi_mlserve.RegisteredModel("m", path="x", tag={}),
            "RegisteredModel: 'tag': there is no such argument; did you mean 'tags'?",
        ),
        (
            lambda: pulumi_mlserve.RegisteredModel("m", path="x", model_name="y", run_id="1"),
            f"RegisteredModel: 'model_name': {why_not_model('model_name')}; 'run_id': {why_not_model('run_id')}",
        ),
        (
            lambda: pulumi_mlserve.RegisteredModel("m", {"path": "x"}, path="y"),
            "RegisteredModel: 'path': is given in args and as a keyword",
        ),
        (
            lambda: pulumi_mlserve.LocalService("s", image={}, auth_enabled=pulumi.Output.from_input(True)),
            "LocalService: 'auth_enabled': decides which resources exist, so it must be true or false itself",
        ),
        (
            lambda: pulumi_mlserve.LocalService("s", image={}, primary_key="k"),
            "LocalService: 'primary_key': is given, but auth_enabled is not true; switch it on or leave this out",
        ),
        (
            lambda: pulumi_mlserve.LocalService("s", image="price", num_replicas=2, vnet_name="v", secondary_key="k"),
            (
                f"LocalService: 'num_replicas': {why_not_local('num_replicas')};"
                f" 'vnet_name': {why_not_local('vnet_name')};"
                " 'secondary_key': is given, but auth_enabled is not true; switch it on or leave this out;"
                " 'image': must be a ScoringImage, its ref, NAME@sha256:… of the local image store, or"
                " REGISTRY/REPOSITORY@sha256:…, got 'price'"
            ),
        ),
        (
            lambda: pulumi_mlserve.ScoringImage("s", models=pulumi.Output.from_input([])),
            "ScoringImage: 'models': decides on layers, so it must be a list itself; its items may be outputs",
        ),
        (
            lambda: pulumi_mlserve.ScoringImage("s", runtime="spark-py", dockerfile="x", docker_file="y"),
            (
                f"ScoringImage: 'dockerfile': {why_not_image('dockerfile')};"
                f" 'docker_file': {why_not_image('docker_file')}; 'runtime': {runtime_problem('spark-py')}"
            ),
        ),
    ],
)
def test_wrong_arguments_are_refused_by_name(run, make, message):
    """Each mistake is named with what to do; nothing is registered."""
    with pytest.raises(TypeError) as refused:
        run(make)

    assert message == str(refused.value)
