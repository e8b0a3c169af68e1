"""What stands behind one path: a handler for each method, and who may ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from mlserve_scoring.transport.message import Reply, Request

Send = Callable[[Reply], None]
Handler = Callable[[Request, Send], None]


@dataclass(frozen=True, slots=True)
class Route:
    """What stands behind one path.

    Attributes:
        methods: ``HEAD`` is answered by the handler of ``GET`` where no ``POST`` stands beside it.
        is_open: Whether it is answered without a key even where others need one.
        shown: Whether the text of a 404 names the path.
    """

    methods: Mapping[str, Handler]
    is_open: bool = False
    shown: bool = True


Routes = Mapping[str, Route]
