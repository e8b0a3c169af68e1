"""Registries, networks and sources that fail in the middle: the push goes on, or says what is wrong."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest
from registry_faults import proxied
from registry_kit import MIB, Pattern, Registry, Waits, at, client, image_of, registry, served

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.registries.patience import Clock
from pulumi_mlserve.clients.registries.refusals import RegistryError
from pulumi_mlserve.clients.registries.registry_client import BlobSource
from pulumi_mlserve.clients.registries.uploads import CHUNK
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE
from pulumi_mlserve.core.images.reference import parse_reference
from pulumi_mlserve.core.problems import OperationError

LARGE = 65 * MIB + 5
UPLOADS = "/blobs/uploads/"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A registry that takes anything from anybody."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def proxy(real):
    """A proxy before it."""
    with proxied(real) as made:
        yield made


def push(where, layer, *, name="team/app:1", **more):
    """Push an image of one layer; returns what was pushed."""
    manifest, blobs = image_of(layer.source())
    with client(**more) as ours:
        return ours.push(at(where, name), manifest, MANIFEST_TYPE, blobs)


class _Keeps(BaseHTTPRequestHandler):
    """The uploads of the OCI distribution specification, by a server that keeps every byte that arrived.

    The reference registry (2.8.2) does not: it gives an upload up when its connection breaks inside a chunk.
    """

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def say(self, status, **headers):
        self.send_response(status)
        for name, value in {"Content-Length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_HEAD(self):
        self.say(200 if self.path.split("/")[-1] in self.done else 404)

    def do_POST(self):
        with self.lock:  # blobs are pushed side by side
            number = len(self.kept)
            self.kept.append(bytearray())
        self.say(202, Location=f"/upload/{number}")

    def do_GET(self):
        self.say(204, Range=f"0-{len(self.upload()) - 1}", Location=self.path)

    def do_PATCH(self):
        upload, left = self.upload(), int(self.headers["Content-Length"])
        assert self.headers["Content-Range"].startswith(f"{len(upload)}-")
        most = min(left, self.cuts.pop(0)) if self.cuts else left
        while len(piece := self.rfile.read(min(most, MIB))):
            upload += piece
            most, left = most - len(piece), left - len(piece)
        if left:
            self.close_connection = True
        else:
            self.say(202, Range=f"0-{len(upload) - 1}", Location=f"{self.path}?x=1")

    def do_PUT(self):
        if "/manifests/" in self.path:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.say(201)
            return
        upload = self.upload()
        upload += self.rfile.read(int(self.headers["Content-Length"]))
        digest = "sha256:" + hashlib.sha256(upload).hexdigest()
        assert digest == parse_qs(urlsplit(self.path).query)["digest"][0]
        self.done.append(digest)
        self.say(201)

    def upload(self):
        return self.kept[int(urlsplit(self.path).path.split("/")[-1])]


def test_an_upload_goes_on_where_the_connections_broke():
    """The registry says how far it came; nothing before that is sent again."""
    layer = Pattern(LARGE, b"broke")
    state = {"kept": [], "done": [], "cuts": [CHUNK, 5 * MIB + 11, 7], "lock": threading.Lock()}
    with served(type("Keeps", (_Keeps,), state)) as port, client() as ours:
        manifest, blobs = image_of(layer.source())
        ours.push(parse_reference(f"127.0.0.1:{port}/app"), manifest, MANIFEST_TYPE, blobs)

    assert [0, CHUNK + 5 * MIB + 11, CHUNK + 5 * MIB + 11 + 7] == layer.opened
    assert layer.digest in state["done"]
    assert 2 == len(state["kept"])


def test_an_upload_that_the_registry_gave_up_begins_again(real, proxy):
    """The reference registry keeps no part of a chunk; where none of it arrived the upload goes on."""
    layer = Pattern(LARGE, b"begins again")
    proxy.fault("PATCH", after=1, cut=5 * MIB + 11).fault("PATCH", after=3, cut=0)

    push(proxy, layer)

    assert [0, 0, 2 * CHUNK] == layer.opened
    assert layer.digest in real.blobs()


def test_a_small_blob_is_sent_again_when_its_connection_breaks(real, proxy):
    """It is not worth asking how far it came."""
    layer = Pattern(3 * MIB, b"small")
    proxy.fault("PUT", UPLOADS, cut=1000, times=2)

    push(proxy, layer)

    assert layer.digest in real.blobs()


@pytest.mark.parametrize("status", [429, 500, 502, 503])
@pytest.mark.parametrize(
    ("method", "path"), [("HEAD", "/blobs/"), ("POST", ""), ("PATCH", ""), ("PUT", UPLOADS), ("PUT", "/manifests/")]
)
def test_what_may_pass_is_tried_again(real, proxy, method, path, status):
    """At every step of a push."""
    layer = Pattern(64 * MIB if method == "PATCH" else 1000, f"{status}{method}{path}".encode())
    proxy.fault(method, path, times=2, status=status)

    push(proxy, layer)

    assert layer.digest in real.blobs()
    assert 2 == proxy.count(method, path, status)


def test_a_pause_that_the_registry_asks_for_is_kept(proxy):
    """And told to who waits."""
    waits, lines = Waits(), []
    proxy.fault("PUT", "/manifests/", status=429, headers={"Retry-After": "7"})

    push(proxy, Pattern(10, b"pause"), clock=waits.clock(), progress=lines.append)

    assert 7 == pytest.approx(sum(waits.slept))
    assert any("answered 429; trying again in 7 s" in line for line in lines)


def test_too_long_a_pause_is_told_instead(proxy):
    """Nobody waits an hour in front of a preview."""
    date = "Thu, 01 Jan 1970 02:00:00 GMT"
    proxy.fault("HEAD", "/manifests/", status=503, headers={"Retry-After": date})

    with pytest.raises(RegistryError, match="asks to come back in 6200 s; run again then"):
        push(proxy, Pattern(10, b"long"))


def test_patience_ends(proxy):
    """With what was tried, how often, and why it failed; pauses grow."""
    waits = Waits()
    proxy.fault("HEAD", "/blobs/", times=99, status=503, body=b"")

    with pytest.raises(RegistryError, match=r"looking for .* in team/app: answered 503, tried 7 times; check"):
        push(proxy, Pattern(10, b"ends"), clock=waits.clock())
    with pytest.raises(RegistryError, match="answered 503, tried once;"):
        push(proxy, Pattern(10, b"ends"), attempts=1)
    assert sum((0.5, 1, 2, 4, 8, 16)) <= sum(waits.slept) < 2 * 31.6


def test_a_range_that_is_too_low_is_believed_until_it_shows_to_be_wrong(real, proxy):
    """Only the registry can know what it has; where it lies the upload begins again."""
    layer = Pattern(LARGE, b"low")
    proxy.fault("PATCH", after=1, headers={"Range": f"0-{CHUNK + 9}"})

    push(proxy, layer)

    assert layer.digest in real.blobs()
    assert [0, CHUNK + 10, 0] == layer.opened


@pytest.mark.parametrize("said", ["0-999999999", "0-5"])
def test_a_range_that_cannot_be_is_not_believed(real, proxy, said):
    """More than was sent, or less than was there before: the upload begins again."""
    layer = Pattern(LARGE, b"cannot" + said.encode())
    proxy.fault("PATCH", after=1, headers={"Range": said})

    push(proxy, layer)

    assert layer.digest in real.blobs()
    assert [0, 0] == layer.opened


def test_bytes_that_change_on_the_way_are_sent_again(real, proxy):
    """The registry finds out; twice is once too often."""
    layer = Pattern(1000, b"flip")
    proxy.fault("PUT", UPLOADS, flip=True)

    push(proxy, layer)

    assert layer.digest in real.blobs()
    proxy.fault("PUT", UPLOADS, flip=True, times=99)
    with pytest.raises(RegistryError, match=r"other bytes arrived than were sent, twice; check"):
        push(proxy, Pattern(1000, b"flip again"))


def test_a_source_with_other_bytes_is_told_by_name(real):
    """It is not the registry's mistake."""
    layer, other = Pattern(1000, b"promised"), Pattern(1000, b"given")
    manifest, blobs = image_of(BlobSource(layer.digest, layer.size, other.open, name="layer model:m"))

    with client() as ours, pytest.raises(OperationError, match=r"layer model:m: its bytes are not those of sha256:"):
        ours.push(at(real), manifest, MANIFEST_TYPE, blobs)


