"""What programs ask for: models and services of a real store in a folder."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace

import pytest
from pulumi.runtime.proto import provider_pb2

from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import hash_model
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.object_json import StoreUnreachableError
from pulumi_mlserve.clients.models.records import Records, ServiceRecord, UsedModel
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import InvalidInputError
from pulumi_mlserve.provider.functions import ANSWERS, get_model, get_service, list_models
from pulumi_mlserve.provider.main import handlers
from pulumi_mlserve.provider.server import Servicer
from pulumi_mlserve.provider.values import UNKNOWN, decode, encode


@pytest.fixture
def store(tmp_path, monkeypatch):
    """A store with three versions of a model, the second of them deleted, and a service in two stacks."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    made = ModelStore(str(tmp_path / "store"), now=lambda: "2026-01-31T12:00:00Z")
    for number, area in ((1, "shop"), (2, "shop"), (3, "bank")):
        file = tmp_path / f"m{number}.onnx"
        file.write_text(str(number))
        meta = ModelMeta(tags={"area": area}, properties={"run": str(number)}, sample_input=[1], model_framework="Onnx")
        made.register("ridge", hash_model(file, HashIndex(tmp_path / "index")), meta, "dev")
    made.release("ridge", "dev", in_use=lambda _name, _version: [], version=2)
    for stack in ("dev", "production"):
        record = ServiceRecord(
            project="shop",
            stack=stack,
            service="price",
            target="local",
            image_name="price",
            image_digest="sha256:" + "1" * 64,
            models=(UsedModel("ridge", 1, "sha256:" + "2" * 64),),
            scoring_uri=f"http://127.0.0.1:80/{stack}/score",
            since="2026-01-31T12:00:00Z",
            revision="r1",
            status="Healthy",
        )
        Records(made).put(record)
    return {"store": str(tmp_path / "store")}


@pytest.mark.parametrize(
    ("given", "version"),
    [
        ({}, 3),
        ({"version": 1}, 1),
        ({"tags": {"area": "shop"}}, 1),
        ({"properties": {"run": "3"}}, 3),
        ({"version": 3, "tags": {"area": "bank"}}, 3),
    ],
)
def test_the_newest_version_that_fits_is_found(store, given, version):
    """By nothing but the name it is the newest of all."""
    found = get_model({"name": "ridge", **given}, store)

    assert (version, f"ridge:{version}", "Onnx") == (found["version"], found["model_id"], found["framework"])
    assert {"name": "ridge", "version": version, "digest": found["digest"], "uri": found["uri"], "framework": "Onnx",
            "sample": {"input": [1]}} == found["ref"]  # fmt: skip


def test_a_content_is_found_by_its_digest(store):
    """Whatever its number is."""
    digest = get_model({"name": "ridge", "version": 1}, store)["digest"]

    assert 1 == get_model({"name": "ridge", "digest": digest}, store)["version"]


@pytest.mark.parametrize(
    ("given", "path", "told"),
    [
        ({"name": "rigde"}, "name", "there is no model named 'rigde' in "),
        ({"name": "rigde"}, "name", "did you mean 'ridge'?"),
        ({"name": "other"}, "name", "; it has ridge"),
        ({"version": 2}, "version", "was deleted, got 2; ridge has 1, 3"),
        ({"version": 9}, "version", "was never given, got 9; ridge has 1, 3"),
        ({"version": 0}, "version", "was never given, got 0"),
        ({"tags": {"area": "farm"}}, "tags", "no version of ridge carries area='farm'"),
        ({"version": 3, "tags": {"area": "shop"}}, "tags", "version 3 of ridge lacks area='shop'"),
        ({"properties": {"run": "9"}}, "properties", "no version of ridge carries run='9'"),
        ({"digest": "sha256:aa"}, "digest", "no version of ridge has this content"),
    ],
)
def test_what_is_not_there_is_told_at_its_argument(store, given, path, told):
    """With what there is instead."""
    with pytest.raises(InvalidInputError) as caught:
        get_model({"name": "ridge", **given}, store)
    (problem,) = caught.value.problems

    assert path == problem.path
    assert told in problem.message


