"""Frames read from JSON as v1 read them: by the rules of ``pandas.read_json``, which names of columns decide too.

Columns such as ``date`` and ``created_at`` become dates, ``"0"`` and ``"1"`` are then called 0 and 1, and null is NaN.
Rows are read quicker than by ``read_json``, which is asked once for each set of names what it makes of them.
"""

from __future__ import annotations

import datetime as dt
import json
import warnings
from io import StringIO
from typing import Any

import numpy as np
import pandas as pd

_OBJECT = np.dtype(object)
_MOST_KNOWN = 100
_LONGEST_KNOWN = 10_000  # characters in all names


def read_frame(value: Any, orient: str, texts: Any = frozenset(), names: Any = None) -> Any:
    """Return a frame of a JSON value in an orientation, with the types that its values have.

    Args:
        value: A list or object.
        orient: As ``pandas.read_json`` knows it.
        texts: Names of columns that stay texts, whatever their names say.
        names: Those of all columns, where ``names_sent`` told them; pandas need not look for them again.
    """
    if _is_rows(value, orient, names):
        frame = pd.DataFrame(value, columns=names or None)
        labels, dated = names_read(tuple(frame.columns))
        if labels is not None:
            frame.columns = labels.copy()
        _fill(frame)
    else:
        frame = pd.read_json(StringIO(json.dumps(value)), orient=orient, dtype=False)
        _, dated = names_read(tuple(frame.columns))
    for name in dated:
        if name not in texts:
            _read_dates(frame, name)
    return frame


def names_read(names: Any) -> Any:
    """Return what ``read_json`` calls columns of these names, where otherwise, and which of them it reads as dates."""
    found = _KNOWN.get(names)
    if found is None:
        found = _ask(names)
        if sum(len(str(name)) for name in names) <= _LONGEST_KNOWN:
            if len(_KNOWN) >= _MOST_KNOWN:
                _KNOWN.clear()
            _KNOWN[names] = found
    return found


_KNOWN: dict[Any, Any] = {}


def _ask(names: Any) -> Any:
    if not names or not all(isinstance(name, str) for name in names):
        return None, ()
    row = StringIO(json.dumps([dict.fromkeys(names, "2020-01-31")]))
    labels = pd.read_json(row, orient="records", dtype=False).columns
    row.seek(0)
    kinds = pd.read_json(row, orient="records", convert_axes=False).dtypes
    if list(labels) != list(names):
        return labels, ()
    return None, tuple(name for name, kind in zip(names, kinds, strict=True) if kind.kind == "M")


def _is_rows(value: Any, orient: str, names: Any) -> bool:
    if not isinstance(value, list):
        return False
    return orient == "values" or (
        orient == "records" and (names is not None or all(isinstance(row, dict) for row in value))
    )


def _fill(frame: Any) -> None:
    """Put NaN in the place of null among texts and mixed values; elsewhere pandas has done so."""
    for name, kind in zip(frame.columns, frame.dtypes, strict=True):
        if kind is _OBJECT and pd.isna(frame[name].to_numpy()).any():
            with warnings.catch_warnings():  # as read_json does: a column of nothing else becomes one of numbers
                warnings.filterwarnings("ignore", "Downcasting object dtype arrays", category=FutureWarning)
                frame[name] = frame[name].fillna(np.nan)


def _read_dates(frame: Any, name: Any) -> None:
    """Read a column as ``read_json`` reads one of dates; what are none stay as they are.

    Since version 3 of pandas, ``read_json`` does so only where it may change the other columns too.
    """
    if frame[name].dtype.kind == "M" or not len(frame):
        return
    values = frame[name].astype(object).where(frame[name].notna(), None).tolist()  # NaN is no JSON
    read = pd.read_json(StringIO(json.dumps({"date": values})), convert_axes=False)["date"]
    if read.dtype.kind == "M" or any(isinstance(entry, dt.datetime) for entry in read):
        frame[name] = read.array
