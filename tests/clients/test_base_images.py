"""Base images in a real registry: resolved for a platform, looked through once, kept; bad ones are told."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess

import pytest
from backports import zstd
from base_kit import GLIBC, debian, gzipped, libc, program, push_base, push_index, tar
from registry_faults import proxied
from registry_kit import PASSWORD, USER, at, htpasswd_auth, registry
from registry_kit import client as asking

from pulumi_mlserve.clients.images.base_images import LOOK_SECONDS, BaseImages
from pulumi_mlserve.clients.images.base_layers import look_through
from pulumi_mlserve.clients.images.layer_unpacking import PIECE, unpacking_of
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.registries.login_kinds import Login
from pulumi_mlserve.clients.registries.refusals import NotThereError
from pulumi_mlserve.clients.registries.registry_client import RegistryClient
from pulumi_mlserve.core.images.base_system import Interpreter
from pulumi_mlserve.core.images.oci import TAR_GZIP_TYPE, TAR_TYPE
from pulumi_mlserve.core.problems import OperationError

PLATFORM = "linux/amd64"
UPPER = {"opt/app/x": b"y" * 100_000}


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """A running registry."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


class Made:
    """Base images with a clock of their own; counts the clients, since each is a conversation with a registry."""

    def __init__(self, folder):
        self.folder = folder
        self.time = 1_000_000.0
        self.asked = 0
        folder.mkdir(exist_ok=True)

    def images(self, **more):
        """Return them as one run has them."""

        def client(logins, **options):
            self.asked += 1
            return RegistryClient(logins, **options)

        return BaseImages(self.folder, client=client, now=lambda: self.time, **more)

    def system(self, pushed, **more):
        """Return what a pushed image is."""
        images = self.images(**more)
        found = images.find(pushed.reference, PLATFORM)
        image = pushed.reference.at(found.digest)
        return images.system(image, images.documents(image, PLATFORM))


@pytest.fixture
def made(tmp_path):
    """Base images with an empty cache."""
    return Made(tmp_path / "bases")


def test_a_base_is_known_from_its_layers(made, where):
    """System, Python, C library; a second time nobody is asked."""
    pushed = push_base(where, debian(), UPPER, env=["PATH=/usr/bin"])

    found = made.system(pushed)

    assert ("Debian GNU/Linux 12 (bookworm)", "2.36", ()) == (found.name, found.glibc, found.unread)
    assert (Interpreter("/usr/bin/python3.11", "3.11.2", machine="amd64"),) == found.pythons
    images, made.asked = made.images(), 0
    image = pushed.reference.at(pushed.digest)
    assert (found, 0) == (images.system(image, images.documents(image, PLATFORM)), made.asked)


def test_layers_that_are_shared_are_read_once(made, where):
    """Another image on the same system costs its own layer only, even when the registry lost the lower one."""
    made.system(push_base(where, debian(), name="one:1"))
    read = []
    upper = {"usr/bin/.wh.python3.11": b"", "usr/local/bin/python3.12": program("3.12.1")}
    upper |= {f"usr/local/lib/python3.12/{part}/__init__.py": b"" for part in ("http", "asyncio")}

    found = made.system(push_base(where, debian(), upper, name="two:1"), progress=read.append)

    assert [("/usr/local/bin/python3.12", "3.12.1")] == [(one.path, one.version) for one in found.pythons]
    assert 2 == len(list((made.folder / "layers").iterdir()))


@pytest.mark.parametrize("docker", [False, True])
def test_of_an_index_the_platforms_own_image_is_taken(made, where, docker):
    """Whether OCI or Docker wrote it; both digests are kept."""
    parts = [
        push_base(where, debian(machine=machine), name=f"both:{machine}", platform=f"linux/{machine}")
        for machine in ("amd64", "arm64")
    ]
    index = push_index(where, *parts, name="both:1", docker=docker)

    for part, platform in zip(parts, ("linux/amd64", "linux/arm64"), strict=True):
        found = made.images().find(index.reference, platform)

        assert (index.digest, part.digest) == (found.index, found.digest)


def test_a_platform_that_is_not_there_is_told(made, where):
    """With those there are; also of an image that is in no index."""
    alone = push_base(where, debian(machine="arm64"), name="index:alone", platform="linux/arm64")
    index = push_index(where, alone, name="index:1")

    with pytest.raises(OperationError, match=r"no image for linux/amd64; there is linux/arm64"):
        made.images().find(index.reference, PLATFORM)
    with pytest.raises(OperationError, match=r"it is for linux/arm64, not for linux/amd64"):
        made.images().find(alone.reference, PLATFORM)


def test_an_image_that_is_not_there_is_told(made, where):
    """By the registry itself."""
    with pytest.raises(NotThereError, match="nothing"):
        made.images().find(at(where, "nothing:1"), PLATFORM)


