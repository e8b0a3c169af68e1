"""TLS from mounted files: what is spoken, what is reloaded, what is refused at start."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
import time
from pathlib import Path

import pytest
from mlserve_scoring.transport import tls
from mlserve_scoring.transport.tls import Certificates
from scoring_kit import PATIENCE, read_all, read_reply, write_image

READ_S = PATIENCE * 2  # what is to happen at once happens long before
SCRIPT = """
    import time

    def init():
        pass

    def run(data):
        if data == "slow":
            time.sleep(1)
        return "x" * int(data) if data.isdigit() else data
"""


def make_pair(folder, name, passphrase=None):
    """Write NAME.crt and NAME.key for localhost; return both."""
    certificate, key = folder / f"{name}.crt", folder / f"{name}.key"
    protection = ["-nodes"] if passphrase is None else ["-passout", f"pass:{passphrase}"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", *protection]
    named = ["-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"]
    subprocess.run([*command, *named, "-keyout", key, "-out", certificate], check=True, capture_output=True)
    return certificate, key


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Two pairs, and one whose key is protected."""
    folder = tmp_path_factory.mktemp("pairs")
    return {name: make_pair(folder, name, word) for name, word in (("one", None), ("two", None), ("closed", "word"))}


@pytest.fixture(scope="module")
def secure(start_shared, tmp_path_factory, pairs):
    """A service that speaks TLS."""
    root = write_image(tmp_path_factory.mktemp("secure") / "root", {"score.py": SCRIPT})
    certificate, key = pairs["one"]
    return start_shared(root, tls_certificate=str(certificate), tls_key=str(key), read_timeout_s=READ_S)


def connected(service, trusted, **changes):
    """Open a connection that trusts one certificate."""
    context = ssl.create_default_context(cafile=trusted)
    context.set_alpn_protocols(["h2", "http/1.1"])
    for name, value in changes.items():
        setattr(context, name, value)
    plain = service.connect()
    try:
        return context.wrap_socket(plain, server_hostname="localhost")
    except BaseException:
        plain.close()
        raise


def shown(service):
    """The name in the certificate that a service shows, as DER holds it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with service.connect() as plain, context.wrap_socket(plain) as client:
        return client.getpeercert(binary_form=True)


def post(body, *headers):
    """The bytes of a POST to /score."""
    lines = ["POST /score HTTP/1.1", "Host: x", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_requests_are_answered_over_tls(secure, pairs):
    """One connection carries many, with HTTP/1.1 agreed upon."""
    with connected(secure, pairs["one"][0]) as client:
        statuses = []
        for body in (b"a", b"300000", b"b"):
            client.sendall(post(body))
            statuses.append(read_reply(client)[0])

        assert [200, 200, 200] == statuses
        assert client.selected_alpn_protocol() == "http/1.1"
        assert client.version() in {"TLSv1.2", "TLSv1.3"}


def test_tls_1_2_is_spoken_with_modern_ciphers_alone(secure, pairs):
    """Each has forward secrecy and authenticates what it encrypts."""
    with connected(secure, pairs["one"][0], maximum_version=ssl.TLSVersion.TLSv1_2) as client:
        assert client.cipher()[0].startswith("ECDHE-")
        assert "GCM" in client.cipher()[0] or "CHACHA20" in client.cipher()[0]


def test_older_versions_are_refused(secure):
    """TLS 1.1 has been given up by everybody."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("DEFAULT:@SECLEVEL=0")
    context.options &= ~ssl.OP_NO_TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.minimum_version = context.maximum_version = ssl.TLSVersion.TLSv1_1
    with secure.connect() as plain, pytest.raises(OSError):
        context.wrap_socket(plain)


def test_a_last_reply_is_complete_and_the_end_is_announced(secure, pairs):
    """The client sees a proper end of TLS, at once."""
    with connected(secure, pairs["one"][0]) as client:
        client.sendall(post(b"300000", "Connection: close"))
        data = read_all(client)

    assert data.endswith(b"x" * 300_000 + b'"')


def test_a_client_that_ends_tls_before_its_answer_writes_nothing_into_the_log(secure, pairs):
    """Whoever can connect could else fill it."""
    before = secure.log
    with connected(secure, pairs["one"][0]) as client:
        client.sendall(post(b"slow"))
        with contextlib.suppress(OSError), client.unwrap() as plain:
            read_all(plain)
    with connected(secure, pairs["one"][0]) as client:
        client.sendall(post(b"1", "Connection: close"))
        assert read_all(client).startswith(b"HTTP/1.1 200 ")

    assert before == secure.log


