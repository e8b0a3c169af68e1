"""An image whose model is a pickle that its libraries cannot load is refused before anything is tried."""

from __future__ import annotations

import pickle

import pytest

from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import hash_model
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.core.images.code_folder import IgnoreRules
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.pickles.library_fit import Libraries
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_pickles import importable_names, pickle_problems

LIBRARIES = Libraries({"numpy"}, frozenset(), {"numpy": "2.1.0"}, "numpy==2.1.0", "3.11", "env.yml")
NEEDS_XGBOOST = b"cxgboost.sklearn\nXGBRegressor\n."
REFUSED = "cannot be loaded: no module named 'xgboost' in the environment; add it to the pip section of env.yml"


@pytest.fixture
def asked(tmp_path):
    """Return a function that registers a model and returns the problems and what was said."""

    def ask(files, *, olds=None, store="store", registered=True):
        root = tmp_path / "m"
        root.mkdir(exist_ok=True)
        for name, content in files.items():
            (root / name).write_bytes(content)
        path = root / next(iter(files)) if len(files) == 1 else root
        hashed = hash_model(path, HashIndex(tmp_path / "index.sqlite"))
        if registered:
            ModelStore(str(tmp_path / store)).register("price", hashed, ModelMeta(), "dev")
        models = [{"name": "price", "digest": hashed.digest}]
        said = []
        call = Call(
            "urn:pulumi:dev::shop::mlserve:index:Image::price",
            news={"models": models},
            olds=olds(models) if olds else {},
            settings={"store": str(tmp_path / store)},
            say=lambda text, kind: said.append(f"{kind}: {text}"),
        )
        return [f"{p.path}: {p.message}" for p in pickle_problems(call, models, LIBRARIES)], said

    return ask


def test_a_model_that_is_one_pickle_is_refused(asked):
    """At the model, with the file and what to add."""
    assert ([f"models[0]: ridge.pkl {REFUSED}"], []) == asked({"ridge.pkl": NEEDS_XGBOOST})


def test_a_pickle_in_a_folder_is_a_warning(asked):
    """The script may never load it; the trial knows."""
    problems, said = asked({"a.pkl": NEEDS_XGBOOST, "b.json": b"{}", "c.pkl": pickle.dumps(1)})

    assert ([], [f"warning: model price: m/a.pkl {REFUSED}"]) == (problems, said)


def test_other_files_are_not_read(asked):
    """Only what is named like a pickle."""
    assert ([], []) == asked({"ridge.onnx": NEEDS_XGBOOST})


def test_the_same_lock_and_models_are_checked_once(asked):
    """A preview without changes reads no model."""

    def built(models):
        return {"recipe": "sha256:0", "lock": LIBRARIES.lock, "models": models}

    assert ([], []) == asked({"ridge.pkl": NEEDS_XGBOOST}, olds=built)
    problems, _ = asked({"ridge.pkl": NEEDS_XGBOOST}, olds=lambda models: {**built(models), "lock": "other"})
    assert 1 == len(problems)


def test_bytes_that_are_not_here_are_left_to_the_trial(asked):
    """Neither in a store that is a folder nor where they were seen."""
    assert ([], []) == asked({"ridge.pkl": NEEDS_XGBOOST}, registered=False, store="elsewhere")


def test_the_names_of_a_source_directory_are_importable(tmp_path):
    """Modules, packages and native modules."""
    for name in ("features.py", "native.cpython-311.so", "not-a-module.txt"):
        (tmp_path / name).touch()
    (tmp_path / "package").mkdir()

    assert {"features", "native", "package"} == set(importable_names(tmp_path, IgnoreRules()))
