"""What a registry's refusals mean, in words: what, where, what to do; never a secret, never a whole answer."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Final

from pulumi_mlserve.core.problems import OperationError

GONE_CODES: Final = frozenset({"MANIFEST_UNKNOWN", "NAME_UNKNOWN", "BLOB_UNKNOWN", "NOT_FOUND"})
"""By which a registry says that it has no such thing; ``NOT_FOUND`` is ACR's and Harbor's."""

_SHOWN: Final = 160
_ADVICE: Final[Mapping[int, str]] = {
    400: "the registry may be older than the OCI distribution specification",
    404: "check the registry's and the repository's name",
    405: "the registry does not offer this",
    413: "the registry, or a proxy before it, limits sizes; raise that limit",
    429: "the registry limits how often it is asked; log in, or run again later",
    507: "the registry's disk is full; make room there and run again",
}


class TransientError(Exception):
    """Something that may go well the next time.

    Args:
        why: What happened, for the person who waits.
        retry_after: The seconds that the registry asks to wait.
        answered: See `RegistryError`.
    """

    def __init__(self, why: str, retry_after: float | None = None, *, answered: bool = False) -> None:
        super().__init__(why)
        self.retry_after = retry_after
        self.answered = answered


class LostConnectionError(TransientError):
    """The connection broke, or none came about."""


class RegistryError(OperationError):
    """A registry refused.

    Attributes:
        status: Its HTTP status; 0 where there was none.
        codes: What it called the reasons, such as ``MANIFEST_UNKNOWN``.
        answered: Whether it got the question and will answer it the same way later: it refused, or has nothing usable.
    """

    def __init__(
        self, message: str, *, status: int = 0, codes: frozenset[str] = frozenset(), answered: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.codes = codes
        self.answered = answered or status > 0


class NotThereError(RegistryError):
    """The registry says itself that it has no such thing; never the result of a failed question."""


def refusal(doing: str, status: int, body: bytes, *, hint: str = "") -> RegistryError:
    """Return the error for an answer that was not wanted.

    Args:
        doing: What was asked, where: ``registry x.io: pushing the manifest of app``.
        status: The answer's status.
        body: The begin of what it said.
        hint: What the one who asked knows to do about it; before what follows from the status.
    """
    codes, said = _said(body)
    shown = f"{status} {', '.join(sorted(codes)) or 'without a reason that registries give'}"
    advice = hint or _ADVICE.get(status) or "look into the registry's log"
    text = f"{doing}: refused with {shown}{f' ({said})' if said else ''}; {advice}"
    gone = status == 404 and codes & GONE_CODES  # noqa: PLR2004  HTTP's number
    return (NotThereError if gone else RegistryError)(text, status=status, codes=codes)


def codes_of(body: bytes) -> frozenset[str]:
    """Return what a registry calls the reasons of a refusal; empty when the answer is none of a registry."""
    return _said(body)[0]


def _said(body: bytes) -> tuple[frozenset[str], str]:
    try:
        errors = json.loads(body)["errors"]
        codes = frozenset(str(error["code"])[:40] for error in errors)
        said = str(errors[0].get("message") or "")
    except (ValueError, KeyError, TypeError, LookupError, AttributeError, RecursionError):
        return frozenset(), ""
    plain = re.sub(r"[^ -~]+", " ", said)
    return frozenset(re.sub(r"[^A-Z_0-9]", "", code.upper()) for code in codes), plain[:_SHOWN].strip(" .")
