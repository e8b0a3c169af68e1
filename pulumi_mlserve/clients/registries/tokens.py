"""What a registry gets in the header ``Authorization``: a password, or tokens bought for it at its token service.

See https://distribution.github.io/distribution/spec/auth/ (``token``, ``oauth``), and for the exchange of Entra tokens
https://github.com/Azure/acr/blob/main/docs/AAD-OAuth.md.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlencode, urlsplit

from pulumi_mlserve.clients.registries.challenges import Challenge, merged, read_challenges
from pulumi_mlserve.clients.registries.patience import Clock, Patience, passing
from pulumi_mlserve.clients.registries.refusals import RegistryError

if TYPE_CHECKING:
    from pulumi_mlserve.clients.registries.login_kinds import Login
    from pulumi_mlserve.clients.registries.logins import Logins
    from pulumi_mlserve.clients.registries.wire import Reply, Wire

_USUAL_SECONDS: Final = 60.0
"""How long a token holds that does not say it."""
_SPARE: Final = 0.1
"""The last part of its life in which a token is no longer used."""
_MOST_ANSWER: Final = 1 << 20
_CLIENT: Final = "pulumi-mlserve"


@dataclass(frozen=True)
class _Bought:
    value: str
    until: float


class Tokens:
    """Who we are to one registry, in its own terms; used from several threads.

    Args:
        wire: Carries what is said to the token service.
        origin: Where the registry answers, ``https://x.azurecr.io``.
        registry: Its name, as references write it.
        logins: Who we are.
        plain_http: Says whether a host may be spoken to without encryption.
        patience: Makes what waits between attempts.
        clock: Time.
    """

    def __init__(  # noqa: PLR0913  each is one decision of the client
        self,
        wire: Wire,
        origin: str,
        *,
        registry: str,
        logins: Logins,
        plain_http: Callable[[str], bool],
        patience: Callable[[str], Patience],
        clock: Clock,
    ) -> None:
        self._wire = wire
        self._origin = origin
        self._registry = registry
        self._logins = logins
        self._plain_http = plain_http
        self._patience = patience
        self._clock = clock
        self._lock = threading.RLock()
        self._challenge: Challenge | None = None
        self._bought: dict[tuple[str, ...], _Bought] = {}
        self._refresh: str | None = None

    def header(self, scopes: Sequence[str]) -> str | None:
        """Return what to send for these scopes; None while the registry has not asked who we are."""
        with self._lock:
            if self._challenge is None:
                return None
            login = self._logins.find(self._registry).login
            if self._challenge.scheme == "basic":
                return login.basic() if login is not None and login.kind == "password" else None
            if login is not None and login.kind == "bearer":
                return "Bearer " + login.secret()
            wanted = merged(scopes)
            bought = self._bought.get(wanted)
            if bought is None or self._clock.now() >= bought.until:
                bought = self._bought[wanted] = self._buy(self._challenge, wanted, login)
            return "Bearer " + bought.value

    def refused(self, reply: Reply, scopes: Sequence[str], sent: str | None) -> bool:
        """Learn from an answer 401; return whether asking once more may help.

        Args:
            reply: The answer.
            scopes: What was asked for.
            sent: What was sent in the header.
        """
        with self._lock:
            offered = {challenge.scheme: challenge for challenge in reversed(read_challenges(reply.challenges()))}
            challenge = offered.get("bearer") or offered.get("basic")
            if challenge is None:
                return False
            self._challenge = challenge
            if challenge.scheme == "basic":
                return sent is None and self.header(scopes) is not None
            wanted = merged(scopes)
            bought = self._bought.get(wanted)
            if bought is not None and sent == "Bearer " + bought.value:
                del self._bought[wanted]  # it ran out, or the registry was started again with another key
            login = self._logins.find(self._registry).login
            return sent is None or login is None or login.kind != "bearer"

    def who(self) -> str:
        """Return who we are to the registry and why it is not somebody else, for messages."""
        found = self._logins.find(self._registry)
        notes = f" ({'; '.join(found.notes)})" if found.notes else ""
        return f"{found.login or 'nobody'}{notes}"

    def _buy(self, challenge: Challenge, scopes: tuple[str, ...], login: Login | None) -> _Bought:
        realm = challenge.parameters.get("realm", "")
        self._check(realm)
        service = challenge.parameters.get("service", "")
        common = [("service", service)] if service else []
        if login is not None and login.kind in {"refresh", "entra"}:
            form = [
                ("grant_type", "refresh_token"),
                *common,
                ("client_id", _CLIENT),
                ("scope", " ".join(scopes)),
            ]
            answer = self._by_refresh(realm, form, login)
        else:
            query = urlencode([*common, *(("scope", entry) for entry in scopes)])
            address = f"{realm}{'&' if urlsplit(realm).query else '?'}{query}" if query else realm
            answer = self._ask("GET", address, login.basic() if login is not None else None, None)
        value = answer.get("token") or answer.get("access_token")
        if not isinstance(value, str) or not value or not value.isprintable():
            raise RegistryError(f"registry {self._registry}: its token service gave no token; look into its log")
        seconds = answer.get("expires_in")
        lasting = float(seconds) if isinstance(seconds, int | float) and seconds > 0 else _USUAL_SECONDS
        return _Bought(value, self._clock.now() + lasting * (1 - _SPARE))

    def _by_refresh(self, realm: str, form: list[tuple[str, str]], login: Login) -> dict[str, object]:
        kept = self._refresh is not None
        try:
            return self._ask("POST", realm, None, [*form, ("refresh_token", self._refresh_token(login))])
        except RegistryError as error:
            self._refresh = None
            if not kept or error.status not in {400, 401}:
                raise
        # An Azure registry's own token lasts three hours, an upload may last longer.
        return self._ask("POST", realm, None, [*form, ("refresh_token", self._refresh_token(login))])

    def _refresh_token(self, login: Login) -> str:
        if login.kind != "entra":
            return login.secret()
        if self._refresh is None:
            service = urlsplit(self._origin).netloc
            form = [("grant_type", "access_token"), ("service", service), ("access_token", login.secret())]
            found = self._ask("POST", f"{self._origin}/oauth2/exchange", None, form).get("refresh_token")
            if not isinstance(found, str) or not found:
                raise RegistryError(f"registry {self._registry}: gave no token for that of Entra ID; look into its log")
            self._refresh = found
        return self._refresh

    def _check(self, realm: str) -> None:
        parts = urlsplit(realm)
        if parts.scheme not in {"http", "https"} or not parts.hostname or parts.username:
            raise RegistryError(f"registry {self._registry}: names no usable token service; look into its settings")
        if parts.scheme == "http" and not self._plain_http(parts.netloc):
            raise RegistryError(
                f"registry {self._registry}: names the token service {parts.netloc} without encryption, where no login"
                " is sent; let its realm begin with https, or allow plain http for that host"
            )

    def _ask(
        self, method: str, url: str, authorization: str | None, form: list[tuple[str, str]] | None
    ) -> dict[str, object]:
        headers = {"Authorization": authorization} if authorization else {}
        body = None
        if form is not None:
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            body = urlencode(form).encode()

        def attempt() -> tuple[int, bytes]:
            with self._wire.send(method, url, headers=headers, body=body) as reply:
                if trouble := passing(reply.status, reply.headers, self._clock):
                    raise trouble
                return reply.status, reply.read(_MOST_ANSWER)

        host = urlsplit(url).netloc
        status, content = self._patience(f"registry {self._registry}: getting a token from {host}").run(attempt)
        if status != 200:  # noqa: PLR2004  HTTP's number
            raise RegistryError(
                f"registry {self._registry}: its token service {host} refused {self.who()}, "
                f"it answered {status}; log in again, or check what this login may do",
                status=status,
            )
        try:
            answer = json.loads(content)
        except ValueError:
            answer = None
        return answer if isinstance(answer, dict) else {}