class HalfClosing:
    """A client that ends its half of TLS after what it asked, and reads on."""

    def __init__(self, service, trusted, version):
        context = ssl.create_default_context(cafile=trusted)
        context.minimum_version = context.maximum_version = version
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_hostname="localhost")
        self.socket = service.connect()
        self._go_on(self.tls.do_handshake)

    def ask(self, data):
        """Returns all that comes until the service ends its half too."""
        self.tls.write(data)
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        found = b""
        while part := self._go_on(lambda: self.tls.read(65_536)):
            found += part
        return found

    def _go_on(self, step):
        while True:
            try:
                done = step()
            except ssl.SSLWantReadError:
                done = None
            except ssl.SSLZeroReturnError:
                done = b""
            if self.outgoing.pending:
                self.socket.sendall(self.outgoing.read())
            if done is not None or (step == self.tls.do_handshake and self.tls.version() and self.tls.cipher()):
                return done
            data = self.socket.recv(65_536)
            if not data:
                return b""
            self.incoming.write(data)


@pytest.mark.parametrize(
    ("version", "answers"), [(ssl.TLSVersion.TLSv1_3, 2), (ssl.TLSVersion.TLSv1_2, 0)], ids=["1.3", "1.2"]
)
def test_a_client_may_end_its_half_of_tls_first(secure, pairs, version, answers):
    """It gets all its answers with TLS 1.3. Version 1.2 asks to throw them away and to close at once."""
    client = HalfClosing(secure, pairs["one"][0], version)
    with client.socket:
        data = client.ask(post(b"slow") + post(b"200000"))

    assert answers == data.count(b"HTTP/1.1 200 ")
    assert not answers or data.endswith(b"x" * 200_000 + b'"')


def test_a_client_that_ends_its_half_and_asked_nothing_is_closed(secure, pairs):
    """At once, whatever the version."""
    client = HalfClosing(secure, pairs["one"][0], ssl.TLSVersion.TLSv1_3)
    with client.socket:
        assert b"" == client.ask(b"")


def test_a_refused_body_is_answered_over_tls(secure, pairs):
    """The refusal reaches the client before the connection ends."""
    with connected(secure, pairs["one"][0]) as client:
        client.sendall(b"POST /score HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999\r\n\r\n")
        data = read_all(client)

    assert data.startswith(b"HTTP/1.1 413 ")


def test_plain_http_to_a_tls_port_is_closed(secure):
    """And nothing worse."""
    with secure.connect() as client, contextlib.suppress(ConnectionResetError):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

        assert b"HTTP/1.1 200" not in read_all(client)
    assert shown(secure)


def test_a_client_that_does_not_finish_the_handshake_is_closed(start, image, pairs):
    """Within the time for a request."""
    certificate, key = pairs["one"]
    settings = {"tls_certificate": str(certificate), "tls_key": str(key), "read_timeout_s": 1}
    service = start(image({"score.py": SCRIPT}), **settings)
    with service.connect() as client, contextlib.suppress(ConnectionResetError):
        client.sendall(b"\x16\x03\x01")

        assert read_all(client) == b""


def certificate_of(pair):
    """A certificate as DER."""
    return ssl.PEM_cert_to_DER_cert(pair[0].read_text())


