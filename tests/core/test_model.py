"""What may be said about a model."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_mlserve.components.registered_model import RegisteredModelArgs
from pulumi_mlserve.core.model import FRAMEWORKS, ModelMeta, ModelSpec, check_model, code_note, property_problems
from pulumi_mlserve.core.model_refusals import why_not_model
from pulumi_mlserve.core.shapes import shape_of


def said(raw):
    """Return the problems as lines."""
    return [str(problem) for problem in check_model({"name": "ridge", "path": "m", **raw})]


def test_a_whole_declaration_is_fine():
    """Everything that can be said, said right."""
    raw = {
        "description": "the price of a house",
        "tags": {"area": "houses"},
        "properties": {"run": "42"},
        "model_framework": "Onnx",
        "model_framework_version": "1.18",
        "resource_configuration": {"cpu": 0.5, "memory_in_gb": 1, "gpu": 1},
        "sample_input": {"data": [[1, 2.5, None, True, "x"]]},
        "sample_output": [3.5],
        "child_paths": ["a.bin", "sub/"],
    }

    assert [] == said(raw)
    spec = ModelSpec.model_validate({"name": "ridge", "path": "m", **raw})
    assert ("a.bin", "sub") == spec.child_paths
    assert ModelMeta.model_validate({k: v for k, v in raw.items() if k != "child_paths"}) == spec.meta()


@pytest.mark.parametrize("name", ["a", "Z", "0", "a-b", "a.b", "a_b", "x" * 255, "1.0.0"])
def test_the_names_of_azure_ml_v1_are_names(name):
    """Letters, digits, '-', '.' and '_'."""
    assert [] == check_model({"name": name})


@pytest.mark.parametrize("name", ["", "-a", ".a", "_a", "a b", "ä", "a/b", "x" * 256, "a\n", "a:1"])
def test_other_names_are_refused_with_the_rule(name):
    """The rule is in the message: nobody needs to look it up."""
    (problem,) = check_model({"name": name})

    assert "name" == problem.path
    assert f"not a model name, got {name!r}" in problem.message
    assert "letters, digits" in problem.message


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_frameworks_of_azure_ml_v1_are_known(framework):
    """All seven."""
    assert [] == said({"model_framework": framework, "model_framework_version": "1"})


@pytest.mark.parametrize(
    ("given", "meant"),
    [("sklearn", "ScikitLearn"), ("scikit-learn", "ScikitLearn"), ("ONNX", "Onnx"), ("torch", "PyTorch"),
     ("tensorflow", "TensorFlow"), ("Tensorflo", "TensorFlow"), ("keras", "TfKeras")],
)  # fmt: skip
def test_a_framework_by_another_name_is_refused_with_the_right_one(given, meant):
    """The words that people use elsewhere lead to the word that is used here."""
    assert [f"model_framework: not a known framework, got {given!r}; did you mean {meant!r}?"] == said(
        {"model_framework": given}
    )


def test_an_unknown_framework_is_refused_with_the_list():
    """Nothing is close, so all are named."""
    assert ["model_framework: not a known framework, got 'mxnet'; use one of " + ", ".join(FRAMEWORKS)] == said(
        {"model_framework": "mxnet"}
    )


def test_a_framework_version_needs_a_framework():
    """A number alone says nothing."""
    assert ["model_framework: is required when model_framework_version is given"] == said(
        {"model_framework_version": "1.18"}
    )


def test_a_sample_output_needs_a_sample_input():
    """An answer without its question cannot be checked."""
    assert ["sample_input: is required when sample_output is given: it is what was asked"] == said({"sample_output": 1})


def test_every_problem_is_reported_at_once_and_at_its_property():
    """Nobody has to run five times to learn of five mistakes."""
    raw = {
        "name": "-",
        "path": "",
        "tags": {"a": 1},
        "properties": [],
        "description": 5,
        "resource_configuration": {"cpu": 0, "memory_in_gb": math.inf, "gpu": 1.5, "cpus": 1},
        "child_paths": ["../x", "ok", "/abs", ""],
        "model_framework_version": "",
        "tag": {},
    }

    problems = {problem.path: problem.message for problem in check_model(raw)}

    assert {
        "name": "not a model name, got '-'; use letters, digits, '-', '.' and '_', at most 255,"
        " the first a letter or digit",
        "path": "must not be empty",
        "tags.a": "must be a string, got 1",
        "properties": "must be a map, got []",
        "description": "must be a string, got 5",
        "resource_configuration.cpu": "must be greater than 0, got 0",
        "resource_configuration.memory_in_gb": "must be a finite number, got inf",
        "resource_configuration.gpu": "must be a whole number, got 1.5",
        "resource_configuration.cpus": "there is no such setting; did you mean 'cpu'?",
        "child_paths[0]": "not a path inside the model's folder, got '../x'; name a file or folder relative to it",
        "child_paths[2]": "not a path inside the model's folder, got '/abs'; name a file or folder relative to it",
        "child_paths[3]": "not a path inside the model's folder, got ''; name a file or folder relative to it",
        "model_framework": "is required when model_framework_version is given",
        "model_framework_version": "must not be empty",
        "tag": "there is no such setting; did you mean 'tags'?",
    } == problems


def test_every_setting_of_v1s_models_is_had_or_refused_with_what_to_write():
    """azureml-core 1.61: arguments of Model.register, Run.register_model and Model()."""
    v1 = {
        *("asset_paths", "child_paths", "datasets", "description", "id", "model_framework", "model_framework_version"),
        *("model_name", "model_path", "properties", "resource_configuration", "run_id", "sample_input_dataset"),
        *("sample_output_dataset", "tags", "version", "workspace"),
    }
    had = shape_of(RegisteredModelArgs).by_name

    assert set() == {name for name in v1 if name not in had and why_not_model(name) is None}
    assert [] == [name for name in had if why_not_model(name)]
    assert "there is no such setting; did you mean 'name'?" == why_not_model("model_name")
    assert {"model_path": why_not_model("model_path")} == {p.path: p.message for p in check_model({"model_path": "x"})}


def test_child_paths_that_name_nothing_are_refused():
    """An empty list would be an empty model."""
    assert ["child_paths: names no file, so the model would be empty; leave it out to take all"] == said(
        {"child_paths": []}
    )


def test_what_is_absent_is_not_judged():
    """Values that are known later only are not there yet; the provider's own fields are no mistakes."""
    assert [] == check_model({"tags": None, "digest": "sha256:…", "version": 3})


