"""The messages of the Open Inference Protocol and of gRPC's health checks, made at run time from the tables below.

https://github.com/kserve/open-inference-protocol and https://github.com/grpc/grpc/blob/master/doc/health-checking.md.
They live in a pool of their own: a script may load a client's classes of the same names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass

if TYPE_CHECKING:
    from google.protobuf.message import Message

INFERENCE: Final = "inference"
HEALTH: Final = "grpc.health.v1"

# Each message with its fields as a .proto file has them; "A.B" is B inside of A. "map" goes from texts to messages.
_INFERENCE: Final = {
    "ServerLiveRequest": "",
    "ServerLiveResponse": "bool live = 1",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "bool ready = 1",
    "ModelReadyRequest": "string name = 1; string version = 2",
    "ModelReadyResponse": "bool ready = 1",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "string name = 1; string version = 2; repeated string extensions = 3",
    "ModelMetadataRequest": "string name = 1; string version = 2",
    "ModelMetadataResponse": (
        "string name = 1; repeated string versions = 2; string platform = 3; repeated TensorMetadata inputs = 4; "
        "repeated TensorMetadata outputs = 5"
    ),
    "ModelMetadataResponse.TensorMetadata": "string name = 1; string datatype = 2; repeated int64 shape = 3",
    "ModelInferRequest": (
        "string model_name = 1; string model_version = 2; string id = 3; map InferParameter parameters = 4; "
        "repeated InferInputTensor inputs = 5; repeated InferRequestedOutputTensor outputs = 6; "
        "repeated bytes raw_input_contents = 7"
    ),
    "ModelInferRequest.InferInputTensor": (
        "string name = 1; string datatype = 2; repeated int64 shape = 3; map InferParameter parameters = 4; "
        "InferTensorContents contents = 5"
    ),
    "ModelInferRequest.InferRequestedOutputTensor": "string name = 1; map InferParameter parameters = 2",
    "ModelInferResponse": (
        "string model_name = 1; string model_version = 2; string id = 3; map InferParameter parameters = 4; "
        "repeated InferOutputTensor outputs = 5; repeated bytes raw_output_contents = 6"
    ),
    "ModelInferResponse.InferOutputTensor": (
        "string name = 1; string datatype = 2; repeated int64 shape = 3; map InferParameter parameters = 4; "
        "InferTensorContents contents = 5"
    ),
    "InferParameter": (
        "oneof bool bool_param = 1; oneof int64 int64_param = 2; oneof string string_param = 3; "
        "oneof double double_param = 4; oneof uint64 uint64_param = 5"
    ),
    "InferTensorContents": (
        "repeated bool bool_contents = 1; repeated int32 int_contents = 2; repeated int64 int64_contents = 3; "
        "repeated uint32 uint_contents = 4; repeated uint64 uint64_contents = 5; repeated float fp32_contents = 6; "
        "repeated double fp64_contents = 7; repeated bytes bytes_contents = 8"
    ),
}
# The status is an enumeration there, which is sent as the number that it is here.
_HEALTH: Final = {"HealthCheckRequest": "string service = 1", "HealthCheckResponse": "int32 status = 1"}
PARAMETER_CHOICE: Final = "parameter_choice"


def _made(package: str, table: dict[str, str]) -> dict[str, type[Message]]:
    """Return the classes of the messages of a table, by their names."""
    file = FileDescriptorProto(name=f"mlserve/{package}.proto", package=package, syntax="proto3")
    made: dict[str, DescriptorProto] = {}
    for name, fields in table.items():
        outer, _, inner = name.rpartition(".")
        made[name] = message = (made[outer].nested_type if outer else file.message_type).add(name=inner)
        for field in filter(None, fields.split("; ")):
            _add(message, field.split(), f".{package}.{name}", package, table)
    pool = DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in table}


def _add(message: DescriptorProto, words: list[str], place: str, package: str, table: dict[str, str]) -> None:
    """Add a field, as its line says, to a message."""
    *kinds, kind, name, _, number = words
    field = message.field.add(name=name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
    if kinds:
        field.label = _LABELS[kinds[0]]
    if kinds == ["oneof"]:
        if not message.oneof_decl:
            message.oneof_decl.add(name=PARAMETER_CHOICE)
        field.oneof_index = 0
    code = getattr(FieldDescriptorProto, f"TYPE_{kind.upper()}", None)
    if code is not None:
        field.type = code
        return
    field.type = FieldDescriptorProto.TYPE_MESSAGE
    inner = f"{place}.{kind}"
    field.type_name = inner if inner.removeprefix(f".{package}.") in table else f".{package}.{kind}"
    if kinds == ["map"]:
        entry = message.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        entry.field.add(
            name="key", number=1, type=FieldDescriptorProto.TYPE_STRING, label=FieldDescriptorProto.LABEL_OPTIONAL
        )
        value = entry.field.add(
            name="value", number=2, type=FieldDescriptorProto.TYPE_MESSAGE, label=FieldDescriptorProto.LABEL_OPTIONAL
        )
        value.type_name, field.type_name = field.type_name, f"{place}.{entry.name}"


_LABELS: Final = {
    "repeated": FieldDescriptorProto.LABEL_REPEATED,
    "map": FieldDescriptorProto.LABEL_REPEATED,
    "oneof": FieldDescriptorProto.LABEL_OPTIONAL,
}

# Any: protobuf's classes are made here, so no checker can know their fields.
MESSAGES: Final[dict[str, Any]] = {**_made(INFERENCE, _INFERENCE), **_made(HEALTH, _HEALTH)}
"""The classes by their names, such as ``ModelInferRequest``."""
