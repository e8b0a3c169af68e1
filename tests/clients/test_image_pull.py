"""Images pushed by one machine and taken in by another: equal, whole or not at all; foreign ones are told."""

from __future__ import annotations

import io
import json
import os
import resource
import tarfile

import pytest
from image_kit import DEV, Workshop, tree
from registry_faults import proxied
from registry_kit import MIB, Pattern, at, client, image_of, registry

from pulumi_mlserve.clients.images.base_blobs import BaseImage
from pulumi_mlserve.clients.images.image_pull import told_image
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE, TAR_TYPE, Base, digest_of
from pulumi_mlserve.core.images.our_image import NotOursError
from pulumi_mlserve.core.problems import OperationError

CONTRACT = {"schema": 1, "source": "samples", "input": {}, "output": {}, "samples": []}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A registry that takes anything from anybody."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def there(tmp_path):
    """The image store of another machine."""
    return ImageStore(tmp_path / "there" / "images")


def pushed(workshop, target, image):
    """Push an image and return its reference by digest."""
    with client() as ours, workshop.images.opened(image.digest) as opened:
        return ours.push(target, opened.manifest, opened.media_type, opened.sources(ours.source)).reference


def pulled(store, reference, claimant=DEV, **more):
    """Take an image in."""
    with client(**more) as ours:
        image = told_image(ours, reference, "linux/amd64")
        return store.pull(ours, image, claimant=claimant, cancelled=more.get("cancelled"))


def test_a_pulled_image_is_the_one_that_was_pushed(tmp_path, real, there):
    """Same digest, same record, same files when unpacked, and it can be pushed again; no layer is read twice."""
    here = Workshop(tmp_path / "here")
    built = here.build(content={"contract": CONTRACT}, features=("telemetry",))
    reference = pushed(here, at(real, "a/same:1"), built)
    image = pulled(there, reference)

    for name in ("name", "digest", "config_digest", "recipe", "python", "platform", "size", "contract", "models"):
        assert getattr(built, name) == getattr(image, name), name
    assert ("telemetry",) == image.features
    assert (DEV,) == there.claims("diabetes", image.digest)
    assert tree(here.images.rootfs(built.digest)) == tree(there.rootfs(image.digest))
    assert () == there.verify(image.digest)
    with there.opened(image.digest) as opened, client() as ours:
        again = ours.push(at(real, "b/same:1"), opened.manifest, MANIFEST_TYPE, opened.sources(ours.source))
    assert reference.digest == again.reference.digest
    assert there.remove("diabetes", image.digest, claimant=DEV, in_use=lambda _: ())


def test_the_layers_of_a_base_stay_where_they_are_until_they_are_needed(tmp_path, real, there):
    """Whoever runs the image here needs none; an export fetches them from where the image came from."""
    here = Workshop(tmp_path / "here")
    layer = os.urandom(5000)
    digest = digest_of(layer)
    (tmp_path / digest.partition(":")[2]).write_bytes(layer)
    entry = {"digest": digest, "mediaType": TAR_TYPE, "size": len(layer)}
    base = Base("sha256:" + "0" * 64, (entry,), (digest,), name="nowhere.invalid/base:1")
    built = here.build(base=base.digest, content={"base": BaseImage(base, tmp_path)})
    reference = pushed(here, at(real, "a/based:1"), built)
    image = pulled(there, reference)

    assert there.rootfs(image.digest).is_dir()
    assert (str(reference), built.size) == (there.get(image.digest).origin, image.size)
    with client() as ours:
        with there.opened(image.digest) as opened:
            assert [digest] == [blob.digest for blob in opened.elsewhere]
            again = ours.push(at(real, "b/based:1"), opened.manifest, MANIFEST_TYPE, opened.sources(ours.source))
        there.export(image.digest, tmp_path / "layout", download=ours.download)
    assert "mounted" == again.outcomes[digest]
    assert layer == (tmp_path / "layout" / "blobs" / digest.replace(":", "/")).read_bytes()


def test_only_missing_layers_are_read(tmp_path, real, there):
    """What another image brought, or this machine built itself, is here already."""
    here = Workshop(tmp_path / "here")
    pulled(there, pushed(here, at(real, "a/missing:1"), here.build()))
    (here.source / "score.py").write_text("def init(): ...\ndef run(x): ...\n")
    second = here.build()
    reference = pushed(here, at(real, "a/missing:2"), second)
    with proxied(real) as proxy:
        pulled(there, at(proxy, f"a/missing@{reference.digest}"))
        read = {path.rpartition("/")[2] for method, path, _, _ in proxy.seen if method == "GET" and "/blobs/" in path}

        changed = {layer.digest for layer in second.layers if layer.name in {"code", "layout"}}
        assert {*changed, second.config_digest} == read


