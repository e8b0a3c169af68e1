"""The Dockerfile of an image: a real Docker daemon makes from it an image that answers as the image does."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time

import pytest
from container_kit import PYTHON, Docker, base_image, install_engines
from image_kit import Workshop, tree
from index_kit import SECRET, USER, serving
from wheelhouse import make_wheel

from pulumi_mlserve.cli.main import main
from pulumi_mlserve.clients.environments.resolver import Resolver
from pulumi_mlserve.clients.images.image_store import ImageStore, ImageWords
from pulumi_mlserve.clients.places import cache_folder
from pulumi_mlserve.core.environments.environment import environment_from, runtime_requirements, with_runtime

BASE = "made-here:latest"
SCRIPT = """\
import os
from pathlib import Path
from azureml.core.model import Model

def init():
    global words
    words = (Path(Model.get_model_path("net")) / "words.txt").read_text().split()

def run(data):
    return {"words": words, "user": os.getuid(), "said": os.environ["SAID"], "tool": os.path.exists("/tool")}
"""
SAID = 'a "quoted" $HOME \\ and = all'
ASK = """\
import json, urllib.request
request = urllib.request.Request("http://127.0.0.1:5001/score", b'{"data": 1}', {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=10).read().decode())
"""


@pytest.fixture(scope="module")
def shop(tmp_path_factory, cache_home):
    """A workshop with one image of real packages, a script, its module, a link and a model."""
    shop = Workshop(tmp_path_factory.mktemp("shop"))
    (shop.source / "score.py").write_text(SCRIPT)
    (shop.source / "part").mkdir()
    (shop.source / "part" / "one.py").write_text("")
    (shop.source / "alias.py").symlink_to("part/one.py")
    spec = with_runtime(environment_from(requirements_text="", python=PYTHON), runtime_requirements(entry_script=True))
    resolver = Resolver(cache_folder("packages"))
    lock = resolver.lock(spec, "linux/amd64")
    shop.packages = resolver.install(lock)
    net = shop.models.add("net", {"net/words.txt": b"large small"})
    values = {"name": "words", "python": PYTHON, "lock_key": lock.key, "models": (net,), "variables": {"SAID": SAID}}
    shop.image = shop.build(**values, content={"lock": lock.text})
    return shop


@pytest.fixture
def store(shop, monkeypatch):
    """The workshop's image store is the one of this user."""
    monkeypatch.setenv("MLSERVE_IMAGES", str(shop.folder / "images"))
    return shop


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    """A Docker daemon of this module's own, with a base image."""
    install_engines()
    with Docker(tmp_path_factory.mktemp("d")).running() as found:
        base = base_image()
        found("import", str(next(path for path in base.blobs.iterdir() if len(path.name) == 64)), BASE)
        yield found


def answer(docker, container):
    """Return the answer of a service that may still be starting."""
    end = time.monotonic() + 200  # of a machine that is busy with other tests
    while True:
        with contextlib.suppress(subprocess.CalledProcessError):
            return json.loads(docker("exec", container, "python3", "-c", ASK))
        assert time.monotonic() < end, docker("logs", container)
        time.sleep(0.2)


def test_docker_makes_an_image_that_answers_the_same(store, docker, tmp_path):
    """Not root, read-only, without a network; the user's steps ran before."""
    steps = tmp_path / "steps"
    steps.write_text("# a tool\nRUN touch /tool \\\n && true\nENV TOOL=1\n")
    folder = tmp_path / "context"
    typed = ["--output", str(folder), "--packages", "copied", "--base", BASE, "--steps", str(steps)]
    assert main(["dockerfile", "words", *typed]) == 0
    docker("build", "--network", "none", "--tag", "words", str(folder))
    container = docker("run", "--detach", "--read-only", "--network", "none", "words")
    try:
        found = answer(docker, container)
        config = json.loads(docker("inspect", "words"))[0]["Config"]
    finally:
        docker("rm", "--force", container)

    assert found == {"words": ["large", "small"], "user": 1000, "said": SAID, "tool": True}
    made = json.loads(ImageStore(store.folder / "images").config(store.image.digest))["config"]
    plain = {name: value for name, value in made.items() if name != "Env"}
    assert {name: config[name] for name in plain} == plain
    assert set(made["Env"]) <= set(config["Env"])


def test_packages_come_by_hash_from_an_index_whose_password_leaves_no_trace(tmp_path, monkeypatch, docker):
    """Only the stage that is dropped sees it."""
    wheels, folder = tmp_path / "wheels", tmp_path / "context"
    make_wheel(wheels, "alpha", "1.0")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "PIP_FIND_LINKS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_FIND_LINKS", str(wheels))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    resolver = Resolver(tmp_path / "cache")
    lock = resolver.lock(environment_from(requirements_text="alpha\n", python=PYTHON), "linux/amd64")
    shop = Workshop(tmp_path / "shop")
    shop.packages = resolver.install(lock)
    shop.build(name="locked", python=PYTHON, lock_key=lock.key, content={"lock": lock.text})
    monkeypatch.setenv("MLSERVE_IMAGES", str(shop.folder / "images"))
    assert main(["dockerfile", "locked", "--output", str(folder), "--base", BASE]) == 0
    with serving(wheels) as server:
        address = f"http://{USER}:{SECRET}@127.0.0.1:{server.server_port}/simple"
        build = ["build", "--network", "host", "--no-cache", "--build-arg", f"PIP_INDEX_URL={address}", str(folder)]
        docker(*build, "--tag", "locked")
    program = "import sys; sys.path.insert(0, '/opt/mlserve/site-packages'); import alpha; print(alpha.version)"

    assert docker("run", "--rm", "--network", "none", "--entrypoint", "python3", "locked", "-c", program) == "1.0"
    told = docker("history", "--no-trunc", "locked") + docker("inspect", "locked")
    assert [word for word in (SECRET, "PIP_INDEX_URL") if word in told] == []