def test_a_source_that_ends_early_is_told_by_name(real):
    """And an error of its own is passed on as it is."""

    def fails(_offset):
        raise OperationError("weights.bin: changed while it was packed")
        yield b""

    layer = Pattern(1000, b"ends early")
    for opened, said in ((lambda _: iter((b"x" * 10, b"")), "only 10 of its 1000 bytes"), (fails, "changed while")):
        manifest, blobs = image_of(BlobSource(layer.digest, layer.size, opened, name="layer code"))
        with client() as ours, pytest.raises(OperationError, match=said):
            ours.push(at(real), manifest, MANIFEST_TYPE, blobs)


@pytest.mark.parametrize("secret", ["fixed", None])
def test_a_registry_that_is_started_again_gets_the_rest_or_all(tmp_path, secret):
    """With a fixed secret it knows its uploads still; with a new one they begin again."""
    layer = Pattern(LARGE, b"restart")
    with registry(tmp_path, secret=secret) as mine, proxied(mine) as proxy:
        proxy.fault("PATCH", after=2, before=mine.restart)
        push(proxy, layer, attempts=20, clock=Clock(chance=lambda: 0.0))

        assert layer.digest in mine.blobs()
    assert ([0] if secret else [0, 0]) == layer.opened


def test_a_registry_that_stays_away_is_waited_for(tmp_path):
    """Connections are refused until it is back."""
    layer = Pattern(LARGE, b"away")
    with registry(tmp_path) as mine:
        waited = threading.Event()
        back = threading.Timer(1, mine.start)

        def open_at(offset):
            for piece in layer.pieces(offset):
                if not waited.is_set() and offset == 0:
                    waited.set()
                    mine.stop()
                    back.start()
                yield piece

        manifest, blobs = image_of(BlobSource(layer.digest, layer.size, open_at))
        with client(clock=Clock(), attempts=20) as ours:  # however long it takes to start
            ours.push(at(mine), manifest, MANIFEST_TYPE, blobs)
        back.join()

        assert layer.digest in mine.blobs()


