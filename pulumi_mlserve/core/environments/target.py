"""For which Python and machine packages are chosen, and which conditions of requirements hold there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from packaging.markers import Marker, UndefinedComparison, UndefinedEnvironmentName
from packaging.version import InvalidVersion

_MACHINES: Final = {
    "darwin/amd64": "x86_64",
    "darwin/arm64": "arm64",
    "linux/amd64": "x86_64",
    "linux/arm64": "aarch64",
}
_SYSTEMS: Final = {"darwin": "Darwin", "linux": "Linux"}


@dataclass(frozen=True)
class Target:
    """What an environment is for; never this machine, unless it happens to be the same.

    Attributes:
        python: The minor version, ``3.11``.
        platform: ``linux/amd64``, ``linux/arm64``, ``darwin/arm64`` or ``darwin/amd64``.
    """

    python: str
    platform: str

    def meets(self, marker: Marker | None) -> bool:
        """Return whether a requirement with this marker applies; one that cannot be decided does."""
        if marker is None:
            return True
        try:
            return marker.evaluate(self._environment())
        except (InvalidVersion, UndefinedComparison, UndefinedEnvironmentName):
            # It is about what only an installed machine knows, or of a later standard.
            return True

    def _environment(self) -> dict[str, str]:
        """Return what markers ask about, as uv has it for a target: of the minor version, the first release."""
        system = self.platform.partition("/")[0]
        full = f"{self.python}.0"
        return {
            "extra": "",
            "implementation_name": "cpython",
            "implementation_version": full,
            "os_name": "posix",
            "platform_machine": _MACHINES.get(self.platform, ""),
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": _SYSTEMS.get(system, ""),
            "platform_version": "",
            "python_full_version": full,
            "python_version": self.python,
            "sys_platform": system,
        }
