"""``/v2``: the REST form of the Open Inference Protocol, with tensors as JSON or as bytes.

https://github.com/kserve/open-inference-protocol, and Triton's "binary tensor data extension".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import orjson

from mlserve_scoring import __version__
from mlserve_scoring.routes.failures import failed
from mlserve_scoring.routes.open_inference_metadata import ServedModel, form_of_parameter, forms_of_answer, names_of
from mlserve_scoring.routes.route import Handler, Route, Routes, Send
from mlserve_scoring.transport.message import Reply, Request

if TYPE_CHECKING:
    from mlserve_scoring.contract import Contract
    from mlserve_scoring.manifest import Manifest
    from mlserve_scoring.scorers.scorer import Scorer

EXTENSIONS: Final = ("binary_tensor_data",)
_MODEL: Final = "mlserve_model"
_SCRIPT: Final = "mlserve_script"
_NO_PARAMETERS: Final = (
    "run() declares no parameters, so tensors cannot be matched to them; declare them with @input_schema, "
    "or send the request to /score"
)


def served_model(scorer: Scorer, contract: Contract, manifest: Manifest, service: str) -> ServedModel:
    """Return what the protocol calls the model of a service."""
    name, version, aliases = names_of(manifest, service)
    if manifest.entry_script is None:
        from mlserve_scoring.models.model_scorer import ModelScorer  # noqa: PLC0415  # not where a script answers
        from mlserve_scoring.routes.open_inference_scorers import tensors_of  # noqa: PLC0415

        if isinstance(scorer, ModelScorer):
            inputs = tensors_of(scorer.model.inputs)
            outputs = tensors_of([port for port in scorer.model.outputs if port.dtype])
            return ServedModel(name, version, aliases, _MODEL, inputs, outputs)
    properties = contract.input.get("properties")
    if contract.source != "decorators" or not isinstance(properties, dict):
        return ServedModel(name, version, aliases, _SCRIPT, (), (), _NO_PARAMETERS)
    inputs = tuple(form_of_parameter(parameter, schema) for parameter, schema in properties.items())
    return ServedModel(name, version, aliases, _SCRIPT, inputs, forms_of_answer(contract.output))


def inference(
    model: ServedModel, scorer: Scorer, contract: Contract, failed: Callable[[object], Reply] = failed
) -> Handler:
    """Return what answers inference requests; where a script answers, numpy is imported by the first of them.

    Args:
        model: What the protocol calls the service's model.
        scorer: Answers.
        contract: Says which parameters a script declares.
        failed: Returns the reply to a request that was not answered as wished.
    """
    names = {"model_name": model.name, **({} if model.version is None else {"model_version": model.version})}
    if model.missing:
        return _never(model.missing)
    if model.platform == _MODEL:
        from mlserve_scoring.routes.open_inference_infer import infer_handler  # noqa: PLC0415  # needs numpy
        from mlserve_scoring.routes.open_inference_scorers import ModelInferring  # noqa: PLC0415

        return infer_handler(ModelInferring(scorer), names, model.inputs, failed)  # type: ignore[arg-type]  # see served_model
    begun: list[Handler] = []

    def begin() -> Handler:
        try:
            from mlserve_scoring.routes.open_inference_infer import infer_handler  # noqa: PLC0415  # needs numpy
            from mlserve_scoring.routes.open_inference_scorers import ScriptInferring  # noqa: PLC0415
        except ImportError as error:
            return _never(f"tensors need numpy, which the environment lacks ({error}); send the request to /score")
        return infer_handler(ScriptInferring(scorer, contract), names, model.inputs, failed)

    def infer(request: Request, send: Send) -> None:
        if not begun:
            begun.append(begin())
        begun[0](request, send)

    return infer


def open_inference_routes(
    model: ServedModel, infer: Handler, *, state: Callable[[], str], health_is_open: bool
) -> Routes:
    """Return the routes of the protocol.

    Args:
        model: What it calls the service's model.
        infer: Answers inference requests; see ``inference``.
        state: Returns ``ready``, or why the service is not.
        health_is_open: Whether health needs no key.
    """
    metadata = orjson.dumps(model.to_json())
    server = orjson.dumps({"name": "mlserve", "version": __version__, "extensions": EXTENSIONS})

    def ready(beside: Mapping[str, object]) -> Handler:
        def answer(request: Request, send: Send) -> None:
            del request
            is_ready = state() == "ready"
            send(Reply(200 if is_ready else 503, orjson.dumps({**beside, "ready": is_ready})))

        return answer

    def route(handler: Handler, method: str = "GET", *, is_open: bool = False) -> Route:
        return Route({method: handler}, is_open, shown=False, refusal=error_reply)

    routes = {
        "/v2": Route({"GET": _always(server)}, refusal=error_reply),
        "/v2/": route(_always(server)),
        "/v2/health/live": route(_always(b'{"live":true}'), is_open=health_is_open),
        "/v2/health/ready": route(ready({}), is_open=health_is_open),
    }
    for path in model.paths:
        routes[path] = route(_always(metadata))
        routes[f"{path}/ready"] = route(ready({"name": model.name}), is_open=health_is_open)
        routes[f"{path}/infer"] = route(infer, "POST")
    return routes


def error_reply(status: int, text: str) -> Reply:
    """Return an error as the protocol has it."""
    return Reply(status, orjson.dumps({"error": text}))


def unknown_model(path: str) -> Reply | None:
    """Return the reply to a path that names a model which is not here; nothing for any other path."""
    _, found, rest = path.partition("/v2/")
    if not found:
        return None
    kind, _, name = rest.partition("/")
    if kind == "models" and name:
        return error_reply(404, f"There is no {name!r} among the models here; /openapi.json says what there is.")
    return error_reply(404, f"There is no {path}; the Open Inference Protocol begins at /v2.")


def _always(body: bytes) -> Handler:
    def answer(request: Request, send: Send) -> None:
        del request
        send(Reply(200, body))

    return answer


def _never(reason: str) -> Handler:
    def answer(request: Request, send: Send) -> None:
        del request
        send(error_reply(400, reason))

    return answer