def test_an_answer_with_another_digest_is_a_lie(proxy):
    """For a blob, and for a manifest, written and read."""
    other = {"Docker-Content-Digest": "sha256:" + "0" * 64}
    proxy.fault("PUT", UPLOADS, headers=other)
    with pytest.raises(RegistryError, match="says that it has 'sha256:0000"):
        push(proxy, Pattern(10, b"lie"))
    proxy.fault("PUT", "/manifests/", headers=other)
    with pytest.raises(RegistryError, match="says that it is 'sha256:0000"):
        push(proxy, Pattern(10, b"lie 2"))
    reference = push(proxy, Pattern(10, b"lie 3")).reference

    for fault in ({"flip_answer": True}, {"headers": other}):
        proxy.fault("GET", "/manifests/", **fault)
        with client() as ours, pytest.raises(RegistryError, match=r"gave sha256:.* for team/app"):
            ours.manifest(at(proxy))
    proxy.fault("HEAD", "/manifests/", headers=other)
    with client() as ours, pytest.raises(RegistryError, match="gave sha256:000"):
        ours.resolve(reference)


def test_what_a_tag_means_is_found_without_the_header_too(proxy):
    """Then the manifest is read and hashed."""
    reference = push(proxy, Pattern(10, b"no header")).reference
    for method in ("HEAD", "GET"):
        proxy.fault(method, "/manifests/", headers={"Docker-Content-Digest": None})

    with client() as ours:
        assert reference == ours.resolve(at(proxy))


