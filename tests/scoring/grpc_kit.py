"""A client of the Open Inference Protocol over gRPC: the real grpcio, with messages of our own making."""

from __future__ import annotations

import contextlib

import grpc
import numpy as np
from mlserve_scoring.grpc.messages import MESSAGES
from scoring_kit import PATIENCE

SERVICE = "inference.GRPCInferenceService"
FIELDS = {
    "BOOL": "bool_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
    "FP64": "fp64_contents",
    "BYTES": "bytes_contents",
}


class Client:
    """A channel, and how to call what stands behind it."""

    def __init__(self, channel, metadata=()):
        self.channel = channel
        self.metadata = metadata

    def start(self, name, message=None, *, metadata=(), timeout=PATIENCE, service=SERVICE, kind=None, **options):
        """Begins a call; returns its future."""
        kind = kind or name
        request = MESSAGES[f"{kind}Request"]() if message is None else message
        method = self.channel.unary_unary(
            f"/{service}/{name}",
            request_serializer=lambda value: value if isinstance(value, bytes) else value.SerializeToString(),
            response_deserializer=MESSAGES[f"{kind}Response"].FromString,
        )
        return method.future(request, timeout=timeout, metadata=(*self.metadata, *metadata), **options)

    def call(self, name, message=None, **options):
        """Calls and waits; returns the answer."""
        return self.start(name, message, **options).result()

    def infer(self, message, **options):
        """Asks for an inference."""
        return self.call("ModelInfer", message, **options)

    def health(self, service="", **options):
        """Asks for the standard health."""
        message = MESSAGES["HealthCheckRequest"](service=service)
        answer = self.call("Check", message, service="grpc.health.v1.Health", kind="HealthCheck", **options)
        return answer.status

    def failure(self, name, message=None, **options):
        """Calls what must fail; returns the error."""
        try:
            answer = self.call(name, message, **options)
        except grpc.RpcError as error:
            return error
        raise AssertionError(f"answered {answer}")


@contextlib.contextmanager
def client(port, *, metadata=(), certificate=None, options=()):
    """Yields a client of a service at a port of this machine."""
    options = [("grpc.use_local_subchannel_pool", 1), *options]
    target = f"127.0.0.1:{port}"
    if certificate is None:
        channel = grpc.insecure_channel(target, options=options)
    else:
        channel = grpc.secure_channel(target, grpc.ssl_channel_credentials(certificate), options=options)
    with channel:
        yield Client(channel, metadata)


def asked(inputs, *, model="diabetes", raw=False, **more):
    """Returns an inference request; inputs are triples of datatype, shape and flat values by name."""
    message = MESSAGES["ModelInferRequest"](model_name=model, **more)
    for name, (datatype, shape, values) in inputs.items():
        tensor = message.inputs.add(name=name, datatype=datatype, shape=shape)
        if raw:
            message.raw_input_contents.append(raw_of(datatype, values))
        else:
            field = getattr(tensor.contents, FIELDS[datatype])
            field.extend([value.encode() for value in values] if datatype == "BYTES" else values)
    return message


def raw_of(datatype, values):
    """Returns values as the binary form has them."""
    if datatype == "BYTES":
        return b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in values)
    names = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "BOOL": "?"}
    dtype = names.get(datatype) or "<" + datatype.lower().replace("uint", "u").replace("int", "i")
    if dtype[1:2] in {"u", "i"}:
        dtype = f"<{dtype[1]}{int(dtype[2:]) // 8}"
    return np.array(values, dtype=dtype).tobytes()


def outputs_of(answer):
    """Returns the outputs of an answer by name: datatype, shape and flat values."""
    found = {}
    for number, output in enumerate(answer.outputs):
        if answer.raw_output_contents:
            data = answer.raw_output_contents[number]
            values = from_raw(output.datatype, data)
        else:
            values = list(getattr(output.contents, FIELDS[output.datatype]))
            if output.datatype == "BYTES":
                values = [value.decode() for value in values]
        found[output.name] = (output.datatype, list(output.shape), values)
    return found


def from_raw(datatype, data):
    """Returns the values of the binary form."""
    if datatype == "BYTES":
        found = []
        while data:
            length = int.from_bytes(data[:4], "little")
            found.append(data[4 : 4 + length].decode())
            data = data[4 + length :]
        return found
    names = {"FP16": "<f2", "FP32": "<f4", "FP64": "<f8", "BOOL": "?"}
    if datatype in names:
        return np.frombuffer(data, names[datatype]).tolist()
    kind, bits = datatype.lower().partition("int")[::2]
    return np.frombuffer(data, f"<{kind or 'i'}{int(bits) // 8}").tolist()
