"""Questions to one registry: says who we are where that is safe, follows redirects, tries again when that may help."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias
from urllib.parse import urljoin, urlsplit

from pulumi_mlserve.clients.interruption import Progress
from pulumi_mlserve.clients.registries.logins import Logins
from pulumi_mlserve.clients.registries.patience import Clock, Patience, Stop, passing
from pulumi_mlserve.clients.registries.refusals import RegistryError, refusal
from pulumi_mlserve.clients.registries.tokens import Tokens
from pulumi_mlserve.clients.registries.wire import Reply, Wire

Body: TypeAlias = Callable[[], Iterable[bytes]]
"""Gives what is sent, anew for each attempt."""

_MOST_REDIRECTS: Final = 5
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_LOGINS: Final = 3
"""Nobody, somebody, and once more with a new token."""


@dataclass(frozen=True)
class Ask:
    """One question.

    Attributes:
        doing: What it is for, in words: ``pushing the manifest of app``.
        method: HTTP's word.
        path: Below the registry's address, or the whole address that it gave us.
        scopes: What it needs to be allowed to.
        headers: Sent with it.
        body: What is sent.
        seconds: How long the answer may take; by default as long as a connection may be silent.
    """

    doing: str
    method: str
    path: str
    scopes: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Body | None = None
    seconds: float | None = None


@dataclass(frozen=True)
class Answer:
    """What a registry said, whole.

    Attributes:
        status: HTTP's number.
        headers: Their names in any case.
        body: Its begin.
        url: Where it came from.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


@dataclass(frozen=True)
class Surroundings:
    """What every question of one client shares.

    Attributes:
        wire: The connections.
        logins: Who we are.
        plain_http: Says whether a host, with its port, may be spoken to without encryption.
        stop: Says whether to stop.
        progress: Told why it takes longer.
        clock: Time and chance.
        attempts: How often a question is asked at most.
    """

    wire: Wire
    logins: Logins
    plain_http: Callable[[str], bool]
    stop: Stop
    progress: Progress | None
    clock: Clock
    attempts: int

    def patience(self, doing: str) -> Patience:
        """Return what waits between the attempts of one piece of work."""
        return Patience(doing, clock=self.clock, attempts=self.attempts, progress=self.progress, stop=self.stop)


class Session:
    """Talks with one registry; used from several threads.

    Args:
        registry: Its name, as references write it.
        host: Where it answers.
        around: What it shares with the others.
    """

    def __init__(self, registry: str, host: str, around: Surroundings) -> None:
        self.registry = registry
        self.around = around
        self.origin = f"{'http' if around.plain_http(host) else 'https'}://{host}"
        self._tokens = Tokens(
            around.wire,
            self.origin,
            registry=registry,
            logins=around.logins,
            plain_http=around.plain_http,
            patience=around.patience,
            clock=around.clock,
        )

    def where(self, doing: str) -> str:
        """Return the begin of a message."""
        return f"registry {self.registry}: {doing}"

    def patience(self, doing: str) -> Patience:
        """Return what waits between the attempts of one piece of work."""
        return self.around.patience(self.where(doing))

    def call(self, ask: Ask, *, wanted: Collection[int] = (200,), most: int = 64 * 1024) -> Answer:
        """Return the answer to a question, asked again while it may still go well.

        Args:
            ask: The question.
            wanted: The statuses that the caller can use.
            most: Bytes of the body to read; of a longer one it gets one more, so that it can tell.

        Raises:
            CancelledError: Nobody wants the answer any more.
            NotThereError: The registry says that it has no such thing.
            RegistryError: It refused, or it could not be asked.
        """

        def attempt() -> Answer:
            with self.once(ask) as reply:
                self.told(ask, reply, wanted)
                return Answer(reply.status, reply.headers, reply.read(most + 1), reply.url)

        return self.patience(ask.doing).run(attempt)

    def told(self, ask: Ask, reply: Reply, wanted: Collection[int]) -> None:
        """Raise what an answer means that is not wanted.

        Raises:
            TransientError: The next attempt may go better.
            NotThereError: The registry has no such thing.
            RegistryError: It refused.
        """
        if reply.status in wanted:
            return
        if trouble := passing(reply.status, reply.headers, self.around.clock):
            raise trouble
        raise self.refused(ask, Answer(reply.status, reply.headers, reply.read(), reply.url))

    def refused(self, ask: Ask, answer: Answer) -> RegistryError:
        """Return what an answer means that refuses."""
        hint = ""
        if answer.status in {401, 403}:
            if self._is_ours(answer.url):
                hint = f"it knows us as {self._tokens.who()}; check rights, or log in: docker login {self.registry}"
            else:
                hint = f"{urlsplit(answer.url).hostname}, where its bytes lie, refused us; run again"
        return refusal(self.where(ask.doing), answer.status, answer.body, hint=hint)

    @contextlib.contextmanager
    def once(self, ask: Ask) -> Iterator[Reply]:
        """Yield the answer to one attempt, whatever its status; a login is renewed where the registry asks for it.

        Raises:
            CancelledError: Nobody wants the answer any more.
            TransientError: No answer came.
            RegistryError: No login could be had, or the registry sent us to where nobody may go.
        """
        url = self.address(self.origin, ask.path)
        redirects = logins = 0
        while True:
            authorization = self._tokens.header(ask.scopes) if self._is_ours(url) else None
            headers = dict(ask.headers)
            if authorization is not None:
                headers["Authorization"] = authorization
            body = ask.body() if callable(ask.body) else ask.body
            with self.around.wire.send(ask.method, url, headers=headers, body=body, seconds=ask.seconds) as reply:
                if reply.status in _REDIRECTS and ask.method in {"GET", "HEAD"} and "location" in reply.headers:
                    redirects += 1
                    if redirects <= _MOST_REDIRECTS:
                        url = self.address(url, reply.headers["location"])
                        continue
                    raise RegistryError(f"{self.where(ask.doing)}: sent on more than {_MOST_REDIRECTS} times; check it")
                logins += 1
                if (
                    reply.status == 401  # noqa: PLR2004  HTTP's number
                    and self._is_ours(url)
                    and logins < _LOGINS
                    and self._tokens.refused(reply, ask.scopes, authorization)
                ):
                    continue
                yield reply
                return

    def address(self, base: str, location: str) -> str:
        """Return the address that a registry gave us, if it may be used.

        Raises:
            RegistryError: It would be spoken to without encryption.
        """
        url = urljoin(base, location)
        parts, ours = urlsplit(url), urlsplit(self.origin)
        if parts.scheme == "http" and ours.scheme == "https" and parts.hostname == ours.hostname:
            # A registry behind a proxy that ends TLS often does not know that it has any.
            return parts._replace(scheme="https", netloc=ours.netloc).geturl()
        if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
            raise RegistryError(f"registry {self.registry}: sent us to an address that is none; look into its settings")
        if parts.scheme == "http" and not self.around.plain_http(parts.netloc):
            raise RegistryError(
                f"registry {self.registry}: sent us to {parts.netloc} without encryption; "
                "let it use https there, or allow plain http for that host"
            )
        return url

    def _is_ours(self, url: str) -> bool:
        return _origin(url) == _origin(self.origin)


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
