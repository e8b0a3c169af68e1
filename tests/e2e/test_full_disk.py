"""A disk that is full: the update fails with the reason, loses nothing, and the next one completes."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from engine import settled_processes
from programs import free_port, program, tiny
from scoring_client import prediction

MEGABYTES = 24


@pytest.fixture
def small_disk(tmp_path) -> Iterator[Path]:
    """A file system of a few megabytes."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system of its own needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={MEGABYTES}m", "tmpfs", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def test_store_on_a_full_disk_fails_clearly_and_loses_nothing(small_disk, workspace):
    """Registering more than fits names the disk; version 1 stays, and after freeing space version 2 is registered."""
    folder = program(workspace.folder / "program", 'RegisteredModel("growing", path="model.bin")')
    (folder / "model.bin").write_bytes(b"first" * 1000)
    stack = workspace.stack(folder)
    stack.config("mlserve:store", str(small_disk / "store"))
    stack.up().ok()
    (small_disk / "ballast").write_bytes(b"x" * (MEGABYTES - 4) * 1_000_000)
    (folder / "model.bin").write_bytes(os.urandom(12_000_000))

    failed = stack.up().failed().output
    assert "No space left on device" in failed or "full" in failed, failed
    assert "model.bin" in failed or str(small_disk) in failed, failed
    versions = small_disk / "store" / "models" / "growing" / "versions"
    assert ["1.json"] == [path.name for path in versions.iterdir()]
    assert 1 == stack.resources()["Model growing"]["outputs"]["version"]

    (small_disk / "ballast").unlink()
    stack.up().ok()
    assert 2 == stack.resources()["Model growing"]["outputs"]["version"]
    assert {} == stack.preview().ok().changes
    stack.destroy().ok()
    assert not list((small_disk / "store" / "blobs").rglob("*.*"))


def test_service_serves_on_while_the_image_store_is_full(small_disk, workspaces):
    """An update that cannot write its image leaves the old one serving; with space it completes."""
    workspace, ports = workspaces(MLSERVE_IMAGES=str(small_disk / "images")), (free_port(), free_port())
    subprocess.run(["mount", "-o", "remount,size=100m", small_disk], check=True)
    folder = tiny(workspace.folder / "program", ports)
    stack = workspace.stack(folder)
    stack.up().ok()
    url = f"http://127.0.0.1:{ports[0]}/score"
    answer = prediction(url)

    free = os.statvfs(small_disk)
    (small_disk / "ballast").write_bytes(b"x" * (free.f_bavail * free.f_frsize - 100_000))
    (folder / "src" / "table.bin").write_bytes(os.urandom(3_000_000))
    failed = stack.up().failed().output
    assert "No space left on device" in failed or "full" in failed, failed
    assert answer == prediction(url)

    (small_disk / "ballast").unlink()
    stack.up().ok()
    assert answer == prediction(url)
    assert {} == stack.preview().ok().changes
    stack.destroy().ok()
    assert {} == settled_processes(workspace.folder)  # the disk is taken away next
