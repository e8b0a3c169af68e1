"""Encryption on the way to a registry: certificates are checked, and nothing goes without it unless asked."""

from __future__ import annotations

import ipaddress

import pytest
from cryptography import x509
from registry_faults import proxied
from registry_kit import Pattern, at, certificate, client, image_of, pem, registry

from pulumi_mlserve.clients.registries.refusals import RegistryError
from pulumi_mlserve.clients.registries.session import Session
from pulumi_mlserve.clients.registries.wire import is_loopback
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE


def encrypted(_host):
    """No host may be spoken to without encryption."""
    return False


@pytest.fixture(scope="module")
def secure(tmp_path_factory):
    """A registry that speaks TLS with a certificate of a company's own."""
    folder = tmp_path_factory.mktemp("tls")
    key, signed = certificate("registry", alternatives=[x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    for name, thing in (("certificate.pem", signed), ("key.pem", key)):
        (folder / name).write_bytes(pem(thing))
    tls = {"certificate": str(folder / "certificate.pem"), "key": str(folder / "key.pem")}
    with registry(folder, tls=tls) as running:
        yield running


def test_a_certificate_that_nobody_vouches_for_is_refused(secure):
    """With what to do; trying again would not help."""
    with client(plain_http=encrypted) as ours, pytest.raises(RegistryError, match=r"not trusted; .* SSL_CERT_FILE$"):
        ours.resolve(at(secure))


def test_a_company_may_vouch_for_its_registry(secure, monkeypatch):
    """By the variable that other programs know as well."""
    monkeypatch.setenv("SSL_CERT_FILE", str(secure.folder / "certificate.pem"))
    layer = Pattern(5_000_000, b"encrypted")
    manifest, blobs = image_of(layer.source())

    with client(plain_http=encrypted) as ours:
        pushed = ours.push(at(secure), manifest, MANIFEST_TYPE, blobs)
        assert b"".join(layer.pieces(0)) == b"".join(
            ours.blob(pushed.reference, ours.image(at(secure)).manifest.layers[0])
        )


def test_a_registry_without_tls_is_told(tmp_path):
    """With the two ways out."""
    with (
        registry(tmp_path) as plain,
        client(plain_http=encrypted) as ours,
        pytest.raises(RegistryError, match="does not speak TLS; give its TLS port, or allow plain http"),
    ):
        ours.resolve(at(plain))


@pytest.mark.parametrize(
    ("host", "this_machine"),
    [("localhost", True), ("localhost:5000", True), ("a.localhost", True), ("127.0.0.1:1", True), ("[::1]:5000", True),
     ("127.1.2.3", True), ("localhost.example", False), ("10.0.0.1:5000", False), ("registry.example", False)],
)  # fmt: skip
def test_only_this_machine_is_spoken_to_without_encryption(host, this_machine):
    """Nobody else listens there."""
    assert this_machine == is_loopback(host)


def test_an_address_of_the_registry_itself_is_encrypted_as_it_is():
    """A registry behind a proxy that ends TLS often calls itself by http."""
    with client() as ours:
        session = Session("x.example:444", "x.example:444", ours._around)

        assert "https://x.example:444/a?b" == session.address("https://x.example:444/v2/", "http://x.example/a?b")
        assert "https://y.example/a" == session.address("https://x.example:444/v2/", "https://y.example/a")
        with pytest.raises(RegistryError, match=r"sent us to y\.example without encryption"):
            session.address("https://x.example:444/v2/", "http://y.example/a")


def test_addresses_of_uploads_may_leave_out_the_host(tmp_path):
    """Some registries give the path alone."""
    manifest, blobs = image_of(config=b"{}")
    with registry(tmp_path, relativeurls=True) as plain, proxied(plain) as proxy, client() as ours:
        pushed = ours.push(at(proxy), manifest, MANIFEST_TYPE, blobs)

        assert ours.exists(at(plain).at(pushed.reference.digest))
    assert 1 == proxy.count("PUT", "uploads")