def until(fact):
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not fact():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_a_swapped_mount_is_read_again_and_no_connection_is_lost(start, image, pairs, tmp_path):
    """As Kubernetes does it: a link is put in the place of another; a wrong pair keeps the old one, said once."""
    for name, (certificate, key) in (
        ("a", pairs["one"]),
        ("b", pairs["two"]),
        ("c", (pairs["one"][0], pairs["two"][1])),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tls.crt").write_bytes(certificate.read_bytes())
        (tmp_path / name / "tls.key").write_bytes(key.read_bytes())

    def swap(name):
        (tmp_path / "next").symlink_to(name)
        (tmp_path / "next").replace(tmp_path / "now")

    swap("a")
    now = tmp_path / "now"
    service = start(image({"score.py": SCRIPT}), tls_certificate=str(now / "tls.crt"), tls_key=str(now / "tls.key"))
    with connected(service, pairs["one"][0]) as kept:
        first = shown(service)
        swap("b")
        until(lambda: shown(service) == certificate_of(pairs["two"]))
        swap("c")
        until(lambda: "does not belong" in service.log)
        time.sleep(1.5)
        second = shown(service)
        kept.sendall(post(b"still"))
        status, _, body = read_reply(kept)

    assert first == certificate_of(pairs["one"])
    assert second == certificate_of(pairs["two"])
    assert (200, b'"still"') == (status, body)
    assert service.log.count("does not belong") == 1
    assert "the certificate before stays in use" in service.log


def test_a_mount_that_is_swapped_between_two_looks_is_wrong_once(pairs, tmp_path, monkeypatch, caplog):
    """Of the files before one was seen, and of those after it the other; the next look sees both as they are."""
    for name, (certificate, key) in (("right", pairs["one"]), ("wrong", (pairs["one"][0], pairs["two"][1]))):
        (tmp_path / name).mkdir()
        (tmp_path / name / "tls.crt").write_bytes(certificate.read_bytes())
        (tmp_path / name / "tls.key").write_bytes(key.read_bytes())
    (tmp_path / "now").symlink_to("right")
    certificates = Certificates(str(tmp_path / "now/tls.crt"), str(tmp_path / "now/tls.key"))
    look = tls._signature

    def look_and_swap(path):
        seen = look(path)
        if path.name == "tls.crt" and not (tmp_path / "next").exists():
            (tmp_path / "next").symlink_to("wrong")
            (tmp_path / "next").rename(tmp_path / "now")
            (tmp_path / "next").touch()
        return seen

    monkeypatch.setattr(tls, "_signature", look_and_swap)
    for _ in range(3):
        certificates.refresh()

    assert ["does not belong" in message for message in caplog.messages] == [True]


@pytest.mark.parametrize(
    ("certificate", "key", "said"),
    [
        ("absent", "one", "tls_certificate: "),
        ("one", "absent", "tls_key: "),
        ("one", "two", "does not belong to"),
        ("key of one", "one", "holds no certificate in PEM form"),
        ("one", "certificate of one", "holds no private key in PEM form"),
        ("damaged", "one", "is damaged"),
        ("closed", "closed", "is protected by a passphrase"),
    ],
)
def test_a_pair_that_cannot_work_stops_the_start(start, image, pairs, tmp_path, certificate, key, said):
    """The error names the setting, the file, and what is wrong with it."""
    (tmp_path / "damaged").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    files = dict(pairs.items()) | {
        "absent": (tmp_path / "absent", tmp_path / "absent"),
        "damaged": (tmp_path / "damaged", tmp_path / "damaged"),
        "key of one": (pairs["one"][1], None),
        "certificate of one": (None, pairs["one"][0]),
    }
    service = start(
        image({"score.py": SCRIPT}),
        wait=False,
        tls_certificate=str(files[certificate][0]),
        tls_key=str(files[key][1]),
    )

    with pytest.raises(AssertionError, match=said):
        service.wait("ready")
    assert service.process.wait(PATIENCE) == 3


def test_the_socket_is_handed_over_under_tls(start, image, pairs):
    """The next process answers on the same port; what the first was asked is answered by it."""
    certificate, key = pairs["one"]
    root = image({"score.py": SCRIPT})
    pair = {"tls_certificate": str(certificate), "tls_key": str(key)}
    first = start(root, drain_seconds=PATIENCE, **pair)
    with connected(first, certificate) as client:
        client.sendall(post(b"slow", "Connection: close"))
        _, inherited = first.ask("handover", with_socket=True)
        second = start(root, fds=(inherited,), fd=inherited, **pair)
        os.close(inherited)
        first.ask("drain")
        old = read_all(client)
    with connected(second, certificate) as client:
        client.sendall(post(b"new", "Connection: close"))
        new = read_all(client)

    assert (first.port, True) == (second.port, old.endswith(b'"slow"'))
    assert new.endswith(b'"new"')
    assert first.process.wait(PATIENCE) == 0


def test_a_large_refused_body_is_answered_while_it_is_sent(secure, pairs):
    """What the client goes on sending does not take the refusal from it."""
    with connected(secure, pairs["one"][0]) as client:
        client.sendall(b"POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n")
        with contextlib.suppress(OSError):
            client.sendall(b"x" * 200_000)

        assert client.recv(65536).startswith(b"HTTP/1.1 404 ")


def test_workers_share_a_tls_port(start, image, pairs):
    """Each reads the certificate itself."""
    certificate, key = pairs["one"]
    service = start(image({"score.py": SCRIPT}), tls_certificate=str(certificate), tls_key=str(key), workers=2)
    for _ in range(6):
        with connected(service, certificate) as client:
            client.sendall(post(b"a", "Connection: close"))

            assert read_all(client).endswith(b'"a"')


def test_an_endless_answer_over_tls_is_not_kept_in_memory(start, image, pairs, tmp_path):
    """The generator waits for the client here too, and ends with it."""
    script = f"""
        import pathlib
        def init(): pass
        def run(data):
            try:
                while True:
                    yield b"x" * 10_000
            finally:
                pathlib.Path({str(tmp_path / "closed")!r}).touch()
    """
    certificate, key = pairs["one"]
    service = start(image({"score.py": script}), tls_certificate=str(certificate), tls_key=str(key), read_timeout_s=3)
    with connected(service, certificate) as client:
        client.sendall(post(b"a"))
        client.recv(1000)
        until((tmp_path / "closed").exists)
        text = Path(f"/proc/{service.process.pid}/status").read_text()
    memory = next(int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM:"))

    assert memory < 150_000
