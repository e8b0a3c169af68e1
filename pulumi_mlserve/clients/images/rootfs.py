"""Unpacks images so that they can run on this machine: read-only, each layer once, models not at all.

An unpacked image is a folder of hard links to its unpacked layers and to the models' files: it takes no room of its
own and stands by itself. It appears whole, by a rename, or not at all.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tarfile
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final, cast

from pulumi_mlserve.clients.images.source_files import file_hash
from pulumi_mlserve.clients.images.stream_file import StreamFile
from pulumi_mlserve.core.images.image import BuiltImage, ImageLayer
from pulumi_mlserve.core.images.oci import TAR_TYPE
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pulumi_mlserve.clients.images.image_places import ImagePlaces
    from pulumi_mlserve.clients.images.layer_store import LayerStore
from pulumi_mlserve.clients.images.layer_writer import ahead

_NO_LINKS: Final = frozenset({errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS})


class Unpacker:
    """Makes runnable folders from the images of a local image store."""

    def __init__(self, places: ImagePlaces, layers: LayerStore) -> None:
        self._places = places
        self._layers = layers

    def rootfs(self, image: BuiltImage, say: Callable[[str], None] = lambda _: None) -> Path:
        """Return the image unpacked; the first time takes a moment.

        Raises:
            OperationError: The bytes of a layer are damaged.
        """
        target = self._places.rootfs(image.digest)
        if target.is_dir():
            if target.stat().st_mode & 0o222:  # a run that died just after the rename left it writable
                target.chmod(0o555)
            return target
        with self._places.locked(f"rootfs-{target.name}"):
            if target.is_dir():
                return target
            with self._places.scratch() as temporary:
                temporary.mkdir()
                for layer in image.layers:
                    if layer.media_type == TAR_TYPE:
                        self._link_model(layer, layer.model_folder, temporary)
                    else:
                        say(f"{layer.name}: unpacking")
                        _link_tree(self._unpacked(layer), temporary)
                _close_folders(temporary)
                temporary.chmod(0o755)  # a folder must be writable to be moved
                temporary.replace(target)
            target.chmod(0o555)
        return target

    def differences(self, image: BuiltImage) -> list[str]:
        """Return what of an unpacked image is not as its layers say; empty when it was never unpacked."""
        root = self._places.rootfs(image.digest)
        if not root.is_dir():
            return []
        problems = []
        expected: dict[str, tuple[int, str] | None] = {}
        for layer in image.layers:
            if layer.media_type == TAR_TYPE:
                folder = layer.model_folder
                expected |= {f"{folder}/{file.path}": (file.size, file.sha256) for file in self._layers.files(layer)}
            else:
                expected |= dict(_contents(self._layers.tar(layer)))
        for path, content in expected.items():
            if content is None:
                if not (root / path).is_symlink():
                    problems.append(f"{root / path}: missing from the unpacked image")
            elif not (root / path).is_file():
                problems.append(f"{root / path}: missing from the unpacked image")
            elif (root / path).stat().st_size != content[0] or file_hash(root / path) != content[1]:
                problems.append(f"{root / path}: changed since the image was unpacked")
        return problems

    def _unpacked(self, layer: ImageLayer) -> Path:
        target = self._places.unpacked(layer.diff_id)
        if target.is_dir():
            return target
        with self._places.locked(f"unpacked-{target.name}"):
            if target.is_dir():
                return target
            with self._places.scratch() as temporary:
                temporary.mkdir()
                found = hashlib.sha256()
                stream = StreamFile(ahead(_shown(self._layers.tar(layer), found.update)))
                try:
                    _extract(stream, temporary)
                    stream.drain()
                except (tarfile.TarError, OperationError) as error:
                    raise _damaged(layer, str(error)) from error
                if "sha256:" + found.hexdigest() != layer.diff_id:
                    raise _damaged(layer, "its hash is another")
                temporary.replace(target)
        return target

    def _link_model(self, layer: ImageLayer, folder: str, root: Path) -> None:
        for file in self._layers.files(layer):
            target = root / folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            _link(self._places.model_file(file.sha256), target)


def _shown(pieces: Iterator[bytes], show: Callable[[bytes], None]) -> Iterator[bytes]:
    for piece in pieces:
        show(piece)
        yield piece


def _extract(stream: StreamFile, root: Path) -> None:
    """Unpack a tar of ours: files, folders and links by their paths, nothing through a link, modes without write."""
    with tarfile.open(fileobj=cast("IO[bytes]", stream), mode="r|", bufsize=1 << 20) as tar:
        for member in tar:
            path = PurePosixPath(member.name)
            if path.is_absolute() or ".." in path.parts:
                raise tarfile.TarError(f"a path leads out of the image, got {member.name!r}")
            target = root / path
            if target.parent.resolve() != root.resolve() / path.parent:
                raise tarfile.TarError(f"a path leads through a link, got {member.name!r}")
            if member.isdir():
                target.mkdir(exist_ok=True)
            elif member.issym():
                target.symlink_to(member.linkname)
            elif member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                with target.open("xb") as file:
                    shutil.copyfileobj(content, file, 1 << 20)
                    os.fchmod(file.fileno(), 0o555 if member.mode & 0o100 else 0o444)
            else:
                raise tarfile.TarError(f"a special file, got {member.name!r}")


def _contents(pieces: Iterator[bytes]) -> Iterator[tuple[str, tuple[int, str] | None]]:
    with tarfile.open(fileobj=cast("IO[bytes]", StreamFile(pieces)), mode="r|", bufsize=1 << 20) as tar:
        for member in tar:
            if member.issym():
                yield member.name, None
            elif member.isfile():
                content = tar.extractfile(member)
                assert content is not None
                found = hashlib.sha256()
                while piece := content.read(1 << 20):
                    found.update(piece)
                yield member.name, (member.size, found.hexdigest())


def _link_tree(source: Path, target: Path) -> None:
    with os.scandir(source) as items:
        for item in items:
            there = target / item.name
            if there.is_symlink():
                raise OperationError(f"{there.relative_to(target)}: a link of one layer has the place of another's")
            if item.is_dir(follow_symlinks=False):
                there.mkdir(exist_ok=True)
                _link_tree(Path(item.path), there)
            elif item.is_symlink():
                there.symlink_to(Path(item.path).readlink())
            else:
                _link(Path(item.path), there)


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        shutil.copyfile(source, target)
        shutil.copymode(source, target)


def _close_folders(root: Path) -> None:
    for folder, _, _ in os.walk(root, topdown=False):
        Path(folder).chmod(0o555)


def _damaged(layer: ImageLayer, why: str) -> OperationError:
    return OperationError(f"layer {layer.name}: damaged in the image store, {why}; remove the image and build it again")
