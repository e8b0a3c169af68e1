"""Whether a certificate and a key can serve under a name, found by a handshake in memory; nothing is kept of them."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

from pulumi_mlserve.core.problems import Problem

_CERTIFICATE, _KEY, _NAME = "ssl_cert_pem_file", "ssl_key_pem_file", "ssl_cname"
_TURNS = 10  # a handshake in memory needs four


def client_context(certificate: Path) -> ssl.SSLContext:
    """Return what verifies that a service shows just this certificate, and that it is for the name asked for.

    Raises:
        OSError: The file cannot be read, or holds no certificate (``ssl.SSLError``).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cafile=certificate)
    # Whoever gave the file vouches for what is in it: no authority needs to be known here.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def certificate_problems(certificate: Path, key: Path, name: str) -> Iterator[Problem]:
    """Yield what keeps clients from being served by this certificate and key under a host's name or address."""
    problems = [*_file_problems(_CERTIFICATE, certificate, b"-----BEGIN CERTIFICATE-----", "certificate")]
    problems += _file_problems(_KEY, key, b"PRIVATE KEY-----", "private key")
    if problems:
        yield from problems
        return
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        client = client_context(certificate)
    except OSError as error:
        yield Problem(_CERTIFICATE, f"is damaged, got {str(certificate)!r} ({_reason(error)})")
        return
    try:
        server.load_cert_chain(certificate, key, password=_no_passphrase)
    except (OSError, ValueError) as error:
        mismatch = getattr(error, "reason", "") == "KEY_VALUES_MISMATCH"
        what = f"does not belong to the certificate in {str(certificate)!r}" if mismatch else "cannot be used"
        yield Problem(_KEY, f"{what}, got {str(key)!r}" + ("" if mismatch else f" ({_reason(error)})"))
        return
    try:
        _shake_hands(client, server, name)
    except ssl.SSLCertVerificationError as error:
        if "mismatch" in error.verify_message.lower():
            yield Problem(
                _NAME, f"the certificate in {str(certificate)!r} is not for {name!r}; give the name it is for"
            )
        else:
            yield Problem(_CERTIFICATE, f"clients refuse it, got {str(certificate)!r} ({error.verify_message})")
    except ssl.SSLError as error:
        yield Problem(_CERTIFICATE, f"clients refuse it, got {str(certificate)!r} ({_reason(error)})")


def _file_problems(setting: str, path: Path, mark: bytes, what: str) -> Iterator[Problem]:
    try:
        text = path.read_bytes()
    except OSError as error:
        yield Problem(setting, f"cannot be read, got {str(path)!r} ({error.strerror}); give the path of a PEM file")
        return
    if mark not in text:
        yield Problem(setting, f"holds no {what} in PEM form, got {str(path)!r}")
    elif what == "private key" and b"ENCRYPTED" in text:
        yield Problem(setting, f"is protected by a passphrase, got {str(path)!r}; give a key without one")


def _shake_hands(client: ssl.SSLContext, server: ssl.SSLContext, name: str) -> None:
    one, two = ssl.MemoryBIO(), ssl.MemoryBIO()
    sides = [
        client.wrap_bio(one, two, server_hostname=name),
        server.wrap_bio(two, one, server_side=True),
    ]
    for _ in range(_TURNS):
        sides = [side for side in sides if _waits(side)]


def _waits(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return True
    return False


def _reason(error: Exception) -> str:
    return str(getattr(error, "reason", None) or getattr(error, "strerror", None) or error)


def _no_passphrase() -> str:
    raise ValueError("it is protected by a passphrase")  # rather than to ask on a terminal
