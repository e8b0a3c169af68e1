"""Unpacked images: whole or absent, read-only, without copies, and independent of where they came from."""

import os
import shutil
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from image_kit import SCRIPT, Workshop, tree
from mlserve_scoring import manifest as runtime_manifest

from pulumi_mlserve.clients.images import rootfs
from pulumi_mlserve.clients.images.image_places import ImagePlaces
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.core.problems import OperationError


@pytest.fixture
def shop(tmp_path):
    """A workshop."""
    return Workshop(tmp_path / "shop")


def test_an_unpacked_image_has_the_documented_layout(shop):
    """Code, packages, runtime, models and v1's names for them are where the runtime looks."""
    net = shop.models.add("net", {"m/a.bin": b"a", "m/sub/b.bin": b"b"}, version=3)
    image = shop.build(models=(shop.ridge, net))
    root = shop.images.rootfs(image.digest)

    assert SCRIPT == (root / "var/azureml-app/score.py").read_text()
    assert b"ridge" * 1000 == (root / "var/azureml-app/azureml-models/ridge/1/ridge.onnx").read_bytes()
    assert b"b" == (root / "var/azureml-app/azureml-models/net/3/m/sub/b.bin").read_bytes()
    assert b"ANSWER = 42\n" == (root / "opt/mlserve/site-packages/tiny/__init__.py").read_bytes()
    assert image.recipe == runtime_manifest.load(root).recipe


def test_an_unpacked_image_is_what_a_registry_would_give(shop, tmp_path):
    """Unpacking the layers with the system's tar gives the same tree."""
    image = shop.build()
    target = tmp_path / "by tar"
    target.mkdir()
    for layer in image.layers:
        content = b"".join(shop.images.layer_bytes(image.digest, layer))
        command = ["tar", "-x" if layer.kind == "model" else "-xz", "-f", "-"]
        subprocess.run(command, cwd=target, input=content, check=True)

    assert tree(target) == tree(shop.images.rootfs(image.digest))


def test_the_runtime_starts_from_an_unpacked_image(shop):
    """Python finds the runtime and the packages where the image has them."""
    root = shop.images.rootfs(shop.build().digest)
    paths = os.pathsep.join([str(root / "opt/mlserve/runtime"), str(root / "opt/mlserve/site-packages")])
    program = "import mlserve_scoring, tiny; print(mlserve_scoring.__file__, tiny.ANSWER)"
    answer = subprocess.run(
        [sys.executable, "-S", "-B", "-c", program],
        env={"PYTHONPATH": paths},
        check=True,
        capture_output=True,
        text=True,
    )

    assert f"{root}/opt/mlserve/runtime/mlserve_scoring/__init__.py 42\n" == answer.stdout


def test_nothing_in_an_unpacked_image_can_be_written(shop):
    """Files and folders have no write permission for anybody; programs keep theirs to run."""
    root = shop.images.rootfs(shop.build().digest)
    modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in [root, *root.rglob("*")] if not path.is_symlink()}

    assert [] == [path for path, mode in modes.items() if mode & 0o222]
    assert 0o555 == modes[root / "opt/mlserve/site-packages/bin/tiny"]
    assert 0o444 == modes[root / "var/azureml-app/score.py"]


def test_unpacked_again_is_the_same_folder(shop):
    """The second time costs nothing."""
    image = shop.build()
    first = shop.images.rootfs(image.digest)
    before = first.stat().st_ctime_ns

    assert first == shop.images.rootfs(image.digest)
    assert before <= first.stat().st_ctime_ns


def test_two_images_share_what_is_the_same(shop):
    """Dependencies are unpacked once; each image's folder links to them."""
    first = shop.images.rootfs(shop.build().digest)
    (shop.source / "score.py").write_text("changed = 1\n")
    second = shop.images.rootfs(shop.build().digest)
    module = "opt/mlserve/site-packages/tiny/__init__.py"

    assert (first / module).stat().st_ino == (second / module).stat().st_ino
    assert (first / "var/azureml-app/score.py").stat().st_ino != (second / "var/azureml-app/score.py").stat().st_ino


def test_an_unpacked_image_needs_neither_model_store_nor_sources(shop):
    """What serves goes on serving when the folders it was made from are gone, and can even be unpacked then."""
    image = shop.build()
    for folder in (shop.models.folder, shop.source, shop.packages):
        shutil.rmtree(folder)
    root = ImageStore(shop.folder / "images").rootfs(image.digest)

    assert b"ridge" * 1000 == (root / "var/azureml-app/azureml-models/ridge/1/ridge.onnx").read_bytes()
    assert () == shop.images.verify(image.digest)


def test_many_may_unpack_one_image_at_once(shop):
    """All get the same whole folder."""
    image = shop.build()
    with ThreadPoolExecutor(6) as pool:
        roots = list(pool.map(lambda _: ImageStore(shop.folder / "images").rootfs(image.digest), range(6)))

    assert 1 == len(set(roots))
    assert () == shop.images.verify(image.digest)


