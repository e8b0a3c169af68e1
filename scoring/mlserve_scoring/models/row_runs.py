"""From bodies to answers without anything between: for a short model whose one input is rows of plain numbers."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING

from mlserve_scoring.errors import ScoringError
from mlserve_scoring.models.runs import Outputs, gives_rows, outcome, sharing, unexpected
from mlserve_scoring.models.written import written, written_parts

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlserve_scoring.models.loaded import LoadedModel
    from mlserve_scoring.models.plain_rows import PlainRows, Rows
    from mlserve_scoring.transport.message import Request

Written = tuple[bytes, float]  # an answer's JSON, and how many milliseconds its run took
Found = Written | ScoringError | None


class RowRuns:
    """Answers bodies, many at a time.

    Args:
        model: Quick enough for the event loop.
        rows: Reads its input.

    Attributes:
        shares: Whether bodies may share runs.
        shared: Told how many bodies shared a run; ``None`` tells nobody.
    """

    def __init__(self, model: LoadedModel, rows: PlainRows) -> None:
        self._model = model
        self._rows = rows
        self._names = [port.name for port in model.outputs]
        self.shares = False
        self.shared: Callable[[int], None] | None = None

    def answers(self, bodies: Sequence[bytes], requests: Sequence[Request] = ()) -> list[Found]:
        """Return the answer to each body, or why there is none.

        Nothing for a body of another form, and for those that shared a run which failed. Where the bodies' requests are
        given, the failure of a run of one's own is logged with its id.
        """
        read = self._rows.read
        rows = [read(body) for body in bodies]
        found: list[Found] = [None] * len(bodies)
        if None in rows:
            places = [place for place, value in enumerate(rows) if value is not None]
        else:
            places = list(range(len(rows)))
        good: list[Rows] = [value for value in rows if value is not None]
        if self.shares:
            groups = sharing([len(value) for value in good])
        else:
            groups = [slice(number, number + 1) for number in range(len(good))]
        for group in groups:
            first = requests[places[group.start]] if requests else None
            for place, answer in zip(places[group], self._run(good[group], first), strict=True):
                found[place] = answer
        return found

    def _run(self, group: list[Rows], first: Request | None) -> Sequence[Found]:
        if self.shared is not None:
            self.shared(len(group))
        try:
            inputs = self._rows.array(group[0] if len(group) == 1 else list(chain.from_iterable(group)))
            outputs = None if inputs is None else outcome(self._model, inputs, first if len(group) == 1 else None)
            if not isinstance(outputs, Outputs):
                return [outputs] if len(group) == 1 else [None] * len(group)
            if len(group) == 1:
                texts = [written(self._names, outputs.values)]
            else:
                counts = [len(rows) for rows in group]
                if not gives_rows(outputs.values, sum(counts)):
                    return [None] * len(group)
                texts = written_parts(self._names, outputs.values, counts)
        except Exception as error:  # noqa: BLE001  # whatever a model gives; the long way tells each of several
            return [unexpected(error)] if len(group) == 1 else [None] * len(group)
        return [(text, outputs.run_ms) for text in texts]
