"""What a library says of inputs that it does not take, as far as that is for the caller to see.

Compiled libraries tell where in their source they gave up, some with their stack; others name files: none of that
leaves.
"""

from __future__ import annotations

import re
from typing import Final

from mlserve_scoring.errors import InvalidRequestError

_LONGEST: Final = 4_000  # a message may quote all that a client sent
# Patterns are texts, compiled when something is refused first: no start waits for them.
_STACK: Final = r"(?im)^[ \t]*(?:stack trace|traceback \(|\[bt\])"
# What follows is read in one pass: no two parts in a row take the same character, and what a pattern does not find the
# end of is limited, since clients choose much of the text.
_NAME: Final = r"[^\s/\\'\"(),:]+"
_PATH: Final = rf"(?<![\w:/.\\])(?:[A-Za-z]:)?\.*[/\\]+{_NAME}(?:[/\\]+{_NAME})+"
_SOURCE: Final = r"(?<![\w./\\+-])[\w./\\+-]+\.(?:h|hpp|hh|c|cc|cpp|cxx|cu|cuh|py|pyx)"
# The function, which C++ spells with its namespace and parameters, or as one word before the sentence.
_SIGNATURE: Final = r"(?:[^\s():]+ )*[^\s():]*::[^()]{0,400}\([^()]{0,400}\)(?: const)?(?: \[with [^\]]{0,400}\])?"
_LINE: Final = rf":\d+(?::| {_SIGNATURE}| \w+(?= [A-Z]))?"
_PLACE: Final = rf"(?:\[\d\d:\d\d:\d\d\] )?(?:(?P<path>{_PATH})(?P<line>{_LINE})?|{_SOURCE}{_LINE})"


def refusal(error: Exception) -> InvalidRequestError:
    """Return what a caller is told when a model refuses the inputs; the error itself is to be kept as its cause."""
    return InvalidRequestError(f"the model refused the input: {told(error)}")


def told(error: Exception) -> str:
    """Return the first line of an error without places in source code, paths and stacks."""
    text = str(error)[:_LONGEST].strip()
    stack = re.search(_STACK, text)
    line = (text[: stack.start()] if stack else text).strip().partition("\n")[0]
    return " ".join(_without_places(line).split()) or type(error).__name__


def _without_places(line: str) -> str:
    return re.sub(_PLACE, lambda found: "…" if found["path"] and not found["line"] else "", line)
