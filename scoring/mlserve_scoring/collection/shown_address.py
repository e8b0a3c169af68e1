"""What of an address of objects may be shown: never a signature, a user's name or a password."""

from __future__ import annotations

import re
from typing import Final

_HIDDEN: Final = "***"
# Of what stands before an @ in these, CONTAINER@ACCOUNT, only what has a colon is no container.
_CONTAINER_FIRST: Final = frozenset({"az", "azure", "adl", "abfs", "abfss"})


def shown(address: str) -> str:
    """Return an address without what may be a secret in it.

    A password with characters that should have been encoded can be read in several ways; then the least is shown.
    """
    scheme, slashes, rest = address.partition("//")
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    if ":" in authority or ("@" in authority and scheme.rstrip(":") not in _CONTAINER_FIRST):
        secret, _, rest = rest.rpartition("@")
        if "?" in secret or "#" in secret:  # what follows may be the end of a signature
            rest = _HIDDEN
    return f"{scheme}{slashes}{rest}".partition("?")[0]
