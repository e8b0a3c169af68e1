"""The certificate that a service shows: checked at start, and read again for new connections when its files change."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlserve_scoring.errors import StartError

if TYPE_CHECKING:
    from mlserve_scoring.settings import Settings

_log = logging.getLogger("mlserve.tls")
_TODO: Final = "give PEM files: the certificate with its chain, and its private key without a passphrase"
# Those of TLS 1.2 with forward secrecy and authenticated encryption; TLS 1.3 has no others.
_CIPHERS: Final = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!MD5"


class HalfClosing(ssl.SSLObject):
    """One connection's TLS, which a client may end on its side and still read its answers (RFC 8446, 6.1).

    The loop's own TLS closes a connection as soon as the client has ended its half, and throws away what is still to
    be written. Here it is told that nothing has come yet, and whoever serves the connection hears of the end instead.
    TLS 1.2 wants what the loop does (RFC 5246, 7.2.1).

    Attributes:
        on_end: Called once, on the loop, when the client has ended its half; ``None`` leaves the end to the loop.
    """

    on_end: Callable[[], object] | None = None
    _has_ended = False

    def read(self, len: int = 1024, buffer: Any = None) -> Any:  # noqa: A002  # ssl calls it so
        """Return what has come; see ``ssl.SSLObject.read``."""
        data = super().read(len, buffer)
        if data or self.on_end is None or self.version() != "TLSv1.3":
            return data
        if not self._has_ended:
            self._has_ended = True
            asyncio.get_running_loop().call_soon(self.on_end)  # after what came before it was given on
        raise ssl.SSLWantReadError


class Certificates:
    """The certificate and key of a service, as their files say.

    Kubernetes swaps the links of a mount, and other tools write one file after the other: a pair that does not fit is
    reported once, and the pair before is shown on until the files change again.

    Args:
        certificate: PEM file, the chain after the certificate.
        key: PEM file.
        protocol: What is spoken, by its name in TLS (ALPN).

    Attributes:
        context: What connections are accepted with; stays the same object.

    Raises:
        StartError: The files cannot be read, or do not fit.
    """

    def __init__(self, certificate: str, key: str, *, protocol: str = "http/1.1") -> None:
        self._certificate = Path(certificate).absolute()  # a script may change the working folder
        self._key = Path(key).absolute()
        self._protocol = protocol
        self._seen = self._signature()
        self._current = self._load()
        self.context = self._current
        # The callback comes with every handshake, also of clients that name no server.
        self.context.sni_callback = self._choose

    def refresh(self) -> None:
        """Read the files again if they have changed; those that change meanwhile are left for the next time."""
        signature = self._signature()
        if signature == self._seen:
            return
        problem, current = None, self._current
        try:
            current = self._load()
        except StartError as error:
            problem = error
        if self._signature() != signature:  # one file may be of the pair before, and the other of the next one
            return
        self._seen = signature
        self._current = current
        if problem is None:
            _log.info("the certificate in %s was read again", self._certificate)
        else:
            _log.error("%s; the certificate before stays in use", problem)

    def _choose(self, connection: ssl.SSLObject, name: str | None, context: ssl.SSLContext) -> None:
        del name
        if self._current is not context:
            connection.context = self._current

    def _signature(self) -> tuple[tuple[int, ...] | None, ...]:
        return tuple(map(_signature, (self._certificate, self._key)))

    def _load(self) -> ssl.SSLContext:
        for setting, path in (("tls_certificate", self._certificate), ("tls_key", self._key)):
            _check(setting, path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sslobject_class = HalfClosing
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(_CIPHERS)
        context.set_alpn_protocols([self._protocol])
        context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_CIPHER_SERVER_PREFERENCE
        context.options |= getattr(ssl, "OP_NO_RENEGOTIATION", 0) | getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
        try:
            context.load_cert_chain(self._certificate, self._key, password=_no_passphrase)
        except ssl.SSLError as error:
            if error.reason == "KEY_VALUES_MISMATCH":
                raise _wrong(f"tls_key: {self._key} does not belong to {self._certificate}") from error
            reason = error.reason or "they are damaged"
            raise _wrong(
                f"tls_certificate, tls_key: {self._certificate} and {self._key} cannot be used, {reason}"
            ) from error
        except (OSError, ValueError) as error:
            raise _wrong(f"tls_key: {self._key} cannot be used, {error}") from error
        return context


def certificates_of(settings: Settings, *, protocol: str = "http/1.1") -> Certificates | None:
    """Return the certificate of a service for a protocol; nothing where it speaks without TLS.

    Raises:
        StartError: The files cannot be read, or do not fit.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    return Certificates(settings.tls_certificate, settings.tls_key, protocol=protocol)


def _check(setting: str, path: Path) -> None:
    """Refuse a file that cannot be what its setting says."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise _wrong(f"{setting}: {path} cannot be read, {error.strerror or error}") from error
    if setting == "tls_key":
        if b"PRIVATE KEY-----" not in text:
            raise _wrong(f"{setting}: {path} holds no private key in PEM form")
        if b"ENCRYPTED" in text:
            raise _wrong(f"{setting}: {path} is protected by a passphrase")
        return
    if b"-----BEGIN CERTIFICATE-----" not in text:
        raise _wrong(f"{setting}: {path} holds no certificate in PEM form")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except (ssl.SSLError, OSError) as error:
        raise _wrong(f"{setting}: {path} is damaged, {error}") from error


def _wrong(text: str) -> StartError:
    return StartError(text, stage="init", todo=_TODO)


def _no_passphrase() -> str:
    raise ValueError("it is protected by a passphrase")  # rather than to ask on a terminal


def _signature(path: Path) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)  # noqa: PTH116  # follows the links that a mount swaps
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_ctime_ns, found.st_size
