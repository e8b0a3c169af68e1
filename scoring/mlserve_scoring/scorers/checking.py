"""What is wrong with the answers to samples, as problems that name the user's line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlserve_scoring.errors import ScoringTimeoutError, StartError
from mlserve_scoring.scorers.schemas import faults, same
from mlserve_scoring.scripts.places import place_of, text_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlserve_scoring.contract import Contract
    from mlserve_scoring.scorers.scorer import Replayed

_OK_BELOW = 400


def problems_of(
    replayed: Sequence[Replayed],
    app_root: Path,
    entry_script: str | None,
    declared: Contract | None = None,
    *,
    run_line: int | None = None,
) -> list[StartError]:
    """Return what is wrong with the answers, all of it.

    Args:
        replayed: The samples with their answers.
        app_root: Where the user's code is.
        entry_script: Named when no line can be.
        declared: When given, answers must fit its output too.
        run_line: Where ``run()`` begins; named where the answer is wrong and no line raised.
    """
    found: list[StartError] = []
    for number, entry in enumerate(replayed):
        problem = _failure(entry, number, app_root, entry_script, run_line)
        if problem is not None:
            found.append(problem)
        else:
            found += _differences(entry, number, entry_script, run_line, declared)
    return found


def _failure(
    entry: Replayed, number: int, app_root: Path, entry_script: str | None, run_line: int | None
) -> StartError | None:
    name = f"sample {number}"
    if entry.error is not None:
        cause = entry.error.__cause__
        place = place_of(entry.error, app_root) if cause is None else place_of(cause, app_root)
        if cause is not None and place.file is not None:
            text = f"{name}: run() raised {text_of(cause)}"
        elif cause is not None and str(entry.error).startswith("An unexpected"):
            text = f"{name}: {text_of(cause)}"
        else:
            text = f"{name}: {entry.error}"
        todo = _advice(entry_script, is_slow=isinstance(entry.error, ScoringTimeoutError))
        return StartError(
            text, stage="run", file=place.file or entry_script, line=place.line if place.file else run_line, todo=todo
        )
    answer = entry.answer
    if answer is not None and (answer.status >= _OK_BELOW or answer.run_failed):
        shown = answer.body[:200].decode("utf-8", "replace")
        return StartError(
            f"{name}: answered with status {answer.status}, {shown}",
            stage="run",
            file=entry_script,
            line=run_line,
            todo=_advice(entry_script),
        )
    return None


def _advice(entry_script: str | None, *, is_slow: bool = False) -> str:
    if entry_script is None:  # a model without a script
        return "raise scoring_timeout_ms" if is_slow else "correct the sample, or give 'samples' that the model answers"
    return (
        "make run() faster, or raise scoring_timeout_ms"
        if is_slow
        else "make run() answer this sample, or correct the sample"
    )


def _differences(
    entry: Replayed, number: int, entry_script: str | None, run_line: int | None, declared: Contract | None
) -> list[StartError]:
    def problem(text: str, todo: str) -> StartError:
        return StartError(f"sample {number}: {text}", stage="output", file=entry_script, line=run_line, todo=todo)

    value = decoded(entry.value)
    if entry.sample.has_output:
        if not same(entry.sample.output, entry.value) and not same(entry.sample.output, value):
            return [
                problem(
                    f"expected {_short(entry.sample.output)}, got {_short(entry.value)}",
                    "correct the sample's output" + ("" if entry_script is None else ", or what run() returns"),
                )
            ]
        return []
    if declared is None or not declared.output:
        return []
    return [
        problem(f"the answer does not fit @output_schema, {fault}", "make the declared sample like what run() returns")
        for fault in _least_faults(entry.value, value, declared)
    ]


def _least_faults(value: object, read: object, declared: Contract) -> list[str]:
    return min((faults(value, declared.output), faults(read, declared.output)), key=len)


def decoded(value: object) -> object:
    """Return an answer read once more as JSON when it is a text that holds some: v1 encodes such texts twice."""
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value


def _short(value: object, limit: int = 120) -> str:
    text = json.dumps(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"
