"""Asks a model or a script what an inference request asks: tensors become inputs, answers become tensors."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import orjson

from mlserve_scoring.errors import InvalidRequestError, ResultError
from mlserve_scoring.models.runs import Outputs
from mlserve_scoring.models.tensor_form import Tensor, fitted, lengths_of
from mlserve_scoring.models.tensors import DTYPES, datatype_of
from mlserve_scoring.observing.current import is_traced
from mlserve_scoring.observing.trace_context import trace_of
from mlserve_scoring.routes.identity import id_of
from mlserve_scoring.routes.open_inference_metadata import TensorForm, form_of_parameter, forms_of_answer
from mlserve_scoring.scorers.json_body import may_hold_large, says_true_or_false
from mlserve_scoring.scorers.lenient_json import read_as_v1, read_text_as_v1
from mlserve_scoring.scorers.results import Answer, to_json
from mlserve_scoring.transport.message import Request

if TYPE_CHECKING:
    from mlserve_scoring.contract import Contract
    from mlserve_scoring.models.loaded import Array, Port
    from mlserve_scoring.models.model_scorer import ModelScorer
    from mlserve_scoring.routes.open_inference_request import Asked
    from mlserve_scoring.scorers.scorer import Scorer


Done = Callable[[object], None]
Ask = Callable[[Done], None]
"""Asks: what it is given gets ``Inferred``, ``RefusedByScript`` or a ``ScoringError``, once, on the loop."""


class Inferred(NamedTuple):
    """What came back.

    Attributes:
        outputs: Arrays by name.
        run_ms: How long the run took; ``None`` when nobody says.
    """

    outputs: Mapping[str, Array]
    run_ms: float | None


class RefusedByScript(NamedTuple):
    """The script answered with a status of its own that is no success.

    Attributes:
        answer: As it would have been sent.
    """

    answer: Answer


class Inferring(Protocol):
    """Answers inference requests."""

    def prepared(self, request: Request, asked: Asked) -> Ask:
        """Return what asks, to be called on the loop; this may be called on any thread.

        Raises:
            InvalidRequestError: The tensors are not what is needed.
        """


class ModelInferring:
    """Answers with a model that has no script; requests share runs as those to ``/score`` do."""

    def __init__(self, scorer: ModelScorer) -> None:
        self._scorer = scorer
        self._inputs = scorer.model.inputs
        self._outputs = [port.name for port in scorer.model.outputs]

    def prepared(self, request: Request, asked: Asked) -> Ask:
        """See ``Inferring``."""
        return partial(self._infer, request, fitted(asked.inputs, self._inputs))

    def _infer(self, request: Request, inputs: Mapping[str, Array], done: Done) -> None:
        def ran(result: object) -> None:
            done(self._told(result) if isinstance(result, Outputs) else result)

        self._scorer.infer(inputs, ran, request)

    def _told(self, outputs: Outputs) -> object:
        try:
            named = zip(self._outputs, outputs.values, strict=True)
            tensors = {name: value for name, value in named if isinstance(value, np.ndarray)}
        except Exception as error:  # noqa: BLE001  # whatever a model gives, its client is answered
            return error
        return Inferred(tensors, outputs.run_ms)


class ScriptInferring:
    """Answers with a script whose parameters are declared: each tensor is the value of one.

    The script gets what it would get from ``/score``; so its decorators check and convert.
    """

    def __init__(self, scorer: Scorer, contract: Contract) -> None:
        properties = contract.input.get("properties")
        schemas = properties if isinstance(properties, dict) else {}
        self._scorer = scorer
        self._parameters = {name: form_of_parameter(name, schema) for name, schema in schemas.items()}
        self._answers = {form.name: form for form in forms_of_answer(contract.output)}

    def prepared(self, request: Request, asked: Asked) -> Ask:
        """See ``Inferring``."""
        values = []
        for name, tensor in asked.inputs.items():
            if name not in self._parameters:
                raise InvalidRequestError(
                    f"inputs[{tensor.number}].name: {name!r} is no parameter; they are {', '.join(self._parameters)}"
                )
            values.append(orjson.dumps(name) + b":" + _value(tensor, self._parameters[name]))
        headers = {name: value for name, value in request.headers.items() if name not in _OF_THE_BODY}
        inner = Request(
            "POST",
            "/score",
            headers={**headers, b"content-type": b"application/json"},
            body=b"{" + b",".join(values) + b"}",
            arrived=request.arrived,
            peer=request.peer,
        )
        inner.id = id_of(request)
        inner.trace = trace_of(request) if is_traced() else None
        return partial(self._infer, inner)

    def _infer(self, inner: Request, done: Done) -> None:
        def ran(result: object) -> None:
            done(self._told(result) if isinstance(result, Answer) else result)

        self._scorer.score(inner, ran)

    def _told(self, answer: Answer) -> object:
        try:
            return self._inferred(answer)
        except Exception as error:  # noqa: BLE001  # whatever a script returns, its client is answered
            return error

    def _inferred(self, answer: Answer) -> object:
        if answer.stream is not None:
            answer.stream.close()
            return InvalidRequestError("run() answers in parts, which tensors do not; send the request to /score")
        if answer.status >= _NO_SUCCESS or answer.run_failed:
            return RefusedByScript(answer)
        try:
            value = _read(answer.body)
        except ValueError:
            return ResultError("What run() returned is no JSON, so it has no tensors.")
        named = value if isinstance(value, dict) and value else {"output": value}
        has_words = says_true_or_false(answer.body)
        arrays = {name: self._array(name, entry, has_words=has_words) for name, entry in named.items()}
        return Inferred(arrays, answer.run_ms)

    def _array(self, name: str, value: object, *, has_words: bool) -> Array:
        form = self._answers.get(name)
        declared = None if form is None or form.datatype == "BYTES" else DTYPES[form.datatype]
        may_bend = declared is not None and np.dtype(declared).kind == "f"
        array = _plain_array(value, has_words=has_words, may_bend=may_bend)
        if array is not None:
            cast = array if declared is None or array.dtype.kind == "O" else array.astype(declared)
            return cast if cast is array or _is_same(cast, array) else array
        text: Array = np.empty(1, dtype=object)
        text[0] = to_json(value).decode("utf-8")
        return text


_NO_SUCCESS = 400
_NUMBERS = frozenset({int, float, type(None)})
_FEW = 1_000
_BENDS = 2.0**53
"""From here on a fraction has no room for every whole number."""
_OF_THE_BODY = frozenset(
    {b"content-type", b"content-length", b"content-encoding", b"transfer-encoding", b"inference-header-content-length"}
)


def _plain_array(value: object, *, has_words: bool, may_bend: bool) -> Array | None:
    """Return the array of an answer's values, texts as objects; nothing where they are not of one plain kind.

    Args:
        value: As it was read from JSON; null among numbers stands for NaN.
        has_words: ``true`` or ``false`` stands somewhere in the answer.
        may_bend: Whole numbers may become fractions, whatever of them that loses.
    """
    try:
        array: Array = np.asarray(value)
        if array.size > _FEW and not has_words and _is_of_numbers(array):
            return array
        kinds = _kinds(value, array.ndim)
        if not kinds or kinds == {bool}:
            return array
        if kinds == {str}:
            return np.asarray(value, dtype=object)
        return _numbers(array, value, kinds, may_bend=may_bend) if kinds <= _NUMBERS else None
    except (ValueError, TypeError, OverflowError):
        return None


def _numbers(array: Array, value: object, kinds: set[type], *, may_bend: bool) -> Array | None:
    if kinds == {int} and not may_bend:
        return array if array.dtype.kind in "iu" else _unsigned(value)
    if array.dtype.kind == "O":
        array = np.asarray(value, dtype=np.float64)
    return array if may_bend or int not in kinds or _is_exact(array, value) else None


def _is_of_numbers(array: Array) -> bool:
    """Return whether an array without truth values surely is what it was made of: far quicker than to look at that."""
    return array.dtype.kind in "iu" or (array.dtype.kind == "f" and bool(np.abs(array).max() < _BENDS))


def _kinds(value: Any, depth: int) -> set[type]:
    """Return the kinds of what lies in lists of that depth."""
    level = value if depth else (value,)
    for _ in range(depth - 1):
        level = chain.from_iterable(level)
    return set(map(type, level))


def _unsigned(value: object) -> Array | None:
    """Return whole numbers as the largest type has them; nothing where it cannot, which older numpy would not say."""
    array: Array = np.asarray(value, dtype=object)
    return array.astype(np.uint64) if array.min() >= 0 else None


def _is_exact(array: Array, value: object) -> bool:
    """Return whether whole numbers stay what they are among fractions."""
    if not (np.abs(array) >= _BENDS).any():
        return True
    given = np.asarray(value, dtype=object).ravel().tolist()
    return all(type(one) is not int or one == made for one, made in zip(given, array.ravel().tolist(), strict=True))


def _is_same(cast: Array, array: Array) -> bool:
    """Return whether a declared type takes an answer's values without bending them further than its own precision."""
    return cast.dtype.kind == "f" or bool((cast == array).all())