@pytest.mark.parametrize(
    ("given", "versions"),
    [
        ({}, [1, 3]),
        ({"name": "ridge", "latest": True}, [3]),
        ({"tags": {"area": "shop"}}, [1]),
        ({"properties": {"run": "3"}}, [3]),
        ({"name": "rigde"}, []),
    ],
)
def test_all_versions_that_fit_are_listed(store, given, versions):
    """None is an answer, too."""
    found = list_models(given, store)["models"]

    assert versions == [model["version"] for model in found]
    assert all(model == get_model({"name": "ridge", "version": model["version"]}, store) for model in found)


def test_a_service_is_found_by_name_and_stack(store):
    """What it runs and where it answers."""
    found = get_service({"name": "price", "stack": "dev"}, store)

    assert ("http://127.0.0.1:80/dev/score", "http://127.0.0.1:80/dev/swagger.json") == (
        found["scoring_uri"],
        found["swagger_uri"],
    )
    assert [("ridge", 1)] == [(model["name"], model["version"]) for model in found["models"]]
    assert ("r1", "Healthy", "price") == (found["revision"], found["state"], found["image_name"])


@pytest.mark.parametrize(
    ("given", "path", "told"),
    [
        ({"name": "prize"}, "name", "did you mean 'price'?"),
        ({"name": "price"}, "stack", "is needed: price is declared by shop/dev, shop/production"),
        ({"name": "price", "stack": "test"}, "stack", "has no service price, got 'test'; it is declared by shop/dev"),
        ({"name": "price", "project": "bank"}, "project", "has no service price, got 'bank'"),
    ],
)
def test_a_service_that_is_not_the_one_is_told_at_its_argument(store, given, path, told):
    """Several of one name are no reason to take any of them."""
    with pytest.raises(InvalidInputError) as caught:
        get_service(given, store)
    (problem,) = caught.value.problems

    assert path == problem.path
    assert told in problem.message


def invoked(token="mlserve:index:getModel", **given):
    """Returns what the plugin answers."""
    servicer = Servicer(SimpleNamespace(), handlers(), "")
    request = provider_pb2.InvokeRequest(tok=token, args=encode(given))
    return asyncio.run(servicer.Invoke(request, None))


def test_what_is_not_known_yet_has_no_answer_yet():
    """The engine takes no values that are not known from a function."""
    assert {} == decode(getattr(invoked(name=UNKNOWN), "return")).plain


def test_wrong_arguments_are_refused_together():
    """A name that is no text, one that is missing, one that does not exist."""
    failures = {failure.property: failure.reason for failure in invoked(version="x", tag={"a": "b"}).failures}

    assert {"name", "version", "tag"} == failures.keys()
    assert "tags" in failures["tag"]


@pytest.mark.parametrize(("preview", "answered"), [(True, True), (False, False)])
def test_a_store_that_is_away_stops_no_preview(monkeypatch, preview, answered):
    """What is asked is not known then; an update cannot go on without it."""

    def away(_given, _settings):
        raise StoreUnreachableError("az://models: no answer")

    declaration, _ = ANSWERS["mlserve:index:getModel"]
    monkeypatch.setitem(ANSWERS, "mlserve:index:getModel", (declaration, away))
    servicer = Servicer(SimpleNamespace(), handlers(), "")
    request = provider_pb2.InvokeRequest(tok="mlserve:index:getModel", args=encode({"name": "m"}), preview=preview)
    told = []

    async def abort(_status, text):
        told.append(text)
        raise ConnectionError

    answer = None
    with contextlib.suppress(ConnectionError):
        answer = asyncio.run(servicer.Invoke(request, SimpleNamespace(abort=abort)))

    assert answered == (answer is not None and {} == decode(getattr(answer, "return")).plain)
    assert told == ([] if answered else ["az://models: no answer"])
