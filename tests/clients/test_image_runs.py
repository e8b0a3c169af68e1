"""Exported images run in real container engines: as another user than root, with nothing to write to."""

import contextlib
import json
import subprocess
import time

import pytest
from container_kit import PYTHON, Containerd, Docker, base_image, install_engines
from image_kit import Workshop

from pulumi_mlserve.clients.environments.resolver import Resolver
from pulumi_mlserve.clients.images.bytecode import find_compiler
from pulumi_mlserve.clients.places import cache_folder
from pulumi_mlserve.core.environments.environment import (
    environment_from,
    runtime_requirements,
    with_runtime,
)

SCRIPT = """\
import os, sys
from pathlib import Path
from azureml.core.model import Model

def init():
    global words
    words = (Path(Model.get_model_path("net")) / "words.txt").read_text().split()

def run(data):
    try:
        Path("/var/azureml-app/x").write_text("")
        writable = True
    except OSError:
        writable = False
    cached = getattr(sys.modules["orjson"], "__cached__", None) or sys.modules["mlserve_scoring"].__cached__
    return {"words": words, "user": os.getuid(), "writable": writable, "compiled": os.path.exists(cached)}
"""
ASK = """\
import json, urllib.request
request = urllib.request.Request("http://127.0.0.1:5001/score", b'{"data": 1}', {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""
EXPECTED = {"words": ["large", "small"], "user": 1000, "writable": False, "compiled": True}


@pytest.fixture(scope="module")
def exported(tmp_path_factory, cache_home):
    """An image on a base of Debian, exported both ways; returns its name, the layout and the tar."""
    install_engines()
    folder = tmp_path_factory.mktemp("exported")
    shop = Workshop(folder / "shop")
    (shop.source / "score.py").write_text(SCRIPT)
    spec = with_runtime(environment_from(requirements_text="", python=PYTHON), runtime_requirements(entry_script=True))
    resolver = Resolver(cache_folder("packages"))
    lock = resolver.lock(spec, "linux/amd64")
    shop.packages = resolver.install(lock)
    base = base_image()
    net = shop.models.add("net", {"net/words.txt": b"large small"})
    compiler = find_compiler(PYTHON)
    image = shop.build(
        name="words",
        python=PYTHON,
        lock_key=lock.key,
        base=base.base.digest,
        models=(net,),
        compiler=compiler.version if compiler else None,
        content={"base": base},
    )
    shop.images.export(image.digest, folder / "layout")
    shop.images.export(image.digest, folder / "image.tar", "tar")
    return f"words:{image.digest[7:19]}", folder / "layout", folder / "image.tar"


def answer(ask):
    """Return the answer of a service that may still be starting."""
    end = time.monotonic() + 60
    while True:
        with contextlib.suppress(subprocess.CalledProcessError):
            return json.loads(ask())
        assert time.monotonic() < end, "the service does not answer"
        time.sleep(0.2)


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    """A Docker daemon of this module's own."""
    install_engines()
    with Docker(tmp_path_factory.mktemp("d")).running() as found:
        yield found


@pytest.fixture(scope="module")
def containerd(tmp_path_factory):
    """A containerd of this module's own."""
    install_engines()
    with Containerd(tmp_path_factory.mktemp("c")).running() as found:
        yield found


@pytest.mark.parametrize("form", ["layout", "tar"])
def test_docker_runs_an_export(form, exported, docker, tmp_path):
    """Loaded from the tar, or from the folder as a stream; not root, no network, read-only."""
    name, layout, tar = exported
    if form == "layout":
        tar = tmp_path / "layout.tar"
        subprocess.run(["tar", "--create", "--file", tar, "--directory", layout, "."], check=True)
    docker("load", "--input", str(tar))
    container = docker("run", "--detach", "--read-only", "--network", "none", name)
    try:
        found = answer(lambda: docker("exec", container, "python3", "-c", ASK))
    finally:
        docker("rm", "--force", container)
        docker("rmi", name)

    assert EXPECTED == found


@pytest.mark.parametrize("form", ["layout", "tar"])
def test_containerd_runs_an_export(form, exported, containerd):
    """Imported under the name that Kubernetes will ask for."""
    name, layout, tar = exported
    if form == "tar":
        containerd("images", "import", str(tar))
    else:
        containerd.load(layout)
    containerd("run", "--detach", "--read-only", f"docker.io/library/{name}", form)
    try:
        found = answer(lambda: containerd("tasks", "exec", "--exec-id", "ask", form, "python3", "-c", ASK))
    finally:
        containerd("tasks", "delete", "--force", form)
        containerd("containers", "delete", form)
        containerd("images", "delete", "--sync", f"docker.io/library/{name}")

    assert EXPECTED == found
