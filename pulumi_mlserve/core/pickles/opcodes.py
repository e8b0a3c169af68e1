"""Reads which modules a pickle or joblib file needs, without loading anything: its opcodes are followed with dummies.

The stack is kept only as far as it names modules, and describes the arrays that joblib writes between the opcodes. What
cannot be followed ends the reading; what was found until then is true all the same.
"""

from __future__ import annotations

import math
import pickletools
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from pulumi_mlserve.core.pickles.tape import Source, Tape

_MOST_OPCODES: Final = 200_000
_DTYPE: Final = re.compile(r"[<>|=]?([A-Za-z?])(\d*)")
_BYTES_OF: Final = {"?": 1, "U": 4}
_FIELDS: Final = 4  # in the state of a numpy type
_VERSION_KEY: Final = "_sklearn_version"
_ENDS: Final = (ValueError, IndexError, TypeError, KeyError, EOFError, OSError, OverflowError, struct.error)


@dataclass(frozen=True)
class PickleNeeds:
    """What loading a pickle needs.

    Attributes:
        modules: Dotted names of all modules that it imports.
        sklearn_versions: The versions of scikit-learn that saved estimators in it.
        complete: Whether all of it was read.
        of_main: What it takes from ``__main__``: what the program that saved it defined itself.
    """

    modules: frozenset[str]
    sklearn_versions: frozenset[str]
    complete: bool
    of_main: frozenset[str] = frozenset()


def pickle_needs(source: Source) -> PickleNeeds:
    """Return what loading a pickle needs, as far as its beginning tells; what is no pickle needs nothing."""
    machine = _Machine(Tape(source))
    try:
        complete = machine.run()
    except _ENDS:
        complete = False
    return PickleNeeds(frozenset(machine.modules), frozenset(machine.versions), complete, frozenset(machine.of_main))


class _Mark:
    """The stack's mark."""


@dataclass(frozen=True)
class _Global:
    module: str
    name: str


@dataclass
class _Made:
    """An object that loading would make."""

    maker: object = None
    arguments: tuple[Any, ...] = ()
    state: object = None

    @property
    def kind(self) -> object:
        """Return the class, also where an old protocol makes its objects by a function that is given the class."""
        if isinstance(self.maker, _Global) and self.maker.name == "_reconstructor" and self.arguments:
            return self.arguments[0]
        return self.maker