def test_a_moved_tag_is_seen_and_not_followed(made, where):
    """At most once an hour; a digest never moves."""
    first = push_base(where, debian(), name="moving:1")
    found = made.images().find(first.reference, PLATFORM)
    second = push_base(where, debian(glibc="2.41"), name="moving:1")

    assert made.images().moved(found.reference, found.index) is None
    made.time += LOOK_SECONDS + 1
    assert second.digest == made.images().moved(found.reference, found.index)
    assert made.images().moved(found.reference.at(found.index), found.index) is None
    asked = made.asked
    assert (second.digest, asked) == (made.images().moved(found.reference, found.index), made.asked)


def test_preview_and_up_resolve_to_one_image(made, where):
    """What a tag meant counts for five minutes, unless that is gone."""
    first = push_base(where, debian(), name="agreed:1")
    assert first.digest == made.images().find(first.reference, PLATFORM).digest
    second = push_base(where, debian(glibc="2.41"), name="agreed:1")

    assert first.digest == made.images().find(first.reference, PLATFORM).digest
    made.time += 301
    assert second.digest == made.images().find(first.reference, PLATFORM).digest
    with asking() as registry_client:
        third = push_base(where, debian(glibc="2.42"), name="agreed:1")
        registry_client.delete(second.reference.at(second.digest))
    assert third.digest == made.images().find(first.reference, PLATFORM).digest


def test_whether_a_tag_moved_is_asked_quickly_and_once(made, where):
    """A registry that does not answer keeps nobody waiting in every preview."""
    gone = at(where, "x:1")
    gone = type(gone)("127.0.0.1:9", gone.repository, "1")

    with pytest.raises(OperationError):
        made.images().moved(gone, "sha256:" + "1" * 64)
    assert made.images().moved(gone, "sha256:" + "1" * 64) is None


def test_a_registry_that_fails_keeps_no_preview_waiting_long(made, where):
    """Three attempts, not the seven of a push: a check does not know whether it is for a preview."""
    with proxied(where) as proxy:
        proxy.fault("GET", "/manifests/", status=503, times=99)
        with pytest.raises(OperationError, match="answered 503, tried 3 times"):
            made.images().find(at(proxy, "waits:1"), PLATFORM)

    assert 3 == proxy.count("GET", "/manifests/")


def test_a_private_registry_takes_the_given_login(made, tmp_path):
    """Without it the base is refused, and the password stands nowhere."""
    with registry(tmp_path / "private", auth=htpasswd_auth(tmp_path / "auth")) as private:
        login = {private.host: Login.by_password(USER, PASSWORD)}
        pushed = push_base(private, debian(), asking=lambda: RegistryClient(_logins(login)))

        assert "2.36" == made.system(pushed, login=login).glibc
        with pytest.raises(OperationError) as refused:
            Made(tmp_path / "other").images().find(pushed.reference, PLATFORM)

    assert PASSWORD not in str(refused.value)
    kept = "".join(path.read_text() for path in made.folder.rglob("*.json"))
    assert PASSWORD not in kept


def _logins(given):
    from pulumi_mlserve.clients.registries.logins import Logins  # noqa: PLC0415  for this test alone

    return Logins.usual(given, environ={})


def test_a_damaged_layer_is_told(made, where, tmp_path):
    """It is no gzip, or ends too early; nothing of it is kept."""
    pushed = push_base(where, debian(), name="damaged:1", types=[TAR_TYPE])

    with pytest.raises(OperationError, match=r"layer sha256:\w+: its bytes are damaged"):
        made.system(pushed)
    assert not (made.folder / "layers").exists()


def test_a_registry_that_lies_is_told(made, where):
    """Its bytes are not those of their digest."""
    pushed = push_base(where, {"lie": b"1"}, name="lying:1")
    (data,) = (where.folder / "data").rglob(f"blobs/sha256/*/{pushed.blobs[0].removeprefix('sha256:')}/data")
    content = bytearray(data.read_bytes())
    content[4] ^= 1  # the time in gzip's head, which nobody else looks at
    data.write_bytes(bytes(content))

    with pytest.raises(OperationError, match="other bytes than the digest says"):
        made.system(pushed)
    assert not (made.folder / "layers").exists()


def test_large_layers_are_left_out_and_told(made, where):
    """The small ones come first; what was not read is named, and read when there is room."""
    pushed = push_base(where, debian(), {"big": hashlib.shake_128(b"x").digest(3_000_000)}, name="large:1")

    found = made.system(pushed, most_bytes=1_000_000)

    assert ((pushed.blobs[1],), ["3.11.2"]) == (found.unread, [python.version for python in found.pythons])
    assert () == made.system(pushed).unread


