"""Facts about reading environments: conda files, requirements files and locks."""

from __future__ import annotations

import pytest
from packaging.requirements import Requirement

from pulumi_mlserve.core.environments.environment import environment_from, runtime_requirements, with_runtime
from pulumi_mlserve.core.environments.requirement_lines import normalised
from pulumi_mlserve.core.problems import InvalidInputError

LOCK = """\
joblib==1.4.2 \\
    --hash=sha256:0000000000000000000000000000000000000000000000000000000000000000
threadpoolctl==3.5.0 \\
    --hash=sha256:1111111111111111111111111111111111111111111111111111111111111111
"""


def refusals(**given) -> list[str]:
    """Return the problems of an environment as lines."""
    with pytest.raises(InvalidInputError) as caught:
        environment_from(**given)
    return [str(problem) for problem in caught.value.problems]


def conda(*lines: str, python: str | None = "3.11") -> str:
    """Return a conda file with these dependencies."""
    first = [f"python={python}"] if python else []
    return "name: e\ndependencies:\n" + "".join(f"  - {line}\n" for line in [*first, *lines])


def test_a_conda_file_gives_python_packages_and_variables():
    """Python, packages of both kinds and variables are read."""
    packages = "name: diabetes\ndependencies:\n- python=3.10\n- numpy=1.26\n- pip:\n  - Flask_Cors>=4\n"
    text = packages + "channels: [conda-forge]\nvariables:\n  MODE: 1\n  DEPTH: two\n"
    spec = environment_from(conda_text=text, variables={"MODE": "2"})

    assert spec.python == "3.10"
    assert spec.requirements == ("flask-cors>=4", "numpy==1.26.*")
    assert spec.variables == {"DEPTH": "two", "MODE": "2"}
    assert spec.origins == {"flask-cors>=4": "env.yml:6", "numpy==1.26.*": "env.yml:4"}


def test_the_packages_of_azure_ml_are_replaced_and_their_extras_stay():
    """The stand-ins take the place of azureml-defaults and inference-schema; numpy is still asked for."""
    text = conda("pip:\n    - azureml-defaults==1.0.43\n    - inference-schema[numpy-support]\n    - joblib")
    spec = environment_from(conda_text=text)

    assert spec.standins == ("azureml-defaults", "inference-schema")
    assert spec.requirements == ("joblib", "numpy")
    assert spec.notes == (
        "azureml-defaults, inference-schema: taken out of the environment, the runtime brings small stand-ins for them",
    )


def test_the_real_packages_can_be_kept():
    """With stand-ins switched off the packages are asked for as they are."""
    spec = environment_from(conda_text=conda("pip: [azureml-defaults]"), standins=False)

    assert spec.requirements == ("azureml-defaults",)
    assert spec.standins == ()


def test_the_extras_of_inference_schema_add_pandas():
    """pandas-support brings numpy and pandas."""
    spec = environment_from(requirements_text="inference-schema[pandas_support]\n")

    assert spec.requirements == ("numpy", "pandas")


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("scipy=1.11", "scipy==1.11.*"),
        ("scipy=1.11.*", "scipy==1.11.*"),
        ("scipy=1.11*", "scipy==1.11.*"),
        ("scipy==1.11.2", "scipy==1.11.2"),
        ("scipy 1.11.2", "scipy==1.11.2"),
        ("scipy==1.11*", "scipy==1.11.*"),
        ("scipy>=1.11,<2", "scipy<2,>=1.11"),
        ("scipy >=1.11, <2", "scipy<2,>=1.11"),
        ("scipy>=1.11.*", "scipy>=1.11"),
        ("scipy~=1.11", "scipy~=1.11"),
        ("scipy", "scipy"),
        ("SciPy", "scipy"),
        ("pytorch=2.3", "torch==2.3.*"),
        ("py-xgboost", "xgboost"),
        ("opencv", "opencv-python-headless"),
        ("sklearn", "scikit-learn"),
    ],
)
def test_conda_lines_become_what_pip_understands(line, expected):
    """Names and pins of conda have one counterpart each."""
    assert environment_from(conda_text=conda(line)).requirements == (expected,)


def test_a_renamed_package_is_mentioned():
    """The mapping from a conda name is shown, not silent."""
    assert environment_from(conda_text=conda("pytorch")).notes == ("pytorch is called torch on the package index",)