class _Machine:
    """Follows the opcodes of one pickle and of those that lie inside of it."""

    def __init__(self, tape: Tape) -> None:
        self.modules: set[str] = set()
        self.versions: set[str] = set()
        self.of_main: set[str] = set()
        self._tape = tape
        self._left = _MOST_OPCODES
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> bool:
        """Follow one pickle to its end; return whether that was reached."""
        outer = self._stack, self._memo
        self._stack, self._memo = [], {}
        # The reader takes nothing ahead, so that what lies between opcodes can be passed over.
        for opcode, argument, _ in pickletools.genops(self._tape):  # type: ignore[arg-type]
            self._left -= 1
            if opcode.name == "STOP":
                self._stack, self._memo = outer
                return True
            if self._left < 0:
                return False
            known = _STEPS.get(opcode.name)
            if known is not None:
                known(self, argument)
            else:
                self._default(opcode, argument)
        return False

    def _default(self, opcode: pickletools.OpcodeInfo, argument: object) -> None:
        """Take from the stack what the opcode takes, and put on it what it puts, known only where it is a constant."""
        for taken in reversed(opcode.stack_before):
            if taken is pickletools.stackslice:
                self._to_mark()
            elif taken is not pickletools.markobject:
                self._stack.pop()
        for given in opcode.stack_after:
            constant = isinstance(argument, str | int) and opcode.stack_before == []
            self._stack.append(_Mark if given is pickletools.markobject else argument if constant else None)

    def _to_mark(self) -> list[Any]:
        for place in range(len(self._stack) - 1, -1, -1):
            if self._stack[place] is _Mark:
                found = self._stack[place + 1 :]
                del self._stack[place:]
                return found
        raise IndexError

    def _name(self, module: object, name: object) -> None:
        if isinstance(module, str) and isinstance(name, str):
            self.modules.add(module)
            if module == "__main__":
                self.of_main.add(name)
            self._stack.append(_Global(module, name))
        else:
            self._stack.append(None)

    def take_global(self, argument: str) -> None:
        self._name(*argument.split(" ", 1))

    def instance(self, argument: str) -> None:
        self._to_mark()
        self.take_global(argument)
        self._stack.append(_Made(self._stack.pop()))

    def stack_global(self, _: object) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._name(module, name)

    def call(self, _: object) -> None:
        arguments, maker = self._stack.pop(), self._stack.pop()
        self._stack.append(_Made(maker, arguments if isinstance(arguments, tuple) else ()))

    def call_with_names(self, _: object) -> None:
        self._stack.pop()
        self.call(None)

    def call_slice(self, _: object) -> None:
        maker, *arguments = self._to_mark()
        self._stack.append(_Made(maker, tuple(arguments)))

    def take_tuple(self, count: int) -> None:
        items = tuple(self._stack[len(self._stack) - count :])
        del self._stack[len(self._stack) - count :]
        self._stack.append(items)

    def tuple_slice(self, _: object) -> None:
        self._stack.append(tuple(self._to_mark()))

    def remember(self, argument: int) -> None:
        self._memo[argument] = self._stack[-1]

    def memoize(self, _: object) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def recall(self, argument: int) -> None:
        self._stack.append(self._memo[argument])

    def twice(self, _: object) -> None:
        self._stack.append(self._stack[-1])

    def empty_dict(self, _: object) -> None:
        self._stack.append({})

    def take_dict(self, _: object) -> None:
        items = self._to_mark()
        self._stack.append({})
        self._set(items)

    def set_item(self, _: object) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def set_items(self, _: object) -> None:
        self._set(self._to_mark())

    def _set(self, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if isinstance(key, str) and isinstance(self._stack[-1], dict):
                self._stack[-1][key] = value
            if key == _VERSION_KEY and isinstance(value, str):
                self.versions.add(value)

    def append(self, _: object) -> None:
        self._stack.pop()

    def append_slice(self, _: object) -> None:
        self._to_mark()

    def take_state(self, _: object) -> None:
        state, made = self._stack.pop(), self._stack[-1]
        if isinstance(made, _Made):
            made.state, kind = state, made.kind
            named = isinstance(kind, _Global) and kind.name == "NumpyArrayWrapper" and "joblib" in kind.module
            if named and isinstance(state, dict):
                self._pass_array(state)

    def _pass_array(self, wrapper: Mapping[str, Any]) -> None:
        """Pass over an array as joblib writes it: right behind its description, padded, or as a pickle of its own."""
        letter, digits = _dtype(wrapper["dtype"])
        if letter == "O":
            if not self.run():
                raise EOFError
            return
        if isinstance(wrapper.get("numpy_array_alignment_bytes"), int):
            self._tape.pass_over(self._tape.read(1)[0])
        self._tape.pass_over(math.prod(wrapper["shape"]) * int(digits or 1) * _BYTES_OF.get(letter, 1))


def _dtype(made: object) -> tuple[str, str]:
    """Return the letter and the number of a numpy type.

    Raises:
        ValueError: It is none whose size is known: then nobody knows where the array ends.
    """
    code = made.arguments[0] if isinstance(made, _Made) and made.arguments else None
    found = _DTYPE.fullmatch(code) if isinstance(code, str) else None
    if found is None or not isinstance(made, _Made):
        raise ValueError(code)
    fields = made.state[_FIELDS] if found[1] == "V" and isinstance(made.state, tuple) else None
    if found[1] == "V" and not (isinstance(fields, dict) and all(_dtype(one[0])[0] != "O" for one in fields.values())):
        raise ValueError(code)
    return found[1], found[2]


def _all(names: Iterable[str], step: Any) -> dict[str, Any]:
    return dict.fromkeys(names, step)


_STEPS: Final[dict[str, Any]] = {
    "GLOBAL": _Machine.take_global,
    "INST": _Machine.instance,
    "STACK_GLOBAL": _Machine.stack_global,
    "NEWOBJ_EX": _Machine.call_with_names,
    "OBJ": _Machine.call_slice,
    "EMPTY_TUPLE": lambda machine, _: machine.take_tuple(0),
    "TUPLE1": lambda machine, _: machine.take_tuple(1),
    "TUPLE2": lambda machine, _: machine.take_tuple(2),
    "TUPLE3": lambda machine, _: machine.take_tuple(3),
    "TUPLE": _Machine.tuple_slice,
    "MEMOIZE": _Machine.memoize,
    "DUP": _Machine.twice,
    "EMPTY_DICT": _Machine.empty_dict,
    "DICT": _Machine.take_dict,
    "SETITEM": _Machine.set_item,
    "SETITEMS": _Machine.set_items,
    "APPEND": _Machine.append,
    "BUILD": _Machine.take_state,
    **_all(("REDUCE", "NEWOBJ"), _Machine.call),
    **_all(("APPENDS", "ADDITEMS"), _Machine.append_slice),
    **_all(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.remember),
    **_all(("GET", "BINGET", "LONG_BINGET"), _Machine.recall),
}