def test_a_download_goes_on_where_the_connection_broke(proxy, tmp_path):
    """Even where the registry gives the whole again."""
    layer = Pattern(5 * MIB, b"download")
    reference = push(proxy, layer).reference
    proxy.fault("GET", "/blobs/", cut_answer=MIB).fault("GET", "/blobs/", cut_answer=MIB + 5, without=("Range",))
    proxy.seen.clear()
    with client() as ours:
        entry = ours.image(reference).manifest.layers[0]
        proxy.faults[0].times = proxy.faults[1].times = 1
        ours.download(reference, entry, tmp_path / "layer")

    assert b"".join(layer.pieces(0)) == (tmp_path / "layer").read_bytes()
    assert ["layer"] == [path.name for path in tmp_path.iterdir()]
    assert 206 in [seen[2] for seen in proxy.seen]


def test_a_file_is_there_only_when_it_is_whole(proxy, tmp_path):
    """What a run left is used if it is right, and thrown away if not."""
    layer = Pattern(3 * MIB, b"whole")
    reference = push(proxy, layer).reference
    target = tmp_path / "layer"
    partial = tmp_path / "layer.partial"
    with client() as ours:
        entry = ours.image(reference).manifest.layers[0]
        proxy.fault("GET", entry.digest, flip_answer=True)
        with pytest.raises(RegistryError, match="gave other bytes than the digest says"):
            ours.download(reference, entry, target)
        assert [] == list(tmp_path.iterdir())

        whole = b"".join(layer.pieces(0))
        for left in (whole[: 2 * MIB], b"x" * MIB, whole + b"x", whole):
            partial.write_bytes(left)
            ours.download(reference, entry, target)
            assert whole == target.read_bytes()
            assert not partial.exists()


def test_two_runs_that_write_one_file_wait_for_each_other(real, tmp_path):
    """Both append: without a lock the bytes of both would lie in one file that either takes for whole."""
    layer = Pattern(24 * MIB, b"at once")
    reference = push(real, layer).reference
    target = tmp_path / "layer"
    whole, wrong = b"".join(layer.pieces(0)), []
    begin = threading.Barrier(3)

    def fetch():
        with client() as ours:
            entry = ours.image(reference).manifest.layers[0]
            begin.wait()
            ours.download(reference, entry, target)
            if target.read_bytes() != whole:
                wrong.append(target.stat().st_size)

    runs = [threading.Thread(target=fetch) for _ in range(3)]
    for run in runs:
        run.start()
    for run in runs:
        run.join()

    assert [] == wrong
    assert whole == target.read_bytes()
    assert ["layer"] == [path.name for path in tmp_path.iterdir()]


def test_more_bytes_than_the_manifest_says_are_refused(proxy):
    """Whoever sends them would fill the disk."""
    reference = push(proxy, Pattern(3 * MIB, b"more")).reference
    with client() as ours:
        entry = ours.image(reference).manifest.layers[0]
        object.__setattr__(entry, "size", MIB)
        with pytest.raises(RegistryError, match="gave more than the 1048576 bytes"):
            list(ours.blob(reference, entry))


def test_a_manifest_that_is_too_long_is_refused(proxy):
    """Four MiB is what registries take."""
    size = 4 * MIB + 1
    proxy.fault("GET", "/manifests/", status=200, body=b" " * size)

    with client() as ours, pytest.raises(RegistryError, match="longer than 4 MiB"):
        ours.manifest(at(proxy))


def test_something_else_than_a_registry_is_told(proxy):
    """Its page is not shown."""
    proxy.fault("GET", "/manifests/", status=200, body=b"<html>secret</html>", headers={"Content-Type": "text/html"})

    with client() as ours, pytest.raises(RegistryError, match="it is no JSON") as told:
        ours.image(at(proxy))
    assert "secret" not in str(told.value)


