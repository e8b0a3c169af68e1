"""One HTTP exchange with any host: streams both ways, times out, ends at once when the work is no longer wanted.

The only module that knows the HTTP library, which is imported with the first connection. Who we are, redirects and
further attempts are left to `session`.
"""

from __future__ import annotations

import contextlib
import ipaddress
import logging
import socket
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from pulumi_mlserve.clients.interruption import Cancelled, stop_if
from pulumi_mlserve.clients.registries.refusals import LostConnectionError, RegistryError

if TYPE_CHECKING:
    import httpx

CONNECT_SECONDS: Final = 10.0
SILENT_SECONDS: Final = 60.0
"""How long a connection may carry nothing before it counts as broken."""
PIECE: Final = 1 << 20

_LOOK_EVERY: Final = 0.1
_NO_TLS: Final = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")


class Reply:
    """What a host answers; its body is read while the exchange is open."""

    def __init__(self, response: httpx.Response, where: str) -> None:
        self._response = response
        self._where = where
        self.status = response.status_code
        self.headers: Mapping[str, str] = response.headers
        self.url = str(response.url)

    def pieces(self) -> Iterator[bytes]:
        """Give the body as it was sent.

        Raises:
            LostConnectionError: It broke off.
        """
        with _told(self._where):
            yield from self._response.iter_raw()

    def read(self, most: int = 64 * 1024) -> bytes:
        """Return the first ``most`` bytes of the body."""
        content = b""
        for piece in self.pieces():
            content += piece
            if len(content) >= most:
                break
        return content[:most]

    def challenges(self) -> list[str]:
        """Return the lines in which the host says how to log in."""
        return self._response.headers.get_list("www-authenticate")


class Wire:
    """Connections, kept open between exchanges; used from several threads.

    Args:
        cancelled: Asked all the time: all connections end as soon as it says yes.
        silent_seconds: How long a connection may carry nothing.
    """

    def __init__(self, cancelled: Cancelled | None = None, *, silent_seconds: float = SILENT_SECONDS) -> None:
        self._cancelled = cancelled
        self._silent = silent_seconds
        self._lock = threading.Lock()
        self._made: httpx.Client | None = None
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self._closed = threading.Event()

    def close(self) -> None:
        """End all connections."""
        self._closed.set()
        with self._lock:
            if self._made is not None:
                self._made.close()

    @contextlib.contextmanager
    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        seconds: float | None = None,
    ) -> Iterator[Reply]:
        """Yield the answer to one request, whatever its status; redirects are not followed.

        Args:
            method: HTTP's word.
            url: Where to.
            headers: To send; a streamed body needs its ``Content-Length``.
            body: To send.
            seconds: How long to wait for the answer.

        Raises:
            CancelledError: The work is no longer wanted.
            LostConnectionError: No connection came about, or it broke.
            RegistryError: The host cannot be spoken to.
        """
        import httpx  # noqa: PLC0415  a tenth of a second that few runs need

        parts = urlsplit(url)
        where = parts.hostname or url[:80]
        stop_if(self._cancelled, f"talking to {where}")
        waited = httpx.Timeout(
            self._silent, connect=min(CONNECT_SECONDS, self._silent), read=seconds or self._silent, pool=None
        )
        with _told(where, self._cancelled):
            client = self._client()
            request = client.build_request(
                method,
                url,
                headers={"Accept-Encoding": "identity", **(headers or {})},
                content=body,
                timeout=waited,
                extensions={"trace": self._trace},
            )
            response = client.send(request, stream=True)
        try:
            yield Reply(response, where)
        except LostConnectionError:
            stop_if(self._cancelled, f"talking to {where}")
            raise
        finally:
            response.close()

    def _client(self) -> httpx.Client:
        import httpx  # noqa: PLC0415  as above

        with self._lock:
            if self._made is None:
                for name in ("httpx", "httpcore"):  # they log addresses, which may be signed
                    logger = logging.getLogger(name)
                    logger.setLevel(max(logger.level, logging.WARNING))
                context = httpx.create_ssl_context()
                context.load_default_certs()  # the system's, which know a company's own authority
                self._made = httpx.Client(
                    verify=context,
                    headers={"User-Agent": "pulumi-mlserve"},
                    limits=httpx.Limits(max_connections=None, max_keepalive_connections=20),
                    mounts={f"all://{host}": None for host in ("localhost", "127.0.0.1", "[::1]")},  # past a proxy
                    cookies=_no_cookies(),
                )
                if self._cancelled is not None:
                    threading.Thread(target=self._watch, name="mlserve-registry-watch", daemon=True).start()
            return self._made

    def _trace(self, event: str, info: Mapping[str, Any]) -> None:
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            found = info["return_value"].get_extra_info("socket")
            if isinstance(found, socket.socket):
                self._sockets.add(found)

    def _watch(self) -> None:
        assert self._cancelled is not None
        while not self._closed.wait(_LOOK_EVERY):
            if self._cancelled():
                for found in list(self._sockets):
                    # Not the method of a TLS socket, which would change it under the thread that reads from it.
                    with contextlib.suppress(OSError):
                        socket.socket.shutdown(found, socket.SHUT_RDWR)


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine."""
    name = (urlsplit(f"//{host}").hostname or "").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def _told(where: str, cancelled: Cancelled | None = None) -> Iterator[None]:
    """Put the library's errors into our words."""
    import httpx  # noqa: PLC0415  as above

    try:
        yield
    except httpx.TransportError as error:
        stop_if(cancelled, f"talking to {where}")
        raise _lost(where, error) from error
    except httpx.InvalidURL:  # not kept as the cause: addresses of bytes are often signed
        raise RegistryError(f"registry {where}: sent to an address that is none; look into its settings") from None


def _lost(where: str, error: httpx.TransportError) -> RegistryError | LostConnectionError:
    import httpx  # noqa: PLC0415  as above

    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    if advice := _hopeless(str(error), cause):
        return RegistryError(f"registry {where}: {advice}")
    if isinstance(error, httpx.TimeoutException):
        return LostConnectionError("did not answer in time")
    if isinstance(error, httpx.ProxyError):
        return LostConnectionError("the proxy refused the connection")
    if isinstance(error, httpx.ConnectError):
        return LostConnectionError(f"cannot be reached ({cause.strerror if cause else 'no connection'})")
    return LostConnectionError("the connection broke")


def _hopeless(text: str, cause: OSError | None) -> str | None:
    """Return what is wrong and what to do when another attempt can only end the same way."""
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            "its certificate is not trusted; put its authority's certificate into the system's store, "
            "or name a file with it in SSL_CERT_FILE"
        )
    if any(word in text for word in _NO_TLS):
        return "does not speak TLS; give its TLS port, or allow plain http for it if its network is safe"
    if isinstance(cause, socket.gaierror) and cause.errno == socket.EAI_NONAME:
        return "no such host is known; check the name"
    return None


def _no_cookies() -> Any:
    from http.cookiejar import CookieJar, DefaultCookiePolicy  # noqa: PLC0415  needed with a connection only

    return CookieJar(DefaultCookiePolicy(allowed_domains=[]))
