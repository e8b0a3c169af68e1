"""Where pushed bytes come from: memory, files, streams, and the local image store."""

from __future__ import annotations

import hashlib
import json

import pytest
from image_kit import Workshop
from registry_faults import proxied
from registry_kit import MIB, Pattern, at, client, image_of, registry

from pulumi_mlserve.clients.registries.registry_client import BlobSource
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE
from pulumi_mlserve.core.problems import OperationError

CONTENT = b"".join(bytes([number]) * 7 for number in range(50))


def sources(folder):
    """Return the same bytes from each kind of source."""
    digest = "sha256:" + hashlib.sha256(CONTENT).hexdigest()
    (folder / "blob").write_bytes(CONTENT)
    pieces = [CONTENT[begin : begin + 9] for begin in range(0, len(CONTENT), 9)]
    return [
        BlobSource.of_bytes(CONTENT),
        BlobSource.of_file(folder / "blob", digest, len(CONTENT)),
        BlobSource.of_stream(lambda: iter([b"", *pieces]), digest, len(CONTENT)),
    ]


@pytest.mark.parametrize("offset", [0, 1, 9, 18, 19, len(CONTENT) - 1, len(CONTENT)])
def test_every_source_begins_where_it_is_asked_to(tmp_path, offset):
    """As often as needed."""
    for source in sources(tmp_path):
        assert (len(CONTENT), "sha256:" + hashlib.sha256(CONTENT).hexdigest()) == (source.size, source.digest)
        assert [CONTENT[offset:]] * 2 == [b"".join(source.open(offset)) for _ in range(2)]


def test_a_file_that_is_gone_is_told(tmp_path):
    """By its path."""
    manifest, blobs = image_of(BlobSource.of_file(tmp_path / "gone", "sha256:" + "0" * 64, 5))
    with registry(tmp_path) as real, client() as ours, pytest.raises(OperationError, match="gone: cannot be read, No"):
        ours.push(at(real), manifest, MANIFEST_TYPE, blobs)


def test_a_stream_goes_on_in_the_middle(tmp_path):
    """It is made again up to there."""
    layer = Pattern(65 * MIB, b"stream")
    made = []

    def make():
        made.append(1)
        return layer.pieces(0)

    manifest, blobs = image_of(BlobSource.of_stream(make, layer.digest, layer.size))
    with registry(tmp_path) as real, proxied(real) as proxy, client() as ours:
        proxy.fault("PATCH", after=2, cut=0)
        ours.push(at(proxy), manifest, MANIFEST_TYPE, blobs)

        assert layer.digest in real.blobs()
    assert 2 == len(made)


def test_an_image_of_the_local_store_is_pushed_as_it_is(tmp_path):
    """The same digest there as here; a changed script sends its layer, the layout, config and manifest."""
    workshop = Workshop(tmp_path)
    with registry(tmp_path / "registry") as real, client() as ours:
        first = push_from(workshop, workshop.build(), ours, at(real, "team/diabetes:1"))
        (workshop.source / "score.py").write_text("def init():\n    pass\n\n\ndef run(x):\n    return [x]\n")
        image = workshop.build()
        second = push_from(workshop, image, ours, at(real, "team/diabetes:1"))
        remote = ours.image(at(real, "team/diabetes:1"))

        sent = {layer.name for layer in image.layers if second.outcomes[layer.digest] == "sent"}
        assert {"code", "layout"} == sent
        assert image.digest == remote.reference.digest == second.reference.digest != first.reference.digest
        assert [layer.digest for layer in image.layers] == [entry.digest for entry in remote.manifest.layers]
        for entry in remote.manifest.layers:
            ours.download(remote.reference, entry, tmp_path / entry.digest)
        assert [layer.diff_id for layer in image.layers] == json.loads(remote.config)["rootfs"]["diff_ids"]


def push_from(workshop, image, ours, target):
    """Push an image of a local store."""
    store = workshop.images
    blobs = [
        BlobSource.of_stream(
            lambda layer=layer: store.layer_bytes(image.digest, layer), layer.digest, layer.size, f"layer {layer.name}"
        )
        for layer in image.layers
    ]
    config = BlobSource.of_bytes(store.config(image.digest))
    return ours.push(target, store.manifest(image.digest), MANIFEST_TYPE, [*blobs, config])
