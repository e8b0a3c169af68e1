"""What stands behind one path: a handler for each method, and who may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlserve_scoring.transport.message import Reply, Request, message_reply

Send = Callable[[Reply], None]
Handler = Callable[[Request, Send], None]
Refusal = Callable[[int, str], Reply]


@dataclass(frozen=True, slots=True)
class Route:
    """What stands behind one path.

    Attributes:
        methods: ``HEAD`` is answered by the handler of ``GET`` where no ``POST`` stands beside it.
        is_open: Whether it is answered without a key even where others need one.
        shown: Whether the text of a 404 names the path.
        refusal: Writes a refusal, from its status and text, in the form that the path's clients read.
    """

    methods: Mapping[str, Handler]
    is_open: bool = False
    shown: bool = True
    refusal: Refusal = message_reply


Routes = Mapping[str, Route]