def test_pip_setuptools_and_wheel_are_left_out():
    """Tools that a target folder has no use for are not resolved."""
    assert environment_from(conda_text=conda("pip=23", "setuptools", "wheel", "pip: [wheel]")).requirements == ()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("conda-forge::numpy", "take the channel out"),
        ("numpy=1.20=py38_0", "keep only NAME=VERSION"),
        ("numpy 1.20 py38_0", "keep only NAME=VERSION"),
        ("numpy=1.20|1.21", "give one range"),
        ("'numpy[version=2]'", "conda's brackets"),
        ("cudatoolkit=11.1", "no CUDA toolkit"),
        ("'https://user:hunter2@host.example/numpy.tar.bz2'", "is given by address"),
        ("numpy=a b c", "not a version"),
        ("'=1.2'", "not a package name"),
        ("numpy=*", "leave the version out"),
        ("pip: ['--index-url ftp://user:hunter2@host.example/simple']", "--index-url is no address of a package index"),
        ("pip: ['--index-url https://user:${SECRET}@host.example/simple']", "names ${SECRET}, which is not set"),
        ("pip: ['-r more.txt']", "-r more.txt: there is no such file beside the file that names it"),
        ("pip: ['-e .']", "editable"),
        ("pip: ['--no-binary :all:']", "nothing is built from source"),
        ("pip: ['--user']", "pip's option --user has no meaning"),
        (
            "pip: ['a @ https://user:hunter2@host.example/a.whl']",
            "given by address, got a @ https://***@host.example/a.whl",
        ),
        ("pip: ['./a.whl']", "given as a file"),
        ("pip: ['a==']", "not a requirement"),
        ("npm: [left-pad]", "got 'npm' with a value"),
        ("pip: numpy", "pip is not a list"),
    ],
)
def test_what_pip_has_no_counterpart_for_is_refused_with_its_line(line, expected):
    """Each refusal names file and line, says what to do and shows no password."""
    problems = refusals(conda_text=conda(line))

    assert len(problems) == 1
    assert problems[0].startswith("conda_file: env.yml:4: ")
    assert expected in problems[0]
    assert "hunter2" not in problems[0]


def test_every_bad_line_is_reported_at_once():
    """One run shows all problems, in the order of the file."""
    problems = refusals(conda_text=conda("a::b", "cudatoolkit", "numpy=1.2|3", python="3.6.2"), file_name="conda.yml")

    assert [line.split(": ")[1] for line in problems] == ["conda.yml:3", "conda.yml:4", "conda.yml:5", "conda.yml:6"]


def test_an_old_python_is_refused_with_the_one_to_write():
    """Python 3.6 of the v1 samples is refused."""
    assert refusals(conda_text=conda(python="3.6.2")) == [
        (
            "conda_file: env.yml:3: Python 3.6.2 is older than 3.10, the oldest this runtime runs on; "
            "write python=3.11, and see that the packages and pickled models fit it"
        )
    ]


def test_a_pin_without_a_wheel_is_refused_with_a_newer_one_and_a_way_out_for_the_pickle():
    """scikit-learn 0.20.0 gives a proposal and says what to do with the pickle."""
    text = "dependencies:\n- python=3.6.2\n- pip:\n  - scikit-learn==0.20.0\n  - numpy==1.15.4\n"
    python, sklearn, numpy = refusals(conda_text=text)

    assert python.startswith("conda_file: env.yml:2: Python 3.6.2 is older")
    assert sklearn == (
        "conda_file: env.yml:4: scikit-learn==0.20.0 has no wheel for Python 3.11; write scikit-learn==1.1.3, the "
        "nearest newer version with a wheel; a pickle or joblib file saved with 0.20.0 may not load with 1.1.3: "
        "convert it to ONNX where scikit-learn 0.20.0 still runs (skl2onnx), or train it again"
    )
    assert numpy == (
        "conda_file: env.yml:5: numpy==1.15.4 has no wheel for Python 3.11; write numpy==1.23.2, the nearest newer "
        "version with a wheel"
    )


@pytest.mark.parametrize(
    ("python", "expected"),
    [
        ("3.11", "3.11"),
        ("3.12.4", "3.12"),
        (">=3.6", "3.11"),
        (">=3.12", "3.13"),
        ("<3.11", "3.10"),
        ("<=3.11", "3.11"),
    ],
)
def test_a_range_of_pythons_is_one_python(python, expected):
    """The default is taken where the file leaves a choice, else the newest that fits."""
    text = f"dependencies:\n- python{python if python[0] in '<>' else '=' + python}\n"

    assert environment_from(conda_text=text).python == expected


@pytest.mark.parametrize("python", ["3.14", "3.9.18", "2.7", "<3.10", "4"])
def test_a_python_outside_the_supported_ones_is_refused(python):
    """Too old and too new are refused with what to write."""
    (problem,) = refusals(conda_text=f"dependencies:\n- python{python if python[0] == '<' else '=' + python}\n")

    assert "env.yml:2" in problem
    assert "; write python=" in problem