def _read(answer: bytes) -> object:
    """Return what a script's answer holds: large numbers whole, and NaN, which it may hold with ``strict_v1``.

    Raises:
        ValueError: It is no JSON.
    """
    if not may_hold_large(answer):
        with contextlib.suppress(orjson.JSONDecodeError):
            return orjson.loads(answer)
    return read_as_v1(answer)


def _value(tensor: Tensor, form: TensorForm) -> bytes:
    """Return the value as it stands in a body for ``/score``; a text of JSON stands there as it came."""
    array = tensor.array
    if form.is_text and array.size == 1 and tensor.datatype == "BYTES":
        text: str = array.item()
        try:
            _check_json(text)
        except ValueError as error:
            raise InvalidRequestError(f"inputs[{tensor.number}].data[0]: is no JSON: {error}") from error
        return text.encode("utf-8", "surrogatepass")
    value = array.item() if array.size == 1 and (form.is_text or not form.shape) else array.tolist()
    written = to_json(value)
    if array.dtype.kind == "f" and b"null" in written:  # NaN and the infinities, as Python writes and v1 reads them
        return json.dumps(value).encode("ascii")
    return written


def _check_json(text: str) -> None:
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        read_text_as_v1(text)


def tensors_of(ports: Sequence[Port]) -> tuple[TensorForm, ...]:
    """Return the protocol's description of a model's inputs, or of its outputs but for what is no tensor.

    An input with cells of any kind is called ``BYTES``, and takes every type.
    """
    return tuple(
        TensorForm(port.name, datatype_of(np.dtype(port.dtype or object)), lengths_of(port), takes_any=not port.dtype)
        for port in ports
    )
