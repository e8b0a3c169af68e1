"""A request as WSGI has it, for scripts that look into ``request.environ``. PEP 3333."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlserve_scoring.scripts.raw.request import AMLRequest


def environ_of(request: AMLRequest) -> dict[str, object]:
    """Return the variables of a request; those of the server that are not known are as WSGI demands them."""
    name, _, port = (
        request.host.rpartition(":") if request.host[-1:].isdigit() and ":" in request.host else ("", "", "")
    )
    environ: dict[str, object] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": request.root_path,
        "PATH_INFO": request.path.encode().decode("latin-1"),
        "QUERY_STRING": request.query_string.decode("latin-1"),
        "SERVER_NAME": name or request.host,
        "SERVER_PORT": port or "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": request.remote_addr or "",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": request.scheme,
        "wsgi.input": request.stream,
        "wsgi.input_terminated": True,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": request.is_multithread,
        "wsgi.multiprocess": request.is_multiprocess,
        "wsgi.run_once": request.is_run_once,
        "werkzeug.request": request,
    }
    for header, value in request.headers:
        key = header.upper().replace("-", "_")
        environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = value
    return environ
