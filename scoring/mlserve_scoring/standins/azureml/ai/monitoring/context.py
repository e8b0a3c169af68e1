"""Stand-in for ``azureml.ai.monitoring.context``: what ties inputs and outputs together."""

from __future__ import annotations

import uuid


class CorrelationContext:
    """Knows an id."""

    def get_id(self) -> str:
        """Return the id."""
        raise NotImplementedError


class BasicCorrelationContext(CorrelationContext):
    """Holds an id; a new one unless given."""

    def __init__(self, id: str | None = None) -> None:  # noqa: A002  # the original's name
        self._id = id or str(uuid.uuid4())

    def get_id(self) -> str:
        """Return the id."""
        return self._id
