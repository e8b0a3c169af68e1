"""The time that an image says it was made: fixed, or what ``SOURCE_DATE_EPOCH`` asks for."""

from __future__ import annotations

import math
import os
from datetime import datetime, timezone
from typing import Final

from pulumi_mlserve.core.images.oci import EPOCH, Origin
from pulumi_mlserve.core.problems import OperationError

VARIABLE: Final = "SOURCE_DATE_EPOCH"


def origin_here(source: str = "") -> Origin:
    """Return what images built now tell of their origin: https://reproducible-builds.org/specs/source-date-epoch/.

    Args:
        source: Address of the source code, if known.

    Raises:
        OperationError: The variable is set to something that is no time.
    """
    said = os.environ.get(VARIABLE, "")
    if not said:
        return Origin(EPOCH, source)
    try:
        time = datetime.fromtimestamp(int(said) if said.isascii() and said.isdigit() else math.inf, timezone.utc)
    except (ValueError, OverflowError, OSError) as error:
        raise OperationError(
            f"{VARIABLE}: not a number of seconds since 1970, got {said!r}; give one, or unset the variable"
        ) from error
    return Origin(f"{time:%Y-%m-%dT%H:%M:%S}Z", source)
