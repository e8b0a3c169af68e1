"""A model's life as the engine asks for it, against a real store in a folder."""

from __future__ import annotations

import dataclasses

import pytest

from pulumi_mlserve.clients.images.image_places import ImagePlaces
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers.model import ModelHandler
from pulumi_mlserve.provider.values import UNKNOWN

URN = "urn:pulumi:dev::shop::mlserve:index:RegisteredModel$mlserve:index:Model::price"
HANDLER = ModelHandler()


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Return provider settings with a store and caches of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return {"store": str(tmp_path / "store")}


@pytest.fixture
def model(tmp_path):
    """Return a model file."""
    path = tmp_path / "price.onnx"
    path.write_bytes(b"first")
    return path


def checked(call):
    """Return the call with its inputs completed; there must be no problem."""
    result = HANDLER.check(call)

    assert [] == list(result.problems)
    return dataclasses.replace(call, news=result.inputs)


def test_new_content_is_the_next_version_and_old_content_the_old_one(settings, model):
    """Back and forth without a third version."""
    first = checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings))
    _, state = HANDLER.create(first)
    model.write_bytes(b"second")
    second = checked(
        Call(URN, news={"name": "price", "path": str(model)}, olds=first.news, state=state, settings=settings)
    )
    later = HANDLER.update(second)
    model.write_bytes(b"first")
    third = checked(
        Call(URN, news={"name": "price", "path": str(model)}, olds=second.news, state=later, settings=settings)
    )

    assert [1, 2, 1] == [call.news["version"] for call in (first, second, third)]
    assert (1, 2, 1) == (state["version"], later["version"], HANDLER.update(third)["version"])
    assert "Onnx" == state["framework"]


def test_a_preview_forecasts_and_touches_nothing(settings, model, tmp_path):
    """Even the store's folder is not made."""
    call = checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings, preview=True))
    _, outputs = HANDLER.create(call)

    assert (1, "price:1", "models/price/versions/1") == (outputs["version"], outputs["model_id"], outputs["uri"])
    assert not (tmp_path / "store").exists()


def test_a_missing_file_with_a_known_digest_is_unchanged(settings, model):
    """A reviewer's machine need not hold the bytes; one warning says so."""
    first = checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings))
    HANDLER.create(first)
    model.unlink()
    said = []
    again = checked(
        Call(
            URN,
            news={"name": "price", "path": str(model)},
            olds=first.news,
            settings=settings,
            say=lambda text, kind: said.append(kind),
        )
    )

    assert (first.news["digest"], 1) == (again.news["digest"], again.news["version"])
    assert ["warning"] == said


@pytest.mark.parametrize(
    ("before", "now", "same"),
    [
        ("v1/a.onnx", "v1/a.onnx", True),
        ("./v1/a.onnx", "v1/a.onnx", True),
        ("v1/a.onnx", "v2/a.onnx", False),
        ("v1/a.onnx", "v1/b.onnx", False),
        ("v1/a.onnx", "a.onnx", False),
        ("../v1/a.onnx", "../v2/a.onnx", False),
        ("/other/clone/v1/a.onnx", "{here}/v1/a.onnx", True),
        ("/other/clone/v1/a.onnx", "{here}/v2/a.onnx", False),
        ("{here}/v1/a.onnx", "{here}/v2/a.onnx", False),
        ("/other/clone/v1/a.onnx", "v1/a.onnx", True),
        ("v1/a.onnx", "{here}/v1/a.onnx", True),
        ("v1/a.onnx", "{here}/v2/a.onnx", False),
        ("/mnt/one/a.onnx", "/mnt/two/a.onnx", True),
    ],
)
def test_another_path_to_nothing_is_a_problem_unless_it_is_another_clones(
    settings, tmp_path, monkeypatch, before, now, same
):
    """The old model would serve on in silence where the new one was never written."""
    (tmp_path / "program").mkdir()
    monkeypatch.chdir(tmp_path / "program")
    news = {"name": "price", "path": now.format(here=tmp_path / "program")}
    olds = {"name": "price", "path": before.format(here=tmp_path / "program"), "digest": "sha256:" + "0" * 64}
    found = HANDLER.check(Call(URN, news=news, olds={**olds, "version": 1}, settings=settings))

    assert same == (found.problems == [])
    assert ["path"] * (not same) == [problem.path for problem in found.problems]


def test_a_missing_file_without_history_is_a_problem(settings, model):
    """There is nothing to go by."""
    model.unlink()

    (problem,) = HANDLER.check(Call(URN, news={"name": "price", "path": str(model)}, settings=settings)).problems

    assert "path" == problem.path


def test_unknown_paths_give_unknown_versions(settings):
    """What another resource will make cannot be hashed yet."""
    inputs = HANDLER.check(Call(URN, news={"name": "price", "path": UNKNOWN}, settings=settings)).inputs

    assert (UNKNOWN, UNKNOWN) == (inputs["digest"], inputs["version"])


def test_a_recorded_property_cannot_change(settings, model):
    """Properties are facts; tags are words."""
    first = checked(
        Call(URN, news={"name": "price", "path": str(model), "properties": {"run": "1"}}, settings=settings)
    )
    HANDLER.create(first)

    (problem,) = HANDLER.check(
        Call(
            URN,
            news={"name": "price", "path": str(model), "properties": {"run": "2"}},
            olds=first.news,
            settings=settings,
        )
    ).problems

    assert "properties.run" == problem.path


