"""Images on a base: kept by digest, checked against its layers, pushed with it, run in Docker."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time

import pytest
from base_kit import debian, push_base
from container_kit import Docker, base_image, install_engines
from programs import free_port, program, replaced
from registry_kit import PASSWORD, USER, get, htpasswd_auth, registry

from pulumi_mlserve.clients.registries.login_kinds import Login
from pulumi_mlserve.clients.registries.logins import Logins
from pulumi_mlserve.clients.registries.registry_client import RegistryClient
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE

SCRIPT = """
import os
from pathlib import Path


def init():
    pass


def run(data):
    try:
        Path("/var/azureml-app/x").write_text("")
        writable = True
    except OSError:
        writable = False
    return {"user": os.getuid(), "writable": writable, "base": os.environ.get("FROM_BASE", "")}
"""
ASK = """
import urllib.request
request = urllib.request.Request("http://127.0.0.1:5001/score", b'{"data": 1}', {"Content-Type": "application/json"})
print(urllib.request.urlopen(request, timeout=60).read().decode())
"""


def image_program(folder, arguments):
    """Write a program with one image, and return its folder."""
    program(folder, f'image = ScoringImage("based", entry_script="score.py", source_directory="src", {arguments})\n')
    with (folder / "__main__.py").open("a", encoding="utf-8") as file:
        file.write('pulumi.export("reference", image.reference)\n')
    (folder / "src").mkdir(exist_ok=True)
    (folder / "request.json").write_text('{"data": 1}', encoding="utf-8")
    (folder / "src" / "score.py").write_text(SCRIPT, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """A registry of this module's own."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def document(host, repository, what, accept=MANIFEST_TYPE):
    """Return a document of a registry."""
    status, body = get(f"http://{host}/v2/{repository}/{what}", accept)
    assert 200 == status, (what, body)
    return json.loads(body)


def answer(docker, container):
    """Return the answer of a container that may still be starting."""
    end = time.monotonic() + 180
    while True:
        with contextlib.suppress(subprocess.CalledProcessError):
            return json.loads(docker("exec", container, "python3", "-c", ASK))
        assert time.monotonic() < end, docker("logs", container)
        time.sleep(0.2)


def test_an_image_on_a_debian_runs_in_docker(workspace, where, tmp_path_factory, tmp_path):
    """The base comes from Docker's own import and push; its layer is mounted, not sent; read-only, not root."""
    install_engines()
    made = base_image()
    (layer,) = made.base.layers
    with Docker(tmp_path_factory.mktemp("d")).running() as docker:
        base = f"{where.host}/bases/debian:1"
        blob = made.blobs / layer["digest"].removeprefix("sha256:")
        docker("import", "--change", "ENV FROM_BASE=yes", str(blob), base)
        docker("push", base)
        docker("rmi", base)
        folder = image_program(
            workspace.folder / "program", f'base_image="{base}", registry="{where.host}/ml", python_version="3.11"'
        )
        stack = workspace.stack(folder)
        said = stack.up().ok().output
        reference = stack.outputs()["reference"]
        docker("pull", reference)
        container = docker("run", "--detach", "--read-only", "--network", "none", reference)
        try:
            found = answer(docker, container)
        finally:
            docker("rm", "--force", container)
    digest = reference.partition("@")[2]
    manifest = document(where.host, "ml/based", f"manifests/{digest}")
    config = document(where.host, "ml/based", f"blobs/{manifest['config']['digest']}")

    assert {"user": 1000, "writable": False, "base": "yes"} == found
    assert "(Debian GNU/Linux 12 (bookworm), Python 3.11.2, glibc 2.36)" in said
    assert "a base layer" not in said.partition("pushed")[2].partition("\n")[0]
    assert "/usr/bin/python3.11" == config["config"]["Entrypoint"][0]
    assert base == manifest["annotations"]["org.opencontainers.image.base.name"]
    command = [sys.executable, "-m", "pulumi_mlserve.cli.main", "images", "export", "based", str(tmp_path / "out")]
    workspace.run(*command).ok()
    sbom = json.loads((tmp_path / "out" / "image.sbom").read_text())
    assert ["bases/debian"] == [part["name"] for part in sbom["components"] if part["type"] == "container"]


def test_a_base_is_kept_until_an_upgrade_is_asked_for(workspace, where):
    """A moved tag is told and not followed; without the registry the kept digest is enough."""
    first = push_base(where, debian(), name="kept:1")
    folder = image_program(workspace.folder / "program", f'base_image="{first.reference}", python_version="3.11"')
    with (folder / "__main__.py").open("a", encoding="utf-8") as file:
        file.write(f'LocalService("based", image=image, port={free_port()})\n')
    stack = workspace.stack(folder)
    stack.up().ok()
    state = stack.pulumi("stack", "export").ok().output
    assert first.digest in state

    second = push_base(where, debian(glibc="2.41"), name="kept:1")
    shutil.rmtree(workspace.cache / "bases" / "tags")
    said = stack.pulumi("preview", "--expect-no-changes").ok().output
    assert f"is another image by now, {second.digest[7:19]}" in said
    assert "upgrade=['base_image']" in said
    where.stop()
    try:
        shutil.rmtree(workspace.cache / "bases" / "tags")
        said = stack.pulumi("preview", "--expect-no-changes").ok().output
        assert "cannot be told" in said
        (folder / "src" / "score.py").write_text(SCRIPT + "\n", encoding="utf-8")
        stack.up().ok()
    finally:
        where.start()
    replaced(folder / "__main__.py", 'python_version="3.11"', 'python_version="3.11", upgrade=["base_image"]')
    shutil.rmtree(workspace.cache / "bases" / "tags")
    said = stack.up().ok().output
    assert f"base image {first.reference}@{first.digest[7:19]} → {first.reference}@{second.digest[7:19]}" in said
    assert 0 == workspace.run("mlserve", "call", "based", str(folder / "request.json")).code


