"""How each server is started with a model, and the one form of requests that it takes."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from socket import socket
from typing import Final

from mlserve_scoring import manifest as manifests
from mlserve_scoring.manifest import Manifest, ModelEntry

from scoring_parts import processes
from scoring_parts.environments import Environment
from scoring_parts.models import APPS, Model

_PATIENCE_S: Final = 120
_NOT_YET: Final = {404, 502, 503}  # what servers say while a model is loaded


class ServerError(Exception):
    """A server did not start, or answered wrongly."""


@dataclass(frozen=True)
class Place:
    """What a server is started from.

    Attributes:
        environment: Its virtual environment.
        model: What it serves.
        folder: An empty folder of its own.
        port: A port that is free.
        runtime: The folder that holds our package `mlserve_scoring`.
    """

    environment: Environment
    model: Model
    folder: Path
    port: int
    runtime: Path


@dataclass(frozen=True)
class Launch:
    """A command that serves, and where.

    Attributes:
        command: Program and arguments.
        variables: Environment variables beside the present ones.
        path: Where to post.
    """

    command: list[str]
    variables: Mapping[str, str] = field(default_factory=dict)
    path: str = "/score"


@dataclass(frozen=True)
class Server:
    """A kind of server.

    Attributes:
        environment: The name of its virtual environment.
        launch: Prepares its folder and returns the command.
        form: The form of request bodies that it takes.
    """

    environment: str
    launch: Callable[[Place], Launch]
    form: str = "rows"


def ours(place: Place) -> Launch:
    """Returns our server with a model and no script."""
    return _ours(place, None)


def ours_script(place: Place) -> Launch:
    """Returns our server with the unmodified v1 script."""
    return _ours(place, _script(place.model))


def azureml(place: Place) -> Launch:
    """Returns the baseline: Azure ML's own server with the v1 script."""
    shutil.copy(_script(place.model), place.folder / "score.py")
    with free_port() as health:
        command = [place.environment.program("azmlinfsrv"), "--entry_script", "score.py"]
        command += ["--model_dir", str(place.model.folder), "--port", str(place.port), "--health_port", str(health)]
        return Launch(command)


def fastapi(place: Place) -> Launch:
    """Returns a hand-written FastAPI application on uvicorn with uvloop and httptools."""
    command = [place.environment.program("uvicorn"), "fastapi_app:app", "--app-dir", str(APPS)]
    command += ["--port", str(place.port), "--loop", "uvloop", "--http", "httptools", "--no-access-log"]
    long = place.model.folder.name in {"cnn", "image"}
    return Launch(command, {"MODEL": str(place.model.file), "LONG": str(int(long))})


def mlserver(place: Place) -> Launch:
    """Returns MLServer with a custom runtime, in one process."""
    with free_port() as grpc, free_port() as metrics:
        settings = {
            "host": "127.0.0.1",
            "http_port": place.port,
            "grpc_port": grpc,
            "metrics_port": metrics,
            "parallel_workers": 0,
            "debug": False,
        }
    (place.folder / "settings.json").write_text(json.dumps(settings), encoding="utf-8")
    model = {"name": "bench", "implementation": "mlserver_runtime.OnnxRuntime"}
    (place.folder / "model-settings.json").write_text(json.dumps(model), encoding="utf-8")
    variables = {"MODEL": str(place.model.file), "PYTHONPATH": str(APPS)}
    return Launch([place.environment.program("mlserver"), "start", "."], variables, "/v2/models/bench/infer")


def bentoml(place: Place) -> Launch:
    """Returns a BentoML service with one worker."""
    variables = {"MODEL": str(place.model.file), "THREADS": str(os.cpu_count())}
    variables |= {"BENTOML_DO_NOT_TRACK": "True", "BENTOML_HOME": str(place.folder / "home")}
    command = [place.environment.program("bentoml"), "serve", "bentoml_service:Bench", "--working-dir", str(APPS)]
    return Launch([*command, "--host", "127.0.0.1", "--port", str(place.port)], variables)


