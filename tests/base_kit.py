"""Small base images for tests: layers of a few files, pushed to a real registry by our own client."""

from __future__ import annotations

import gzip
import io
import json
import tarfile

from registry_kit import at, client

from pulumi_mlserve.clients.registries.registry_client import BlobSource
from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import CONFIG_TYPE, MANIFEST_TYPE, TAR_GZIP_TYPE, digest_of
from pulumi_mlserve.core.images.remote_image import DOCKER_INDEX_TYPE, INDEX_TYPE

GLIBC = "usr/lib/x86_64-linux-gnu/libc.so.6"
LOADERS = {"glibc": b"/lib64/ld-linux-x86-64.so.2", "musl": b"/lib/ld-musl-x86_64.so.1"}
_MACHINES = {"amd64": 62, "arm64": 183}


def program(version="3.11.2", libc="glibc", machine="amd64"):
    """Return bytes as those of a Python are, as far as they are looked into."""
    head = b"\x7fELF\x02\x01\x01" + bytes(11) + _MACHINES[machine].to_bytes(2, "little") + bytes(200)
    return head + LOADERS[libc] + bytes(5000) + b"\x003.2.0\x00" + version.encode() + b"\x00" + bytes(100)


def libc(version="2.36"):
    """Return bytes as those of glibc are."""
    head = b"\x7fELF\x02\x01\x01" + bytes(11) + (62).to_bytes(2, "little") + bytes(300_000)
    return head + f"GNU C Library (Debian GLIBC {version}-9) stable release version {version}.\n".encode() + bytes(10)


def debian(python="3.11", *, glibc="2.36", machine="amd64"):
    """Return the files of a system with Python; a text is a link's target."""
    library = f"usr/lib/python{python}"
    return {
        "usr/lib/os-release": b'NAME="x"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "lib": "usr/lib",
        "bin": "usr/bin",
        f"usr/bin/python{python}": program(f"{python}.2", machine=machine),
        "usr/bin/python3": f"python{python}",
        GLIBC: libc(glibc),
        f"{library}/http/__init__.py": b"",
        f"{library}/asyncio/__init__.py": b"",
    }


def tar(files):
    """Return a tar of files and links."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return made.getvalue()


class Pushed:
    """A base image in a registry.

    Attributes:
        reference: By its tag.
        digest: Of its manifest.
        blobs: Its layers as they lie in the registry.
    """

    def __init__(self, reference, digest, blobs, entry):
        self.reference = reference
        self.digest = digest
        self.blobs = blobs
        self.entry = entry


def gzipped(content):
    """Return bytes as most layers are packed."""
    return gzip.compress(content, mtime=0)


def push_base(
    where,
    *layers,
    name="base:1",
    platform="linux/amd64",
    env=(),
    labels=None,
    types=None,
    packed=gzipped,
    asking=client,
):
    """Push an image of these layers, each a mapping of files, and return it."""
    tars = [tar(files) for files in layers]
    blobs = [packed(content) for content in tars]
    system, _, processor = platform.partition("/")
    settings = {"Env": list(env), "Labels": labels or {}}
    document = {"os": system, "architecture": processor, "config": settings}
    document["rootfs"] = {"type": "layers", "diff_ids": [digest_of(content) for content in tars]}
    config = json.dumps(document).encode()
    sources = [BlobSource.of_bytes(content) for content in (*blobs, config)]
    kinds = types or [TAR_GZIP_TYPE] * len(blobs)
    entries = [
        {"mediaType": kind, "digest": one.digest, "size": one.size}
        for kind, one in zip((*kinds, CONFIG_TYPE), sources, strict=True)
    ]
    manifest = canonical(
        {"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": entries[-1], "layers": entries[:-1]}
    ).encode()
    target = at(where, name)
    with asking() as registry:
        registry.push(target, manifest, MANIFEST_TYPE, sources)
    entry = {"mediaType": MANIFEST_TYPE, "digest": digest_of(manifest), "size": len(manifest)}
    entry["platform"] = {"os": system, "architecture": processor}
    return Pushed(target, digest_of(manifest), [source.digest for source in sources[:-1]], entry)


def push_index(where, *images, name="base:1", docker=False, asking=client):
    """Push an index of images that are there, and return it."""
    kind = DOCKER_INDEX_TYPE if docker else INDEX_TYPE
    content = canonical(
        {"schemaVersion": 2, "mediaType": kind, "manifests": [image.entry for image in images]}
    ).encode()
    target = at(where, name)
    with asking() as registry:
        registry.tag(target, content, kind)
    return Pushed(target, digest_of(content), [], {})
