"""Images unpacked in a folder, and real server processes on free loopback ports, for the tests beside this file."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

from mlserve_scoring import manifest as manifests
from mlserve_scoring.contract import Sample
from mlserve_scoring.manifest import Limits, Manifest, ModelEntry

RUNTIME = Path(manifests.__file__).parents[1]
JSON_HEADERS = {"Content-Type": "application/json"}
PATIENCE = 100  # seconds, for what takes one on a machine that does nothing else


class Answer:
    """A reply as a client sees it."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers
        self.body = body

    @property
    def json(self):
        """The body read as JSON."""
        return json.loads(self.body)

    @property
    def message(self):
        """The text of an error."""
        return self.json["message"]


class Service:
    """A server process and how to talk to it."""

    def __init__(self, process, settings, log):
        self.process = process
        self.settings = settings
        self.log_file = log
        self.port = None

    @property
    def log(self):
        """What the process wrote so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def ask(self, operation, *, with_socket=False):
        """Ask on the control socket; with the socket that came along if wished."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE)
            client.connect(self.settings["control"])
            client.sendall(json.dumps({"op": operation}).encode() + b"\n")
            if with_socket:
                data, fds, _, _ = socket.recv_fds(client, 65536, 1)
                return json.loads(data), fds[0]
            data = b""
            while not data.endswith(b"\n"):
                part = client.recv(65536)
                if not part:
                    break
                data += part
            return json.loads(data)

    def hand_over(self):
        """Ask for the listening sockets: the answer, and the descriptors that came along."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE)
            client.connect(self.settings["control"])
            client.sendall(b'{"op": "handover"}\n')
            data, fds, _, _ = socket.recv_fds(client, 65536, 4)
            return json.loads(data), fds

    def wait(self, *states, seconds=PATIENCE):
        """Wait until the control socket tells one of the states; return all it tells."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise AssertionError(f"ended with {self.process.returncode}: {self.log}")
            with contextlib.suppress(OSError, json.JSONDecodeError):
                status = self.ask("status")
                self.port = status["port"]
                if status["state"] in states:
                    return status
                if status["state"] == "failed":
                    raise AssertionError(f"{status['error']}\n{self.log}")
            time.sleep(0.01)
        raise AssertionError(f"none of {states} within {seconds} s: {self.log}")

    def wait_for_log(self, text, seconds=PATIENCE):
        """Wait until the process has written a text."""
        end = time.monotonic() + seconds
        while text not in self.log:
            assert self.process.poll() is None, self.log
            assert time.monotonic() < end, f"no {text!r} within {seconds} s: {self.log}"
            time.sleep(0.01)

    def request(self, method, path, body=None, headers=None, *, timeout=PATIENCE):
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            reply = connection.getresponse()
            return Answer(reply.status, reply.headers, reply.read())
        finally:
            connection.close()

    def get(self, path, **headers):
        """Send a GET."""
        return self.request("GET", path, headers=headers)

    def score(self, value, *, headers=None, timeout=PATIENCE):
        """Send a JSON body to /score."""
        return self.request("POST", "/score", json.dumps(value), {**JSON_HEADERS, **(headers or {})}, timeout=timeout)

    def connect(self):
        """Open a plain connection."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return client

    def raw(self, data, *, half_close=False):
        """Send bytes; return all that comes until the server closes."""
        with self.connect() as client:
            client.sendall(data)
            if half_close:
                client.shutdown(socket.SHUT_WR)
            return read_all(client)

    def stop(self, seconds=PATIENCE):
        """Tell it to stop; return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise


def read_all(client):
    """Return all that comes until the other side closes."""
    data = b""
    while True:
        part = client.recv(65536)
        if not part:
            return data
        data += part


def read_reply(client):
    """Return one reply: status, headers, body."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = client.recv(65536)
        if not part:
            raise ConnectionError(f"closed after {data!r}")
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    while len(body) < int(headers.get("content-length", 0)):
        part = client.recv(65536)
        if not part:
            raise ConnectionError(f"closed inside {data!r}")
        body += part
    return int(lines[0].split()[1]), headers, body


def write_image(root, files=None, *, entry="score.py", models=(), samples=None, variables=None, timeout_ms=60_000):
    """Write an unpacked image below a folder and return the folder.

    Models are pairs of a name and the file or folder to link.
    """
    app = root / "var/azureml-app"
    app.mkdir(parents=True)
    for name, text in (files or {}).items():
        (app / name).parent.mkdir(parents=True, exist_ok=True)
        (app / name).write_text(textwrap.dedent(text), encoding="utf-8")
    entries = []
    for number, (name, path) in enumerate(models):
        digest = f"{number:064x}"
        place = root / f"opt/mlserve/models/sha256-{digest}"
        place.mkdir(parents=True)
        (place / path.name).symlink_to(path)
        link = app / "azureml-models" / name / "1" / path.name
        link.parent.mkdir(parents=True)
        link.symlink_to(os.path.relpath(place / path.name, link.parent))
        entries.append(ModelEntry(name, 1, f"sha256:{digest}", f"opt/mlserve/models/sha256-{digest}", path.name))
    manifest = Manifest(
        image="test",
        recipe="sha256:" + "0" * 64,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        entry_script=entry,
        models=tuple(entries),
        variables=variables or {},
        samples=None if samples is None else tuple(Sample(**sample) for sample in samples),
        limits=Limits(scoring_timeout_ms=timeout_ms),
    )
    file = root / manifests.MANIFEST_PATH
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(manifests.dump(manifest), encoding="utf-8")
    return root


def runtime_environment():
    """The environment that a service is started with."""
    return {**os.environ, "PYTHONPATH": str(RUNTIME), "PYTHONDONTWRITEBYTECODE": "1"}


@contextlib.contextmanager
def services(folder):
    """Yield a function that starts services; end them all afterwards."""
    started = []

    def start(root, *, wait=True, fds=(), within=(), **settings):
        number = len(started)
        control = folder / f"c{number}"
        values = {
            "schema": 1,
            "root": str(root),
            "service": "diabetes",
            "revision": f"r{number}",
            "port": 0,
            "control": str(control),
            "drain_seconds": 4,
            **settings,
        }
        file, log = folder / f"settings{number}.json", folder / f"log{number}.txt"
        file.write_text(json.dumps(values), encoding="utf-8")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [*within, sys.executable, "-m", "mlserve_scoring", "serve", "--settings", str(file)],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=runtime_environment(),
                pass_fds=fds,
                cwd=folder,
            )
        service = Service(process, values, log)
        started.append(service)
        if wait:
            service.wait("ready")
        return service

    try:
        yield start
    finally:
        for service in started:
            if service.process.poll() is None:
                if service.settings.get("workers", 1) > 1:
                    service.stop()  # killed, it would leave its workers to end by themselves, a little later
                else:
                    service.process.kill()
            service.process.wait()