def test_a_pull_that_broke_off_goes_on(tmp_path, real, there):
    """Nothing counts as an image before all of it is there; what arrived is not read again."""
    here = Workshop(tmp_path / "here")
    here.ridge = here.models.add("ridge", {"ridge.onnx": bytes(range(256)) * (3 * MIB // 256)})
    built = here.build()
    reference = pushed(here, at(real, "a/broken:1"), built)
    (model,) = [layer for layer in built.layers if layer.kind == "model"]
    with proxied(real) as proxy:
        proxy.fault("GET", model.digest, cut_answer=MIB, times=9)
        with pytest.raises(OperationError, match="connection broke"):
            pulled(there, at(proxy, f"a/broken@{reference.digest}"), attempts=1)

        assert [] == list(there.list())
        proxy.faults.clear()
        proxy.seen.clear()
        image = pulled(there, at(proxy, f"a/broken@{reference.digest}"))
        ranges = [headers.get("Range") for method, path, headers in proxy.headers if model.digest in path]

        assert () == there.verify(image.digest)
        assert f"bytes={MIB}-" == ranges[-1]


def test_a_registry_that_lies_about_bytes_is_found_out(tmp_path, real, there):
    """One flipped byte of a layer, and nothing is taken for an image."""
    here = Workshop(tmp_path / "here")
    built = here.build()
    reference = pushed(here, at(real, "a/lies:1"), built)
    (code,) = [layer for layer in built.layers if layer.kind == "code"]
    with proxied(real) as proxy:
        proxy.fault("GET", code.digest, flip_answer=True, times=9)
        with pytest.raises(OperationError, match="other bytes than the digest says"):
            pulled(there, at(proxy, f"a/lies@{reference.digest}"))

    assert [] == list(there.list())


def test_a_stopped_pull_leaves_no_image(tmp_path, real, there):
    """It ends at once."""
    here = Workshop(tmp_path / "here")
    reference = pushed(here, at(real, "a/stopped:1"), here.build())
    asked = iter([False] * 12)
    with pytest.raises(CancelledError):
        pulled(there, reference, cancelled=lambda: next(asked, True))

    assert [] == list(there.list())


def test_a_full_disk_is_told_and_the_next_pull_completes(tmp_path, real, there):
    """What arrived is kept, what did not fit counts as nothing."""
    here = Workshop(tmp_path / "here")
    here.ridge = here.models.add("ridge", {"ridge.onnx": bytes(range(256)) * (3 * MIB // 256)})
    reference = pushed(here, at(real, "a/full:1"), here.build())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2 * MIB, hard))
    try:
        with pytest.raises(OperationError, match="no space left"):
            pulled(there, reference)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert [] == list(there.list())
    assert () == there.verify(pulled(there, reference).digest)


def test_an_image_of_somebody_else_is_no_image_of_ours(real):
    """It says nothing of itself that a runtime could use."""
    layer = Pattern(1000, b"foreign")
    manifest, blobs = image_of(layer.source())
    with client() as ours:
        reference = ours.push(at(real, "a/foreign:1"), manifest, MANIFEST_TYPE, blobs).reference
        with pytest.raises(NotOursError, match="no label"):
            told_image(ours, reference, "linux/amd64")


def test_layers_that_were_changed_on_the_way_are_told(tmp_path, real):
    """Some tools compress layers anew; the labels are still ours."""
    here = Workshop(tmp_path / "here")
    built = here.build()
    manifest = json.loads(here.images.manifest(built.digest))
    manifest["layers"][0]["mediaType"] = "application/vnd.oci.image.layer.v1.tar+zstd"
    with client() as ours, here.images.opened(built.digest) as opened:
        content = json.dumps(manifest).encode()
        reference = ours.push(at(real, "a/zstd:1"), content, MANIFEST_TYPE, opened.sources(ours.source)).reference
        with pytest.raises(NotOursError, match="changed on its way"):
            told_image(ours, reference, "linux/amd64")


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("link", "/tmp"), ("link/mlserve-escaped", b"1")], "leads through a link"),
        ([("../file", b"1")], "leads out"),
    ],
)
def test_a_layer_that_leads_out_of_its_image_is_not_unpacked(tmp_path, entries, words):
    """Neither by its paths nor through its links."""
    here = Workshop(tmp_path / "here")
    built = here.build()
    (code,) = [layer for layer in built.layers if layer.kind == "code"]
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, what in entries:
            member = tarfile.TarInfo(name)
            if isinstance(what, str):
                member.type, member.linkname = tarfile.SYMTYPE, what
                tar.addfile(member)
            else:
                member.size = len(what)
                tar.addfile(member, io.BytesIO(what))
    blob = here.folder / "images" / "blobs" / "sha256" / code.digest.partition(":")[2]
    blob.write_bytes(content.getvalue())

    with pytest.raises(OperationError, match=words):
        here.images.rootfs(built.digest)
