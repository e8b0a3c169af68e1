"""A service that speaks gRPC: refused while its image cannot, then served at a port that stays, and updated in use."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version

import grpc
from mlserve_scoring.grpc.messages import MESSAGES
from programs import free_port, program, replaced

SECONDS = 60
SCRIPT = """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.schema_decorators import input_schema, output_schema


def init():
    pass


@input_schema("rows", NumpyParameterType(np.array([[1.0, 2.0]])))
@output_schema(NumpyParameterType(np.array([3.0])))
def run(rows):
    return 1 * rows.sum(axis=1)
"""


def caller(address, key):
    """Returns a channel, and what asks for the sum of two numbers over it and returns the call."""
    channel = grpc.insecure_channel(address, [("grpc.use_local_subchannel_pool", 1)])
    method = channel.unary_unary(
        "/inference.GRPCInferenceService/ModelInfer",
        request_serializer=MESSAGES["ModelInferRequest"].SerializeToString,
        response_deserializer=MESSAGES["ModelInferResponse"].FromString,
    )
    message = MESSAGES["ModelInferRequest"](model_name="called")
    message.inputs.add(name="rows", datatype="FP64", shape=[1, 2]).contents.fp64_contents.extend([1.0, 2.0])
    return channel, lambda: method.future(message, timeout=SECONDS, metadata=[("authorization", f"Bearer {key}")])


def until(reached):
    """Waits, for as long as a call may take, until clients have been answered so."""
    end = time.monotonic() + SECONDS
    while not reached() and time.monotonic() < end:
        time.sleep(0.02)


def test_a_service_speaks_grpc_with_its_keys_and_is_updated_without_a_lost_call(workspace):
    """The port is chosen once; a change of the script loses no call; the second up does nothing."""
    body = f"""
    source = dict(entry_script="score.py", source_directory="src", requirements_file="requirements.txt")
    image = ScoringImage("called", **source)
    service = LocalService("called", image=image, port={free_port()}, grpc_enabled=True, auth_enabled=True)
    pulumi.export("address", service.grpc_address)
    pulumi.export("key", service.primary_key)
    """
    folder = program(workspace.folder / "program", body)
    (folder / "requirements.txt").write_text(f"numpy=={version('numpy')}\n", encoding="utf-8")
    (folder / "src").mkdir()
    (folder / "src" / "score.py").write_text(SCRIPT, encoding="utf-8")
    stack = workspace.stack(folder)

    lacking = stack.preview().failed().text
    assert "grpcEnabled" in lacking, lacking
    assert "add features=['grpc'] to the image" in lacking
    replaced(folder / "__main__.py", 'ScoringImage("called"', 'ScoringImage("called", features=["grpc"]')
    stack.up().ok()

    address, key = (stack.outputs("--show-secrets")[name] for name in ("address", "key"))
    answers, failures, done = [], [], threading.Event()

    def ask_on():
        channel, ask = caller(address, key)
        with channel:
            while not done.is_set():
                call = ask()
                error = call.exception()
                (failures if error else answers).append(error or call.result().outputs[0].contents.fp64_contents[0])

    with ThreadPoolExecutor(4) as pool:
        for _ in range(4):
            pool.submit(ask_on)
        try:
            until(lambda: answers or failures)
            replaced(folder / "src" / "score.py", "1 * rows", "2 * rows")
            stack.up().ok()
            until(lambda: 6.0 in answers or failures)
        finally:
            done.set()

    assert [] == failures
    assert {3.0, 6.0} == set(answers)
    assert address == stack.outputs()["address"]
    assert {} == stack.preview().ok().changes
    channel, ask = caller(address, "not-the-key")
    with channel:
        assert grpc.StatusCode.UNAUTHENTICATED == ask().exception().code()
