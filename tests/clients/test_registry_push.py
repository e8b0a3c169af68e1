"""Images pushed to the reference registry and read back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import tracemalloc
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
from registry_faults import proxied
from registry_kit import MIB, Pattern, at, client, get, image_of, registry

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.registries.patience import Clock
from pulumi_mlserve.clients.registries.refusals import NotThereError, RegistryError
from pulumi_mlserve.clients.registries.registry_client import BlobSource
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE, Descriptor


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A registry that takes anything from anybody."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


def test_a_pushed_image_is_read_back_as_it_was(real):
    """Manifest, config and every layer, by tag and by digest."""
    layer, manifest, blobs = _image(b"back")
    target = at(real, "a/back:1")

    with client() as ours:
        pushed = ours.push(target, manifest, MANIFEST_TYPE, blobs)
        image = ours.image(target)

        assert {"sent"} == set(pushed.outcomes.values())
        assert not pushed.existed
        assert sum(blob.size for blob in blobs) == pushed.sent_bytes
        assert pushed.reference == image.reference == image.found == ours.resolve(target)
        assert (manifest, blobs[-1].digest) == (image.content, image.manifest.config.digest)
        assert b"".join(layer.pieces(0)) == b"".join(ours.blob(target, image.manifest.layers[0]))
        assert b"".join(layer.pieces(5)) == b"".join(ours.blob(target, image.manifest.layers[0], 5))
    assert (200, manifest) == get(f"http://{real.host}/v2/a/back/manifests/1", MANIFEST_TYPE)


def test_a_second_push_sends_nothing(real):
    """Nothing but questions reaches the registry."""
    _, manifest, blobs = _image(b"twice")
    with client() as ours, proxied(real) as proxy:
        ours.push(at(proxy, "a/twice:1"), manifest, MANIFEST_TYPE, blobs)
        proxy.seen.clear()

        pushed = ours.push(at(proxy, "a/twice:1"), manifest, MANIFEST_TYPE, blobs)

    assert {"there"} == set(pushed.outcomes.values())
    assert (True, 0) == (pushed.existed, pushed.sent_bytes)
    assert {"HEAD"} == {seen[0] for seen in proxy.seen}


def test_a_blob_of_another_repository_is_mounted(real):
    """None of its bytes is sent again."""
    layer, manifest, blobs = _image(b"mounted")
    with client() as ours:
        origin = ours.push(at(real, "base/of"), manifest, MANIFEST_TYPE, blobs).reference
        again = Pattern(layer.size, b"mounted")
        pushed = ours.push(at(real, "a/mounts"), manifest, MANIFEST_TYPE, [again.source(origin=origin), *blobs[1:]])

        assert "mounted" == pushed.outcomes[layer.digest]
        assert [] == again.opened
        assert ours.exists(pushed.reference)


def test_a_blob_whose_origin_lacks_it_is_sent(real):
    """A mount is an offer that a registry may decline."""
    layer, manifest, blobs = _image(b"declined")
    with client() as ours:
        wrong = [layer.source(origin=at(real, "no/such")), *blobs[1:]]
        pushed = ours.push(at(real, "a/declined"), manifest, MANIFEST_TYPE, wrong)

    assert "sent" == pushed.outcomes[layer.digest]


def test_a_layer_is_passed_from_one_registry_to_another(real, tmp_path):
    """As it comes, without a file; layers of bases are."""
    layer, manifest, blobs = _image(b"passed on")
    with registry(tmp_path / "other") as other, client() as ours:
        origin = ours.push(at(other, "base"), manifest, MANIFEST_TYPE, blobs).reference
        image = ours.image(origin)
        sources = [ours.source(origin, entry) for entry in (*image.manifest.layers, image.manifest.config)]

        pushed = ours.push(at(real, "a/passed:1"), image.content, image.media_type, sources)

        assert image.reference.digest == pushed.reference.digest
    assert layer.digest in real.blobs()


def test_equal_layers_are_sent_once(real):
    """And the config's own bytes may be a layer's."""
    layer = Pattern(1000, b"equal")
    manifest, blobs = image_of(layer.source(), layer.source())
    with client() as ours, proxied(real) as proxy:
        ours.push(at(proxy, "a/equal"), manifest, MANIFEST_TYPE, blobs)

    assert 1 == proxy.count("PUT", "blobs/uploads.*" + layer.digest.partition(":")[2])


def test_a_large_stream_is_pushed_and_read_in_little_memory(real, tmp_path):
    """Two layers of 160 MB at once, in chunks, need a few pieces of one MiB each."""
    layers = [Pattern(160 * MIB + 7, seed) for seed in (b"one", b"two")]
    manifest, blobs = image_of(*(layer.source() for layer in layers))
    with client() as ours, proxied(real) as proxy:
        ours.push(at(real, "warm"), *_tiny())
        tracemalloc.start()
        pushed = ours.push(at(real, "a/large:1"), manifest, MANIFEST_TYPE, blobs)
        for index, entry in enumerate(ours.image(at(real, "a/large:1")).manifest.layers):
            ours.download(pushed.reference, entry, tmp_path / str(index))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        ours.push(at(proxy, "chunked"), *_of(Pattern(65 * MIB)))

    assert {"sent"} == set(pushed.outcomes.values())
    assert most < 24 * MIB
    assert [[0], [0]] == [layer.opened for layer in layers]
    assert [16 * MIB] * 4 + [MIB] == [seen[3] for seen in proxy.seen if seen[0] == "PATCH"]


def test_the_tag_moves_last(real):
    """Whoever pulls by tag never finds an image whose blobs are missing."""
    _, manifest, blobs = _image(b"last")
    with client() as ours, proxied(real) as proxy:
        ours.push(at(proxy, "a/last:1"), manifest, MANIFEST_TYPE, blobs)

    written = [seen[1] for seen in proxy.seen if seen[0] == "PUT"]
    assert written[-1].endswith("/manifests/1")
    assert "/manifests/sha256:" in written[-2]
    assert all("/blobs/" in path for path in written[:-2])


def test_existence_is_denied_only_by_the_registry(real):
    """A page of another server that says 404 is no answer."""
    with client(attempts=1) as ours, proxied(real) as proxy:
        assert not ours.exists(at(real, "no/such:1"))
        with pytest.raises(NotThereError, match="MANIFEST_UNKNOWN"):
            ours.resolve(at(real, "no/such:1"))
        for method in ("HEAD", "GET"):
            proxy.fault(method, status=404, body=b"<html>not here" if method == "GET" else b"")
        with pytest.raises(RegistryError, match="404 without a reason") as told:
            ours.exists(at(proxy, "no/such:1"))
    assert not isinstance(told.value, NotThereError)
    assert "<html>" not in str(told.value)


def test_deletion_is_by_digest_and_may_be_repeated(real):
    """What is gone already is fine."""
    _, manifest, blobs = _image(b"gone")
    with client() as ours:
        pushed = ours.push(at(real, "a/gone:1"), manifest, MANIFEST_TYPE, blobs)

        assert [True, False] == [ours.delete(pushed.reference), ours.delete(pushed.reference)]
        assert not ours.exists(pushed.reference)
        with pytest.raises(ValueError, match="has no digest"):
            ours.delete(at(real, "a/gone:1"))


def test_a_registry_that_deletes_nothing_says_so(tmp_path):
    """With what to do about it."""
    _, manifest, blobs = _image(b"kept")
    with registry(tmp_path / "keeps", delete=False) as keeps, client() as ours:
        pushed = ours.push(at(keeps, "a/kept:1"), manifest, MANIFEST_TYPE, blobs)

        with pytest.raises(RegistryError, match=r"does not allow to delete images; allow it there"):
            ours.delete(pushed.reference)


def test_an_index_gives_the_image_of_the_platform(real):
    """And says so when there is none."""
    with client() as ours:
        entries = []
        for name in ("amd64", "arm64"):
            manifest, blobs = image_of(config=json.dumps({"architecture": name}).encode())
            digest = ours.push(at(real, "a/many"), manifest, MANIFEST_TYPE, blobs).reference.digest
            platform = {"os": "linux", "architecture": name}
            entries.append({"digest": digest, "mediaType": MANIFEST_TYPE, "size": len(manifest), "platform": platform})
        index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).encode()
        _put(real, "a/many", "all", index, INDEX_TYPE)

        image = ours.image(at(real, "a/many:all"), "linux/arm64")

        assert {"architecture": "arm64"} == json.loads(image.config)
        assert entries[1]["digest"] == image.reference.digest
        assert ours.resolve(at(real, "a/many:all")) == image.found != image.reference
        with pytest.raises(RegistryError, match=r"no image for linux/s390x; there is linux/amd64, linux/arm64"):
            ours.image(at(real, "a/many:all"), "linux/s390x")
        with pytest.raises(ValueError, match="not an index"):
            ours.push(at(real, "a/many"), index, INDEX_TYPE, [])


def test_a_manifest_must_name_what_is_given(real):
    """Before anything is sent."""
    _, manifest, blobs = _image(b"short")
    with client() as ours:
        with pytest.raises(ValueError, match="which is not given"):
            ours.push(at(real, "a/short"), manifest, MANIFEST_TYPE, blobs[:-1])
        longer = [BlobSource(blob.digest, blob.size + 1, blob.open) for blob in blobs]
        with pytest.raises(ValueError, match="its manifest says"):
            ours.push(at(real, "a/short"), manifest, MANIFEST_TYPE, longer)


def test_progress_tells_bytes_and_rate(real):
    """About once a second, by the clock."""
    lines = []
    layer = Pattern(5 * MIB, b"told")
    times = iter(range(10_000))
    manifest, blobs = image_of(layer.source())
    with client(progress=lines.append) as ours:
        ours.push(at(real, "a/told"), *image_of()[:1], MANIFEST_TYPE, blobs[1:])  # the config has another thread
        object.__setattr__(ours._around.clock, "now", lambda: next(times) / 2)
        ours.push(at(real, "a/told"), manifest, MANIFEST_TYPE, blobs)

    assert f"pushing {real.host}/a/told: 3.1 MB of 5.2 MB, 2.1 MB/s" in lines


def test_a_push_that_nobody_wants_ends_at_once(real):
    """In the middle of a blob; nothing is there that is not whole."""
    layer = Pattern(80 * MIB, b"unwanted")
    wanted = [True]

    def open_at(offset):
        for number, piece in enumerate(layer.pieces(offset)):
            wanted[0] = number < 20
            yield piece

    manifest, blobs = image_of(BlobSource(layer.digest, layer.size, open_at))
    with client(cancelled=lambda: not wanted[0]) as ours, pytest.raises(CancelledError):
        ours.push(at(real, "a/unwanted"), manifest, MANIFEST_TYPE, blobs)

    assert layer.digest not in real.blobs()


def _image(seed):
    layer = Pattern(2 * MIB + 3, seed)
    return (layer, *image_of(layer.source()))


def _of(pattern):
    manifest, blobs = image_of(pattern.source())
    return manifest, MANIFEST_TYPE, blobs


def _tiny():
    return _of(Pattern(10))


def _put(where, repository, tag, content, media_type):
    request = urllib.request.Request(
        f"http://{where.host}/v2/{repository}/manifests/{tag}",
        data=content,
        method="PUT",
        headers={"Content-Type": media_type},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 201


def test_two_pushes_of_one_image_at_once_both_succeed(real):
    """Whoever comes second finds it or writes the same."""
    manifest, blobs = image_of(*(Pattern(3 * MIB + number, b"at once").source() for number in range(3)))

    def push(_):
        with client(clock=Clock()) as ours:  # for a moment each hides the blobs of the others
            return ours.push(at(real, "a/at-once:1"), manifest, MANIFEST_TYPE, blobs).reference

    with ThreadPoolExecutor(3) as pool:
        pushed = set(pool.map(push, range(3)))

    assert 1 == len(pushed)
    assert {blob.digest for blob in blobs} <= real.blobs()


def test_a_push_that_was_killed_is_finished_by_the_next(real, tmp_path):
    """What arrived whole is not sent again; nothing half-written counts."""
    small, large = Pattern(MIB, b"killed small"), Pattern(200 * MIB, b"killed large")
    code = (
        "from registry_kit import *\n"
        "small, large = Pattern(MIB, b'killed small'), Pattern(200 * MIB, b'killed large')\n"
        "manifest, blobs = image_of(small.source(), large.source())\n"
        "with client() as ours:\n"
        "    ours.push(parse_reference(sys.argv[1]), manifest, MANIFEST_TYPE, blobs)\n"
    )
    with proxied(real) as proxy:
        enough = threading.Event()

        def reached():
            while not proxy.count("PUT", small.digest.partition(":")[2], 201):
                time.sleep(0.01)
            enough.set()

        proxy.fault("PATCH", after=3, before=reached)
        environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        killed = subprocess.Popen(
            [sys.executable, "-c", f"import sys\n{code}", str(at(proxy, "a/killed:1"))], env=environ, cwd=tmp_path
        )
        assert enough.wait(240)
        killed.kill()
        killed.wait()
    manifest, blobs = image_of(small.source(), large.source())
    with client() as ours:
        assert not ours.exists(at(real, "a/killed:1"))
        pushed = ours.push(at(real, "a/killed:1"), manifest, MANIFEST_TYPE, blobs)

        assert ("there", "sent") == (pushed.outcomes[small.digest], pushed.outcomes[large.digest])
        assert ours.exists(at(real, "a/killed:1"))


def test_a_blob_that_is_not_there_is_told(real):
    """By its digest."""
    missing = Descriptor("x", "sha256:" + "0" * 64, 5)
    with client(attempts=1) as ours, pytest.raises(NotThereError, match="BLOB_UNKNOWN"):
        list(ours.blob(at(real, "a/back"), missing))


def test_a_tag_is_taken_away_from_an_image_that_stays(real):
    """Whatever the registry thinks of deleting tags; the other tags mean what they meant."""
    _, manifest, blobs = _image(b"tags")
    with client() as ours:
        image = ours.push(at(real, "a/tags:one"), manifest, MANIFEST_TYPE, blobs, tags=["two", "three"]).reference
        assert ["one", "three", "two"] == sorted(ours.tags(image))
        ours.untag(at(real, "a/tags:two"))

        assert ["one", "three"] == sorted(ours.tags(image))
        assert image == ours.resolve(at(real, "a/tags:one"))
        assert [] == ours.tags(at(real, "a/nothing"))


def test_a_tag_keeps_its_meaning_where_nothing_may_be_deleted(tmp_path):
    """Rather than mean nothing."""
    _, manifest, blobs = _image(b"kept")
    with registry(tmp_path, delete=False) as own, client() as ours:
        image = ours.push(at(own, "a/kept:one"), manifest, MANIFEST_TYPE, blobs).reference
        with pytest.raises(RegistryError, match="does not allow to delete"):
            ours.untag(at(own, "a/kept:one"))

        assert image == ours.resolve(at(own, "a/kept:one"))


def test_many_tags_are_listed_page_by_page(real):
    """A registry gives as many at a time as it likes."""
    _, manifest, blobs = _image(b"pages")
    names = [f"t{number}" for number in range(5)]
    link = {"Link": '</v2/a/pages/tags/list?n=1000&last=t2>; rel="next"'}
    with client() as ours, proxied(real) as proxy:
        ours.push(at(proxy, "a/pages"), manifest, MANIFEST_TYPE, blobs, tags=names)
        proxy.fault("GET", "tags/list", headers=link)

        # This registry gives all of them on each page.
        assert sorted([*names, *names]) == sorted(ours.tags(at(proxy, "a/pages")))
        assert 2 == proxy.count("GET", "tags/list")


def test_only_missing_blobs_are_named(real):
    """One question each, side by side."""
    _, manifest, blobs = _image(b"some")
    gone = "sha256:" + "9" * 64
    with client() as ours:
        image = ours.push(at(real, "a/some:1"), manifest, MANIFEST_TYPE, blobs).reference

        assert {gone} == ours.missing(image, [*(blob.digest for blob in blobs), gone])
        assert frozenset() == ours.missing(image, [])
