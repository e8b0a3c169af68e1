"""What a program calls the settings that the runtime speaks of under its own names.

The runtime's problems begin with their place. That is changed where such a text is read, so the images of earlier
releases speak the program's language too; what a script prints or raises stays as it is.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Final

from mlserve_scoring.settings import Collection

_NAMES: Final = {
    **{f"collection.{field.name}": f"data_collection.{field.name}" for field in dataclasses.fields(Collection)},
    "collection.flush_s": "data_collection.flush_seconds",
    "entra.tenant": "entra.tenant_id",
    "server_name": "ssl_cname",
    "telemetry.connection_string": "app_insights_connection_string",
    "telemetry.otlp_endpoint": "otlp_endpoint",
    "tls_certificate": "ssl_cert_pem_file",
    "tls_key": "ssl_key_pem_file",
}
_PLACE: Final = r"\w+(?:\.\w+)*"
_PLACES: Final = re.compile(rf"((?:^|; |the service cannot start: ))({_PLACE}(?:, {_PLACE})*)(?=: )")
_RUNTIME: Final = r"mlserve(?:\.(?!std|script|access)\w+)?"
_LOGGED: Final = re.compile(
    rf'(\S+ \S+ [A-Z]+ {_RUNTIME}: |\{{"time": "[^"]*", "level": "\w+", "logger": "{_RUNTIME}", "message": ")(.*)',
    re.DOTALL,
)


def in_program_names(text: str) -> str:
    """Return a problem of the runtime, or several after ``; ``, at the places where a program has them."""
    return _PLACES.sub(lambda found: found[1] + ", ".join(map(_program_name, found[2].split(", "))), text)


def logged_in_program_names(line: str) -> str:
    """Return a line of a service's log with the problem in it, if the runtime tells one, at the program's places."""
    found = _LOGGED.match(line)
    return line if found is None else found[1] + in_program_names(found[2])


def _program_name(place: str) -> str:
    """Return a place with the longest part of it that has another name changed."""
    parts = place.split(".")
    for end in range(len(parts), 0, -1):
        if name := _NAMES.get(".".join(parts[:end])):
            return ".".join([name, *parts[end:]])
    return place
