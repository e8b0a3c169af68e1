"""Compiles Python files to bytecode that depends on nothing but source, place and interpreter.

Run by the image's Python, of which it may be any from 3.10 on, as text: it imports nothing of ours. One line of JSON on
standard input is one file: source, place in the image, target, whether Python compares the source when it loads it.
One line on standard output answers it: the SHA-256 of the source, after a ``-`` where it does not compile.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import marshal
import os
import sys
import warnings
from pathlib import Path
from types import CodeType
from typing import Final

_FLAG: Final = 0x80
_REFERENCE: Final = ord("r")
_CODE: Final = ord("c")
_DICT: Final = ord("{")
_BIG: Final = ord("l")
_FLOAT_TEXT: Final = ord("f")
_COMPLEX_TEXT: Final = ord("x")
_FIXED: Final = {**dict.fromkeys(map(ord, "0NFTS."), 0), ord("i"): 4, ord("I"): 8, ord("g"): 8, ord("y"): 16}
_LONG_TEXTS: Final = frozenset(map(ord, "stuaA"))
_SHORT_TEXTS: Final = frozenset(map(ord, "zZ"))
_LONG_SEQUENCES: Final = frozenset(map(ord, "([<>"))
_SHORT_SEQUENCE: Final = ord(")")

# A code object: so many numbers, objects, one number, objects (Python/marshal.c, r_object, TYPE_CODE).
_CODE_PARTS: Final = (6, 8, 1) if sys.version_info < (3, 11) else (5, 8, 2)


def compiled(source: bytes, place: str, *, checked: bool) -> bytes:
    """Return what a ``.pyc`` of a source holds (PEP 552).

    Raises:
        Exception: It does not compile, in whatever way the compiler says so.
    """
    code = compile(source, place, "exec", dont_inherit=True, optimize=0)
    if sys.version_info < (3, 11) and has_loose_set(code):
        raise ValueError("a set constant would be written in another order by the next process")
    head = importlib.util.MAGIC_NUMBER + (3 if checked else 1).to_bytes(4, "little")
    return head + importlib.util.source_hash(source) + canonical(marshal.dumps(code, 4))


def has_loose_set(constant: object) -> bool:
    """Tell whether a set among the constants holds what Python 3.10 hashes by its address, such as None.

    From 3.11 on sets are marshalled in an order of their own: https://github.com/python/cpython/issues/81777.
    """
    if isinstance(constant, CodeType):
        return any(map(has_loose_set, constant.co_consts))
    if isinstance(constant, tuple):
        return any(map(has_loose_set, constant))
    return isinstance(constant, frozenset) and not all(map(_hashed_by_value, constant))


def _hashed_by_value(constant: object) -> bool:
    if isinstance(constant, tuple):
        return all(map(_hashed_by_value, constant))
    return isinstance(constant, (str, bytes, int, float, complex))


def canonical(dump: bytes) -> bytes:
    """Return a marshalled object with marks for later use only on what is used later.

    The interpreter marks whatever something else holds on to at that moment, which differs with what it did before:
    https://docs.python.org/3/library/marshal.html, "version 3".
    """
    marks, uses = _scan(dump)
    used = {number for _, number in uses}
    kept = [number for number in range(len(marks)) if number in used]
    renamed = {number: index for index, number in enumerate(kept)}
    result = bytearray(dump)
    for number, position in enumerate(marks):
        if number not in used:
            result[position] &= ~_FLAG & 0xFF
    for position, number in uses:
        result[position + 1 : position + 5] = renamed[number].to_bytes(4, "little")
    return bytes(result)


def _scan(dump: bytes) -> tuple[list[int], list[tuple[int, int]]]:  # noqa: C901, PLR0912  one arm for each kind
    """Return where objects are marked, and where which of them are used again."""
    marks: list[int] = []
    uses: list[tuple[int, int]] = []
    position = 0
    waiting: list[int] = [1]  # positive: so many objects; negative: so many numbers; 0: objects until a null
    while waiting:
        todo = waiting.pop()
        if todo < 0:
            position += -4 * todo
            continue
        if todo > 1:
            waiting.append(todo - 1)
        kind, begin = dump[position] & ~_FLAG, position
        if todo == 0 and kind != ord("0"):
            waiting.append(0)
        if dump[position] & _FLAG:
            marks.append(position)
        position += 1
        if kind == _REFERENCE:
            uses.append((begin, _number(dump, position)))
            position += 4
        elif kind in _FIXED:
            position += _FIXED[kind]
        elif kind in _LONG_TEXTS:
            position += 4 + _number(dump, position)
        elif kind in _SHORT_TEXTS or kind == _FLOAT_TEXT:
            position += 1 + dump[position]
        elif kind == _COMPLEX_TEXT:
            position += 1 + dump[position]
            position += 1 + dump[position]
        elif kind == _BIG:
            position += 4 + 2 * abs(int.from_bytes(dump[position : position + 4], "little", signed=True))
        elif kind == _SHORT_SEQUENCE or kind in _LONG_SEQUENCES:
            wide = 1 if kind == _SHORT_SEQUENCE else 4
            count = int.from_bytes(dump[position : position + wide], "little")
            position += wide
            waiting += [count] if count else []
        elif kind == _DICT:
            waiting.append(0)
        elif kind == _CODE:
            numbers, objects, more = _CODE_PARTS
            waiting += [more, -1, objects, -numbers]
        else:
            raise ValueError(f"a kind of object that is not known, {chr(kind)!r}")
    return marks, uses


def _number(dump: bytes, position: int) -> int:
    return int.from_bytes(dump[position : position + 4], "little")


def _main() -> None:
    warnings.simplefilter("ignore")
    for line in sys.stdin:
        source, place, target, checked = json.loads(line)
        content = Path(source).read_bytes()
        answer = hashlib.sha256(content).hexdigest()
        try:
            result = compiled(content, place, checked=checked)
        except Exception:  # noqa: BLE001  # a package may bring files that no Python compiles; they are left as they are
            answer = f"-{answer}"
        else:
            Path(target).write_bytes(result)
        sys.stdout.write(answer + "\n")
    sys.stdout.flush()
    os._exit(0)  # nothing is left to tidy up


if __name__ == "__main__":
    _main()
