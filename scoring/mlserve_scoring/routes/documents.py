"""``/swagger.json`` and ``/openapi.json``: what the service accepts and returns, ours or the user's own."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import parse_qs

import orjson

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.routes.openapi import openapi_for
from mlserve_scoring.routes.route import Route, Routes, Send
from mlserve_scoring.routes.swagger import info_of, swagger_for
from mlserve_scoring.transport.message import Reply, Request, message_reply

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlserve_scoring.contract import Contract, JsonObject
    from mlserve_scoring.routes.openapi import Described

    AsV1 = Callable[[JsonObject], JsonObject]


def document_routes(
    contract: Contract, described: Described, *, own: Mapping[str, bytes], as_v1: AsV1 | None = None
) -> Routes:
    """Return the routes of the documents.

    Args:
        contract: What they describe.
        described: The service around it.
        own: Swagger documents of the user's own, by version ``2`` and ``3``; they win.
        as_v1: Returns a Swagger document as v1's server built it; ``None`` shows ours.
    """
    info, prefix = info_of(described.title, described.version or "1.0"), described.prefix

    def swagger(request: Request, send: Send) -> None:
        version = parse_qs(request.query).get("version", [""])[0]
        document = own.get(version.partition(".")[0] or "2")
        if document is not None:
            send(Reply(200, document))
            return
        try:
            made = swagger_for(contract, version=version, info=info, prefix=prefix)
        except InvalidRequestError as error:
            send(message_reply(404, str(error)))
            return
        made = made if as_v1 is None else as_v1(made)
        send(Reply(200, orjson.dumps(made, option=orjson.OPT_NON_STR_KEYS)))

    def openapi(request: Request, send: Send) -> None:
        del request
        send(Reply(200, orjson.dumps(openapi_for(contract, described), option=orjson.OPT_NON_STR_KEYS)))

    return {"/swagger.json": Route({"GET": swagger}), "/openapi.json": Route({"GET": openapi})}


def own_documents(app_root: Path) -> dict[str, bytes]:
    """Return the Swagger documents that v1 users may put beside their script."""
    names = {"2": ("swagger2.json", "swagger.json"), "3": ("swagger3.json",)}
    found: dict[str, bytes] = {}
    for version, files in names.items():
        for file in files:
            path = app_root / file
            if version not in found and path.is_file():
                found[version] = path.read_bytes()
    return found