def test_reading_ends_with_the_time_for_it(made, where):
    """Whatever was not looked through until then is named."""
    pushed = push_base(where, debian(), name="slow:1")

    assert tuple(pushed.blobs) == made.system(pushed, most_seconds=-1).unread


def frames(content):
    """Return bytes packed by zstd in several frames, with one to be skipped, as some tools write them."""
    note = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"about"
    parts = [content[start : start + 100_000] for start in range(0, len(content), 100_000)]
    return note + b"".join(zstd.compress(part) for part in parts) + note


def members(content):
    """Return bytes packed by gzip in several members, as eStargz has them; the first unpacks to many pieces."""
    size = 4 * PIECE
    return b"".join(gzipped(content[start : start + size]) for start in range(0, len(content), size)) + gzipped(b"")


@pytest.mark.parametrize("size", [1, 100, 16_384, 1 << 20, 1 << 30])
@pytest.mark.parametrize("content", [b"text " * 500_000, bytes(3 * PIECE), bytes(8 * PIECE), b""], ids=len)
@pytest.mark.parametrize("pack", [members, frames, gzipped, zstd.compress])
def test_layers_of_several_parts_are_unpacked_whole(pack, content, size):
    """However they come."""
    blob = pack(content)
    if len(blob) / size > 20_000:
        blob, content = pack(content[:1000]), content[:1000]
    kind = TAR_GZIP_TYPE if pack in {members, gzipped} else f"{TAR_TYPE}+zstd"
    pieces = (blob[start : start + size] for start in range(0, len(blob), size))

    assert content == b"".join(unpacking_of(kind)(pieces))


def test_layers_that_take_too_much_memory_are_named(made, where):
    """A window of a gigabyte is not given to a layer that somebody else made."""
    wide = zstd.ZstdCompressor(options={zstd.CompressionParameter.window_log: 30})
    types = [TAR_GZIP_TYPE, f"{TAR_TYPE}+zstd"]
    ways = iter([gzipped, lambda content: wide.compress(content) + wide.flush()])

    def packed(content):
        return next(ways)(content)

    pushed = push_base(where, debian(), UPPER, name="wide:1", types=types, packed=packed)

    found = made.system(pushed)

    assert ((pushed.blobs[1],), "2.36") == (found.unread, found.glibc)


@pytest.mark.parametrize("packed", [zstd.compress, frames, members], ids=["one frame", "frames", "members"])
@pytest.mark.parametrize("kind", [f"{TAR_TYPE}+zstd", "application/vnd.docker.image.rootfs.diff.tar.zstd"])
def test_layers_packed_otherwise_are_read(made, where, kind, packed):
    """Like all others, in one frame or several."""
    kind = kind.replace("zstd", "gzip") if packed is members else kind
    pushed = push_base(where, debian(), UPPER, name="zstd:1", types=[kind] * 2, packed=packed)

    found = made.system(pushed)

    assert ((), "2.36", ["3.11.2"]) == (found.unread, found.glibc, [python.version for python in found.pythons])


def test_layers_packed_another_way_are_named(made, where):
    """Nobody here reads what is encrypted, so what is in such a layer is not known."""
    pushed = push_base(where, debian(), UPPER, name="sealed:1", types=[TAR_GZIP_TYPE, f"{TAR_TYPE}+encrypted"])

    found = made.system(pushed)

    assert ((pushed.blobs[1],), "2.36") == (found.unread, found.glibc)


