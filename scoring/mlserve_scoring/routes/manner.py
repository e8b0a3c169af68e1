"""In which manner replies are given where v1's differed: ours here, v1's in ``v1_replies``."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from mlserve_scoring.routes.failures import failed
from mlserve_scoring.routes.open_inference import unknown_model
from mlserve_scoring.transport.message import Reply

if TYPE_CHECKING:
    from mlserve_scoring.contract import JsonObject
    from mlserve_scoring.routes.route import Routes


class Manner(NamedTuple):
    """What is said in either manner.

    Attributes:
        failed: Returns the reply to a request that was not answered as wished.
        missing: Returns the reply to a path without a route where it has a form of its own.
        worded: Returns routes with the refusals of this manner.
        document: Returns a Swagger document in this manner; ``None`` leaves it as it is.
    """

    failed: Callable[[object], Reply]
    missing: Callable[[str], Reply | None]
    worded: Callable[[Routes], Routes]
    document: Callable[[JsonObject], JsonObject] | None


OURS: Final = Manner(failed, unknown_model, lambda routes: routes, None)