SERVERS: Final = {
    "azureml": Server("azureml", azureml),
    "ours": Server("ours", ours),
    "ours-script": Server("ours", ours_script),
    "ours-simdjson": Server("simdjson", ours),
    "fastapi": Server("fastapi", fastapi),
    "mlserver": Server("mlserver", mlserver, "v2"),
    "bentoml": Server("bentoml", bentoml),
    "other": Server("ours", ours),
    "other-script": Server("ours", ours_script),
    "other-simdjson": Server("simdjson", ours),
}


@dataclass(frozen=True)
class Running:
    """A server that has answered.

    Attributes:
        process: The leader of its session.
        url: Where to post.
        model: What it serves.
        bodies: The requests.
        start_s: From its start to the first good answer.
    """

    process: subprocess.Popen[bytes]
    url: str
    model: Model
    bodies: list[Path]
    start_s: float


@contextlib.contextmanager
def running(name: str, environment: Environment, model: Model, folder: Path, runtime: Path) -> Iterator[Running]:
    """Starts a server, waits until it answers rightly, and ends it afterwards.

    Raises:
        ServerError: It ended, answers wrongly, or did not answer in two minutes; with the end of its log.
    """
    server = SERVERS[name]
    folder.mkdir(parents=True)
    with free_port() as port:
        place = Place(environment, model, folder, port, runtime)
        launch = server.launch(place)
    bodies, log = model.bodies(server.form), folder / "log.txt"
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("AZUREML_", "PYTHON"))}
    with log.open("wb") as output:
        begin = time.perf_counter()
        process = subprocess.Popen(
            launch.command,
            cwd=folder,
            env={**inherited, **launch.variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}{launch.path}"
    try:
        _wait(process, url, model, bodies[0])
        yield Running(process, url, model, bodies, time.perf_counter() - begin)
    except (ServerError, OSError) as error:
        end = log.read_text(encoding="utf-8", errors="replace")[-1500:]
        raise ServerError(f"{name}: {error}\n{end}") from error
    finally:
        processes.stop(process)


def post(url: str, body: bytes) -> bytes:
    """Returns the answer to a JSON body."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=_PATIENCE_S) as reply:
        answer: bytes = reply.read()
        return answer


@contextlib.contextmanager
def free_port() -> Iterator[int]:
    """Yields a loopback port that nobody has; it is free again, and not chosen twice, once left."""
    with socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def _wait(process: subprocess.Popen[bytes], url: str, model: Model, body: Path) -> None:
    content, end = body.read_bytes(), time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        if process.poll() is not None:
            raise ServerError(f"ended with {process.returncode}")
        try:
            answer = post(url, content)
        except urllib.error.HTTPError as error:
            if error.code not in _NOT_YET:
                raise ServerError(f"{error}: {error.read(300)!r}") from error
        except OSError:
            pass  # nobody listens yet
        else:
            problem = model.problem(body, answer)
            if problem:
                raise ServerError(f"wrong answer, {problem}")
            return
        time.sleep(0.003)
    raise ServerError(f"no good answer in {_PATIENCE_S} s")


def _ours(place: Place, script: Path | None) -> Launch:
    root, model = place.folder / "root", place.model.file
    app = root / "var/azureml-app"
    linked = app / "azureml-models/bench/1" / model.name
    stored = root / "opt/mlserve/models/bench" / model.name
    for path in (linked, stored):
        path.parent.mkdir(parents=True)
    stored.symlink_to(model)
    linked.symlink_to(os.path.relpath(stored, linked.parent))
    if script is not None:
        shutil.copy(script, app / "score.py")
    manifest = Manifest(
        image="bench",
        recipe="sha256:" + "0" * 64,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        entry_script="score.py" if script else None,
        models=(ModelEntry("bench", 1, "sha256:" + "0" * 64, "opt/mlserve/models/bench", model.name),),
    )
    (root / manifests.MANIFEST_PATH).write_text(manifests.dump(manifest), encoding="utf-8")
    settings = {"schema": 1, "root": str(root), "service": "bench", "port": place.port}
    file = place.folder / "settings.json"
    file.write_text(json.dumps(settings), encoding="utf-8")
    command = [place.environment.program("python"), "-m", "mlserve_scoring", "serve", "--settings", str(file)]
    return Launch(command, {"PYTHONPATH": str(place.runtime)})


def _script(model: Model) -> Path:
    return APPS / ("score_onnx.py" if model.file.suffix == ".onnx" else "score_frame.py")
