"""How what became of a resource is told to the engine: its outputs, and those of one that exists but is not well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import grpc
from google.protobuf import struct_pb2
from pulumi.runtime.proto import provider_pb2, status_pb2

from pulumi_mlserve.core.declarations import Declaration
from pulumi_mlserve.core.shapes import shape_of, to_wire
from pulumi_mlserve.provider.call import Call, PartialFailure
from pulumi_mlserve.provider.failures import masked
from pulumi_mlserve.provider.values import encode


def outputs_of(state: Mapping[str, Any], declaration: Declaration, call: Call) -> struct_pb2.Struct:
    """Return a resource's outputs as the engine keeps them: with its claimant, secrets wrapped."""
    shape = shape_of(declaration.outputs)
    secret = {field.wire for field in shape.fields if field.secret}
    inherited = {field.wire for field in shape.fields if field.name in call.secrets}
    kept = {"claimant": call.claimant} if "claimant" in shape.by_name else {}
    return encode(to_wire({**kept, **state}, shape), secret | inherited)


def partial_status(failure: PartialFailure, declaration: Declaration, call: Call) -> grpc.Status:
    """Return the status that lets the engine keep a resource that is not as it should be, with the reasons."""
    reasons = [masked(reason, call.hidden) for reason in failure.reasons]
    inputs = shape_of(declaration.inputs)
    detail = provider_pb2.ErrorResourceInitFailed(
        id=failure.resource_id,
        properties=outputs_of(failure.state, declaration, call),
        inputs=encode(to_wire(call.news, inputs), {inputs.by_name[name].wire for name in call.secrets}),
        reasons=reasons,
    )
    carried = status_pb2.Status(code=grpc.StatusCode.UNKNOWN.value[0], message="; ".join(reasons))
    carried.details.add().Pack(detail)
    status = grpc.Status()
    status.code, status.details = grpc.StatusCode.UNKNOWN, carried.message
    status.trailing_metadata = (("grpc-status-details-bin", carried.SerializeToString()),)
    return status
