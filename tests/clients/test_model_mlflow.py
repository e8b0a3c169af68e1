"""Models of a real MLflow server: files of runs, registered versions, aliases."""

from __future__ import annotations

import sys
from importlib import import_module

import pytest
from mlflow_kit import START_SECONDS, Mlflow

from pulumi_mlserve.clients.images.base_run import run_image
from pulumi_mlserve.clients.models.mlflow_models import MlflowModels
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.remote_model import RemoteModels
from pulumi_mlserve.core.problems import InvalidInputError, OperationError
from pulumi_mlserve.registration import register_model

pytestmark = pytest.mark.timeout(START_SECONDS + 200)


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A running server."""
    running = Mlflow(tmp_path_factory.mktemp("mlflow"))
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.fixture
def models(server, tmp_path, monkeypatch):
    """What is brought from it."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    (tmp_path / "copies").mkdir()
    return MlflowModels(tmp_path / "copies")


@pytest.fixture
def client(server, models):
    """MLflow's own client."""
    return import_module("mlflow.tracking").MlflowClient(server.address)  # after its address is set


def logged(client, tmp_path, content, folder="model"):
    """Log a model's folder with a run; return the run's id."""
    run = client.create_run(client.get_experiment_by_name("Default").experiment_id)
    source = tmp_path / run.info.run_id / folder
    (source / "inner").mkdir(parents=True)
    (source / "MLmodel").write_text("flavors:\n  sklearn:\n    sklearn_version: 1.5.0\n")
    (source / "inner" / "weights").write_bytes(content)
    client.log_artifacts(run.info.run_id, str(source), folder)
    return run.info.run_id


def version_of(client, name, run):
    """Register a run's model."""
    if not client.search_registered_models(f"name='{name}'"):
        client.create_registered_model(name)
    uri = client.get_run(run).info.artifact_uri
    return client.create_model_version(name, f"{uri}/model", run).version