def test_the_first_real_failure_is_the_one_that_is_told(proxy):
    """Not that the others were stopped because of it."""
    layers = [Pattern(64 * MIB + number, b"together") for number in range(3)]
    body = json.dumps({"errors": [{"code": "DENIED", "message": "quota\nexceeded."}]}).encode()
    proxy.fault("PATCH", after=4, times=99, status=403, body=body)
    manifest, blobs = image_of(*(layer.source() for layer in layers))

    with (
        client() as ours,
        pytest.raises(RegistryError, match=r"with 403 DENIED \(quota exceeded\); it knows us"),
    ):
        ours.push(at(proxy), manifest, MANIFEST_TYPE, blobs)


def test_chunks_are_as_long_as_the_registry_wants(real, proxy):
    """OCI-Chunk-Min-Length."""
    proxy.fault("POST", times=9, headers={"OCI-Chunk-Min-Length": str(40 * MIB)})

    push(proxy, Pattern(LARGE, b"longer"))

    assert [40 * MIB, 25 * MIB + 5] == [seen[3] for seen in proxy.seen if seen[0] == "PATCH"]


def test_nobody_at_the_address_is_told(tmp_path):
    """With the reason the system gives."""
    gone = Registry(tmp_path)

    with client(attempts=2) as ours, pytest.raises(RegistryError, match=r"cannot be reached \(.*\), tried 2 times"):
        ours.resolve(at(gone))


def test_an_unknown_host_is_told():
    """Names below .invalid never exist: RFC 2606."""
    with client(attempts=1) as ours, pytest.raises(RegistryError, match=r"no such host is known|cannot be reached"):
        ours.resolve(parse_reference("registry.invalid/app"))


def test_a_blob_that_went_while_the_image_was_pushed_is_sent_again(real, proxy):
    """Cleaning up took it; the registry finds out when it gets the manifest."""
    layer = Pattern(1000, b"went")

    def clean_up():
        (link,) = (real.folder / "data").rglob(f"_layers/sha256/{layer.digest.partition(':')[2]}/link")
        link.unlink()

    proxy.fault("PUT", "/manifests/sha256", before=clean_up)
    pushed = push(proxy, layer)

    assert 1 == proxy.count("PUT", "/manifests/", 400)
    assert "sent" == pushed.outcomes[layer.digest]
    with client() as ours:
        assert ours.exists(pushed.reference)
    body = json.dumps({"errors": [{"code": "MANIFEST_BLOB_UNKNOWN"}]}).encode()
    proxy.fault("PUT", "/manifests/", status=400, body=body, times=99)
    with pytest.raises(RegistryError, match=r"does not find a blob that it said it has, tried 7 times; check"):
        push(proxy, Pattern(10, b"went for ever"))


class _Silent(BaseHTTPRequestHandler):
    asked = threading.Event()
    enough = threading.Event()

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.asked.set()
        self.enough.wait(60)


def test_a_silent_registry_is_left_at_once_when_nobody_wants_it():
    """Long before the connection would count as broken."""
    begun = time.monotonic()
    with served(_Silent) as port:
        try:
            with client(cancelled=_Silent.asked.is_set) as ours, pytest.raises(CancelledError):
                ours.resolve(parse_reference(f"127.0.0.1:{port}/app"))
        finally:
            _Silent.enough.set()

    assert time.monotonic() - begun < 30


def test_a_silent_registry_is_given_up():
    """After the time a connection may carry nothing."""
    _Silent.enough.clear()
    with served(_Silent) as port:
        try:
            with (
                client(attempts=2, silent_seconds=0.1) as ours,
                pytest.raises(RegistryError, match="did not answer"),
            ):
                ours.resolve(parse_reference(f"127.0.0.1:{port}/app"))
        finally:
            _Silent.enough.set()


def test_a_pause_ends_when_nobody_wants_it(proxy):
    """Within a tenth of a second, not at its end."""
    waits = Waits()
    proxy.fault("HEAD", "/manifests/", times=99, status=503)
    with client(cancelled=lambda: len(waits.slept) > 3, clock=waits.clock()) as ours, pytest.raises(CancelledError):
        ours.resolve(at(proxy))

    assert 4 == len(waits.slept)
