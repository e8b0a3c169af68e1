"""Which texts name a model elsewhere, and what is said about those that do not."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.model_address import MlflowAddress, address_problem, is_address, is_mlflow, mlflow_address


@pytest.mark.parametrize("path", ["model", "./m.onnx", "/a/b", "a:b", "C:model", "~/m", "model:/", "x y://z"])
def test_a_path_of_this_machine_is_no_address(path):
    """A colon alone makes none, unless a slash follows a word that could be a scheme."""
    assert ("model:/" == path) == is_address(path)


@pytest.mark.parametrize(
    "path",
    [
        "az://models/ridge",
        "s3://bucket/a/b.onnx",
        "gs://bucket",
        "abfss://models@team.dfs.core.windows.net/ridge",
        "https://team.blob.core.windows.net/models/ridge",
        "runs:/0a1b/model",
        "models:/ridge/3",
        "models:/ridge@champion",
        "models:/m-0123456789abcdef",
    ],
)
def test_an_address_is_known_by_its_form(path):
    """Without asking anybody."""
    assert is_address(path)
    assert address_problem(path) is None


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("ftp://x/y", "not an address that a model can be taken from, got 'ftp://x/y'; use a file or folder, an az://"),
        ("az://", "names no object"),
        ("https://host/", "names no object"),
        ("az://c/p?sv=1&sig=geheim", "holds credentials, which everyone could see in the state"),
        ("https://user:geheim@host/p", "holds credentials"),
        ("https://user:ge@heim@host/p", "holds credentials"),
        ("https://user:ge/heim@host/p", "holds credentials"),
        ("https://user:ge#heim@host/p", "holds credentials"),
        ("https://user:ge?heim@host/p", "holds credentials"),
        ("https://geheim@host/p", "holds credentials"),
        ("az://c/p?version=1", "holds a query"),
        ("runs:/0a1b", "not an address of MLflow, got 'runs:/0a1b'; write runs:/RUN/PATH, models:/NAME/VERSION"),
        ("runs:/0a1b/../x", "not an address of MLflow"),
        ("models:/ridge", "not an address of MLflow"),
        ("models:/ridge/production", "not an address of MLflow"),
        ("models:/ridge@", "not an address of MLflow"),
        ("models:/ridge/1/2", "not an address of MLflow"),
    ],
)
def test_what_is_wrong_with_an_address_is_said(path, said):
    """With what to write, and without a secret."""
    problem = address_problem(path)

    assert problem.startswith(said)
    assert "geheim" not in problem
    assert "heim" not in problem


def test_an_address_of_mlflow_is_read():
    """As MLflow reads it."""
    assert MlflowAddress(run="0a1b", path="model/x") == mlflow_address("runs:/0a1b/model/x")
    assert MlflowAddress(name="ridge", version="3") == mlflow_address("models:/ridge/3")
    assert MlflowAddress(name="ridge", alias="champion") == mlflow_address("models:/ridge@champion")
    assert MlflowAddress(name="ridge", alias="latest") == mlflow_address("models:/ridge/latest")
    assert mlflow_address("az://models/3") is None
    assert (True, False) == (is_mlflow("runs:/a/b"), is_mlflow("az://runs/a"))
    assert (True, False) == (mlflow_address("models:/ridge@x").moves, mlflow_address("models:/ridge/3").moves)
