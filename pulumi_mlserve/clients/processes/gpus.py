"""Whether this machine has a GPU that processes can use."""

from __future__ import annotations

from pathlib import Path


def has_nvidia_gpu(root: Path = Path("/")) -> bool:
    """Return whether there is an NVIDIA GPU with its driver: a device of its own, or that of Windows' subsystem.

    Args:
        root: Where the machine's files are looked for.
    """
    return any((root / "dev").glob("nvidia[0-9]*")) or (root / "dev/dxg").exists()
