"""Models whose path is an address, and a store that is one: against a real emulator, also while it is away."""

from __future__ import annotations

import dataclasses
import itertools

import obstore
import pytest
from azurite_kit import ACCOUNT, Azurite, Line

from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.clients.models.remote_model import Brought
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers.model import ModelHandler
from pulumi_mlserve.provider.values import UNKNOWN
from pulumi_mlserve.provider.workplace import _at, workplace
from pulumi_mlserve.registration import register_model

URN = "urn:pulumi:dev::shop::mlserve:index:RegisteredModel$mlserve:index:Model::price"
HANDLER = ModelHandler()
NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    """A running emulator."""
    emulator = Azurite(tmp_path_factory.mktemp("azurite"))
    emulator.start()
    try:
        yield emulator
    finally:
        emulator.stop()


@pytest.fixture
def line(azurite, monkeypatch):
    """A line to the emulator that can be cut."""
    cable = Line(azurite.port)
    cable.join()
    string = azurite.connection_string.replace(f":{azurite.port}/{ACCOUNT}", f":{cable.port}/{ACCOUNT}")
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", string)
    monkeypatch.setattr("pulumi_mlserve.clients.models.object_json._RETRIES", 0)
    yield cable
    cable.cut()


@pytest.fixture
def container(azurite, line):
    """A new container with a model in it."""
    address = f"az://models{next(NUMBERS)}"
    azurite.make_container(address.removeprefix("az://"))
    store = Objects(address).backend
    obstore.put(store, "price/weights", b"first")
    obstore.put(store, "price.onnx", b"file")
    return address


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """Provider settings with a store and caches of their own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return {"store": str(tmp_path / "store")}


class Run:
    """A resource's runs, each with what the one before left."""

    def __init__(self, settings):
        self._settings = settings
        self.inputs = {}
        self.state = {}
        self.said = []

    def preview(self, **news):
        """Check and preview; return the inputs and what the outputs will be."""
        self.said = []
        call = Call(URN, news={"name": "price", **news}, olds=self.inputs, settings=self._settings, preview=True,
                    state=self.state, say=lambda text, _: self.said.append(text))  # fmt: skip
        result = HANDLER.check(call)
        assert [] == list(result.problems)
        call = dataclasses.replace(call, news=result.inputs)
        return result.inputs, HANDLER.update(call) if self.state else HANDLER.create(call)[1]

    def up(self, **news):
        """Check and make; return the outputs."""
        inputs, _ = self.preview(**news)
        call = Call(URN, news=inputs, olds=self.inputs, state=self.state, settings=self._settings,
                    say=lambda text, _: self.said.append(text))  # fmt: skip
        self.state = HANDLER.update(call) if self.state else HANDLER.create(call)[1]
        self.inputs = inputs
        return self.state

    def problems(self, **news):
        """Return what is wrong with the inputs."""
        return [
            str(p) for p in HANDLER.check(Call(URN, news={"name": "price", **news}, settings=self._settings)).problems
        ]


def test_a_model_in_an_object_store_becomes_a_version(container, settings):
    """The second preview reads nothing; one changed object is the next version."""
    run = Run(settings)
    first = run.up(path=f"{container}/price")
    reads = []
    real = obstore.get
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(obstore, "get", lambda store, key, **options: reads.append(key) or real(store, key, **options))
        inputs, _ = run.preview(path=f"{container}/price")
    obstore.put(Objects(container).backend, "price/weights", b"other")
    second = run.up(path=f"{container}/price")

    assert (1, 2, []) == (first["version"], second["version"], [key for key in reads if key.startswith("price")])
    assert (first["digest"], f"{container}/price") == (inputs["digest"], inputs["source"])
    store = workplace(settings).models
    with store.open_file(store.get("price", 2), "price/weights") as file:
        assert b"other" == file.read()


def test_a_file_in_an_object_store_is_known_by_its_ending(container, settings):
    """As a file of this machine; the same bytes are the same version from either place."""
    run = Run(settings)
    state = run.up(path=f"{container}/price.onnx")

    assert ("Onnx", 1) == (state["framework"], state["version"])
    assert 1 == register_model(f"{container}/price.onnx", "price", store=settings["store"]).version


def test_an_address_that_leads_nowhere_is_a_problem_of_the_path(container, settings):
    """In preview."""
    assert [f"path: there is nothing there, got '{container}/absent'; correct the address"] == Run(settings).problems(
        path=f"{container}/absent"
    )
    assert ["path"] == [p.partition(":")[0] for p in Run(settings).problems(path="ftp://x/y")]


def test_an_address_that_does_not_answer_changes_nothing(container, settings, line):
    """What is registered stays as it is, with one warning."""
    run = Run(settings)
    state = run.up(path=f"{container}/price")
    line.cut()
    inputs, outputs = run.preview(path=f"{container}/price")
    line.join()

    assert (state["digest"], 1) == (inputs["digest"], outputs["version"])
    assert 1 == len([text for text in run.said if "cannot be asked now; taking the model as unchanged" in text])


