"""Whether a model may answer several requests in one run: only when no answer changes by a single bit.

Nothing in a model's description says that its rows do not touch each other, so it is tried: rows that differ much are
run alone and together, in every number up to ``MOST_ROWS``, and every output of every row must be the same bytes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from mlserve_scoring.models.loaded import rows_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlserve_scoring.models.loaded import Array, LoadedModel, Port

MOST_ROWS: Final = 64
_WORTH: Final = 0.7  # a run of many rows must take less than this part of as many runs
_TIMED: Final = 5
# Vector code and its remainder differ in the last bit for a few values in a hundred: a linear classifier of onnxruntime
# does so from 25 rows on.
_ROUNDS: Final = 3
_PATIENCE: Final = 16  # rows that it may refuse before it accepted any
_FEWEST: Final = 16  # rows that the model must have accepted for the trial to say anything
# Rows touch each other in ways that depend on their size (a maximum, a clip) or that only what is no number shows.
_SCALES: Final = (1.0, 1.0, 1.0, 1.0, 0.01, 30.0, 1e3, 1e5)
_ODD: Final = (np.nan, np.inf, -np.inf, 0.0)
_WORDS: Final = ("", "a", "b", "0", "1", "yes", "no", "x y z")

Rows = list["dict[str, Array]"]


def may_share_runs(model: LoadedModel, sample: Mapping[str, Array]) -> bool:
    """Return whether rows of different requests may be run together, and whether that is worth it.

    Args:
        model: Runs on this thread, some five hundred times.
        sample: Inputs of one request that the model accepts.
    """
    has_free_rows = all(port.shape and port.shape[0] is None and not port.is_optional for port in model.inputs)
    gives_rows = all(not port.dtype or (port.shape and port.shape[0] is None) for port in model.outputs)
    if not has_free_rows or not gives_rows or not rows_of(sample) or len(sample) < len(model.inputs):
        return False
    try:
        if not any(_has_fractions(output) for output in model.run(sample)) or not _is_worth_it(model, sample):
            return False
        return all(_is_proven(model, sample, seed) for seed in range(_ROUNDS))
    except Exception:  # noqa: BLE001  # a model that refuses rows together is asked one request at a time
        return False


def join(parts: Sequence[Mapping[str, Array]]) -> dict[str, Array]:
    """Return the inputs of several requests as those of one run."""
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _is_proven(model: LoadedModel, sample: Mapping[str, Array], seed: int) -> bool:
    rows, alone = _answered(model, _different_rows(sample, model.inputs, seed))
    return len(rows) >= _FEWEST and _differ(alone) and _all_same(model, rows, alone)


def _different_rows(sample: Mapping[str, Array], ports: Sequence[Port], seed: int) -> Rows:
    draw = np.random.default_rng(seed)
    words = {port.name: port.words for port in ports}
    return [
        {name: _varied(array[:1], draw, number, words.get(name, ())) for name, array in sample.items()}
        for number in range(2 * MOST_ROWS)
    ]


def _varied(first: Array, draw: np.random.Generator, number: int, words: Sequence[object]) -> Array:
    """Return a row like the first one; how far from it depends on its number."""
    row: Any = first
    made: Array
    kind = first.dtype.kind
    if kind == "f":
        scale = _SCALES[number % len(_SCALES)]
        with np.errstate(over="ignore"):
            made = (row + scale * draw.normal(size=row.shape)).astype(first.dtype)
        if number % 11 == 10:  # noqa: PLR2004  # one in eleven
            made.flat[draw.integers(made.size)] = _ODD[number // 11 % len(_ODD)]
        return made
    stays = number % 2 == 1  # an encoder may know no other words and numbers
    known = words
    if kind == "O" and not words and all(isinstance(cell, str) for cell in row.flat):
        known = (*row.flat, *_WORDS)
    if known and kind in "iuO":
        return first if stays else _of(first, [known[at] for at in draw.integers(len(known), size=row.size)])
    if kind in "iub":
        base = 0 if kind == "b" else row
        most = 2 if kind == "b" or number % 4 else 100
        made = row if stays and kind == "i" else (base + draw.integers(0, most, size=row.shape)).astype(first.dtype)
        return made
    return first


def _of(like: Array, cells: Sequence[object]) -> Array:
    made: Any = np.empty(like.size, dtype=like.dtype)
    for number, cell in enumerate(cells):
        made[number] = cell
    shaped: Array = made.reshape(like.shape)
    return shaped


def _answered(model: LoadedModel, rows: Rows) -> tuple[Rows, list[bytes]]:
    """Return rows that the model accepts, and what it answers each of them alone: twice the same."""
    accepted: Rows = []
    alone: list[bytes] = []
    for number, row in enumerate(rows):
        if number == _PATIENCE and not accepted:
            break
        try:
            answer = _bytes(model.run(row))
        except Exception:  # noqa: BLE001, S112  # an invented row may well be wrong
            continue
        if len(accepted) < 4 and answer != _bytes(model.run(row)):  # noqa: PLR2004  # often enough to see chance
            return [], []
        accepted.append(row)
        alone.append(answer)
        if len(accepted) == MOST_ROWS:
            break
    return accepted, alone


def _differ(answers: list[bytes]) -> bool:
    """Return whether answers tell rows apart: equal ones would hide that rows touch each other."""
    return len(set(answers)) > 1


def _has_fractions(output: object) -> bool:
    """Return whether an output shows the last bits of what was computed: labels would hide that these change."""
    if isinstance(output, np.ndarray):
        return bool(output.dtype.kind == "f")
    rows: list[Any] = output[:1] if isinstance(output, list) else []
    cells = [cell for row in rows for cell in (row.values() if isinstance(row, dict) else [row])]
    return any(isinstance(cell, float) for cell in cells)


def _all_same(model: LoadedModel, rows: Rows, alone: list[bytes]) -> bool:
    order = np.random.default_rng(1)
    for count in range(2, MOST_ROWS + 1):
        chosen = order.permutation(np.arange(count) % len(rows))
        together = model.run(join([rows[number] for number in chosen]))
        if not all(_length(output) == count for output in together):
            return False
        for place, number in enumerate(chosen):
            one = [output[place : place + 1] for output in together]  # type: ignore[index]  # arrays or lists, see above
            if _bytes(one) != alone[number]:
                return False
    return True


def _length(output: object) -> int | None:
    if isinstance(output, np.ndarray):
        return output.shape[0] if output.ndim else None
    return len(output) if isinstance(output, list) else None


def _is_worth_it(model: LoadedModel, sample: Mapping[str, Array]) -> bool:
    one = {name: array[:1] for name, array in sample.items()}
    return _fastest(model, join([one] * 32)) < _WORTH * 32 * _fastest(model, one)


def _fastest(model: LoadedModel, inputs: Mapping[str, Array]) -> float:
    def once() -> float:
        begun = time.perf_counter()
        model.run(inputs)
        return time.perf_counter() - begun

    return min(once() for _ in range(_TIMED))


def _bytes(answer: Sequence[object]) -> bytes:
    """Return what tells two answers apart; all that is no number is the same, as it is in JSON."""
    parts = []
    for output in answer:
        if not isinstance(output, np.ndarray):
            parts.append(repr(output).encode())
            continue
        array: Any = output
        parts.append(repr((array.dtype.str, array.shape)).encode())
        if array.dtype.kind == "O":
            parts.append(repr(array.tolist()).encode())
        elif array.dtype.kind == "f":
            parts.append(np.where(np.isnan(array), np.array(np.nan, array.dtype), array).tobytes())
        else:
            parts.append(array.tobytes())
    return b"".join(parts)