def test_a_filesystem_without_hard_links_gets_copies(shop, monkeypatch):
    """An unpacked image is whole there, too."""

    def refuse(*_args, **_options):
        raise OSError(95, "Operation not supported")

    image = shop.build()
    monkeypatch.setattr(rootfs.os, "link", refuse)
    root = shop.images.rootfs(image.digest)
    monkeypatch.undo()

    assert () == shop.images.verify(image.digest)
    assert 1 == (root / shop.ridge.folder / "ridge.onnx").stat().st_nlink
    assert 0o444 == stat.S_IMODE((root / shop.ridge.folder / "ridge.onnx").stat().st_mode)


@pytest.mark.parametrize(
    "damage", [lambda blob: blob[:-20], lambda blob: blob[:40] + bytes(4) + blob[44:], lambda _: b""]
)
def test_a_damaged_layer_is_not_unpacked(shop, damage):
    """No folder appears, and the message says what to do."""
    image = shop.build()
    path = ImagePlaces(shop.folder / "images").blob(image.layers[2].digest)
    content = path.read_bytes()
    path.chmod(0o600)
    path.write_bytes(damage(content))

    with pytest.raises(OperationError, match="layer code: damaged in the image store"):
        shop.images.rootfs(image.digest)
    assert [] == list((shop.folder / "images/rootfs").iterdir())
    assert [] == list((shop.folder / "images/tmp").iterdir())
    path.write_bytes(content)

    assert shop.images.rootfs(image.digest).is_dir()


def test_an_unknown_image_cannot_be_unpacked(shop):
    """The message says where it was looked for."""
    with pytest.raises(OperationError, match="not in the image store"):
        shop.images.rootfs("sha256:" + "0" * 64)


def test_unpacking_that_died_is_done_again(shop):
    """Half a folder in the scratch place is not taken for an image."""
    image = shop.build()
    half = shop.folder / "images/tmp/half"
    (half / "opt").mkdir(parents=True)
    half.chmod(0o555)
    root = shop.images.rootfs(image.digest)

    assert not half.exists()
    assert (root / "opt/mlserve/manifest.json").is_file()


def test_links_of_the_source_folder_are_kept(shop):
    """A relative link works in the unpacked image."""
    (shop.source / "latest.py").symlink_to("score.py")
    root = shop.images.rootfs(shop.build().digest)

    assert "score.py" == str((root / "var/azureml-app/latest.py").readlink())
    assert SCRIPT == (root / "var/azureml-app/latest.py").read_text()


def test_a_large_tree_of_code_is_unpacked_whole(shop):
    """Many files, long names and other scripts survive the way through the layer."""
    for number in range(300):
        path = shop.source / f"pkg{number % 7}" / ("n" * (number % 120 + 1) + f"-é{number}.txt")
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(bytes([number % 256]) * number)
    image = shop.build()
    root = shop.images.rootfs(image.digest)

    assert tree(shop.source) == {
        path: content
        for path, content in tree(root / "var/azureml-app").items()
        if not path.startswith("azureml-models")
    }


def test_the_runtimes_files_are_those_that_are_installed():
    """Stand-ins included, what running left behind excluded."""
    files = runtime_files()
    paths = {entry.path for entry in files.entries}

    assert {"mlserve_scoring/__init__.py", "mlserve_scoring/manifest.py", "mlserve_scoring/py.typed"} <= paths
    assert [] == [path for path in paths if "__pycache__" in path or path.endswith(".pyc")]
    assert files.digest == runtime_files().digest


def test_the_runtimes_digest_does_not_depend_on_where_it_lies(tmp_path):
    """An editable installation and an unpacked wheel are the same runtime."""
    here = runtime_files()
    other = tmp_path / "mlserve_scoring"
    shutil.copytree(here.root / "mlserve_scoring", other, copy_function=shutil.copyfile)

    assert here.digest == runtime_files(other).digest
    (other / "__init__.py").write_text("# other\n")

    assert here.digest != runtime_files(other).digest


def test_a_layer_of_models_is_as_large_as_its_files(shop):
    """Sizes are reported as a registry counts them."""
    image = shop.build(models=(replace(shop.ridge),))
    (layer,) = [layer for layer in image.layers if layer.kind == "model"]

    assert layer.digest == layer.diff_id
    assert 5000 <= layer.size <= 5000 + 10 * 512
    assert sum(layer.size for layer in image.layers) <= image.size


def test_what_is_missing_from_an_unpacked_image_is_named(shop):
    """Verify looks at every file and link of every layer."""
    image = shop.build()
    root = shop.images.rootfs(image.digest)
    gone = [
        root / "opt/mlserve/site-packages/tiny/core.so",
        root / shop.ridge.folder / "ridge.onnx",
        root / "var/azureml-app/azureml-models/ridge/1/ridge.onnx",
    ]
    for path in gone:
        path.parent.chmod(0o700)
        path.unlink()

    assert [f"{path}: missing from the unpacked image" for path in gone] == list(shop.images.verify(image.digest))
