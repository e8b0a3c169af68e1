"""The reference registry on this machine, a token service for it, and what tests push."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import jwt
import yaml
from apt_kit import installed
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from reserved_ports import reserved

from pulumi_mlserve.clients.registries.logins import Logins
from pulumi_mlserve.clients.registries.patience import Clock
from pulumi_mlserve.clients.registries.registry_client import BlobSource, RegistryClient
from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import CONFIG_TYPE, MANIFEST_TYPE, TAR_TYPE
from pulumi_mlserve.core.images.reference import parse_reference

USER, PASSWORD = "robot", "open sesame"
# Made with bcrypt, the only hash that this registry reads.
HTPASSWD = f"{USER}:$2y$04$SLIewcEUHFciLdEJcnTdQO73pSHyZXqXIHvOBQVmXucKtnNONjFHu\n"
MIB = 1 << 20
START_SECONDS = 120  # of a machine that is busy with other tests


def registry_program():
    """Return the path of the registry, installed first where it is missing."""
    names = ("docker-registry", "registry")
    found = installed(lambda: next(filter(None, map(shutil.which, names)), None), "docker-registry")
    assert found, "the reference registry is needed: apt-get install docker-registry"
    return found


class Registry:
    """One registry with its own folder and port; started again it has both of them still."""

    def __init__(self, folder, *, auth=None, secret="fixed", delete=True, tls=None, relativeurls=False):
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.port = reserved(self)
        self.host = f"127.0.0.1:{self.port}"
        settings = {
            "version": 0.1,
            "log": {"level": "info", "accesslog": {"disabled": True}},
            "storage": {
                "filesystem": {"rootdirectory": str(folder / "data")},
                "delete": {"enabled": delete},
                "maintenance": {"uploadpurging": {"enabled": False}},
            },
            "http": {
                "addr": self.host,
                "relativeurls": relativeurls,
                **({"secret": secret} if secret else {}),
                **({"tls": tls} if tls else {}),
            },
            **({"auth": auth} if auth else {}),
        }
        self.scheme = "https" if tls else "http"
        (folder / "config.yml").write_text(yaml.safe_dump(settings))
        self.process = None

    def start(self):
        """Run it; returns when it answers."""
        environment = {key: value for key, value in os.environ.items() if not key.startswith("REGISTRY_")}
        with (self.folder / "log").open("ab") as log:
            command = [registry_program(), "serve", str(self.folder / "config.yml")]
            process = self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            assert process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.02)
        raise AssertionError("the registry does not answer")

    def stop(self, number=signal.SIGKILL):
        """End it, the hard way unless told otherwise."""
        if self.process is not None:
            self.process.send_signal(number)
            self.process.wait(START_SECONDS)
            self.process = None

    def restart(self):
        """End it and run it again."""
        self.stop()
        self.start()

    def blobs(self):
        """Return the digests of the blobs it holds."""
        return {f"sha256:{path.parent.name}" for path in (self.folder / "data").rglob("blobs/sha256/*/*/data")}


@contextlib.contextmanager
def registry(folder, **settings):
    """Yield a running registry."""
    made = Registry(folder, **settings)
    try:
        yield made.start()
    finally:
        made.stop()


def htpasswd_auth(folder):
    """Return the settings of a registry that asks for a password."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "htpasswd").write_text(HTPASSWD)
    return {"htpasswd": {"realm": 'a, quoted "realm"', "path": str(folder / "htpasswd")}}


@dataclass
class TokenServer:
    """A token service as the registry's documents describe it, with Azure's exchange beside it."""

    url: str
    certificate: Path
    asked: list = field(default_factory=list)
    seconds: int = 300
    status: int = 200
    entra: str = "entra-token"
    refresh: str = "refresh-token"
    service: str = "test, quoted"
    denied: set = field(default_factory=set)

    def auth(self):
        """Return the settings of a registry that trusts it."""
        return {
            "token": {
                "realm": f"{self.url}/token",
                "service": self.service,
                "issuer": "kit",
                "rootcertbundle": str(self.certificate),
            }
        }


