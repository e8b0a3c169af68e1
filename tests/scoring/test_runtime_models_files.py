"""Which file or folder of an image answers without a script, and what is said when that is not one."""

from __future__ import annotations

import pickle

import pytest
from learned_kit import FLOAT, manifest_of, root, write_onnx
from mlserve_scoring.errors import StartError
from mlserve_scoring.models.files import find_model, load_model
from onnx import helper

XGBOOST_JSON = b'{"learner":{"attributes":{}}}'
XGBOOST_UBJ = b"{L\x00\x00\x00\x00\x00\x00\x00\x07learner{L"


@pytest.mark.parametrize(
    ("name", "content", "kind"),
    [
        ("m.onnx", b"", "ONNX"),
        ("m.pkl", b"", "scikit-learn"),
        ("m.pickle", b"", "scikit-learn"),
        ("m.joblib", b"", "scikit-learn"),
        ("m.SKOPS", b"", "skops"),
        ("m.txt", b"tree\nversion=v4\n", "LightGBM"),
        ("m.lgb", b"", "LightGBM"),
        ("m.json", XGBOOST_JSON, "XGBoost"),
        ("m.ubj", XGBOOST_UBJ, "XGBoost"),
        ("m.model", XGBOOST_UBJ, "XGBoost"),
        ("m.bst", b"binf\x00", "XGBoost"),
        ("m", b"tree\n", "LightGBM"),
    ],
)
def test_a_model_is_known_by_its_name_or_its_first_bytes(tmp_path, name, content, kind):
    """Endings that say little are looked into."""
    (tmp_path / name).write_bytes(content)

    assert find_model(root(), manifest_of(tmp_path / name)) == (tmp_path / name, kind)


@pytest.mark.parametrize(
    ("framework", "kind"),
    [("Onnx", "ONNX"), ("ScikitLearn", "scikit-learn"), ("LightGBM", "LightGBM"), ("XGBoost", "XGBoost")],
)
def test_the_framework_decides_where_the_name_does_not(tmp_path, framework, kind):
    """As it was registered."""
    (tmp_path / "model.dat").write_bytes(b"x")

    assert find_model(root(), manifest_of(tmp_path / "model.dat", framework=framework)).kind == kind


@pytest.mark.parametrize("name", ["net.pkl", "net", "net.pt"])
def test_pickles_of_other_frameworks_need_a_script(tmp_path, name):
    """Loading them would ask for the library and then not know what to call."""
    (tmp_path / name).write_bytes(b"")
    with pytest.raises(StartError, match=f"cannot serve {name}: PyTorch models need one; .*export it to ONNX"):
        find_model(root(), manifest_of(tmp_path / name, framework="PyTorch"))


def test_other_files_of_a_folder_are_passed_over(tmp_path):
    """A model lies with notes, settings and its external data."""
    for name in ("a/model.onnx", "weights.bin", "README.md", "config.json", ".cache/old.onnx", "__MACOSX/._m.pkl"):
        (tmp_path / "m" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "m" / name).write_bytes(b"{}")

    assert find_model(root(), manifest_of(tmp_path / "m")).path == tmp_path / "m/a/model.onnx"


def test_an_mlflow_folder_is_one_model(tmp_path):
    """The pickle inside of it is not another."""
    (tmp_path / "m").mkdir()
    (tmp_path / "m/MLmodel").write_text("flavors: {}")
    (tmp_path / "m/model.pkl").write_bytes(b"")

    assert find_model(root(), manifest_of(tmp_path / "m")) == (tmp_path / "m", "MLflow")


@pytest.mark.parametrize(
    ("names", "problem", "todo"),
    [
        (["a.onnx", "b.onnx"], "found a.onnx, b.onnx", "one model alone"),
        (["a.onnx", "b.pkl"], "found a.onnx, b.pkl", "one model alone"),
        (["notes.md"], "found none", "give an entry script"),
        (["net.pt"], "cannot serve net.pt: PyTorch models need one", "export it to ONNX"),
        (["net.keras"], "cannot serve net.keras: Keras models need one", "export it to ONNX"),
        (["saved_model.pb"], "cannot serve saved_model.pb: TensorFlow models need one", "export it to ONNX"),
    ],
)
@pytest.mark.parametrize("in_folder", [True, False])
def test_what_is_not_one_model_is_refused(tmp_path, names, problem, todo, in_folder):
    """With what lies there and what to do."""
    folder = tmp_path / "f"
    folder.mkdir()
    for name in names:
        (folder / name).write_bytes(b"x")
    manifest = manifest_of(folder) if in_folder else manifest_of(*(folder / name for name in names))
    with pytest.raises(StartError) as caught:
        find_model(root(), manifest)

    assert problem in caught.value.message.replace("f/", "")
    assert todo in caught.value.todo


def test_external_data_lies_beside_the_model(tmp_path):
    """In the folder that was registered."""
    import numpy as np  # noqa: PLC0415  # only here

    (tmp_path / "m").mkdir()
    write_onnx(
        tmp_path / "m/model.onnx",
        [helper.make_node("Add", ["x", "w"], ["y"])],
        [("x", FLOAT, ["N", 3])],
        [("y", FLOAT, ["N", 3])],
        weights={"w": np.array([1, 2, 3], np.float32)},
        external=True,
    )
    model = load_model(root(), manifest_of(tmp_path / "m"), threads=1, providers={"cpu": {}})

    assert (tmp_path / "m/weights.bin").exists()
    assert model.run({"x": np.zeros((1, 3), np.float32)})[0].tolist() == [[1, 2, 3]]


def test_a_pickle_that_needs_a_package_names_it(tmp_path):
    """The error of the import alone helps nobody."""
    (tmp_path / "m.pkl").write_bytes(b"cabsent_library.models\nThing\n.")
    with pytest.raises(StartError, match=r"m.pkl needs 'absent_library'.*add 'absent_library' to the environment"):
        load_model(root(), manifest_of(tmp_path / "m.pkl"), threads=1, providers={})


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no pickle", "m.pkl cannot be loaded, "),
        (b"cbuiltins\nno_such_name\n.", "written with the versions|write it with the versions"),
        (pickle.dumps({"a": 1}), "m.pkl holds a dict, which does not predict; give an entry script that uses it"),
    ],
)
def test_a_pickle_that_is_no_model_is_refused(tmp_path, content, message):
    """Whatever is in it."""
    (tmp_path / "m.pkl").write_bytes(content)
    with pytest.raises(StartError, match=message):
        load_model(root(), manifest_of(tmp_path / "m.pkl"), threads=1, providers={})


@pytest.mark.parametrize(("name", "library"), [("m.txt", "LightGBM"), ("m.ubj", "XGBoost"), ("m.onnx", "ONNX")])
def test_a_broken_model_is_refused(tmp_path, name, library):
    """In the words of the library."""
    (tmp_path / name).write_bytes(b"tree\nbroken" if name == "m.txt" else b"broken")
    with pytest.raises(StartError, match=f"{name} cannot be loaded, .*complete {library} model"):
        load_model(root(), manifest_of(tmp_path / name), threads=1, providers={"cpu": {}})