def test_delete_releases_every_version_of_the_resource(settings, model):
    """A destroyed stack keeps nothing alive."""
    first = checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings))
    _, state = HANDLER.create(first)
    model.write_bytes(b"second")
    second = checked(
        Call(URN, news={"name": "price", "path": str(model)}, olds=first.news, state=state, settings=settings)
    )
    state = HANDLER.update(second)

    gone = Call(URN, id="price", olds=second.news, state=state, settings=settings)
    HANDLER.delete(gone)

    assert "" == HANDLER.read(dataclasses.replace(gone, news=second.news)).id
    HANDLER.delete(gone)


def test_import_reads_a_version_by_its_id(settings, model):
    """``pulumi import`` gives NAME:VERSION and nothing else."""
    HANDLER.create(checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings)))

    found = HANDLER.read(Call(URN, id="price:1", settings=settings))

    assert ("price", "price", 1) == (found.id, found.inputs["name"], found.state["version"])
    assert [] == list(HANDLER.check(Call(URN, news=found.inputs, olds=found.inputs, settings=settings)).problems)


def test_an_imported_version_is_claimed_by_the_next_update(settings, model):
    """The import changes nothing, not even in its own step; then one difference, and the claim."""
    HANDLER.create(checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings)))
    other, importing = URN.replace("::price", "::taken"), ModelHandler()
    found = importing.read(Call(other, id="price:1", settings=settings))
    news = checked(Call(other, news={"name": "price", "path": str(model)}, olds=found.inputs, settings=settings)).news
    call = Call(other, id=found.id, news=news, olds=found.inputs, state=found.state, settings=settings)
    store = ModelStore(settings["store"])
    claims = store.claims("price", 1)

    assert True is importing.drift(call)["claimed"]
    assert None is ModelHandler().drift(call)["claimed"]
    updated = HANDLER.update(call)
    assert {*claims, call.claimant} == {*store.claims("price", 1)}
    assert True is ModelHandler().drift(dataclasses.replace(call, state=updated))["claimed"]


def test_a_version_other_than_forecast_is_no_difference(settings, model):
    """Two runs forecast the same number in a new store: the one that came second finds its own in the outputs."""
    call = checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings))
    _, state = HANDLER.create(call)
    second = dataclasses.replace(call, state={**state, "version": 2}, olds={**call.news, "store": "new"})

    assert 2 == HANDLER.drift(dataclasses.replace(second, news={**call.news, "version": 2}))["version"]
    assert "version" not in HANDLER.drift(second)


def test_a_state_that_says_nothing_of_its_claim_differs_in_nothing(settings, model):
    """Neither one of a release without owners nor a refresh of one without the input."""
    call = checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings))
    _, state = HANDLER.create(call)
    older = {name: value for name, value in state.items() if name != "owner"}
    before = {name: value for name, value in call.news.items() if name != "claimed"}

    assert True is HANDLER.drift(dataclasses.replace(call, olds=before, state=older))["claimed"]
    assert None is HANDLER.drift(dataclasses.replace(call, news=before, olds=before, state=older))["claimed"]


def test_an_id_without_a_version_is_refused(settings):
    """It says what is wanted."""
    with pytest.raises(OperationError, match="give NAME:VERSION"):
        HANDLER.read(Call(URN, id="price", settings=settings))


def test_the_old_half_of_a_replace_takes_nothing_from_the_new_one(settings, model):
    """``pulumi up --replace`` creates and then deletes under one name."""
    call = checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings))
    _, old = HANDLER.create(call)
    _, new = HANDLER.create(call)
    gone = Call(URN, id="price", olds=call.news, state=old, settings=settings)
    HANDLER.delete(gone)

    assert old["owner"] != new["owner"]
    found = HANDLER.read(dataclasses.replace(gone, news=call.news, state=new))
    assert ("price", new) == (found.id, found.state)
    HANDLER.delete(dataclasses.replace(gone, state=new))
    assert "" == HANDLER.read(dataclasses.replace(gone, news=call.news, state=new)).id


def test_an_update_keeps_the_owner(settings, model):
    """What the first version claimed is released with the last one."""
    call = checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings))
    _, state = HANDLER.create(call)

    assert state["owner"] == HANDLER.update(dataclasses.replace(call, olds=call.news, state=state))["owner"]
    assert HANDLER.update(dataclasses.replace(call, olds=call.news, state={}))["owner"]


def test_secrets_do_not_go_into_the_store(settings, model):
    """Everyone who can read the store could read them; a secret that the store never sees is none of its business."""
    news = {"name": "price", "path": str(model), "tags": {"key": "hunter2"}, "sample_input": "hunter2"}
    call = Call(URN, news=news, secrets=frozenset({"tags", "sample_input", "path", "description"}), settings=settings)

    problems = HANDLER.check(call).problems

    assert ["sample_input", "tags"] == [problem.path for problem in problems]
    assert all("holds a secret" in problem.message for problem in problems)


def test_the_end_of_a_model_clears_what_a_killed_build_left_of_it(settings, model, tmp_path):
    """The links to its files go too, though no image knows of them; a machine without images stays without."""
    call = checked(Call(URN, news={"name": "price", "path": str(model)}, settings=settings))
    _, state = HANDLER.create(call)
    images = tmp_path / "data" / "mlserve" / "images"
    ImagePlaces(images).prepare()
    (images / "files" / "sha256" / ("0" * 64)).write_bytes(b"left")
    HANDLER.delete(Call(URN, olds=call.news, state=state, settings=settings))

    assert [] == [path for path in images.rglob("*") if path.is_file()]
    HANDLER.delete(Call(URN, olds=call.news, state=state, settings=settings))
