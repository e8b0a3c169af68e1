"""ONNX files, run by onnxruntime."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from mlserve_scoring.errors import StartError
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.loaded import CPU, Port, Providers
from mlserve_scoring.models.onnx_failures import Failures
from mlserve_scoring.models.port_schema import zero_sample
from mlserve_scoring.models.refusals import refusal

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlserve_scoring.models.loaded import Array
    from mlserve_scoring.models.onnx_failures import Given

_log = logging.getLogger("mlserve.model")
_DTYPES: Final[dict[str, str]] = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(bfloat16)": "float32",  # numpy has none; widening it loses nothing
    "tensor(int8)": "int8",
    "tensor(int16)": "int16",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(uint8)": "uint8",
    "tensor(uint16)": "uint16",
    "tensor(uint32)": "uint32",
    "tensor(uint64)": "uint64",
    "tensor(bool)": "bool",
    "tensor(string)": "object",
}
_HALVES: Final = "bfloat16"
_OPTIONAL: Final = "optional("
PROVIDERS: Final = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "tensorrt": "TensorrtExecutionProvider",
    "rocm": "ROCMExecutionProvider",
    "migraphx": "MIGraphXExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "dnnl": "DnnlExecutionProvider",
}


def load_onnx(path: Path, *, threads: int, providers: Providers = CPU) -> OnnxModel:
    """Load a model.

    Args:
        path: Of the file.
        threads: Processors that one run may use.
        providers: What runs it, best first: words of ``PROVIDERS``, each with the options that onnxruntime takes.

    Raises:
        StartError: It cannot be loaded, it has inputs that no JSON stands for, or a provider is not to be had.
    """
    try:
        import onnxruntime  # noqa: PLC0415  # only images with such a model bring it
    except ImportError as error:
        raise StartError(
            f"onnxruntime cannot be imported, {error}", stage="import", todo="add 'onnxruntime' to the environment"
        ) from error
    onnxruntime.disable_telemetry_events()
    asked = [(PROVIDERS[name], dict(options)) for name, options in providers.items()]
    _check_providers(onnxruntime, providers)
    if not _NVIDIA.isdisjoint(providers) and hasattr(onnxruntime, "preload_dlls"):
        # CUDA and cuDNN may come as packages, where no loader looks; onnxruntime 1.21 and later does.
        onnxruntime.preload_dlls()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 4  # what fails is raised, and told once
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=asked)
    except Exception as error:
        todo = "check that the file is a complete ONNX model"
        if any(providers.values()):
            todo += ", and onnx_provider_options"
        raise StartError(f"{path.name} cannot be loaded, {error}", stage="init", todo=todo) from error
    _check_used(session, providers)
    given, defaults = session.get_inputs(), session.get_overridable_initializers()
    inputs = [_port(entry) for entry in given] + [replace(_port(entry), is_optional=True) for entry in defaults]
    for port, entry in zip(inputs, (*given, *defaults), strict=True):
        if not port.dtype:
            raise StartError(
                f"{path.name}: input {port.name!r} is of type {entry.type}, which no JSON stands for",
                stage="init",
                todo="give an entry script that makes it",
            )
    outputs = session.get_outputs()
    if any(_HALVES in entry.type for entry in (*given, *defaults, *outputs)):
        from mlserve_scoring.models.onnx_bfloat16 import Widened  # noqa: PLC0415  # hardly a model has them

        halves = {entry.name for entry in (*given, *defaults) if _HALVES in entry.type}
        session = Widened(onnxruntime, session, halves)
    return OnnxModel(session, inputs, [_port(entry) for entry in outputs])


class OnnxModel:
    """A session; onnxruntime runs it on any number of threads at a time."""

    def __init__(self, session: Any, inputs: Sequence[Port], outputs: Sequence[Port]) -> None:
        self.inputs = inputs
        self.outputs = outputs
        self._session = session
        self._run: Callable[[Sequence[str], Given], list[object]] = self._run_until_known
        self._failures = Failures(lambda given: self._session.run(self._names, given), self._smallest)
        self._names = [port.name for port in outputs]
        # An input of an optional type must be there, as None; one with a default must not.
        self._absent = dict.fromkeys(port.name for port in inputs if port.is_optional and port.is_nullable)
        self.sample = self._sample()

    def _sample(self) -> object:
        """Return a sample; of texts and whole numbers, which may be categories, only one that the model knows."""
        sample = zero_sample(self.inputs)
        if sample is not None and any(port.dtype == "object" or "int" in port.dtype for port in self.inputs):
            try:
                self.run(read_inputs(sample, self.inputs))
            except Exception as error:  # noqa: BLE001  # whatever an encoder says to a word that it does not know
                _log.warning("no sample is known that the model answers, give one: %s", str(error).split("\n", 1)[0])
                return None
        return sample

    def run(self, inputs: Mapping[str, Array]) -> Sequence[object]:
        """Return a value for each output.

        Raises:
            InvalidRequestError: The session refuses the inputs.
        """
        try:
            given: Given = {**self._absent, **inputs} if self._absent else inputs
            return self._run(self._names, given)
        except Exception as error:
            if self._failures.is_of_inputs(error):
                raise refusal(error) from error
            raise

    def _run_until_known(self, names: Sequence[str], given: Given) -> list[object]:
        """Run until inputs that are answered are small enough to be kept; from then on the session itself is asked."""
        outputs: list[object] = self._session.run(names, given)
        if self._failures.keep(given):
            self._run = self._session.run
        return outputs

    def _smallest(self) -> Given:
        fixed = [replace(port, shape=tuple(length or 1 for length in port.shape)) for port in self.inputs]
        return {**self._absent, **read_inputs(zero_sample(fixed), fixed)}


def _check_providers(onnxruntime: Any, providers: Providers) -> None:
    there = onnxruntime.get_available_providers()
    for name in providers:
        if PROVIDERS[name] not in there:
            words = [word for word, known in PROVIDERS.items() if known in there]
            raise StartError(
                f"onnx_providers: this onnxruntime has no {name!r}, it has {', '.join(words)}",
                stage="init",
                todo=_WHEELS.get(name, f"put a build of onnxruntime with {PROVIDERS[name]} into the environment"),
            )


def _check_used(session: Any, providers: Providers) -> None:
    """Refuse a session that fell back to the processor: onnxruntime only prints that a device is missing."""
    used = session.get_providers()
    missing = [name for name in providers if PROVIDERS[name] not in used]
    if missing:
        raise StartError(
            f"onnx_providers: {missing[0]!r} could not be started, onnxruntime would use {', '.join(used)}",
            stage="init",
            todo="check that the device, its driver and its libraries are there, or take the provider out",
        )


_NVIDIA: Final = frozenset({"cuda", "tensorrt"})
_WHEELS: Final = {
    "cuda": "put 'onnxruntime-gpu[cuda,cudnn]' in place of 'onnxruntime' into the environment",
    "tensorrt": "put 'onnxruntime-gpu[cuda,cudnn]' in place of 'onnxruntime' into the environment, TensorRT beside it",
    "openvino": "put 'onnxruntime-openvino' in place of 'onnxruntime' into the environment",
}


def _port(entry: Any) -> Port:  # onnxruntime has no types
    shape = tuple(length if isinstance(length, int) and length > 0 else None for length in entry.shape or ())
    is_optional = entry.type.startswith(_OPTIONAL)
    kind = entry.type[len(_OPTIONAL) : -1] if is_optional else entry.type
    return Port(entry.name, _DTYPES.get(kind, ""), shape, is_optional=is_optional, is_nullable=is_optional)
