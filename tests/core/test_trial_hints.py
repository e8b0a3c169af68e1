"""Facts about what is added to a trial's errors."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.scripts.trial_hints import trial_hint
from pulumi_mlserve.core.scripts.variable_hints import variable_hint

PACKAGES = {"jinja2": "3.1.4", "scikit-learn": "1.5.2", "numpy": "2.1.0"}
FILES = ["outputs/model.pkl", "outputs/labels.txt"]
PIN = "pin the version that the script was written for"


@pytest.mark.parametrize(
    ("message", "hint"),
    [
        ("score.py:2: ImportError: cannot import name 'Markup' from 'jinja2' (/x.py)", f"jinja2 3.1.4: {PIN}"),
        (
            "ImportError: cannot import name 'a' from partially initialized module 'jinja2.b' (x)",
            f"jinja2 3.1.4: {PIN}",
        ),
        ("score.py:4: AttributeError: module 'numpy' has no attribute 'bool'.", f"numpy 2.1.0: {PIN}"),
        ("ModuleNotFoundError: No module named 'sklearn.linear_model._ridge'", f"scikit-learn 1.5.2: {PIN}"),
        ("ImportError: cannot import name 'scaled' from 'features' (/x/features.py)", ""),
        ("AttributeError: Can't get attribute 'A' on <module 'sklearn.x' from '/y'>", f"scikit-learn 1.5.2: {PIN}"),
        ("AttributeError: Can't get attribute 'A' on <module 'mlserve_scoring.__main__' from '/y'>", ""),
        ("ModuleNotFoundError: No module named 'yaml'", ""),
    ],
)
def test_a_package_of_another_version_is_named_with_the_one_that_is_there(message, hint):
    """Whoever pinned nothing sees what was taken."""
    expected = f"; the environment has {hint}" if hint else ""

    assert expected == trial_hint(message, packages=PACKAGES, files=[])


@pytest.mark.parametrize("error", ["FileNotFoundError", "IsADirectoryError", "NotADirectoryError"])
def test_a_path_that_is_wrong_is_answered_with_the_files_there_are(error):
    """As they lie below the folder that scripts begin their paths with."""
    said = trial_hint(f"score.py:7: {error}: [Errno 2] …", packages={}, files=FILES)

    assert "; AZUREML_MODEL_DIR holds outputs/labels.txt, outputs/model.pkl" == said
    assert not trial_hint(f"score.py:7: {error}", packages={}, files=[])


def test_a_path_of_windows_is_told():
    """There it was found."""
    said = trial_hint(r"FileNotFoundError: '/x/outputs\\model.pkl'", packages={}, files=FILES)

    assert said.startswith("; write paths with / alone; AZUREML_MODEL_DIR holds outputs/labels.txt")


def test_of_many_files_some_are_named():
    """A folder may hold thousands."""
    said = trial_hint("FileNotFoundError", packages={}, files=[f"m/{n}" for n in range(9)])

    assert "; AZUREML_MODEL_DIR holds m/0, m/1, m/2, m/3, m/4 and 4 more" == said


def test_where_a_script_may_write_is_said():
    """The error of the system does not."""
    said = trial_hint("score.py:5: OSError: [Errno 30] Read-only file system: '/etc/x'", packages={}, files=FILES)

    assert said.startswith("; write beside the script, in HOME, in TMPDIR or in /tmp")


NONE = "score.py:2: init() raised TypeError: expected str, bytes or os.PathLike object, not NoneType"
GIVE = "; the trial has the image's variables alone: give {} in environment_variables of the image"


@pytest.mark.parametrize(
    ("lines", "message", "hint"),
    [
        (
            "p = os.path.join(os.getenv('AZURE_MODEL_DIR'), 'm')",
            NONE,
            "AZURE_MODEL_DIR; did you mean 'AZUREML_MODEL_DIR'?",
        ),
        ("p = os.path.join(\n    os.environ.get( 'MODELS' ),\n 'm')", NONE, GIVE.format("MODELS")),
        ("p = os.path.join(os.getenv('MODELS', '.'), None)", NONE, ""),
        ("p = os.path.join(os.getenv('AZUREML_MODEL_DIR'), None)", NONE, ""),
        ("p = os.environ['MODELS']", "score.py:2: init() raised KeyError: 'MODELS'", GIVE.format("MODELS")),
        ("p = settings['MODELS']", "score.py:2: init() raised KeyError: 'MODELS'", ""),
        ("p = 1", "init: no file is named", ""),
    ],
)
def test_a_variable_that_is_not_set_is_named(lines, message, hint):
    """The error says only that something is None, or a key."""
    said = variable_hint(message, lambda file: f"def init():\n{lines}\n" if file == "score.py" else None)

    assert (bool(hint), True) == (bool(said), hint in said)


def test_a_file_that_cannot_be_read_gives_no_hint():
    """It may lie elsewhere."""
    assert not variable_hint(NONE, lambda _file: None)
