"""Where what scripts collect goes; ``observing.current`` knows which request their code runs for."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlserve_scoring.collection.collector import Collector


class Running:
    """The collector of this process; ``None`` while nothing is collected, as in a trial."""

    collector: Collector | None = None