def test_a_missing_python_is_refused_unless_the_program_gives_it():
    """A conda file without python needs python_version."""
    text = conda("numpy", python=None)

    assert refusals(conda_text=text) == ["conda_file: env.yml:1: no Python version; add python=3.11 to dependencies"]
    assert environment_from(conda_text=text, python="3.12").python == "3.12"


def test_two_different_pythons_are_refused():
    """python_version must agree with the file."""
    (problem,) = refusals(conda_text=conda(), python="3.12")

    assert problem == "conda_file: env.yml:3: python==3.11.* contradicts python_version 3.12; keep one of the two"
    assert environment_from(conda_text=conda(python="3.12"), python="3.12").python == "3.12"


def test_a_bad_python_version_is_refused_at_its_property():
    """The property path is the program's."""
    assert refusals(requirements_text="", python="3.9")[0].startswith("python_version: Python 3.9 is older than 3.10")
    assert refusals(requirements_text="", python="3.14") == [
        "python_version: Python 3.14 is newer than 3.13, the newest this runtime runs on; write 3.13"
    ]
    assert refusals(conda_text=conda(python="3.14"))[0].endswith("; write python=3.13")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n", "env.yml:1: not a conda environment file"),
        ("dependencies:\n- 'a\nb: c", "env.yml:3: not YAML"),
        ("name: x\n", "env.yml:1: no dependencies"),
        ("dependencies: numpy\n", "env.yml:1: dependencies is not a list"),
        ("depndencies: []\n", "env.yml:1: unknown key 'depndencies'; did you mean 'dependencies'?"),
        ("dependencies:\n- python=3.11\n- [a]\n", "env.yml:3: not a package"),
        ("dependencies:\n- python=3.11\nvariables: [A]\n", "env.yml:3: variables is not a mapping"),
        ("dependencies:\n- python=3.11\nvariables:\n  A: [b]\n", "env.yml:4: variable 'A' is not a text"),
        (
            "dependencies:\n- python=3.11\nvariables:\n  PYTHONHOME: /usr\n",
            "env.yml:4: variable 'PYTHONHOME': does nothing here; the image's Python decides",
        ),
        (
            "dependencies:\n- python=3.11\nvariables:\n  '': b\n",
            "env.yml:4: variable '': not the name of a variable",
        ),
        (
            "dependencies:\n- python=3.11\nvariables:\n  WORKER_COUNT: two\n",
            "env.yml:4: variable 'WORKER_COUNT': must be a whole number from 1 to 1,024",
        ),
        (
            "dependencies:\n- python=3.11\nvariables:\n  SERVER_PORT: 1\n",
            "env.yml:4: variable 'SERVER_PORT': does nothing",
        ),
        ("", "env.yml:1: not a conda environment file"),
        ("[" * 2000, "env.yml:1: not YAML"),
        (
            "dependencies: [python=3.11]\nname: x\ndependencies: [numpy]\n",
            "env.yml:3: dependencies stands on line 1 already; keep one of the two",
        ),
        (
            "dependencies:\n- python=3.11\nvariables:\n  A: b\n  A: c\n",
            "env.yml:5: A stands on line 4 already; keep one of the two",
        ),
        (
            "dependencies:\n- python=3.11\n- numpy\n- python=3.12\n",
            "env.yml:4: python is asked for on line 2 already, got python==3.12.*; keep one of the two",
        ),
        ("dependencies: [{pip: [a], pip: [b]}]\n", "env.yml:1: pip stands on line 1 already"),
        ("dependencies:\n- pip: [a]\n  pip: [b]\n- python=3.11\n", "env.yml:3: pip stands on line 2 already; keep one"),
    ],
)
def test_a_malformed_conda_file_is_refused_where_it_breaks(text, expected):
    """The first line of the answer says where."""
    assert f"conda_file: {expected}" in refusals(conda_text=text)[0]


def test_a_requirements_file_is_normalised():
    """Spelling, order, comments and continuation lines make no difference."""
    one = environment_from(requirements_text="Scikit_Learn >= 1.4, < 2  # why\njoblib \\\n   ==1.4.2\n\n")
    other = environment_from(requirements_text="joblib==1.4.2\nscikit-learn<2,>=1.4\n")

    assert one == other
    assert one.requirements == ("joblib==1.4.2", "scikit-learn<2,>=1.4")
    assert one.origins["joblib==1.4.2"] == "requirements.txt:2"


def test_markers_and_extras_are_kept():
    """What pip decides at installation stays in the requirement."""
    text = 'a[Y,x]>1 ; python_version < "3.12"'

    assert environment_from(requirements_text=text).requirements == ('a[x,y]>1 ; python_version < "3.12"',)


