"""Images run in real container engines, exported or pushed: as another user than root, with nothing to write to."""

import contextlib
import json
import subprocess
import time
from uuid import uuid4

import pytest
from container_kit import PYTHON, Containerd, Docker, base_image, install_engines
from image_kit import Workshop
from registry_kit import at, client, registry

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
def real(tmp_path_factory):
    """A registry that takes anything from anybody."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture(scope="module")
def exported(tmp_path_factory, cache_home, real):
    """An image on a base of Debian, exported both ways and pushed; returns name, layout, tar and reference."""
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
    with client() as ours, shop.images.opened(image.digest) as opened:
        sources = opened.sources(ours.source)
        pushed = ours.push(at(real, "team/words:1"), opened.manifest, opened.media_type, sources)
    return f"words:{image.digest[7:19]}", folder / "layout", folder / "image.tar", str(pushed.reference)


def answer(ask):
    """Return the answer of a service that may still be starting."""
    end = time.monotonic() + 200  # of a machine that is busy with other tests
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


@pytest.mark.parametrize("form", ["layout", "tar", "registry"])
def test_docker_runs_an_image(form, exported, docker, tmp_path):
    """Loaded from the tar, from the folder as a stream, or pulled; not root, no network, read-only."""
    name, layout, tar, reference = exported
    if form == "layout":
        tar = tmp_path / "layout.tar"
        subprocess.run(["tar", "--create", "--file", tar, "--directory", layout, "."], check=True)
    if form == "registry":
        name = reference
        docker("pull", reference)
    else:
        docker("load", "--input", str(tar))
    container = docker("run", "--detach", "--read-only", "--network", "none", name)
    try:
        found = answer(lambda: docker("exec", container, "python3", "-c", ASK))
    finally:
        docker("rm", "--force", container)
        docker("rmi", name)

    assert EXPECTED == found


@pytest.mark.parametrize("form", ["layout", "tar", "registry"])
def test_containerd_runs_an_image(form, exported, containerd):
    """Imported under the name that Kubernetes will ask for, or pulled by digest."""
    name, layout, tar, reference = exported
    container = f"{form}-{uuid4().hex}"  # runc knows containers by their names, whichever containerd they are of
    name = reference if form == "registry" else f"docker.io/library/{name}"
    if form == "tar":
        containerd("images", "import", str(tar))
    elif form == "layout":
        containerd.load(layout)
    else:
        containerd("images", "pull", "--plain-http", reference)
    containerd("run", "--detach", "--read-only", name, container)
    try:
        found = answer(lambda: containerd("tasks", "exec", "--exec-id", "ask", container, "python3", "-c", ASK))
    finally:
        containerd("tasks", "delete", "--force", container)
        containerd("containers", "delete", container)
        containerd("images", "delete", "--sync", name)

    assert EXPECTED == found