@pytest.mark.parametrize("pack", [gzipped, zstd.compress], ids=["gzip", "zstd"])
@pytest.mark.parametrize(
    "spoil",
    [
        lambda blob: blob[:-1],
        lambda blob: blob[: len(blob) // 2],
        lambda blob: b"",
        lambda blob: b"no such thing" + blob,
        lambda blob: blob[:60] + bytes(byte ^ 255 for byte in blob[60:90]) + blob[90:],
    ],
    ids=["end", "half", "all", "begin", "middle"],
)
def test_damaged_bytes_are_told_however_they_are_packed(made, where, pack, spoil):
    """Never taken for a layer with fewer files."""
    kind = TAR_GZIP_TYPE if pack is gzipped else f"{TAR_TYPE}+zstd"
    name = "spoiled:1"
    pushed = push_base(where, debian(), name=name, types=[kind], packed=lambda content: spoil(pack(content)))

    with pytest.raises(OperationError, match=r"layer sha256:\w+: its bytes are damaged, "):
        made.system(pushed)


def test_zeros_packed_small_take_no_memory():
    """A gigabyte of them is a blob of some kilobytes, which becomes one piece after the other."""
    blob = zstd.compress(bytes(1 << 28)) * 4
    unpack = unpacking_of(f"{TAR_TYPE}+zstd")
    sizes = [len(piece) for piece in unpack(iter([blob]))]

    assert (1 << 30, True) == (sum(sizes), max(sizes) <= PIECE)


def test_reading_can_be_cancelled(made, where):
    """At once, and nothing is kept."""
    pushed = push_base(where, debian(), name="cancelled:1")
    image = pushed.reference.at(pushed.digest)
    documents = made.images().documents(image, PLATFORM)

    with pytest.raises(CancelledError):
        made.images(cancelled=lambda: True).system(image, documents)
    assert not (made.folder / "layers").exists()


@pytest.mark.parametrize("content", ["", "{}", '{"manifest": 1, "config": 2, "type": 3}', '{"form": 1}'])
def test_a_damaged_cache_is_made_anew(made, where, content):
    """Nothing in it is trusted."""
    pushed = push_base(where, debian(), name="cached:1")
    before = made.system(pushed)
    for path in made.folder.rglob("*.json"):
        path.write_text(content)

    assert before == made.system(pushed)


def test_a_config_that_names_other_layers_is_told(made, where):
    """Then what is unpacked could not be checked."""
    pushed = push_base(where, debian(), name="odd:1")
    images = made.images()
    image = pushed.reference.at(pushed.digest)
    images.documents(image, PLATFORM)
    (path,) = (made.folder / "images").iterdir()
    document = json.loads(path.read_text())
    config = json.loads(document["config"])
    config["rootfs"]["diff_ids"] *= 2
    manifest = json.loads(document["manifest"])
    changed = json.dumps(config)
    manifest["config"]["digest"] = "sha256:" + hashlib.sha256(changed.encode()).hexdigest()
    text = json.dumps(manifest)
    digest = "sha256:" + hashlib.sha256(text.encode()).hexdigest()
    name = path.with_name(digest.removeprefix("sha256:") + ".json")
    name.write_text(json.dumps({"type": document["type"], "manifest": text, "config": changed}))

    with pytest.raises(OperationError, match="its config names 2 layers and its manifest 1"):
        images.documents(pushed.reference.at(digest), PLATFORM)


def test_a_layer_of_several_gzips_is_read(tmp_path):
    """As lazy and parallel compressors write them."""
    content = tar(debian())
    (tmp_path / "a").write_bytes(content[:700_000][: len(content) // 2])
    (tmp_path / "b").write_bytes(content[len(content) // 2 :])
    packed = b"".join(subprocess.run(["gzip", "-c", tmp_path / name], stdout=-1, check=True).stdout for name in "ab")

    found = look_through(iter([packed[:10], packed[10:]]), TAR_GZIP_TYPE)

    assert {"usr/bin/python3.11", GLIBC} < found.files.keys()


def test_names_of_any_kind_of_tar_are_read(tmp_path):
    """Long names and hard links as GNU's tar writes them."""
    deep = tmp_path / "root" / ("d" * 90) / ("e" * 90) / "bin"
    deep.mkdir(parents=True)
    (deep / "python3.11").write_bytes(program())
    (deep / "python3").hardlink_to(deep / "python3.11")
    (tmp_path / "root" / "libc.so.6").write_bytes(libc())
    for form in ("gnu", "pax"):
        command = ["tar", "-C", tmp_path / "root", f"--format={form}", "--sort=name", "-c", "."]
        made = subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout

        found = look_through(iter([made]), TAR_TYPE)

        folder = f"{'d' * 90}/{'e' * 90}/bin"
        names = {f"{folder}/python3", f"{folder}/python3.11"}
        assert names == found.files.keys() - {"libc.so.6"} | found.links.keys()
    shutil.rmtree(tmp_path / "root")


def test_who_may_enter_a_folder_is_read(tmp_path):
    """Of those near the root."""
    for name, mode in (("root", 0o700), ("opt", 0o755), ("opt/conda", 0o750), ("opt/conda/bin", 0o700)):
        (tmp_path / "x" / name).mkdir(parents=True, mode=0o755)
        (tmp_path / "x" / name).chmod(mode)
    made = subprocess.run(["tar", "-C", tmp_path / "x", "-c", "."], stdout=subprocess.PIPE, check=True).stdout

    assert {"root": False, "opt": True, "opt/conda": False} == look_through(iter([made]), TAR_TYPE).folders


def test_a_bomb_fills_no_memory():
    """A small blob that unpacks to much is passed piece by piece."""
    import zlib  # noqa: PLC0415  for this test alone

    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join(packer.compress(bytes(1 << 20)) for _ in range(64)) + packer.flush()

    assert 0 == look_through(iter([bomb]), TAR_GZIP_TYPE).count


def test_a_cache_that_cannot_be_written_is_told(made, where):
    """With where it is; as where the disk is full."""
    pushed = push_base(where, debian(), name="full:1")
    (made.folder / "images").write_text("")

    with pytest.raises(OperationError, match=r"bases: cannot be written, .*XDG_CACHE_HOME"):
        made.images().find(pushed.reference, PLATFORM)
