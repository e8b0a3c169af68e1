"""Fixtures of the runtime's tests: images, services, trials."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from scoring_kit import PATIENCE, runtime_environment, services, write_image


@pytest.fixture
def image(tmp_path):
    """A function that writes an unpacked image and returns its root."""
    count = iter(range(100))
    return lambda *arguments, **options: write_image(tmp_path / f"root{next(count)}", *arguments, **options)


@pytest.fixture
def start(tmp_path_factory):
    """A function that starts a service of an image and waits until it is ready."""
    with services(tmp_path_factory.mktemp("s")) as begin:
        yield begin


@pytest.fixture(scope="module")
def start_shared(tmp_path_factory):
    """The same for services that all tests of a module share."""
    with services(tmp_path_factory.mktemp("s")) as begin:
        yield begin


@pytest.fixture
def trial(tmp_path):
    """A function that runs the trial of an image and returns its verdict."""

    def run(root, samples=None):
        output = tmp_path / "verdict.json"
        command = [sys.executable, "-m", "mlserve_scoring", "trial", "--root", str(root), "--output", str(output)]
        if samples is not None:
            (tmp_path / "samples.json").write_text(json.dumps(samples), encoding="utf-8")
            command += ["--samples", str(tmp_path / "samples.json")]
        done = subprocess.run(
            command, env=runtime_environment(), capture_output=True, timeout=PATIENCE, check=False, cwd=tmp_path
        )
        verdict = json.loads(output.read_text(encoding="utf-8"))
        verdict["status"] = done.returncode
        verdict["output"] = (done.stdout + done.stderr).decode("utf-8", "replace")
        return verdict

    return run
