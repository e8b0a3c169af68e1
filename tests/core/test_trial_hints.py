"""Facts about what is added to a trial's errors."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.scripts.trial_hints import trial_hint

PACKAGES = {"jinja2": "3.1.4", "scikit-learn": "1.5.2", "numpy": "2.1.0"}
MODELS = {"ridge": ["outputs/model.pkl", "outputs/labels.txt"]}
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

    assert expected == trial_hint(message, packages=PACKAGES, models={})


@pytest.mark.parametrize("error", ["FileNotFoundError", "IsADirectoryError", "NotADirectoryError"])
def test_a_path_that_is_wrong_is_answered_with_the_files_there_are(error):
    """They are what AZUREML_MODEL_DIR and get_model_path lead to."""
    said = trial_hint(f"score.py:7: {error}: [Errno 2] …", packages={}, models=MODELS)

    assert "; model ridge holds outputs/labels.txt, outputs/model.pkl" == said
    assert not trial_hint(f"score.py:7: {error}", packages={}, models={})


def test_of_many_files_some_are_named():
    """A folder may hold thousands."""
    said = trial_hint("FileNotFoundError", packages={}, models={"m": [f"m/{n}" for n in range(9)]})

    assert "; model m holds m/0, m/1, m/2, m/3, m/4 and 4 more" == said


def test_where_a_script_may_write_is_said():
    """The error of the system does not."""
    said = trial_hint("score.py:5: OSError: [Errno 30] Read-only file system: '/etc/x'", packages={}, models=MODELS)

    assert said.startswith("; write beside the script, in HOME, in TMPDIR or in /tmp")
