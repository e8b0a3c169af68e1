"""The calls of ``inference.GRPCInferenceService`` and ``grpc.health.v1.Health`` as routes: messages in and out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message import DecodeError

from mlserve_scoring import __version__
from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.grpc.framing import CONTENT_TYPE
from mlserve_scoring.grpc.inference import Translated, response, translated
from mlserve_scoring.grpc.messages import HEALTH, INFERENCE, MESSAGES
from mlserve_scoring.routes.failures import failed
from mlserve_scoring.routes.open_inference_request import JSON_SIZE
from mlserve_scoring.routes.route import Handler, Route, Routes, Send
from mlserve_scoring.scorers.scorer import MOST_AT_ONCE
from mlserve_scoring.transport.message import Reply, Request, message_reply

if TYPE_CHECKING:
    from mlserve_scoring.routes.open_inference_metadata import ServedModel

SERVICE: Final = f"{INFERENCE}.GRPCInferenceService"
HEALTH_SERVICE: Final = f"{HEALTH}.Health"
_OK: Final = 200
_LONGEST_NAME: Final = 100
# https://github.com/grpc/grpc/blob/master/doc/health-checking.md
_SERVING: Final = 1
_NOT_SERVING: Final = 2

Answer = Callable[[Any], Mapping[str, object] | Reply]


def grpc_routes(model: ServedModel, infer: Handler, *, state: Callable[[], str], health_is_open: bool) -> Routes:
    """Return what stands behind each call.

    Args:
        model: What the protocol calls the service's model.
        infer: Answers inference requests of ``/v2``.
        state: Returns ``ready``, or why the service is not.
        health_is_open: Whether health needs no key.
    """

    def known(answer: Answer) -> Answer:
        def checked(message: Any) -> Mapping[str, object] | Reply:
            return answer(message) if model.is_meant(message.name, message.version) else _no_model(model, message.name)

        return checked

    def health(message: Any) -> Mapping[str, object] | Reply:
        if message.service not in {"", SERVICE, HEALTH_SERVICE}:
            return message_reply(404, f"There is no service {_short(message.service)} here; ask for {SERVICE!r} or ''.")
        return {"status": _SERVING if state() == "ready" else _NOT_SERVING}

    about = model.to_json()
    calls: dict[str, tuple[Answer, bool]] = {
        "ServerLive": (lambda _: {"live": True}, health_is_open),
        "ServerReady": (lambda _: {"ready": state() == "ready"}, health_is_open),
        "ModelReady": (known(lambda _: {"ready": state() == "ready"}), health_is_open),
        "ServerMetadata": (lambda _: {"name": "mlserve", "version": __version__}, False),
        "ModelMetadata": (known(lambda _: about), False),
    }
    routes = {
        f"/{SERVICE}/{name}": Route({"POST": _handler(name, answer)}, is_open)
        for name, (answer, is_open) in calls.items()
    }
    routes[f"/{SERVICE}/ModelInfer"] = Route({"POST": _inferring(model, infer)})
    routes[f"/{HEALTH_SERVICE}/Check"] = Route({"POST": _handler("HealthCheck", health)}, health_is_open)
    return routes


def unknown_call(path: str) -> Reply:
    """Return the reply to a call that is not here."""
    return message_reply(501, f"There is no call {path}; this service answers those of {SERVICE}.")


def _handler(name: str, answer: Answer) -> Handler:
    asked, answered = MESSAGES[f"{name}Request"], MESSAGES[f"{name}Response"]

    def reply(body: bytes) -> Reply:
        made = answer(_read(asked, body))
        return made if isinstance(made, Reply) else Reply(_OK, answered(**made).SerializeToString())

    def handle(request: Request, send: Send) -> None:
        _elsewhere(len(request.body), partial(reply, request.body), send, send)

    return handle


def _inferring(model: ServedModel, infer: Handler) -> Handler:
    kind = MESSAGES["ModelInferRequest"]

    def read(body: bytes) -> Translated | Reply:
        message = _read(kind, body)
        if not model.is_meant(message.model_name, message.model_version):
            return _no_model(model, message.model_name)
        return translated(message)

    def handle(request: Request, send: Send) -> None:
        def begin(asked: Translated | Reply) -> None:
            if isinstance(asked, Reply):
                send(asked)
                return
            # From here on it is a request to /v2, also for whoever keeps requests and answers.
            request.body = asked.body
            request.headers = {**request.headers, JSON_SIZE: b"%d" % asked.json_size}
            infer(request, lambda reply: end(reply, wants_raw=asked.wants_raw))

        def end(reply: Reply, *, wants_raw: bool) -> None:
            if reply.status != _OK:
                send(reply)
                return
            reply.plain = reply.body
            _elsewhere(len(reply.body), partial(response, reply, wants_raw=wants_raw), partial(sent, reply), send)

        def sent(reply: Reply, body: bytes) -> None:
            reply.body, reply.content_type = body, CONTENT_TYPE[1]
            send(reply)

        _elsewhere(len(request.body), partial(read, request.body), begin, send)

    return handle


def _elsewhere(size: int, work: Callable[[], Any], done: Callable[[Any], None], send: Send) -> None:
    """Do some work, on another thread where it takes a while, and give its result on; a failure is sent."""

    def finished(future: asyncio.Future[Any]) -> None:
        error = future.exception()
        if error is not None:
            send(failed(error))
        else:
            done(future.result())

    if size > MOST_AT_ONCE:
        asyncio.get_running_loop().run_in_executor(None, work).add_done_callback(finished)
        return
    try:
        result = work()
    except Exception as error:  # noqa: BLE001  # what is no ScoringError is logged, and the connection stays
        send(failed(error))
    else:
        done(result)


def _read(kind: Any, body: bytes) -> Any:
    try:
        return kind.FromString(body)
    except DecodeError as error:
        raise InvalidRequestError(f"message: is no {kind.DESCRIPTOR.full_name}") from error


def _short(name: str) -> str:
    return repr(name if len(name) <= _LONGEST_NAME else name[:_LONGEST_NAME] + "…")


def _no_model(model: ServedModel, name: str) -> Reply:
    names = " or ".join(map(repr, (model.name, *model.aliases)))
    version = "" if model.version is None else f", version {model.version!r} or none"
    return message_reply(404, f"There is no model {_short(name)} of that version here; ask for {names}{version}.")