def test_no_file_is_an_empty_environment():
    """Python has a default."""
    spec = environment_from()

    assert (spec.python, spec.requirements) == ("3.11", ())


def test_a_requirements_file_with_hashes_is_a_lock():
    """Its pins are what is asked for and its text is kept."""
    spec = environment_from(requirements_text=LOCK, file_name="locked.txt")

    assert spec.lock == LOCK
    assert spec.requirements == ("joblib==1.4.2", "threadpoolctl==3.5.0")
    assert spec.origins["threadpoolctl==3.5.0"] == "locked.txt:3"


def test_a_lock_beside_a_conda_file_is_used_as_it_is():
    """The file says what is wanted, the lock which versions."""
    spec = environment_from(conda_text=conda("joblib"), lock_text=LOCK)

    assert (spec.lock, spec.requirements) == (LOCK, ("joblib",))


@pytest.mark.parametrize(
    ("lock", "expected"),
    [("joblib==1.4.2\n", "not a lock"), ("--index-url https://u:hunter2@h.example/\n" + LOCK, "names an address")],
)
def test_a_lock_without_hashes_or_with_an_address_is_refused(lock, expected):
    """A committed lock holds names, versions and hashes only."""
    (problem,) = refusals(conda_text=conda("joblib"), lock_text=lock, lock_name="env.lock")

    assert f"env.lock: {expected}" in problem
    assert "hunter2" not in problem


def test_a_package_built_for_numpy_1_keeps_numpy_below_2():
    """Old scikit-learn does not say that numpy 2 breaks it, so the spec does."""
    spec = environment_from(conda_text=conda("pip: [scikit-learn==1.1.3, 'inference-schema[numpy-support]']"))

    assert spec.requirements == ("numpy<2", "scikit-learn==1.1.3")
    assert "numpy<2 is added: the pinned scikit-learn cannot be imported with numpy 2" in spec.notes


def test_a_numpy_that_is_asked_for_is_left_alone():
    """The user's own pin decides."""
    spec = environment_from(requirements_text="scikit-learn==1.1.3\nnumpy==1.26.4\n")

    assert spec.requirements == ("numpy==1.26.4", "scikit-learn==1.1.3")


def test_conda_and_requirements_together_are_refused():
    """One file decides."""
    assert refusals(conda_text=conda(), requirements_text="") == [
        "requirements_file: given beside conda_file; keep one of the two"
    ]


def test_the_runtime_needs_onnxruntime_only_when_it_serves_the_model_itself():
    """With a script, the script's own packages serve."""
    assert runtime_requirements(entry_script=True, frameworks=["Onnx"]) == (
        "httptools>=0.6",
        "orjson>=3.10",
        "uvloop>=0.20",
    )
    assert "onnxruntime>=1.17" in runtime_requirements(entry_script=False, frameworks=["Onnx"])
    assert "onnxruntime>=1.17" not in runtime_requirements(entry_script=False, frameworks=["ScikitLearn"])


def test_the_runtimes_packages_are_joined_and_known_by_their_origin():
    """A conflict can name both sides."""
    spec = with_runtime(environment_from(requirements_text="orjson==3.9\n"), runtime_requirements(entry_script=True))

    assert spec.requirements == ("httptools>=0.6", "orjson==3.9", "orjson>=3.10", "uvloop>=0.20")
    assert spec.origins["orjson==3.9"] == "requirements.txt:1"
    assert spec.origins["orjson>=3.10"] == spec.origins["uvloop>=0.20"] == "the runtime"


@pytest.mark.parametrize("build", ["onnxruntime-gpu", "onnxruntime-openvino"])
def test_the_runtime_takes_the_build_that_is_asked_for(build):
    """Two builds of onnxruntime in one folder would overwrite each other, and a GPU would never be used."""
    needed = runtime_requirements(entry_script=False, frameworks=["Onnx"])
    plain = with_runtime(environment_from(requirements_text="numpy\n"), needed)
    spec = with_runtime(environment_from(requirements_text=f"{build}[cuda]>=1.20\nnumpy\n"), needed)

    assert {"onnxruntime>=1.17"} == {text for text in plain.requirements if text.startswith("onnx")}
    assert {f"{build}[cuda]>=1.20", f"{build}>=1.17"} == {text for text in spec.requirements if text.startswith("onnx")}
    assert "the runtime" == spec.origins[f"{build}>=1.17"]


def test_normalised_sorts_what_order_does_not_matter_for():
    """Two spellings of one requirement are one text."""
    assert normalised(Requirement("A_b[z,y]<2,>=1")) == normalised(Requirement("a-b[y,z] >=1,<2"))
