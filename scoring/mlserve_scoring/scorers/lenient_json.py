"""What Python's own JSON reader, which was v1's, takes beyond the quick one; asked only after that one has refused.

NaN and the infinities, UTF-16 and UTF-32, a mark of the order of bytes, half characters, whole numbers of any size. In
bounds that hold for every version of Python: no text takes long or deep to read.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Any, Final

_MOST_DIGITS: Final = 4_300
"""Of a whole number: Python's own bound since 3.10.7, as more take a time that grows with their square."""
_DEEPEST: Final = 1_024
"""Levels, as the quick reader takes."""

_CONSTANTS: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_FOR_MODELS: Final = {**_CONSTANTS, "NaN": None}
_LEAST, _MOST = -(2**63), 2**64
# Texts, compiled by the first request that needs them: no start waits for them.
_HALF: Final = r"\\u[dD](?:[89abAB]..(?!\\u[dD][c-fC-F])|[c-fC-F]..(?<!\\u[dD][89abAB]..\\u[dD]...))"
_BRACKETS: Final = r'(?s)"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]|[\]}]'
_MOST_BRACKETS: Final = 1_000_000


def read_as_v1(body: bytes) -> object:
    """Return what a body of JSON holds for a script, as v1 read it.

    Raises:
        ValueError: It is no JSON, or beyond the bounds; the text says where.
    """
    return read_text_as_v1(body.decode(json.detect_encoding(body), "surrogatepass"))


def read_text_as_v1(text: str) -> object:
    """Return what a text of JSON holds for a script, as v1 read it.

    Raises:
        ValueError: It is no JSON, or beyond the bounds; the text says where.
    """
    return _read(text, _whole, float, _CONSTANTS)


def read_for_model(body: bytes) -> object:
    """Return what a body of JSON holds for a model, whose numbers are never bent: NaN is ``None``, as it stands for it.

    Raises:
        ValueError: It is no JSON, holds half a character or a number beyond a double; the text says where.
    """
    text = body.decode(json.detect_encoding(body))
    value = _read(text, _whole_or_double, _double, _FOR_MODELS)
    if re.search(_HALF, text) is None:
        return value
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        found = re.search(_HALF, text)
        raise json.JSONDecodeError("Half a character", text, found.start() if found else 0) from error
    return value


def _read(
    text: str, whole: Callable[[str], object], fraction: Callable[[str], object], constants: Mapping[str, float | None]
) -> object:
    try:
        value: object = json.loads(text, parse_int=whole, parse_float=fraction, parse_constant=constants.__getitem__)
    except _TooLargeError as error:
        raise json.JSONDecodeError("Number too large", text, max(text.find(error.digits), 0)) from error
    except RecursionError as error:
        raise _too_deep(text) from error
    if _is_deeper(value):
        raise _too_deep(text)
    return value


class _TooLargeError(ValueError):
    """A number is beyond the bounds."""

    def __init__(self, digits: str) -> None:
        super().__init__("number too large")
        self.digits = digits


def _whole(digits: str) -> int:
    if len(digits) > _MOST_DIGITS:
        raise _TooLargeError(digits)
    return int(digits)


def _whole_or_double(digits: str) -> int | float:
    """Return a whole number as the quick reader has it."""
    number = _whole(digits)
    return number if _LEAST <= number < _MOST else _double(digits)


def _double(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _TooLargeError(digits)
    return number


def _is_deeper(value: object) -> bool:
    """Return whether lists and objects lie in each other deeper than the quick reader takes."""
    level: list[Any] = [value]
    for _ in range(_DEEPEST + 1):
        level = [
            entry
            for holder in level
            for entry in (holder.values() if type(holder) is dict else holder if type(holder) is list else ())
            if type(entry) is list or type(entry) is dict
        ]
        if not level:
            return False
    return True


def _too_deep(text: str) -> json.JSONDecodeError:
    """Return the error for a text, with the place of the deepest bracket that was looked at."""
    depth = deepest = place = 0
    for found in islice(re.finditer(_BRACKETS, text), _MOST_BRACKETS):
        bracket = found[0]
        depth += (bracket in "[{") - (bracket in "]}") if len(bracket) == 1 else 0
        if depth > deepest:
            deepest, place = depth, found.start()
        if depth > _DEEPEST:
            break
    return json.JSONDecodeError("Nested too deep", text, place)
