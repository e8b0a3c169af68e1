"""What to do about a variable that a script wants and its image does not set, read from the error and its lines."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from mlserve_scoring.reserved_variables import SET_AS_V1

from pulumi_mlserve.core.suggest import did_you_mean

_PLACE: Final = re.compile(r"(?P<file>[^:]+\.py):(?P<line>\d+): (?P<error>.*)", re.DOTALL)
_KEY: Final = re.compile(r".*?KeyError: '([A-Za-z_]\w*)'")
_GOT: Final = re.compile(r"(?:getenv|environ\.get)\(\s*['\"](\w+)['\"]\s*\)")
_LINES: Final = 3  # a call may be written on several


def variable_hint(message: str, text_of: Callable[[str], str | None]) -> str:
    """Return what to add to a problem that a trial found, with a semicolon; empty where no variable is wanted.

    Args:
        message: The problem, with file and line in front.
        text_of: Returns the text of one of the user's files, or None.
    """
    place = _PLACE.match(message)
    text = text_of(place["file"]) if place is not None else None
    if place is None or text is None:
        return ""
    first = int(place["line"]) - 1
    lines = text.splitlines()[first : first + _LINES]
    wanted = None
    if (key := _KEY.match(place["error"])) is not None and lines and "environ" in lines[0]:
        wanted = key[1]
    elif "NoneType" in place["error"] and (got := _GOT.search("\n".join(lines))) is not None:
        wanted = got[1]
    if wanted is None or wanted in SET_AS_V1:
        return ""
    if meant := did_you_mean(wanted, SET_AS_V1):
        return f"; there is no variable {wanted}{meant}"
    return (
        f"; the trial has the image's variables alone: give {wanted} in environment_variables of the image, read"
        " it with a default, or set trial='off' when only the service can give it"
    )
