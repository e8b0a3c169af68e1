"""The local image store: images written without Docker, each layer once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pulumi_mlserve.core.image import BuiltImage, ImageModel
from pulumi_mlserve.core.layers import LayerPlan
from pulumi_mlserve.core.problems import OperationError

Progress = Callable[[str], None]
Cancelled = Callable[[], bool]


class ModelFiles(Protocol):
    """Where the files of models come from; the model store is one."""

    def place(self, model: ImageModel, folder: Path) -> None:
        """Put the model's files into an empty folder: hard links where possible, else copies."""


class ImageInUseError(OperationError):
    """An image cannot be removed while services run it."""


@dataclass(frozen=True)
class ImageContent:
    """Where the bytes of an image come from.

    Attributes:
        packages: The folder of installed wheels; none without dependencies.
        source_directory: The folder with the entry script; none without one.
        contract: What a service of the image accepts and returns, as the trial found it.
    """

    packages: Path | None = None
    source_directory: Path | None = None
    contract: Mapping[str, Any] | None = None


class ImageStore:
    """Images in a folder of this machine."""

    def __init__(self, folder: Path, models: ModelFiles | None = None) -> None:
        raise NotImplementedError

    def build(
        self,
        plan: LayerPlan,
        content: ImageContent,
        *,
        claimant: str,
        progress: Progress | None = None,
        cancelled: Cancelled | None = None,
    ) -> BuiltImage:
        """Return the image of this plan, writing only the layers that are not there yet."""
        raise NotImplementedError

    def get(self, digest: str) -> BuiltImage | None:
        """Return the image with this digest, or None."""
        raise NotImplementedError

    def list(self, name: str | None = None) -> list[BuiltImage]:
        """Return the images, of one name or all, the newest first."""
        raise NotImplementedError

    def claims(self, name: str, digest: str) -> tuple[str, ...]:
        """Return who claims an image."""
        raise NotImplementedError

    def remove(self, name: str, digest: str, *, claimant: str, in_use: Callable[[str], Sequence[str]]) -> bool:
        """Release a claim, and the bytes with the last one; returns whether the image is gone."""
        raise NotImplementedError

    def rootfs(self, digest: str) -> Path:
        """Return the image unpacked, read-only."""
        raise NotImplementedError

    def verify(self, digest: str) -> list[str]:
        """Return what is wrong with an image's bytes; empty when all is well."""
        raise NotImplementedError
