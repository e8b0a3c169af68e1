"""One request of the engine about one resource, as a handler sees it; and what a handler is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from pulumi_mlserve.core.problems import Problem

Say = Callable[[str, str], None]
"""Shows a text to the person who runs the engine; the second argument is status, info or warning."""


@dataclass(frozen=True)
class Call:
    """What the engine asks about one resource, under Python names.

    Attributes:
        urn: The resource's name in the engine.
        id: The id given at creation; empty before.
        preview: Whether nothing may be touched.
        timeout: Seconds the program allows for this operation; 0 leaves it to the handler.
        news: The inputs the program gives now.
        olds: The inputs of the last run, with what check computed then.
        state: The outputs of the last run.
        secrets: Names of the inputs that hide a secret.
        hidden: What must stand in no message.
        settings: The provider's own configuration, such as ``store``.
        stop: Set when the person has asked to stop.
        heard: Says whether the engine still hears what becomes of it; what it does not hear, no state knows.
        say: See ``Say``.
    """

    urn: str
    id: str = ""
    preview: bool = False
    timeout: float = 0.0
    news: Mapping[str, Any] = field(default_factory=dict)
    olds: Mapping[str, Any] = field(default_factory=dict)
    state: Mapping[str, Any] = field(default_factory=dict)
    secrets: frozenset[str] = frozenset()
    hidden: Sequence[Any] = ()
    settings: Mapping[str, str] = field(default_factory=dict)
    stop: threading.Event = field(default_factory=threading.Event)
    heard: Callable[[], bool] = lambda: True
    say: Say = lambda _text, _kind: None

    @property
    def stack(self) -> str:
        """Return the stack's name."""
        return self.urn.split("::")[0].removeprefix("urn:pulumi:")

    @property
    def project(self) -> str:
        """Return the project's name."""
        return self.urn.split("::")[1]

    @property
    def resource(self) -> str:
        """Return the resource's name in the program."""
        return self.urn.split("::", 3)[3]

    @property
    def claimant(self) -> str:
        """Return the name under which this resource claims what it keeps alive: for life the one it was made with."""
        return str(self.state.get("claimant") or f"{self.project}/{self.stack}/{self.resource}")

    def cancelled(self) -> bool:
        """Return whether to stop work in progress."""
        return self.stop.is_set()

    def status(self, text: str) -> None:
        """Show what is going on in the status column."""
        self.say(text, "status")

    def info(self, text: str) -> None:
        """Show a line that stays."""
        self.say(text, "info")

    def warn(self, text: str) -> None:
        """Show a warning that stays."""
        self.say(text, "warning")


@dataclass(frozen=True)
class Checked:
    """The inputs to remember, completed, or what is wrong with them."""

    inputs: dict[str, Any]
    problems: Sequence[Problem] = ()


@dataclass(frozen=True)
class Found:
    """What a look at the real thing found; no id says that it is definitely gone."""

    id: str
    state: dict[str, Any]
    inputs: dict[str, Any]


class PartialFailure(Exception):  # noqa: N818  an outcome, kept in state
    """The resource exists, but not as it should; the engine keeps the id, the state and the reasons."""

    def __init__(self, resource_id: str, state: Mapping[str, Any], *reasons: str) -> None:
        self.resource_id = resource_id
        self.state = dict(state)
        self.reasons = reasons
        super().__init__("; ".join(reasons))


class Handler(Protocol):
    """The life of one kind of resource.

    Attributes:
        compared: The inputs whose change is a change of the resource.
        replaced: Those of them that only a new resource can honour.
    """

    compared: Sequence[str]
    replaced: Sequence[str]

    def check(self, call: Call) -> Checked:
        """Return the completed inputs, or every problem."""

    def drift(self, call: Call) -> Mapping[str, Any]:
        """Return old inputs that a cheap look found to be no longer true; usually none."""

    def deletes_first(self, call: Call) -> bool:
        """Return whether, when the resource is replaced, the old one must go before the new one can be."""

    def create(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Make it, or say what making it will give; return the id and the outputs."""

    def update(self, call: Call) -> dict[str, Any]:
        """Change it in place and return the outputs."""

    def read(self, call: Call) -> Found:
        """Look at the real thing."""

    def delete(self, call: Call) -> None:
        """Remove it; what is already gone is fine."""
