"""What a pickle needs is read from its opcodes, and compared with the libraries of an environment."""

from __future__ import annotations

import collections
import datetime as dt
import io
import pickle

import joblib
import numpy as np
import pytest
import sklearn
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from pulumi_mlserve.core.pickles.library_fit import Libraries, misfits
from pulumi_mlserve.core.pickles.opcodes import PickleNeeds, pickle_needs

ROWS = np.arange(30.0).reshape(10, 3)
MODELS = {
    "ridge": Ridge().fit(ROWS, ROWS[:, 0]),
    "pipeline": make_pipeline(StandardScaler(), Ridge()).fit(ROWS, ROWS[:, 0]),
    "objects in arrays": OneHotEncoder().fit(np.array([["a"], ["b"]], dtype=object)),
    "structured arrays": RandomForestClassifier(3).fit(ROWS, ROWS[:, 0] > 12),
}
ENVIRONMENT = Libraries(
    modules={"numpy", "sklearn", "joblib", "scipy"},
    local={"features"},
    packages={"numpy": "2.1.0", "scikit-learn": "1.5.2"},
    lock="",
    python="3.11",
    packages_file="env.yml",
)


class Bytes(io.BytesIO):
    """Bytes as a source."""

    def skip(self, size):
        """Pass over bytes."""
        return len(self.read(size))


def needs(content):
    """Return what some bytes need."""
    return pickle_needs(Bytes(content))


def dumped(value, protocol):
    """Return what joblib writes."""
    file = io.BytesIO()
    joblib.dump(value, file, protocol=protocol)
    return file.getvalue()


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("model", MODELS)
def test_the_version_behind_the_arrays_is_found(model, protocol):
    """Estimators name their version last, behind their arrays, in every protocol of pickle and joblib."""
    for content in (pickle.dumps(MODELS[model], protocol), dumped(MODELS[model], protocol)):
        found = needs(content)

        assert {sklearn.__version__} == found.sklearn_versions
        assert {"numpy", "sklearn"} <= {module.split(".")[0] for module in found.modules}
        assert found.complete or protocol == 0  # whose arrays are one long line


@pytest.mark.parametrize("protocol", range(6))
def test_modules_are_named_in_every_protocol(protocol):
    """As they are written, by line, by stack, by memo."""
    value = [
        dt.date(2026, 1, 31),
        collections.OrderedDict(a=dt.timedelta(1)),
        {"x": {1, (2, 3)}},
        b"b" * 99,
    ]

    assert {"datetime", "collections"} <= needs(pickle.dumps(value, protocol)).modules


def test_nothing_is_run_or_imported(tmp_path):
    """The worst that a pickle can hold is only named."""

    class Evil:
        def __reduce__(self):
            return exec, (f"open({str(tmp_path / 'ran')!r}, 'w')",)

    found = needs(pickle.dumps(Evil()) + b"")

    assert {"builtins"} == found.modules
    assert not (tmp_path / "ran").exists()
    assert {"no_such_module_here"} == needs(b"cno_such_module_here\nThing\n.").modules


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip file",
        b"\x80",
        b"\x80\x04",
        b"\x80\x04\x93.",
        b"\x80\x04e.",
        b"\x80\x04h\x07.",
        b"}(K\x01u.",
        b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x7f.",
        b"\x80\x04X\xff\xff\xff\x7fabc",
        b"\x8c\x02\xff\xff.",
        b"cnew line missing",
        b"c" + b"x" * 100_000,
        b"I" + b"9" * 100_000 + b"\n.",
        pickle.dumps(MODELS["ridge"])[:200],
    ],
    ids=repr,
)
def test_what_is_no_whole_pickle_is_read_as_far_as_it_goes(content):
    """Damaged, cut short or something else: never an exception, never complete."""
    assert not needs(content).complete


def test_the_work_is_bounded():
    """A vocabulary of a million words is not followed to its end."""
    found = needs(pickle.dumps([dt.date(2026, 1, 31), {str(number): number for number in range(200_000)}]))

    assert (frozenset({"datetime"}), False) == (found.modules, found.complete)


def told(needed=(), versions=(), **changes):
    """Return the misfits as text, the fatal ones marked."""
    libraries = Libraries(**{**vars(ENVIRONMENT), **changes})
    found = misfits(PickleNeeds(frozenset(needed), frozenset(versions), complete=True), libraries)
    return [f"{'! ' if misfit.fatal else ''}{misfit.message}" for misfit in found]


def test_a_fitting_pickle_is_silent():
    """Its own modules, Python's, the stand-ins', the script's and Python 2's names are all there."""
    modules = ["sklearn.linear_model._ridge", "builtins", "copy_reg", "features.text", "__main__", "azureml.core"]

    assert [] == told(modules, ["1.5.0"])


def test_a_missing_module_is_fatal_and_says_what_to_add():
    """Under the name of the package that brings it."""
    start, end = "! cannot be loaded: no module named", "to the pip section of env.yml"

    assert [
        f"{start} 'skimage' in the environment; add scikit-image {end}",
        f"{start} 'xgboost' in the environment; add it {end}",
    ] == told(["xgboost.sklearn", "xgboost.core", "skimage"])
    assert "name a conda_file or requirements_file that asks for xgboost" in told(["xgboost"], packages_file="")[0]


@pytest.mark.parametrize(
    ("saved", "locked", "expected"),
    [
        ("1.5.0", "1.5.2", None),
        ("1.5.dev0", "1.5.2", None),
        (
            "1.2.2",
            "1.5.2",
            "was saved with scikit-learn 1.2.2, and the environment has 1.5.2; pin scikit-learn==1.2.2, or",
        ),
        ("1.6.0", "1.5.2", "was saved with scikit-learn 1.6.0, and"),
        ("0.20.0", "0.24.2", "was saved with scikit-learn 0.20.0, and"),
        ("0.20.0", "1.5.2", "! was saved with scikit-learn 0.20.0, and the environment has 1.5.2, which cannot"),
        ("not a version", "1.5.2", None),
    ],
)
def test_another_minor_version_is_doubtful_and_another_major_one_fatal(saved, locked, expected):
    """Scikit-learn promises nothing across versions."""
    found = told(versions=[saved], packages={"scikit-learn": locked})

    assert (expected is None) == (found == [])
    assert all(text.startswith(str(expected)) for text in found)


def test_without_scikit_learn_only_the_module_is_missing():
    """One reason for one cause."""
    assert 1 == len(told(["sklearn.svm"], ["1.5.0"], packages={}, modules={"numpy"}))


@pytest.mark.parametrize(("locked", "count"), [("1.25.2", 1), ("1.26.4", 0), ("2.1.0", 0)])
def test_an_array_of_numpy_2_needs_a_numpy_that_reads_it(locked, count):
    """From 1.26 on the new names are there for such pickles."""
    found = told(["numpy._core.multiarray", "numpy"], packages={"numpy": locked})

    assert count == len(
        [text for text in found if text.startswith("! was saved with numpy 2, and the environment has")]
    )


def test_what_a_notebook_defined_is_named_but_not_refused():
    """A script may put it into `__main__` itself; one that does not is told what to do."""
    (found,) = misfits(needs(b"c__main__\nScaler\n."), ENVIRONMENT)

    assert not found.fatal
    assert found.message.startswith(
        "needs Scaler of __main__, the notebook or program that saved it; put the definition"
    )