@pytest.mark.parametrize(
    ("value", "wrong"),
    [
        ({"a": [1, math.nan]}, "the value.a[1] is not a JSON number, got nan; use null or a finite number"),
        ({1: 2}, "the value has a key that is no string, got 1"),
        ([object], "the value[0] is not JSON, got type; use null, booleans, numbers, strings, lists and maps"),
        (b"x", "the value is not JSON, got bytes; use null, booleans, numbers, strings, lists and maps"),
    ],
)
def test_a_sample_must_be_json(value, wrong):
    """It travels in the manifest of images."""
    assert [f"sample_input: {wrong}"] == said({"sample_input": value})


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(json_values)
def test_any_json_is_a_sample(value):
    """Whatever a request body may be."""
    assert [] == said({"sample_input": value})


@given(st.dictionaries(st.sampled_from([*ModelSpec.model_fields, "x"]), json_values))
def test_a_check_answers_whatever_it_is_given(raw):
    """Wrong input is reported, never a crash; what passes can be built."""
    problems = check_model({"name": "a", "path": "m", **raw})

    if not problems:
        ModelSpec.model_validate({"name": "a", "path": "m", **{k: v for k, v in raw.items() if v is not None}})


def test_a_recorded_property_keeps_its_value():
    """New ones may be added; the message says what is recorded and the ways out."""
    problems = property_problems({"run": "1", "data": "x"}, {"run": "2", "new": "3"})

    assert ["properties.run"] == [problem.path for problem in problems]
    assert "is recorded as '1' and cannot change, got '2'" in problems[0].message
    assert [] == property_problems({"run": "1"}, {"run": "1", "new": "2"})
    assert [] == property_problems({"run": "1"}, {})


def test_a_model_that_is_code_is_noted_once_for_all_its_files():
    """One line, however many files."""
    note = code_note(["m/d.pt", "m/a.PKL", "m/b.joblib", "m/readme.md", "m/c.pickle"])

    assert note is not None
    assert note.startswith("m/a.PKL, m/b.joblib, m/c.pickle and 1 more are loaded by running code kept in the file")
    assert (code_note(["ridge.pkl"]) or "").startswith("ridge.pkl is loaded by running code")


def test_a_model_that_is_data_is_not_noted():
    """ONNX and safetensors hold numbers only."""
    assert code_note(["ridge.onnx", "m/weights.safetensors", "m/saved_model.pb"]) is None
