"""Whether a machine has a GPU, told from its devices."""

from __future__ import annotations

import pytest

from pulumi_mlserve.clients.processes.gpus import has_nvidia_gpu


@pytest.mark.parametrize(
    ("device", "expected"), [("nvidia0", True), ("nvidia12", True), ("dxg", True), ("nvidiactl", False), ("tty", False)]
)
def test_a_gpu_is_told_by_its_device(tmp_path, device, expected):
    """The driver's own control device is there without any GPU, too."""
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / device).touch()

    assert expected is has_nvidia_gpu(tmp_path)