def certificate(name="kit", *, alternatives=()):
    """Return a key and a certificate that it signed itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.timezone.utc)
    day = dt.timedelta(days=1)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - day)
        .not_valid_after(now + day)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    )
    if alternatives:
        made = made.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return key, made.sign(key, hashes.SHA256())


def pem(thing):
    """Return a key or a certificate as files have it."""
    if hasattr(thing, "public_bytes"):
        return thing.public_bytes(serialization.Encoding.PEM)
    return thing.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@contextlib.contextmanager
def token_server(folder):
    """Yield a running token service."""
    folder.mkdir(parents=True, exist_ok=True)
    key, signed = certificate()
    (folder / "certificate.pem").write_bytes(pem(signed))
    chain = [base64.b64encode(signed.public_bytes(serialization.Encoding.DER)).decode()]

    class Answers(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_):
            pass

        def do_GET(self):
            login = self.headers.get("Authorization", "")
            server.asked.append(("GET", self.path, login))
            given = base64.b64decode(login.removeprefix("Basic ")).decode() if login else ""
            allowed = given in {"", f"{USER}:{PASSWORD}"} and server.status == 200
            actions = None if given else {"pull"}
            self.tell(parse_qs(urlsplit(self.path).query).get("scope", []), actions, allowed)

        def do_POST(self):
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            server.asked.append(("POST", self.path, form))
            if self.path == "/oauth2/exchange":
                good = form["access_token"] == [server.entra] and form["grant_type"] == ["access_token"]
                self.answer(200 if good else 401, {"refresh_token": server.refresh})
                return
            good = form["refresh_token"] == [server.refresh] and form["grant_type"] == ["refresh_token"]
            self.tell(form["scope"][0].split(" "), None, good)

        def tell(self, scopes, only, allowed):
            access = []
            for scope in filter(None, scopes):
                kind, name, words = scope.split(":")
                actions = set(words.split(",")) & (only or {"pull", "push", "delete"})
                if name not in server.denied and actions:
                    access.append({"type": kind, "name": name, "actions": sorted(actions)})
            now = int(time.time())
            claims = {"iss": "kit", "sub": USER, "aud": server.service, "nbf": now - 100, "iat": now, "jti": str(now)}
            claims |= {"exp": now + server.seconds, "access": access}
            token = jwt.encode(claims, key, "ES256", {"x5c": chain})
            status = 401 if not allowed and server.status == 200 else server.status
            self.answer(status, {"token": token, "expires_in": server.seconds})

        def answer(self, status, document):
            body = json.dumps(document if status == 200 else {"details": "denied"}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with served(Answers) as port:
        server = TokenServer(f"http://127.0.0.1:{port}", folder / "certificate.pem")
        yield server


@contextlib.contextmanager
def served(handler):
    """Run an HTTP server on a free port of this machine; yields the port."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    server.handle_error = lambda *_: None  # clients that hang up are what these tests are about
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Pattern:
    """Bytes of any number that cost no memory: one MiB over and over, each time with its own begin."""

    def __init__(self, size, seed=b""):
        self.size = size
        self.block = (hashlib.sha256(b"kit" + seed).digest() * (MIB // 32 + 1))[: MIB - 8]
        found = hashlib.sha256()
        for piece in self.pieces(0):
            found.update(piece)
        self.digest = "sha256:" + found.hexdigest()
        self.opened = []

    def pieces(self, offset):
        """Give the bytes from an offset on."""
        while offset < self.size:
            number, inside = divmod(offset, MIB)
            piece = (number.to_bytes(8, "big") + self.block)[inside : inside + self.size - offset]
            yield piece
            offset += len(piece)

    def open(self, offset):
        """Give the bytes from an offset on, and remember that."""
        self.opened.append(offset)
        return self.pieces(offset)

    def source(self, **more):
        """Return them as something to push."""
        return BlobSource(self.digest, self.size, self.open, **more)


def image_of(*sources, config=b'{"architecture":"amd64","os":"linux"}'):
    """Return the manifest of an image of these layers, and all its blobs."""
    made = BlobSource.of_bytes(config)
    entry = {"digest": made.digest, "mediaType": CONFIG_TYPE, "size": made.size}
    layers = [{"digest": source.digest, "mediaType": TAR_TYPE, "size": source.size} for source in sources]
    document = {"config": entry, "layers": layers, "mediaType": MANIFEST_TYPE, "schemaVersion": 2}
    return canonical(document).encode(), [*sources, made]


class Waits:
    """A clock that never waits, and what it was asked to."""

    def __init__(self):
        self.slept = []
        self.time = 1000.0

    def sleep(self, seconds):
        """Let time pass."""
        self.slept.append(seconds)
        self.time += seconds

    def clock(self):
        """Return it as the client takes it."""
        return Clock(now=lambda: self.time, wall=lambda: self.time, sleep=self.sleep, chance=lambda: 1.0)


def client(**more):
    """Return a client that knows nobody and waits for nothing."""
    return RegistryClient(**{"logins": Logins(()), "clock": Waits().clock(), **more})


def at(where, name="team/app:1"):
    """Return the reference to an image at a registry or a proxy."""
    return parse_reference(f"{where.host}/{name}")


def get(url, accept="*/*"):
    """Return what a plain GET gives; for what a registry holds, asked by another program than ours."""
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers={"Accept": accept}), timeout=30) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()