def test_a_base_that_cannot_be_looked_up_fails_an_update_with_the_reason_alone(workspace):
    """A preview warns of it and goes on."""
    stack = workspace.stack(image_program(workspace.folder / "program", 'base_image="nobody.invalid/a/b:1"'))
    previewed, failed = stack.preview_text().ok().output, stack.up()
    why = "nobody.invalid/a/b:1 cannot be looked up: registry nobody.invalid: no such host is known"

    assert f"the image is not known yet: {why}" in previewed
    assert (True, True) == (failed.code != 0, f"baseImage: {why}" in failed.output), failed.output
    assert "unknown property value" not in failed.output


def test_what_does_not_fit_a_base_is_told_in_preview(workspace, where):
    """With both sides, at the property; several at once."""
    old = push_base(where, debian("3.12", glibc="2.12"), name="old:1")
    folder = image_program(workspace.folder / "program", f'base_image="{old.reference}", python_version="3.11"')
    stack = workspace.stack(folder)

    failed = stack.preview_text()

    assert failed.code != 0
    assert "has Python 3.12, and the packages are locked for 3.11; set python_version='3.12'" in failed.output
    assert "has glibc 2.12, and wheels need a newer one" in failed.output


def test_mistakes_about_a_base_are_told_before_anybody_is_asked(workspace):
    """Those of v1 among them; all in one run, each at its property."""
    old = "mcr.microsoft.com/azureml/onnxruntime:v0.4.0-cuda10.0-cudnn7"
    access = '{"address": "other.example", "password": "hunter2"}'
    arguments = (
        f'base_image="{old}", base_image_registry={access}, enable_gpu=True, cuda_version="9.1", runtime="python"'
    )
    stack = workspace.stack(image_program(workspace.folder / "program", arguments))

    failed = stack.preview_text()

    assert failed.code != 0
    problems = {
        "baseImage": "is one of Microsoft's images of ONNX Runtime 0.4 of 2019",
        "baseImageRegistry.username": "is required beside password",
        "baseImageRegistry.address": "base_image lies in mcr.microsoft.com, got 'other.example'",
        "cudaVersion": "no package for Python 3.10 or newer is built for CUDA 9.1",
    }
    for path, text in problems.items():
        assert f"property {path} value" in failed.output or f"{path}: {text}" in failed.output, path
        assert text in failed.output
    assert "hunter2" not in failed.output


def test_a_private_base_goes_along_to_another_registry(workspace, where, tmp_path):
    """Its layers are passed on; its login stands neither in the state nor in anything that is said."""
    with registry(tmp_path / "private", auth=htpasswd_auth(tmp_path / "auth")) as private:
        login = Logins.usual({private.host: Login.by_password(USER, PASSWORD)}, environ={})
        pushed = push_base(private, debian(), asking=lambda: RegistryClient(login))
        access = f'{{"address": "{private.host}", "username": "{USER}", "password": "{PASSWORD}"}}'
        arguments = (
            f'base_image="base:1", base_image_registry={access}, registry="{where.host}/ml", python_version="3.11"'
        )
        folder = image_program(workspace.folder / "program", arguments)
        stack = workspace.stack(folder)
        said = stack.up().ok().output
        replaced(folder / "__main__.py", PASSWORD, "wrong one")
        replaced(folder / "__main__.py", "base:1", "base:2")
        refused = stack.preview_text().output

    state = stack.pulumi("stack", "export").ok().output
    kept = "".join(path.read_text(errors="replace") for path in workspace.cache.joinpath("bases").rglob("*.json"))
    assert pushed.digest in state
    assert {*pushed.blobs} <= where.blobs()
    assert not [text for text in (said, refused, state, kept) if PASSWORD in text or "wrong one" in text]
    assert "401" in refused
    assert f"base image: {private.host}/base@{pushed.digest}" in said


def test_an_image_for_a_registry_has_a_base_by_default(workspace, where):
    """Where it cannot be had, the preview says so, what else to do, and does not fail."""
    folder = image_program(workspace.folder / "program", f'registry="{where.host}/ml", python_version="3.11"')
    stack = workspace.stack(folder)

    said = stack.preview_text().ok().output

    assert "python:3.11-slim-bookworm" in said
    assert "'scratch' for none" in said

    assert 0 != stack.up().code
    assert not [name for name in stack.resources() if name.startswith("Image ")]
