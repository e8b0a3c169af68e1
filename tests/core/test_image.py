"""What an image may be asked to be: names and rules of Azure ML v1, every problem at once."""

import pytest

from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.images.image import ImageModel, ImageSpec, check_image

DIGEST = "sha256:" + "a" * 64
GOOD = {"name": "diabetes", "models": [{"name": "Ridge_1", "digest": DIGEST, "version": 3}]}


def test_a_plain_image_has_no_problems():
    """A name and a model are enough."""
    assert [] == check_image(GOOD)


def test_a_full_image_has_no_problems():
    """Every property that a program can give is known."""
    raw = GOOD | {
        "entry_script": "app/score.py",
        "source_directory": "src",
        "conda_file": "env.yml",
        "python_version": "3.12",
        "environment_variables": {"A": "1"},
        "samples": [{"input": [1]}, [2]],
        "trial": "off",
        "trial_seconds": 600.0,
        "upgrade": ["lock"],
        "tags": {"area": "health"},
        "properties": {},
        "description": "…",
    }

    assert [] == check_image(raw)
    assert {"A": "1"} == ImageSpec.model_validate(raw).environment_variables


@pytest.mark.parametrize(
    ("change", "path", "text"),
    [
        ({"name": "ab"}, "name", "3 to 32"),
        ({"name": "a" * 33}, "name", "3 to 32"),
        ({"name": "Diabetes"}, "name", "lower-case"),
        ({"name": "diabetes-"}, "name", "at both ends"),
        ({"name": "dia/betes"}, "name", "got 'dia/betes'"),
        ({"name": "diabetes\n"}, "name", "got 'diabetes\\n'"),
        ({"name": 7}, "name", "must be a string, got 7"),
        ({"models": [{"name": "-x", "digest": DIGEST}]}, "models[0].name", "got '-x'"),
        ({"models": [{"name": "x", "digest": "sha256:1"}]}, "models[0].digest", "64 hexadecimal"),
        ({"models": [{"name": "x"}]}, "models[0].digest", "required"),
        (
            {"models": [{"name": "x", "digest": DIGEST, "version": 0}]},
            "models[0].version",
            "at least 1",
        ),
        ({"models": [{"name": "x", "digest": DIGEST}] * 2}, "models[1].name", "twice, got 'x'"),
        ({"entry_script": "/score.py", "source_directory": "s"}, "entry_script", "inside the source directory"),
        ({"entry_script": "../score.py", "source_directory": "s"}, "entry_script", "inside the source directory"),
        ({"entry_script": "score.txt", "source_directory": "s"}, "entry_script", "end in '.py'"),
        ({"entry_script": "my-score.py", "source_directory": "s"}, "entry_script", "cannot be imported"),
        ({"entry_script": "class.py", "source_directory": "s"}, "entry_script", "cannot be imported"),
        ({"entry_script": "score.py"}, "source_directory", "give the folder"),
        ({"conda_file": "a.yml", "requirements_file": "b.txt"}, "requirements_file", "one of the two"),
        ({"python_version": "3"}, "python_version", "'3.11'"),
        ({"environment_variables": {"A=B": "1"}}, "environment_variables.A=B", "got 'A=B'"),
        (
            {"environment_variables": {"WORKER_COUNT": "x"}},
            "environment_variables.WORKER_COUNT",
            "must be a whole number",
        ),
        (
            {"environment_variables": {"SERVER_PORT": "5001"}},
            "environment_variables.SERVER_PORT",
            "give the service port",
        ),
        ({"platform": "linux/amd46"}, "platform", "did you mean 'linux/amd64'?"),
        ({"platform": "Linux/x86_64"}, "platform", "did you mean 'linux/amd64'?"),
        ({"platform": "macos/aarch64"}, "platform", "did you mean 'darwin/arm64'?"),
        ({"platform": "windows/amd64"}, "platform", "got 'windows/amd64'; use one of linux/amd64, linux/arm64, "),
        ({"platform": "windows"}, "platform", "no images are made for it, got 'windows'; use one of linux/amd64"),
        ({"base_packages": ["gdal"]}, "base_image", "is required beside base_packages"),
        ({"base_packages": ["gdal==3"], "base_image": "a/b"}, "base_packages[0]", "write the name alone"),
        ({"trial_seconds": 0}, "trial_seconds", "greater than 0, got 0"),
        ({"trial_seconds": 3601}, "trial_seconds", "at most 3,600, got 3601"),
        ({"trial": "maybe"}, "trial", "'auto', 'required' or 'off'"),
        ({"entryscript": "score.py"}, "entryscript", "did you mean 'entry_script'?"),
    ],
)
def test_what_cannot_be_an_image_is_refused_at_its_property(change, path, text):
    """Each problem stands at the property that causes it and says what was given."""
    (problem,) = check_image(GOOD | change)

    assert path == problem.path
    assert text in problem.message


def test_all_problems_are_told_at_once():
    """Two mistakes are two problems."""
    problems = check_image({"name": "X", "python_version": "latest"})

    assert ["name", "python_version"] == [problem.path for problem in problems]


def test_a_model_lies_at_its_name_below_its_base_name():
    """The folder in an image tells neither content nor version: one changed file moves no other's layer."""
    model = ImageModel("m", 7, DIGEST, (FileEntry("net/b.bin", "b" * 64, 2), FileEntry("net/a.bin", "a" * 64, 1)))

    assert "opt/mlserve/models/m" == model.folder
    assert "net" == model.base
    assert 3 == model.size
