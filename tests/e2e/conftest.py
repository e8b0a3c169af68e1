"""Workspaces for the tests with the real engine."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

pytest.register_assert_rewrite("commands", "engine", "plans", "programs", "scoring_client")

from engine import Workspace, opened  # noqa: E402  after the line that makes its asserts speak


@pytest.fixture(scope="session")
def stacks(repository) -> Path:
    """The folder of the sample programs."""
    return repository / "stacks"


@pytest.fixture(scope="module")
def workspaces(engine, cache_home, tmp_path_factory) -> Iterator[Callable[..., Workspace]]:
    """Makes workspaces that a module's tests share; each must leave nothing."""
    with ExitStack() as stack:

        def make(**environment: str) -> Workspace:
            folder = tmp_path_factory.mktemp("w")
            return stack.enter_context(
                opened(Workspace(folder, engine=engine, caches=cache_home, environment=environment))
            )

        yield make


@pytest.fixture
def workspace(engine, cache_home, tmp_path_factory) -> Iterator[Workspace]:
    """A workspace of the test's own, which must leave nothing."""
    with opened(Workspace(tmp_path_factory.mktemp("w"), engine=engine, caches=cache_home)) as made:
        yield made


@pytest.fixture(scope="session")
def retrained(stacks, tmp_path_factory) -> bytes:
    """The quickstart's model trained with other settings: other bytes that answer otherwise."""
    output = tmp_path_factory.mktemp("retrained") / "ridge.onnx"
    command = [sys.executable, stacks / "quickstart" / "train.py", "--alpha", "1", "--output", output]
    subprocess.run(command, check=True, capture_output=True)
    return output.read_bytes()