def test_a_new_address_that_does_not_answer_is_unknown_in_preview(container, settings, line):
    """And the run that reaches it registers it."""
    run = Run(settings)
    line.cut()
    inputs, outputs = run.preview(path=f"{container}/price")
    line.join()

    assert (False, UNKNOWN, UNKNOWN) == ("digest" in inputs, outputs["digest"], outputs["version"])
    assert any("so the model is not known yet" in text for text in run.said)
    call = Call(URN, news=inputs, settings=settings)
    _, state = HANDLER.create(call)
    assert (1, True) == (state["version"], state["digest"].startswith("sha256:"))


def test_a_store_that_does_not_answer_leaves_the_preview_as_it_was(container, line, tmp_path, settings):
    """Then the version is not known yet, or the one it was; neither is an error."""
    model = tmp_path / "price.onnx"
    model.write_bytes(b"1")
    run = Run({"store": f"{container}/store"})
    run.up(path=str(model))
    line.cut()
    _at.cache_clear()  # each run is a process of its own
    kept, _ = run.preview(path=str(model))
    said = list(run.said)
    model.write_bytes(b"2")
    _, changed = run.preview(path=str(model))
    line.join()

    assert (1, UNKNOWN) == (kept["version"], changed["version"])
    assert any("the model store cannot be asked now" in text for text in said)
    assert 2 == run.up(path=str(model))["version"]


class Registry:
    """Stands for MLflow: an alias that names what the test says, and the files of each version."""

    def __init__(self, folder):
        self._folder = folder
        self.now = "1"

    def bring(self, address, child_paths=None, *, kept=None, progress=None, cancelled=None):
        """Return the version that was kept, else the one that the alias names."""
        newest = f"models:/price/{self.now}"
        source = kept or newest
        path = self._folder / source[-1] / "price"
        path.mkdir(parents=True, exist_ok=True)
        (path / "weights").write_text(source)
        return Brought(path, source, newest if source != newest else None, "ScikitLearn", "1.5.0",
                       {"run_id": f"run{source[-1]}"})  # fmt: skip


def test_an_alias_is_kept_and_its_move_is_told(settings, tmp_path):
    """Until the program asks to follow it; what is known of the model comes along."""
    registry = Registry(tmp_path / "registry")
    workplace(settings).__dict__["remote"] = registry
    run = Run(settings)
    first = run.up(path="models:/price@champion", properties={"team": "a"})
    registry.now = "2"
    inputs, _ = run.preview(path="models:/price@champion", properties={"team": "a"})
    said = list(run.said)
    moved = run.up(path="models:/price@champion", upgrade=["alias"])
    inputs_then, _ = run.preview(path="models:/price@champion")

    assert (first["digest"], "models:/price/1") == (inputs["digest"], inputs["source"])
    assert 1 == len(said)
    assert said[0].startswith("path: models:/price@champion is models:/price/2 now; models:/price/1 is kept")
    assert said[0].endswith("to follow, set upgrade=['alias']")
    assert (2, "models:/price/2") == (moved["version"], inputs_then["source"])
    found = workplace(settings).models.get("price", 1).meta
    assert ({"run_id": "run1", "team": "a"}, "ScikitLearn", "1.5.0") == (
        found.properties, found.model_framework, found.model_framework_version
    )  # fmt: skip


def test_the_same_bytes_of_another_run_are_the_same_version(settings, tmp_path):
    """A recorded property keeps its value, and what was found by itself does not insist."""
    registry = Registry(tmp_path / "registry")
    workplace(settings).__dict__["remote"] = registry
    run = Run(settings)
    run.up(path="models:/price/1")
    store = workplace(settings).models
    store.update_meta("price", 1, store.get("price", 1).meta)
    real = registry.bring
    registry.bring = lambda *args, **options: dataclasses.replace(
        real(*args, **options), properties={"run_id": "other"}
    )

    assert 1 == run.up(path="models:/price/1")["version"]
    assert {"run_id": "run1"} == run.inputs["properties"]


def test_an_address_with_a_login_is_refused_before_anybody_is_asked(monkeypatch):
    """What comes back would repeat it."""
    said = []
    monkeypatch.setattr("pulumi_mlserve.provider.handlers.model.identify_remote", lambda *_: said.append("asked"))
    news = {"name": "price", "path": "https://acc.blob.core.windows.net/c/p?sv=1&sIg=TOPSECRET"}
    call = Call(URN, news=news, say=lambda text, _kind: said.append(text), preview=True)
    (problem,) = HANDLER.check(call).problems

    assert ("path", []) == (problem.path, said)
    assert problem.message.startswith("holds credentials")
    assert "TOPSECRET" not in problem.message