def files(path):
    """Return every file under a path with its bytes."""
    return {p.relative_to(path).as_posix(): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_files_of_a_run_are_brought_under_their_name(models, client, tmp_path):
    """A folder or one file; a second time nothing is read."""
    run = logged(client, tmp_path, b"weights")
    found = models.resolve(f"runs:/{run}/model")
    path = models.bring(found)

    assert (f"runs:/{run}/model", run, "model") == (found.address, found.run, path.name)
    assert {"MLmodel", "inner/weights"} == files(path).keys()
    said = []
    assert (path, []) == (models.bring(models.resolve(f"runs:/{run}/model"), progress=said.append), said)
    one = models.bring(models.resolve(f"runs:/{run}/model/inner/weights"))
    assert ("weights", b"weights") == (one.name, one.read_bytes())


def test_more_files_of_a_run_are_noticed(models, client, tmp_path):
    """A run that is not finished may log more."""
    run = logged(client, tmp_path, b"1")
    first = models.bring(models.resolve(f"runs:/{run}/model"))
    client.log_text(run, "more", "model/notes.txt")
    second = models.bring(models.resolve(f"runs:/{run}/model"))

    assert (False, True) == ((first / "notes.txt").exists(), (second / "notes.txt").exists())


def test_a_registered_version_is_brought_under_the_models_name(models, client, tmp_path):
    """Without what MLflow's client adds to it, which would be another content for each version."""
    run = logged(client, tmp_path, b"weights")
    number = version_of(client, "ridge", run)
    found = models.resolve(f"models:/ridge/{number}")
    path = models.bring(found)

    assert (f"models:/ridge/{number}", run) == (found.address, found.run)
    assert ("ridge", {"MLmodel", "inner/weights"}) == (path.name, files(path).keys())


def test_an_alias_is_resolved_to_the_version_it_names_now(models, client, tmp_path):
    """So is `latest`."""
    first, second = (version_of(client, "lasso", logged(client, tmp_path, b"%d" % n)) for n in range(2))
    client.set_registered_model_alias("lasso", "champion", first)

    assert f"models:/lasso/{first}" == models.resolve("models:/lasso@champion").address
    assert f"models:/lasso/{second}" == models.resolve("models:/lasso/latest").address
    client.set_registered_model_alias("lasso", "champion", second)
    assert f"models:/lasso/{second}" == models.resolve("models:/lasso@champion").address


@pytest.mark.parametrize(
    "address",
    ["runs:/0123456789abcdef0123456789abcdef/m", "models:/absent/1", "models:/absent@x", "models:/absent/latest"],
)
def test_what_mlflow_does_not_know_is_a_mistake_in_the_path(models, address):
    """Said with what was asked."""
    with pytest.raises(InvalidInputError, match=r"path: .*(absent|0123456789abcdef)"):
        models.resolve(address)


def test_a_path_that_the_run_does_not_have_is_told(models, client, tmp_path):
    """The run itself is there."""
    run = logged(client, tmp_path, b"1")
    with pytest.raises(InvalidInputError, match="path: the run has no such files, got"):
        models.resolve(f"runs:/{run}/absent")


def test_a_server_that_does_not_answer_is_told_without_its_password(models, monkeypatch):
    """Soon: MLflow's own client would try for minutes."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://user:geheim@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(OperationError, match=r"MLflow cannot be asked for models:/ridge/1: .*; check MLFLOW_TR") as e:
        models.resolve("models:/ridge/1")

    assert "geheim" not in str(e.value)


def test_without_the_address_of_a_server_nobody_is_asked(models, monkeypatch):
    """MLflow's client would make a database in the working folder."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI")
    with pytest.raises(InvalidInputError, match="path: is an address of MLflow, and MLFLOW_TRACKING_URI is not set"):
        models.resolve("models:/ridge/1")


def test_without_the_client_it_says_how_to_get_it(models, monkeypatch):
    """An extra of this package."""
    monkeypatch.setitem(sys.modules, "mlflow.tracking", None)
    with pytest.raises(InvalidInputError, match=r"not installed; run: pip install 'pulumi-mlserve\[mlflow\]'"):
        models.resolve("models:/ridge/1")


def test_what_mlflow_knows_comes_along(models, client, tmp_path, monkeypatch):
    """Run, flavor and its version, as v1's `run.register_model` recorded them; what is said goes first."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    run = logged(client, tmp_path, b"weights")
    store = str(tmp_path / "store")
    registered = register_model(f"runs:/{run}/model", "ridge", properties={"mlflow.source": "mine"}, store=store)
    meta = ModelStore(store).get("ridge", registered.version).meta

    assert ("ScikitLearn", "1.5.0") == (meta.model_framework, meta.model_framework_version)
    assert {"run_id": run, "mlflow.source": "mine", "mlflow.flavors": "sklearn"} == meta.properties


def test_what_was_resolved_before_is_taken_again(models, client, tmp_path):
    """And what the alias names now is told."""
    remote = RemoteModels(tmp_path / "copies")
    first, second = (version_of(client, "elastic", logged(client, tmp_path, b"%d" % n)) for n in range(2))
    client.set_registered_model_alias("elastic", "champion", second)
    kept = remote.bring("models:/elastic@champion", kept=f"models:/elastic/{first}")
    now = remote.bring("models:/elastic@champion")

    assert (f"models:/elastic/{first}", f"models:/elastic/{second}") == (kept.source, kept.newer)
    assert (b"0", b"1") == tuple((found.path / "inner" / "weights").read_bytes() for found in (kept, now))
    assert (f"models:/elastic/{second}", None) == (now.source, now.newer)


DERIVED = "azureml/azureml_9d3568242c6bfef9631879915768deaf"


@pytest.fixture
def logged_run(server, monkeypatch):
    """Logs a run with tags, and gives its id."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", server.address)
    client = import_module("mlflow.tracking").MlflowClient(server.address)

    def log(**tags):
        names = {name.replace("__", "."): value for name, value in tags.items()}
        return client.create_run("0", tags=names).info.run_id

    return log


def no_image(run, address=""):
    """Return why a run gives no image."""
    with pytest.raises(InvalidInputError) as error:
        run_image(run, address)
    (problem,) = error.value.problems
    assert "base_image" == problem.path
    return problem.message


def test_a_run_of_azure_ml_names_its_image(logged_run):
    """In the registry of its workspace, which only the person knows."""
    run = logged_run(AzureML__DerivedImageName=DERIVED)

    assert f"example.azurecr.io/{DERIVED}" == str(run_image(run, "example.azurecr.io"))
    assert "base_image_registry={'address'" in no_image(run)


def test_a_run_in_a_container_names_its_image(logged_run):
    """As MLflow's own projects do; Azure ML's property is the stronger one."""
    run = logged_run(mlflow__docker__image__uri="example.com/train:1")
    both = logged_run(mlflow__docker__image__uri="example.com/train:1", AzureML__DerivedImageName="a.example/b:2")

    assert ("example.com/train:1", "a.example/b:2") == (str(run_image(run, "")), str(run_image(both, "")))


def test_a_run_that_names_no_image_is_told(logged_run):
    """With the tags that were looked for; also when what it names is none, or there is no such run."""
    assert "AzureML.DerivedImageName" in no_image(logged_run())
    assert "not an image reference" in no_image(logged_run(AzureML__DerivedImageName="A B"))
    assert "MLflow knows no 'runs:/0123456789abcdef0123456789abcdef'" in no_image("0123456789abcdef0123456789abcdef")


def test_without_a_server_there_is_no_answer(logged_run, monkeypatch):
    """None is named, or it does not answer."""
    run = logged_run()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(OperationError, match="MLFLOW_TRACKING_URI"):
        run_image(run, "")
    monkeypatch.delenv("MLFLOW_TRACKING_URI")

    assert "MLFLOW_TRACKING_URI is not set" in no_image(run)
