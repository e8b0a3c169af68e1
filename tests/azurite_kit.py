"""A real emulator of Azure Blob Storage for tests: `azurite-blob` on PATH, else from npm, kept by version."""

from __future__ import annotations

import base64
import contextlib
import fcntl
import hashlib
import hmac
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import urllib.request
from email.utils import formatdate
from pathlib import Path

from announced import Announced
from reserved_ports import reserved
from server_venv import DEVELOPMENT_CACHE

VERSION = "3.35.0"  # the newest that runs on Node.js 20
ACCOUNT = "devstoreaccount1"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="  # published


def program() -> list[str]:
    """The command that starts the emulator; it is installed when it is not there."""
    found = shutil.which("azurite-blob")
    if found:
        return [found]
    final = DEVELOPMENT_CACHE / "azurite" / VERSION
    final.parent.mkdir(parents=True, exist_ok=True)
    main = "node_modules/azurite/dist/src/blob/main.js"
    with (final.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (final / main).exists():
            with tempfile.TemporaryDirectory(prefix=".making-", dir=final.parent) as temporary:
                command = ["npm", "install", "--prefix", temporary, "--no-save", "--no-package-lock"]
                command += ["--ignore-scripts", "--no-audit", "--no-fund", "--omit=dev", f"azurite@{VERSION}"]
                subprocess.run(command, check=True, capture_output=True, timeout=800, cwd=temporary)
                shutil.rmtree(final, ignore_errors=True)
                Path(temporary).rename(final)
                Path(temporary).mkdir()
    return ["node", str(final / main)]


class Azurite:
    """The emulator."""

    def __init__(self, folder):
        self._folder = folder
        self._server = Announced(folder / "log.txt", r"successfully listens on http://127\.0\.0\.1:(\d+)")
        self.port = 0

    @property
    def endpoint(self):
        """Where the account answers."""
        return f"http://127.0.0.1:{self.port}/{ACCOUNT}"

    @property
    def connection_string(self):
        """As Azure shows it."""
        return f"DefaultEndpointsProtocol=http;AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint};"

    def start(self):
        """Start it and wait until it listens."""
        options = ["--blobHost", "127.0.0.1", "--blobPort", "0", "--location", str(self._folder)]
        options += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        self.port = int(self._server.start([*program(), *options]))

    def stop(self):
        """End it at once."""
        self._server.stop()

    def request(self, method, path, query="", body=None):
        """Send a signed request of Azure's REST API; return the body."""
        date = formatdate(usegmt=True)
        named = {"x-ms-date": date, "x-ms-version": "2021-12-02"}
        length, kind = "", ""
        if body is not None:
            named["x-ms-blob-type"] = "BlockBlob"
            length, kind = len(body) or "", "application/octet-stream"
        resource = f"/{ACCOUNT}/{ACCOUNT}/{path}"
        parameters = sorted(pair.split("=", 1) for pair in query.split("&") if pair)
        resource += "".join(f"\n{name}:{value}" for name, value in parameters)
        headers = "".join(f"{name}:{value}\n" for name, value in sorted(named.items()))
        text = f"{method}\n\n\n{length}\n\n{kind}\n\n\n\n\n\n\n{headers}{resource}"
        signature = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)).decode()
        named |= {"Content-Type": kind} if kind else {}
        named["Authorization"] = f"SharedKey {ACCOUNT}:{signature}"
        url = f"{self.endpoint}/{path}" + (f"?{query}" if query else "")
        with contextlib.closing(
            urllib.request.urlopen(urllib.request.Request(url, data=body, method=method, headers=named), timeout=20)
        ) as reply:
            return reply.read()

    def make_container(self, name):
        """Make a container."""
        self.request("PUT", name, "restype=container")

    def put(self, path, body):
        """Write a blob."""
        self.request("PUT", path, body=body)

    def blobs(self, container):
        """All blobs of a container by their names."""
        listing = self.request("GET", container, "comp=list&restype=container").decode()
        names = re.findall(r"<Name>([^<]*)</Name>", listing)
        return {name: self.request("GET", f"{container}/{name}") for name in names}


class Line:
    """A line to a port of this machine that can be cut and joined again, seen from its own port.

    Attributes:
        port: Its own.
        hung_up: How many connections were ended because nobody answers.
    """

    def __init__(self, port):
        self._to = port
        self._listener = None
        self._open = []
        self._lock = threading.Lock()
        self.port = reserved(self)
        self.hung_up = 0

    def join(self, *, answers=True):
        """Accept connections; where nobody answers, each of them is ended at once, and counted."""
        self._listener = socket.create_server(("127.0.0.1", self.port))
        threading.Thread(target=self._accept, args=(self._listener, answers), daemon=True).start()

    def cut(self):
        """End all connections and refuse new ones."""
        with self._lock:
            listener, self._listener = self._listener, None
            if listener is not None:
                listener.shutdown(socket.SHUT_RDWR)
                listener.close()
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
            self._open.clear()

    def _accept(self, listener, answers):
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                with self._lock:  # one that comes while the line is cut is not carried
                    if answers and self._listener is listener:
                        self._connect(near)
                        continue
                    self.hung_up += not answers
                near.close()

    def _connect(self, near):
        try:
            far = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            near.close()
            return
        self._open += [near, far]
        for ends in ((near, far), (far, near)):
            threading.Thread(target=_carry, args=ends, daemon=True).start()


def _carry(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    for end in (source, sink):
        with contextlib.suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
    source.close()
