"""What answers scoring requests: the interface, and how samples are put to it before a service reports ready."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, runtime_checkable

import orjson

from mlserve_scoring.contract import Contract, Sample
from mlserve_scoring.errors import ScoringError
from mlserve_scoring.scorers.results import Answer
from mlserve_scoring.scorers.streams import collected
from mlserve_scoring.transport.message import Request

Done = Callable[[object], None]
_MOST_COLLECTED: Final = 16 << 20
_LINES: Final = b"application/x-ndjson"


class Scorer(Protocol):
    """Answers scoring requests. Knows no status but what a raw script decides itself."""

    @property
    def contract(self) -> Contract:
        """Return what is accepted and returned, with samples as far as they are declared."""

    @property
    def takes_options(self) -> bool:
        """Return whether ``OPTIONS`` requests are for the script."""

    @property
    def run_line(self) -> int | None:
        """Return where ``run()`` begins in the entry script; nothing without one."""

    @property
    def waiting(self) -> int:
        """Return how many requests wait for their turn to run."""

    @property
    def is_stuck(self) -> bool:
        """Return whether runs that do not end keep others from running."""

    @property
    def threads_lost(self) -> int:
        """Return how many threads are held by runs that do not end."""

    def score(self, request: Request, done: Done) -> None:
        """Answer a request: ``done`` gets an ``Answer`` or a ``ScoringError``, once, on the loop, maybe at once."""

    def close(self) -> None:
        """Stop the threads."""


AnswersAtOnce = Callable[[Sequence[bytes]], Sequence["tuple[bytes, float] | ScoringError | None"]]
"""Returns the JSON that answers each body, and how many milliseconds the run took, or why there is none; nothing where
a body must be scored as a request of its own."""

MOST_AT_ONCE: Final = 131_072
"""Bytes of a body; reading a larger one takes milliseconds, for which health and other requests do not wait."""


@runtime_checkable
class SharesRuns(Protocol):
    """Lets requests share runs, and may answer them on the loop."""

    @property
    def at_once(self) -> AnswersAtOnce | None:
        """Return what answers JSON bodies of ``POST`` requests at once; nothing where nothing does."""

    def tell_shared_runs(self, told: Callable[[int], None]) -> None:
        """Let somebody be told how many requests shared a run."""


@dataclass(frozen=True)
class Replayed:
    """A sample put to a scorer.

    Attributes:
        sample: As declared.
        answer: What came back.
        value: The answer's body read as JSON, lines of JSON as a list; ``None`` when it is none or there was an error.
        error: Why there is no answer.
    """

    sample: Sample
    answer: Answer | None = None
    value: object = None
    error: ScoringError | None = None


def into(future: asyncio.Future[object]) -> Done:
    """Return what gives a result to a future, if it is still waited for."""

    def done(result: object) -> None:
        if not future.done():  # told to stop meanwhile
            future.set_result(result)

    return done


async def replay(scorer: Scorer, sample: Sample) -> Replayed:
    """Put one sample to a scorer and return what came back."""
    future: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    request = Request(
        "POST",
        "/score",
        headers={b"content-type": b"application/json", b"host": b"localhost"},
        body=orjson.dumps(sample.input),
    )
    scorer.score(request, into(future))
    result = await future
    if not isinstance(result, Answer):
        return Replayed(sample, error=result)  # type: ignore[arg-type]  # it is an Answer or a ScoringError
    if result.stream is not None:
        try:
            result = result._replace(body=await collected(result.stream, limit=_MOST_COLLECTED), stream=None)
        except ScoringError as error:
            return Replayed(sample, error=error)
    try:
        if result.content_type == _LINES:
            return Replayed(sample, answer=result, value=[orjson.loads(line) for line in result.body.splitlines()])
        return Replayed(sample, answer=result, value=orjson.loads(result.body))
    except orjson.JSONDecodeError:
        return Replayed(sample, answer=result)


def with_answers(contract: Contract, replayed: list[Replayed]) -> Contract:
    """Return a contract whose samples are those replayed, each with the answer it got."""
    samples = tuple(
        Sample(entry.sample.input, entry.value) if entry.answer is not None else entry.sample for entry in replayed
    )
    return replace(contract, samples=samples)