def test_the_folder_holds_what_the_image_holds_and_nothing_compiled(store, tmp_path, capsys):
    """Each part once, links as links; a second run replaces the first."""
    for _ in range(2):
        assert main(["dockerfile", "words", "--output", str(tmp_path / "context"), "--base", BASE]) == 0
    found = tree(tmp_path / "context")

    assert found["requirements.lock"].decode() == store.image.lock
    assert found["code/alias.py"] == "-> part/one.py"
    assert found["models/net/net/words.txt"] == b"large small"
    assert found["layout/var/azureml-app/azureml-models/net/1/net"].startswith("-> ../")
    assert {"layout/opt/mlserve/manifest.json", "layout/opt/mlserve/settings.json"} < set(found)
    assert "runtime/mlserve_scoring/__main__.py" in found
    assert not [name for name in found if "__pycache__" in name or name.startswith("site-packages")]


def test_the_text_alone_is_printed(store, capsys):
    """For people who only want to look."""
    assert main(["dockerfile", "words", "--base", BASE]) == 0
    lines = capsys.readouterr().out.splitlines()

    assert lines[0].startswith(f"# Made by mlserve dockerfile for words@{store.image.digest} (linux/amd64)")
    assert f"FROM {BASE} AS base" in lines
    assert "USER 1000" in lines
    assert 'ENTRYPOINT ["python3", "-m", "mlserve_scoring", "serve"]' in lines


def test_without_a_base_it_stands_on_the_default(store, capsys):
    """That of its Python's version, as in a registry."""
    assert main(["dockerfile", "words"]) == 0

    assert f"python:{PYTHON}-slim" in capsys.readouterr().out


def test_the_steps_of_a_builder_are_shown_as_they_ran(shop, tmp_path, monkeypatch, capsys):
    """On what they ran on, before steps of this command; with another base they are of no use."""
    words = ImageWords(
        builder_steps={"stands_on": "docker.io/library/python:3.11", "steps": ["RUN touch /a", "ENV B=1"]}
    )
    shop.build(name="stepped", content={"words": words, "lock": "# none\n"})
    monkeypatch.setenv("MLSERVE_IMAGES", str(shop.folder / "images"))
    (tmp_path / "steps").write_text("RUN touch /c\n")

    assert main(["dockerfile", "stepped", "--steps", str(tmp_path / "steps")]) == 0
    lines = capsys.readouterr().out.splitlines()[2:]
    assert ["FROM docker.io/library/python:3.11 AS base", "USER 0", "RUN touch /a", "ENV B=1", "RUN touch /c"] == lines[
        :5
    ]
    assert main(["dockerfile", "stepped", "--base", BASE]) == 0
    assert "touch" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        (["nosuch", "--base", BASE], "image nosuch: is not in"),
        (["words", "--base", BASE, "--output", "full"], "is not empty, and no folder that `mlserve dockerfile` wrote"),
        (["words", "--base", BASE, "--steps", "steps"], "line 3: COPY has no place among the steps"),
        (["words", "--base", BASE, "--steps", "absent"], "--steps: cannot be read"),
        (["words", "--base", BASE, "--steps", "login"], "line 1: holds a login, which state and image would show"),
        (["words", "--base", "a AS b\nRUN x"], "--base: not an image reference"),
        (["words", "--base", "scratch"], "--base: has no Python"),
    ],
)
def test_what_cannot_be_shown_is_refused_with_what_to_do(store, tmp_path, monkeypatch, capsys, typed, expected):
    """And nothing is replaced."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    (tmp_path / "steps").write_text("RUN true \\\n  from nothing\ncopy a b\n")
    (tmp_path / "login").write_text("RUN pip install -i https://me:hunter2@index.example/simple six\n")

    assert main(["dockerfile", *typed]) == 1
    assert expected in capsys.readouterr().err
    assert (tmp_path / "full" / "mine").exists()


def test_an_image_whose_wheels_nobody_knows_can_be_made_from_its_files(shop, monkeypatch, capsys):
    """One from before, or out of a registry."""
    other = shop.build(name="older")
    monkeypatch.setenv("MLSERVE_IMAGES", str(shop.folder / "images"))

    assert main(["dockerfile", "older", "--base", BASE]) == 1
    assert "copy its packages with --packages copied, or build it again" in capsys.readouterr().err
    assert main(["dockerfile", f"older@{other.digest}", "--base", BASE, "--packages", "copied"]) == 0
    assert "COPY site-packages/ /opt/mlserve/site-packages/" in capsys.readouterr().out


def test_an_image_stands_on_its_own_base_by_digest(tmp_path, monkeypatch, capsys):
    """As the image itself does; its Python is the one that is called."""
    shop, base = Workshop(tmp_path / "shop"), base_image()
    shop.build(name="based", base=base.base.digest, content={"base": base, "lock": "tiny==1 --hash=sha256:0\n"})
    monkeypatch.setenv("MLSERVE_IMAGES", str(shop.folder / "images"))

    assert main(["dockerfile", "based"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"FROM {base.base.name}@{base.base.digest} AS base" in lines
    assert any(line.startswith(f"RUN {base.base.python} -m venv") for line in lines)
