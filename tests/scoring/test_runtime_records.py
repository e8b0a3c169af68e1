"""Manifest, contract and settings: what is written is read again, what is wrong is refused."""

from __future__ import annotations

import json
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest
from mlserve_scoring import manifest as manifests
from mlserve_scoring import settings as settings_files
from mlserve_scoring.contract import ABSENT, Contract, ContractError, Sample, samples_from_json
from mlserve_scoring.manifest import Limits, Manifest, ManifestError, ModelEntry
from mlserve_scoring.scorers.schemas import faults, same, schema_from
from mlserve_scoring.settings import Settings, SettingsError

FULL = Manifest(
    image="diabetes",
    recipe="sha256:00",
    python="3.11",
    entry_script="score.py",
    models=(ModelEntry("diabetes", 1, "sha256:11", "opt/mlserve/models/sha256-11", "ridge.onnx", "Onnx"),),
    variables={"B": "ü", "A": "1"},
    samples=(Sample({"data": [[1]]}, None), Sample(2)),
    contract=Contract({"type": "object"}, {}, (Sample(1, 2),), "decorators"),
    limits=Limits(5, 6),
)


def test_a_manifest_is_read_as_it_was_written(tmp_path):
    """Every field, and whether a sample has an output."""
    file = tmp_path / manifests.MANIFEST_PATH
    file.parent.mkdir(parents=True)
    file.write_text(manifests.dump(FULL), encoding="utf-8")
    found = manifests.load(tmp_path)

    assert found == FULL
    assert [sample.output for sample in found.samples] == [None, ABSENT]


def test_a_manifests_text_is_canonical():
    """Equal manifests have equal bytes."""
    text = manifests.dump(FULL)

    assert text.endswith("}\n")
    assert list(json.loads(text)) == sorted(json.loads(text))
    assert text == manifests.dump(manifests.parse(text))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema": 2}, "schema is not known here, got 2"),
        ({"colour": 1}, "unknown key 'colour'"),
        ({"image": None}, "image: must be a text"),
        ({"models": [{"name": "x"}]}, "not of the documented form"),
        ({"samples": [{"output": 1}]}, "samples[0]: is no sample"),
        ({"contract": {"schema": 9}}, "contract.schema: is not known here"),
        ({"limits": {"max_body_bytes": 0}}, "max_body_bytes: must be a whole number above 0"),
    ],
)
def test_a_manifest_of_another_form_is_refused(change, message):
    """With the place."""
    value = {**json.loads(manifests.dump(FULL)), **change}

    with pytest.raises(ManifestError) as caught:
        manifests.parse(json.dumps(value))
    assert message in str(caught.value)


def test_a_missing_manifest_is_named(tmp_path):
    """With its path; so is one that is no JSON, or none that JSON can hold."""
    with pytest.raises(ManifestError, match=r"manifest\.json: cannot be read"):
        manifests.load(tmp_path)
    with pytest.raises(ManifestError, match="is no JSON"):
        manifests.parse("{")
    with pytest.raises(ManifestError, match="cannot be written as JSON"):
        manifests.dump(Manifest("a", "b", "3.11", samples=(Sample(float("nan")),)))


def test_samples_are_checked_one_by_one():
    """The place of the wrong one is told."""
    with pytest.raises(ContractError, match=r"samples\[1\]: unknown key 'outptu'"):
        samples_from_json([{"input": 1}, {"input": 1, "outptu": 2}])
    with pytest.raises(ContractError, match="samples: is no list"):
        samples_from_json({"input": 1})


def test_settings_are_read_as_they_were_written():
    """Every field, frozen."""
    given = Settings(
        root=Path("/r"), port=0, keys_file="/k", cors_origins=("*",), variables={"A": "b"}, path_prefix="/p"
    )
    found = settings_files.parse(settings_files.dump(given))

    assert found == given
    with pytest.raises(FrozenInstanceError):
        found.port = 1


def test_all_problems_of_settings_are_told():
    """One line each."""
    with pytest.raises(SettingsError) as caught:
        settings_files.parse(
            '{"schema": 1, "port": "x", "path_prefix": "p", "log_level": "LOUD", "variables": {"a": 1}}'
        )

    lines = str(caught.value).splitlines()
    assert len(lines) == 5
    assert any("root: is missing" in line for line in lines)


def test_schemas_follow_from_values():
    """The narrowest that all the values fit."""
    schema = schema_from([{"a": [1, 2.5], "b": "x"}, {"a": [], "c": None}])

    assert schema["required"] == ["a"]
    assert schema["properties"]["a"] == {"type": "array", "items": {"type": "number"}}
    assert faults({"a": [1]}, schema) == []
    assert faults({"a": ["x"]}, schema) == ["['a'][0]: expected number, got 'x'"]
    assert faults({}, schema) == ["the answer: 'a' is missing"]


def test_what_came_through_the_engine_knows_no_whole_numbers():
    """A sample of 1.0 arrives as 1, and 1.5 is no less welcome."""
    schema = schema_from([{"a": [1, 2], "b": 3, "c": None}, {"a": [], "b": "x", "c": True}], of_a_program=True)

    assert {"type": "array", "items": {"type": "number"}} == schema["properties"]["a"]
    assert {"type": ["number", "string"]} == schema["properties"]["b"]
    assert {"type": ["boolean", "null"]} == schema["properties"]["c"]


def test_answers_are_compared_within_a_tolerance():
    """Numbers only, wherever they are; true is no number."""
    assert same({"a": [1.0, "x"]}, {"a": [1.0 + 1e-7, "x"]})
    assert same(3, 3.0)
    assert not same({"a": 1}, {"a": 1.1})
    assert not same([1], [1, 2])
    assert not same({"a": 1}, {"b": 1})
    assert not same(1, True)
