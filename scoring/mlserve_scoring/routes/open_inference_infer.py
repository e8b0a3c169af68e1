"""``…/infer``: reads the request, asks the scorer, writes the outputs that were asked for in the form they were."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson

from mlserve_scoring.errors import InvalidRequestError
from mlserve_scoring.models.tensors import datatype_of, to_bytes, to_values
from mlserve_scoring.routes.failures import failed
from mlserve_scoring.routes.open_inference_request import JSON_SIZE, Asked, Wanted, read_request
from mlserve_scoring.routes.open_inference_scorers import Inferred, RefusedByScript
from mlserve_scoring.routes.score import run_time
from mlserve_scoring.scorers.results import to_json
from mlserve_scoring.scorers.scorer import MOST_AT_ONCE
from mlserve_scoring.transport.message import JSON, InferReply, Reply

if TYPE_CHECKING:
    from mlserve_scoring.routes.open_inference_metadata import TensorForm
    from mlserve_scoring.routes.open_inference_scorers import Ask, Inferring
    from mlserve_scoring.routes.route import Handler, Send
    from mlserve_scoring.transport.message import Request

_OCTETS: Final = b"application/octet-stream"


def infer_handler(
    inferring: Inferring,
    names: Mapping[str, str],
    inputs: Sequence[TensorForm],
    failed: Callable[[object], Reply] = failed,
) -> Handler:
    """Return what answers inference requests.

    Args:
        inferring: Asks the model or script.
        names: ``model_name`` and, where there is one, ``model_version``, as every answer has them.
        inputs: The model's, which tell what bytes without JSON are.
        failed: Returns the reply to a request that was not answered as wished, which then gets the protocol's form.
    """

    def refused(result: object) -> Reply:
        reply = failed(result)
        reply.body = orjson.dumps({"error": orjson.loads(reply.body)["message"]})
        return reply

    def begin(asked: Asked, ask: Ask, send: Send) -> None:
        ask(partial(_send, asked, names, send, refused))

    def read(request: Request) -> tuple[Asked, Ask]:
        asked = read_request(request, inputs)
        return asked, inferring.prepared(request, asked)

    def answer(request: Request, send: Send) -> None:
        if len(request.body) > MOST_AT_ONCE:
            future = asyncio.get_running_loop().run_in_executor(None, read, request)
            future.add_done_callback(partial(go_on, send))
            return
        try:
            begin(*read(request), send)
        except Exception as error:  # noqa: BLE001  # what is no ScoringError is logged, and the connection stays
            send(refused(error))

    def go_on(send: Send, future: asyncio.Future[tuple[Asked, Ask]]) -> None:
        try:
            begin(*future.result(), send)
        except Exception as error:  # noqa: BLE001  # the same
            send(refused(error))

    return answer


def _send(
    asked: Asked, names: Mapping[str, str], send: Send, refused: Callable[[object], Reply], result: object
) -> None:
    try:
        if isinstance(result, Inferred):
            send(_reply(asked, names, result))
        elif isinstance(result, RefusedByScript):
            answer = result.answer
            text = answer.body.decode("utf-8", "replace")
            ms = answer.run_ms
            body = orjson.dumps({"error": text})
            send(InferReply(answer.status, body, JSON, (), run_time(ms), run_failed=answer.run_failed, run_ms=ms))
        else:
            send(refused(result))
    except Exception as error:  # noqa: BLE001  # the same
        send(refused(error))


def _reply(asked: Asked, names: Mapping[str, str], inferred: Inferred) -> Reply:
    outputs = inferred.outputs
    wanted = asked.outputs or [Wanted(name, asked.as_bytes) for name in outputs]
    described: list[object] = []
    parts: list[bytes] = []
    for number, (name, as_bytes) in enumerate(wanted):
        array = outputs.get(name)
        if array is None:
            raise InvalidRequestError(
                f"outputs[{number}].name: {name!r} is no output; the outputs are {', '.join(outputs)}"
            )
        one: dict[str, object] = {"name": name, "datatype": datatype_of(array.dtype), "shape": array.shape}
        if as_bytes:
            data = to_bytes(array)
            parts.append(data)
            one["parameters"] = {"binary_data_size": len(data)}
        else:
            one["data"] = to_values(array)
        described.append(one)
    head = to_json({**names, **({} if asked.id is None else {"id": asked.id}), "outputs": described})
    ms = inferred.run_ms
    if not parts:
        return InferReply(200, head, JSON, (), run_time(ms), run_ms=ms)
    size = ((JSON_SIZE, b"%d" % len(head)),)
    return InferReply(200, b"".join((head, *parts)), _OCTETS, size, run_time(ms), run_ms=ms)
