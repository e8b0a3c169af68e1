"""Values move between the engine's wire form and plain Python without loss."""

from __future__ import annotations

import math

import pytest
from google.protobuf import json_format, struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from pulumi_mlserve.provider.values import UNKNOWN, RefusedAsset, decode, encode, has_unknown, known

SIGNATURE = "4dabf18193072939515e22adb298388d"
SECRET = "1b47061264138c4ac30d75fd1eb44270"
OUTPUT = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
ASSET = "c44067f5952c0a294b673a41bacd8c17"
ARCHIVE = "0def7320c3a5731c473e5ecbe6d01bc7"
UNKNOWN_TEXT = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


def wire(value):
    """Return a protocol struct."""
    struct = struct_pb2.Struct()
    json_format.ParseDict(value, struct)
    return struct


def test_whole_numbers_come_back_as_integers():
    """The protocol has only floats; a port is an integer all the same."""
    assert {"port": 8890, "share": 0.5} == decode(wire({"port": 8890, "share": 0.5})).plain
    assert isinstance(decode(wire({"port": 8890})).plain["port"], int)


def test_what_is_no_number_comes_through():
    """It is refused at its property by whoever expects a number."""
    assert math.isnan(decode(encode({"cpu": math.nan})).plain["cpu"])


def test_secrets_are_unwrapped_and_named_at_the_top():
    """A secret deep inside makes its whole top-level property one."""
    values = decode(wire({"keys": {"primary": {SIGNATURE: SECRET, "value": "hush"}}, "port": 1}))

    assert {"keys": {"primary": "hush"}, "port": 1} == values.plain
    assert frozenset({"keys"}) == values.secrets


def test_unknowns_and_outputs_are_understood():
    """A value known later is the unknown mark, wherever it stands."""
    values = decode(
        wire(
            {
                "a": UNKNOWN_TEXT,
                "b": [{"c": UNKNOWN_TEXT}],
                "d": {SIGNATURE: OUTPUT},
                "e": {SIGNATURE: OUTPUT, "value": 3, "secret": True},
            }
        )
    )

    assert {"a": UNKNOWN, "b": [{"c": UNKNOWN}], "d": UNKNOWN, "e": 3} == values.plain
    assert frozenset({"e"}) == values.secrets
    assert {"e": 3} == known(values.plain)


def test_file_assets_are_their_paths_and_others_are_refused():
    """A local asset or archive names a path; text and remote ones have none."""
    values = decode(
        wire(
            {
                "file": {SIGNATURE: ASSET, "path": "model.onnx", "hash": "1"},
                "folder": {SIGNATURE: ARCHIVE, "path": "model", "hash": "2"},
                "text": {SIGNATURE: ASSET, "text": "x", "hash": "3"},
            }
        )
    ).plain

    assert ("model.onnx", "model") == (values["file"], values["folder"])
    assert isinstance(values["text"], RefusedAsset)


def test_secrets_are_wrapped_on_the_way_out():
    """What is named as secret never leaves in clear form."""
    sent = json_format.MessageToDict(encode({"key": "hush", "port": 1}, {"key"}))

    assert {"key": {SIGNATURE: SECRET, "value": "hush"}, "port": 1.0} == sent


@given(st.dictionaries(st.text(max_size=5).filter(lambda key: key != SIGNATURE), JSON.filter(lambda v: v is not None)))
def test_what_goes_out_comes_back(values):
    """Encoding and decoding together change nothing."""
    assert values == decode(encode(values)).plain


@pytest.mark.parametrize("value", [UNKNOWN, [1, UNKNOWN], {"a": {"b": UNKNOWN}}])
def test_an_unknown_inside_is_found(value):
    """However deep it lies."""
    assert has_unknown(value)
