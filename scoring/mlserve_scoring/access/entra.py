"""Lets in who shows a token of Microsoft Entra ID; gets the tenant's keys, and again when they are rolled or old.

The keys are fetched on a thread. While the network is down the keys before stay. An unknown key is asked for at most
every half minute, whoever sends it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from mlserve_scoring.access.admission import Admission, Refused, UnknownKey, bearer
from mlserve_scoring.errors import StartError
from mlserve_scoring.setting_rules import entra_problems

if TYPE_CHECKING:
    from mlserve_scoring.access.tokens import Tokens
    from mlserve_scoring.settings import Entra

_log = logging.getLogger("mlserve.entra")
_FRESH_S: Final = 6 * 3600.0
_RETRY_S: Final = 60.0
_LEAST_PAUSE_S: Final = 30.0
_TIMEOUT_S: Final = 10.0
_MOST_BYTES: Final = 1 << 20


def tokens_for(settings: Entra) -> Tokens:
    """Return what checks tokens.

    Raises:
        StartError: The feature is not in the image, or the settings cannot work.
    """
    wrong = entra_problems(settings)
    if wrong:
        raise StartError("; ".join(wrong), stage="init", todo="correct the settings")
    try:
        from mlserve_scoring.access.tokens import Tokens  # noqa: PLC0415  # a feature of the image
    except ImportError as error:
        raise StartError(
            f"entra: tokens need packages that the image lacks, {error}",
            stage="init",
            todo="build the image with the feature 'entra', or leave the setting entra out",
        ) from error
    return Tokens(settings)


class EntraGate:
    """Admits tokens.

    Args:
        tokens: Checks them.
        fetch: Returns the tenant's key set, on a thread.
        fresh_s: How old keys may be before they are fetched again.

    Attributes:
        opened_by: What it asks for.
    """

    opened_by = "token"

    def __init__(
        self, tokens: Tokens, fetch: Callable[[], object], *, fresh_s: float = _FRESH_S, pause_s: float = _LEAST_PAUSE_S
    ) -> None:
        self._tokens = tokens
        self._fetch = fetch
        self._fresh_s = fresh_s
        self._pause_s = pause_s
        self._loop = asyncio.get_running_loop()
        self._asked = -pause_s
        self._asking: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        _log.info("tokens open whose issuer is %s", " or ".join(tokens.issuers))
        self._ask()

    def admit(self, authorization: bytes | None) -> Admission | asyncio.Future[Admission]:
        """Return whether an ``Authorization`` header shows a token that opens."""
        token = bearer(authorization)
        if not token:
            return False
        try:
            return self._tokens.check(token)
        except UnknownKey:
            return self._ask_and_check(token)

    def close(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()

    def _ask_and_check(self, token: bytes) -> Admission | asyncio.Future[Admission]:
        asking = self._ask()
        if asking is None:
            return self._unknown()
        answer: asyncio.Future[Admission] = self._loop.create_future()

        def check(_: asyncio.Future[None]) -> None:
            if answer.done():
                return
            try:
                answer.set_result(self._tokens.check(token))
            except UnknownKey:
                answer.set_result(self._unknown())

        asking.add_done_callback(check)
        return answer

    def _unknown(self) -> Refused:
        if not self._tokens.keys:
            return Refused("unknown", "Tokens cannot be checked at the moment. Try again later.")
        return Refused("invalid", "The token is not valid.")

    def _ask(self) -> asyncio.Future[None] | None:
        """Fetch the keys, unless that happened just now; return what ends when they are there or failed."""
        if self._asking is not None:
            return self._asking
        now = self._loop.time()
        if now - self._asked < self._pause_s:
            return None
        self._asked = now
        self._asking = self._loop.create_future()
        threading.Thread(target=self._work, name="entra-keys", daemon=True).start()
        return self._asking

    def _work(self) -> None:
        from mlserve_scoring.access.tokens import keys_from  # noqa: PLC0415  # a feature of the image

        try:
            found: object = keys_from(self._fetch())
        except Exception as error:  # noqa: BLE001  # whatever it was, those who wait must be answered
            found = error
        try:
            self._loop.call_soon_threadsafe(self._asked_for, found)
        except RuntimeError:  # the loop is gone
            return

    def _asked_for(self, found: object) -> None:
        failed = not isinstance(found, dict)
        if isinstance(found, dict):
            self._tokens.use(found)
        else:
            _log.warning("the tenant's keys cannot be fetched, %s; %d keys stay", found, len(self._tokens.keys))
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(_RETRY_S if failed else self._fresh_s, self._ask)
        asking, self._asking = self._asking, None
        if asking is not None:
            asking.set_result(None)


def fetch_keys(settings: Entra) -> object:
    """Return the tenant's key set.

    Raises:
        OSError: It cannot be had.
        ValueError: What came is no JSON, or too large.
    """
    url = f"{settings.authority.rstrip('/')}/{settings.tenant}/discovery/v2.0/keys"
    opener = urllib.request.build_opener(_NoRedirect)
    try:
        with opener.open(url, timeout=_TIMEOUT_S) as reply:
            data = reply.read(_MOST_BYTES + 1)
    except urllib.error.HTTPError as error:
        error.close()
        raise OSError(f"{url} answered {error.code}") from None
    except urllib.error.URLError as error:
        raise OSError(f"{url}: {error.reason}") from error
    if len(data) > _MOST_BYTES:
        raise ValueError(f"{url} sent more than {_MOST_BYTES} bytes")
    return json.loads(data)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object, **__: object) -> None:
        """Follow nowhere: keys are trusted for where they come from."""
