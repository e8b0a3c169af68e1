"""How often and how long to wait when a registry fails: exponential, with jitter, or as long as it asks for."""

from __future__ import annotations

import email.utils
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final, TypeVar

from pulumi_mlserve.clients.interruption import Cancelled, CancelledError, Progress, asked, heard, stop_if
from pulumi_mlserve.clients.registries.refusals import RegistryError, TransientError

T = TypeVar("T")

ATTEMPTS: Final = 7
"""With the pauses between them about half a minute."""
MOST_ASKED: Final = 120.0
"""Seconds; who asks for more is told to the user instead."""

_FIRST: Final = 0.5
_LONGEST: Final = 30.0
_SLICE: Final = 0.1
_OWN_FAILURE: Final = 500
"""By which registries answer for what they hold and cannot read."""
_PASSING: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Clock:
    """Time and chance, so that tests need neither."""

    now: Callable[[], float] = time.monotonic
    wall: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random


class Stop:
    """Says whether to stop: the user wants it, or another part of the same work failed."""

    def __init__(self, cancelled: Cancelled | None) -> None:
        self._cancelled = asked(cancelled)
        self._failed = threading.Event()

    def __call__(self) -> bool:
        """Return whether to stop."""
        return self._failed.is_set() or self._cancelled()

    def each(self, calls: Sequence[Callable[[], T]], most: int) -> list[T]:
        """Return what every call gives, in order, ``most`` at once; the first failure stops the others."""
        with ThreadPoolExecutor(max_workers=min(most, len(calls)), thread_name_prefix="mlserve-registry") as pool:
            running = [pool.submit(call) for call in calls]
            try:
                done, _ = wait(running, return_when=FIRST_EXCEPTION)
                failed = [call for call in done if call.exception() is not None]
                # Those that were stopped because of a failure tell nothing of it.
                failed.sort(key=lambda call: isinstance(call.exception(), CancelledError))
                return [call.result() for call in failed[:1] or running]
            except BaseException:
                self._failed.set()
                pool.shutdown(wait=True, cancel_futures=True)
                self._failed.clear()
                raise


class Patience:
    """Waits between the attempts of one piece of work, and gives up after too many.

    Args:
        doing: What is tried, where; begins the error.
        clock: Time and chance.
        attempts: How often to try at most.
        progress: Told why it takes longer.
        stop: Asked while waiting.
    """

    def __init__(
        self,
        doing: str,
        *,
        clock: Clock,
        attempts: int,
        progress: Progress | None = None,
        stop: Cancelled | None = None,
    ) -> None:
        self._doing = doing
        self._clock = clock
        self._attempts = attempts
        self._say = heard(progress)
        self._stop = stop
        self._failed = 0

    def run(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt gives, made again while it may still go well.

        Raises:
            CancelledError: Nobody wants the work any more.
            RegistryError: It failed too often.
        """
        while True:
            try:
                return attempt()
            except TransientError as trouble:  # noqa: PERF203  a network's pause costs more
                self.wait(trouble)

    def progressed(self) -> None:
        """Forget the failures so far: the work came further than ever."""
        self._failed = 0

    def wait(self, trouble: TransientError) -> None:
        """Wait after a failure.

        Raises:
            CancelledError: Nobody wants the work any more.
            RegistryError: It failed too often, or the registry asks for too long a pause.
        """
        stop_if(self._stop, self._doing)
        self._failed += 1
        if self._failed >= self._attempts:
            times = "once" if self._attempts == 1 else f"{self._failed} times"
            raise RegistryError(
                f"{self._doing}: {trouble}, tried {times}; check the network and the registry, then run again",
                answered=trouble.answered,
            ) from trouble
        pause = min(_LONGEST, _FIRST * 2 ** (self._failed - 1)) * (0.5 + self._clock.chance() / 2)
        if trouble.retry_after is not None:
            if trouble.retry_after > MOST_ASKED:
                raise RegistryError(
                    f"{self._doing}: {trouble}, and it asks to come back in {trouble.retry_after:.0f} s; run again then"
                ) from trouble
            pause = max(pause, trouble.retry_after)
        if pause > 1:
            self._say(f"{self._doing}: {trouble}; trying again in {pause:.0f} s")
        self._sleep(pause)

    def _sleep(self, pause: float) -> None:
        while pause > 0:
            stop_if(self._stop, self._doing)
            self._clock.sleep(min(_SLICE, pause))
            pause -= _SLICE
        stop_if(self._stop, self._doing)


def passing(status: int, headers: Mapping[str, str], clock: Clock) -> TransientError | None:
    """Return the failure that an answer tells of if the next attempt may go better, else None."""
    if status not in _PASSING:
        return None
    # The other numbers tell of the way to it, or of its load.
    return TransientError(f"answered {status}", _retry_after(headers, clock), answered=status == _OWN_FAILURE)


def _retry_after(headers: Mapping[str, str], clock: Clock) -> float | None:
    text = headers.get("retry-after", "").strip()
    if text.isdigit():
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - clock.wall()) if text else None
    except (ValueError, TypeError, OverflowError):
        return None
