"""Real container engines for tests: a base image made by debootstrap, a Docker daemon and a containerd of our own.

Debian's `docker.io`, `containerd` and `debootstrap`, as root. The base is made once and kept outside the clone.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from apt_kit import installed
from server_venv import DEVELOPMENT_CACHE

from pulumi_mlserve.clients.images.base_blobs import BaseImage
from pulumi_mlserve.clients.images.layer_writer import tar_stream
from pulumi_mlserve.core.images.layer_files import LayerEntry, complete
from pulumi_mlserve.core.images.oci import TAR_TYPE, Base

RELEASE = "bookworm"
PYTHON = "3.11"  # what this release brings
_FORM = 1
_WANTED = "--include=python3,python3-venv,ca-certificates"
_LEFT_OUT = (
    "dev",
    "proc",
    "sys",
    "run",
    "tmp",
    "var/cache",
    "var/lib/apt",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
)
_PACKAGES = ("docker.io", "containerd", "debootstrap", "iptables")
_START_SECONDS = _END_SECONDS = 120.0  # of a machine that is busy with other tests


def base_image():
    """Return a base image with Python, made on the first call on a machine."""
    folder = DEVELOPMENT_CACHE / "bases" / f"{RELEASE}-{_FORM}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "base.json").exists():
            shutil.rmtree(folder, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=".making-", dir=folder.parent) as making:
                root = Path(making) / "root"
                command = ["debootstrap", "--variant=minbase", _WANTED, RELEASE, str(root)]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=800)
                made = Path(making) / "made"
                made.mkdir()
                _write_base(root, made)
                made.rename(folder)
    layer = json.loads((folder / "base.json").read_text())
    base = Base("sha256:" + "0" * 64, ({**layer, "mediaType": TAR_TYPE},), (layer["digest"],), name=f"debian:{RELEASE}")
    return BaseImage(base, folder)


def _write_base(root, folder):
    entries = []
    for path in root.rglob("*"):
        name = path.relative_to(root).as_posix()
        if name.startswith(_LEFT_OUT) and name not in _LEFT_OUT:
            continue
        if path.is_symlink():
            entries.append(LayerEntry(name, "link", target=str(path.readlink())))
        elif path.is_dir():
            entries.append(LayerEntry(name, "folder"))
        elif path.is_file():
            entries.append(LayerEntry(name, "file", path, path.stat().st_size))
    found, size = hashlib.sha256(), 0
    with (folder / "blob").open("wb") as file:
        for piece in tar_stream(complete(entries)):
            found.update(piece)
            size += len(piece)
            file.write(piece)
    (folder / "blob").rename(folder / found.hexdigest())
    (folder / "base.json").write_text(json.dumps({"digest": "sha256:" + found.hexdigest(), "size": size}))


def install_engines():
    """Install what is missing of the programs these tests run, from Debian's packages; needs root."""
    programs = ("dockerd", "ctr", "debootstrap", "iptables")
    assert installed(lambda: all(map(shutil.which, programs)), *_PACKAGES), f"apt-get install {' '.join(_PACKAGES)}"


class Docker:
    """A Docker daemon with a folder and a socket of its own, and a containerd, for which it would wait 15 s itself."""

    def __init__(self, folder):
        self._folder = folder
        self._socket = f"unix://{folder}/docker.sock"
        self._containerd = Containerd(folder / "containerd")

    @contextlib.contextmanager
    def running(self):
        """Run the daemon until the block ends."""
        options = {"data-root": "data", "exec-root": "exec", "pidfile": "pid"}
        command = ["dockerd", "--host", self._socket, "--bridge", "none", "--iptables=false", "--ip-masq=false"]
        command += [f"--{name}={self._folder / place}" for name, place in options.items()]
        command += ["--containerd", self._containerd.socket]
        try:
            with self._containerd.running(), daemon(command, self._folder / "docker.log", lambda: self("version")):
                yield self
        finally:
            shared = self._folder / "exec" / "netns" / "default"  # a build with the host's network leaves it mounted
            if shared.exists():
                subprocess.run(["umount", "--quiet", str(shared)], check=False)

    def __call__(self, *arguments):
        """Run a command of the client and return what it prints."""
        return said("docker", "--host", self._socket, *arguments)


class Containerd:
    """A containerd with folders and a socket of its own."""

    def __init__(self, folder):
        self._folder = folder
        self.socket = f"{folder}/containerd.sock"

    @contextlib.contextmanager
    def running(self):
        """Run the daemon until the block ends."""
        self._folder.mkdir(exist_ok=True)
        settings = self._folder / "config.toml"
        settings.write_text(
            f'version = 2\nroot = "{self._folder}/root"\nstate = "{self._folder}/state"\n'
            'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n'
            f'[grpc]\naddress = "{self.socket}"\n'
        )
        command = ["containerd", "--config", str(settings)]
        with daemon(command, self._folder / "containerd.log", lambda: self("version")):
            yield self

    def __call__(self, *arguments):
        """Run a command of the client and return what it prints."""
        return said("ctr", "--address", self.socket, *arguments)

    def load(self, layout):
        """Import a layout folder: containerd reads its files as a stream."""
        with subprocess.Popen(["tar", "--create", "--directory", str(layout), "."], stdout=subprocess.PIPE) as tar:
            command = ["ctr", "--address", self.socket, "images", "import", "-"]
            subprocess.run(command, stdin=tar.stdout, check=True, stdout=subprocess.DEVNULL, timeout=120)


@contextlib.contextmanager
def daemon(command, log, asked):
    """Run a daemon until the block ends; it is ready when a question is answered."""
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)
    try:
        end = time.monotonic() + _START_SECONDS
        while not _answers(asked):
            assert process.poll() is None, f"{command[0]} did not start: {log.read_text()[-2000:]}"
            assert time.monotonic() < end, f"{command[0]} does not answer: {log.read_text()[-2000:]}"
            time.sleep(0.1)
        yield
    finally:
        process.terminate()
        process.wait(_END_SECONDS)


def _answers(asked):
    try:
        asked()
    except subprocess.CalledProcessError:
        return False
    return True


def said(*command):
    """Return what a command prints."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("DOCKER_")}
    answer = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600, env=environment)
    return answer.stdout.strip()
