"""What a request gets that may not pass: the statuses and headers of RFC 6750."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlserve_scoring.access.admission import Admission, Refused

if TYPE_CHECKING:
    from mlserve_scoring.routes.route import Route
    from mlserve_scoring.transport.message import Reply

_WRONG: Final = "The key or token is not valid."
_ERRORS: Final = {"invalid": b"invalid_token", "forbidden": b"insufficient_scope"}


def refused(route: Route, admission: Admission, authorization: bytes | None, *, opened_by: str) -> Reply:
    """Return the reply to a request that may not pass.

    Args:
        route: Where it wished to go.
        admission: What the gate said.
        authorization: What it showed.
        opened_by: What the gate asks for, as a word.
    """
    if isinstance(admission, Refused) and admission.kind == "unknown":
        reply = route.refusal(503, admission.text)
        reply.headers = ((b"retry-after", b"30"),)
        return reply
    if not isinstance(admission, Refused):
        # RFC 6750, 3.1: a request that shows nothing is told nothing but the scheme.
        told = _challenge(b"invalid_token", _WRONG) if authorization else b"Bearer"
        reply = route.refusal(401, _asked(opened_by))
    else:
        told = _challenge(_ERRORS[admission.kind], admission.text)
        reply = route.refusal(401 if admission.kind == "invalid" else 403, admission.text)
    reply.headers = ((b"www-authenticate", told),)
    return reply


def _asked(opened_by: str) -> str:
    placeholder = opened_by.upper().replace(" ", "_")
    return f"A valid {opened_by} is required: send the header 'Authorization: Bearer {placeholder}'."


def _challenge(error: bytes, text: str) -> bytes:
    return b'Bearer error="%b", error_description="%b"' % (error, text.encode("ascii"))
