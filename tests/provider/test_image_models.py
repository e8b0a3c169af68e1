"""Which models need no script, told in preview with the runtime's own rules, and which package each of them lacks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import hash_model
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_models import answering_problems, missing_packages

TREE = b"tree\nversion=v4\n"
LOCK = SimpleNamespace(packages={"numpy": "2.1.0", "scikit_learn": "1.7.0"})


@pytest.fixture
def image(tmp_path):
    """Returns a function that registers models by their files; returns the call and the models of an image of them."""

    def make(*models, framework=None):
        made = []
        for number, files in enumerate(models):
            root = tmp_path / f"m{number}"
            for name, content in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_bytes(content)
            path = root / next(iter(files)) if len(files) == 1 else root
            hashed = hash_model(path, HashIndex(tmp_path / "index.sqlite"))
            ModelStore(str(tmp_path / "store")).register(f"price{number}", hashed, ModelMeta(), "dev")
            made.append({"name": f"price{number}", "digest": hashed.digest, "framework": framework})
        urn = "urn:pulumi:dev::shop::mlserve:index:Image::price"
        return Call(urn, news={"models": made}, settings={"store": str(tmp_path / "store")}), made

    return make


@pytest.mark.parametrize(
    "files",
    [
        {"price.onnx": b"x"},
        {"price.pkl": b"x"},
        {"price.joblib": b"x"},
        {"price.skops": b"x"},
        {"price.txt": TREE},
        {"price.json": b'{"learner": 1}'},
        {"price.joblib": b"x", "notes.md": b"x", ".hidden.pkl": b"x"},
        {"MLmodel": b"x", "model.pkl": b"x", "more/model.onnx": b"x"},
    ],
)
def test_one_model_answers_by_itself(image, files):
    """A file, one file of a folder, or a folder that MLflow wrote."""
    assert [] == list(answering_problems(*image(files)))


def test_a_name_that_says_nothing_is_what_the_framework_says(image):
    """A model that was registered as scikit-learn's may be called anything."""
    assert [] == list(answering_problems(*image({"price": b"x"}, framework="ScikitLearn")))
    assert ["entry_script"] == [problem.path for problem in answering_problems(*image({"price": b"x"}))]


@pytest.mark.parametrize(
    ("models", "text"),
    [
        ([], "is required unless the image holds one scikit-learn, ONNX, LightGBM"),
        ([{"price.csv": b"x"}], "give a script with init() and run()"),
        ([{"price.pt": b"x"}], "PyTorch models need one, found price.pt; give a script that loads it, or export it to"),
        ([{"a.onnx": b"x"}, {"b.pkl": b"x"}], "holds just one model, found price0/a.onnx, price1/b.pkl"),
        ([{"a.onnx": b"x", "b.onnx": b"y"}], "holds just one model, found price0/m0/a.onnx, price0/m0/b.onnx"),
    ],
)
def test_what_cannot_answer_needs_a_script(image, models, text):
    """It says what was found, and what to do."""
    (problem,) = answering_problems(*image(*models))

    assert "entry_script" == problem.path
    assert text in problem.message


def test_bytes_that_are_not_here_are_left_to_the_trial(image, tmp_path):
    """A reviewer's machine need not hold a model to see that nothing changed."""
    call, _ = image({"price.csv": b"x"})
    models = [{"name": "elsewhere", "digest": "sha256:" + "0" * 64}]

    assert [] == list(answering_problems(call, models))
    assert [] == missing_packages(call, models, LOCK, "env.yml")


@pytest.mark.parametrize(
    ("files", "text"),
    [
        ({"price.joblib": b"x"}, ""),
        ({"price.skops": b"x"}, "the environment lacks skops; add skops to env.yml"),
        ({"price.ubj": b"x"}, "price.ubj is a XGBoost model, and the environment lacks xgboost"),
        ({"price.txt": TREE}, "the environment lacks lightgbm"),
        ({"price.onnx": b"x"}, "the environment lacks onnxruntime"),
        ({"MLmodel": b"x", "model.pkl": b"x"}, "the environment lacks pyyaml"),
    ],
)
def test_a_missing_package_is_named(image, files, text):
    """Whatever spelling the lock has for those that are there."""
    problems = missing_packages(*image(files), LOCK, "env.yml")

    assert bool(text) == bool(problems)
    assert text in "".join(problem.message for problem in problems)
    assert {"models[0]"} >= {problem.path for problem in problems}
