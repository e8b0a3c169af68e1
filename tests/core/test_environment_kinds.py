"""Facts about pyproject files, ready locks of every form, files that name files, and conda's names."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.environments.environment import environment_from
from pulumi_mlserve.core.problems import InvalidInputError

HASH = "0" * 64
PYPROJECT = """\
[project]
name = "shop"
requires-python = ">=3.12"
dependencies = ["numpy>=1.26", 'joblib; python_version < "3.13"']

[project.optional-dependencies]
serve = ["scikit-learn", "shop[plots]"]
plots = ["matplotlib"]

[dependency-groups]
train = ["lightgbm", {include-group = "data"}]
data = ["pandas"]
"""
PYLOCK = """\
lock-version = "1.0"
requires-python = ">=3.11,<3.12"

[[packages]]
name = "joblib"
version = "1.4.2"
index = "https://user:hunter2@index.example/simple"
wheels = [{url = "https://index.example/joblib", hashes = {sha256 = "ZERO"}}]

[[packages]]
name = "threadpoolctl"
version = "3.5.0"
marker = "sys_platform == 'linux'"
wheels = [{name = "threadpoolctl.whl", hashes = {sha256 = "ZERO"}}]
""".replace("ZERO", HASH)


def refusals(**given) -> list[str]:
    """Return the problems of an environment as lines."""
    with pytest.raises(InvalidInputError) as caught:
        environment_from(**given)
    return [str(problem) for problem in caught.value.problems]


def pyproject(text: str, **given):
    """Return the environment that a pyproject file asks for."""
    return environment_from(requirements_text=text, file_name="pyproject.toml", **given)


def beside(**files):
    """Return a reader of files beside the environment file, by name with dashes for dots and slashes."""
    texts = {name.replace("__", "/").replace("_", "."): text for name, text in files.items()}

    def read(path: str) -> str:
        if path not in texts:
            raise FileNotFoundError(path)
        return texts[path]

    return read


def test_a_pyproject_gives_its_dependencies_and_its_python():
    """The project itself is not asked for."""
    spec = pyproject(PYPROJECT)

    assert spec.requirements == ('joblib ; python_version < "3.13"', "numpy>=1.26")
    assert spec.python == "3.13"
    assert spec.origins["numpy>=1.26"] == "pyproject.toml:4"


@pytest.mark.parametrize(
    ("extras", "more"),
    [
        (["serve"], {"matplotlib", "scikit-learn"}),
        (["Train"], {"lightgbm", "pandas"}),
        (["plots", "data"], {"matplotlib", "pandas"}),
    ],
)
def test_extras_and_groups_of_a_pyproject_go_in_when_named(extras, more):
    """With those that they include."""
    assert set(pyproject(PYPROJECT, extras=extras).requirements) - set(pyproject(PYPROJECT).requirements) == more


def test_an_unknown_extra_is_refused_at_its_place():
    """With a proposal, or with those that there are."""
    assert refusals(requirements_text=PYPROJECT, file_name="pyproject.toml", extras=["plots", "serv"]) == [
        "extras[1]: there is no such extra or dependency group, got 'serv'; did you mean 'serve'?"
    ]
    assert refusals(requirements_text="numpy\n", extras=["serve"]) == [
        "extras: only a pyproject.toml has extras and dependency groups; leave it out"
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[project\n", ":1: not TOML"),
        ("[build-system]\n", ":1: there is no table [project]; add [project] with dependencies"),
        ("[tool.poetry.dependencies]\nnumpy = '*'\n", "give a requirements file that `poetry export` wrote"),
        ("[project]\nname='a'\ndynamic=['dependencies']\n", ":3: the dependencies are dynamic"),
        ("[project]\ndependencies='numpy'\n", ":2: dependencies is not a list"),
        ("[project]\ndependencies=[\n'numpy',\n'a ==',\n]\n", ":4: not a requirement, got a =="),
        (
            "[project]\ndependencies=['a @ https://user:hunter2@h.example/a.whl']\n",
            ":2: a package is given by address, got a @ https://***@h.example/a.whl",
        ),
        ("[project]\nrequires-python='3'\n", ":2: requires-python is no range of versions, got '3'"),
        ("[project]\nrequires-python='<3.9'\n", ":2: Python 3.9 is older than 3.10"),
        (
            "[project]\nrequires-python='>=3.14'\n",
            ':2: Python 3.14 is newer than 3.13, the newest this runtime runs on; write requires-python = ">=3.13"',
        ),
        (
            "[project]\ndependencies=['torch']\n[tool.uv.sources]\ntorch = {index = 'cpu'}\n",
            ":4: torch has a source of its own",
        ),
        ("[[tool.uv.index]]\nurl='https://h.example/s'\nexplicit=true\n[project]\n", ":3: an explicit index"),
        ("[project]\nname='a'\n[tool.uv]\nexclude-newer='2026-01-01'\n", ":4: uv's exclude-newer cannot be honoured"),
    ],
)
def test_a_pyproject_that_cannot_be_used_is_refused_where(text, expected):
    """Each with its line and what to do, without a password."""
    (problem,) = refusals(requirements_text=text, file_name="pyproject.toml")

    assert problem.startswith("requirements_file: pyproject.toml:")
    assert expected in problem
    assert "hunter2" not in problem


def test_a_pyprojects_python_must_agree_with_the_programs():
    """Both are named."""
    assert refusals(requirements_text=PYPROJECT, file_name="pyproject.toml", python="3.11") == [
        "requirements_file: pyproject.toml:3: python>=3.12 contradicts python_version 3.11; keep one of the two"
    ]


def test_a_pyprojects_indexes_are_uvs():
    """Default, further and flat ones, and what limits versions."""
    text = (
        "[project]\nname = 'a'\n[tool.uv]\nconstraint-dependencies = ['numpy<2']\nprerelease = 'allow'\n"
        "[[tool.uv.index]]\nurl = 'https://one.example/s'\ndefault = true\n"
        "[[tool.uv.index]]\nname = 'two'\nurl = 'https://two.example/s'\n"
        "[[tool.uv.index]]\nurl = 'https://three.example/'\nformat = 'flat'\n"
    )
    spec = pyproject(text)

    assert spec.indexes.default == "https://one.example/s"
    assert spec.indexes.extra == ("https://two.example/s",)
    assert spec.indexes.links == ("https://three.example/",)
    assert spec.indexes.prereleases
    assert spec.constraints == ("numpy<2",)


def test_a_pylock_is_a_ready_lock_without_its_addresses():
    """Names, versions and hashes of wheels; Python from the file."""
    spec = environment_from(requirements_text=PYLOCK, file_name="pylock.serve.toml")

    assert spec.python == "3.11"
    assert spec.requirements == ("joblib==1.4.2", 'threadpoolctl==3.5.0 ; sys_platform == "linux"')
    assert f"joblib==1.4.2 \\\n    --hash=sha256:{HASH}\n" in spec.lock
    assert "://" not in spec.lock


def test_everything_in_a_pylock_that_is_no_wheel_is_refused_at_once():
    """Source archives, folders, version control, packages of extras."""
    text = PYLOCK + "".join(
        f'[[packages]]\nname = "{name}"\nversion = "1"\n{rest}\n'
        for name, rest in (
            ("old", 'sdist = {name = "old.tar.gz"}'),
            ("own", 'directory = {path = "."}'),
            ("gitted", 'vcs = {type = "git", url = "https://u:hunter2@h.example/x"}'),
            ("more", f"marker = \"'x' in extras\"\nwheels = [{{name = 'a', hashes = {{sha256 = '{HASH}'}}}}]"),
        )
    )
    problems = refusals(requirements_text=text, file_name="pylock.toml")

    assert [problem.split(": ", 2)[2].split(";")[0] for problem in problems] == [
        "old has no wheel with a hash",
        "own comes from a folder",
        "gitted comes from an address",
        "more belongs to an extra or a group of the lock",
    ]
    assert "hunter2" not in "".join(problems)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("uv.lock", "uv export"),
        ("sub/poetry.lock", "poetry export"),
        ("Pipfile", "pipenv requirements"),
        ("setup.py", "pyproject.toml"),
        ("env.yml", "give it as conda_file"),
    ],
)
def test_a_file_of_another_kind_is_refused_with_what_to_give(name, expected):
    """By its name, before it is read."""
    (problem,) = refusals(requirements_text="x", file_name=name)

    assert problem.startswith("requirements_file: ")
    assert expected in problem


def test_requirements_given_as_a_conda_file_are_refused():
    """With the setting that takes them."""
    assert refusals(conda_text="numpy\n", file_name="requirements.txt") == [
        "conda_file: is no conda environment file by its name, got 'requirements.txt'; give it as requirements_file"
    ]


def test_a_ready_lock_may_name_its_index_and_keeps_none_of_it():
    """As pip-compile writes it; comments and options are no part of the lock."""
    text = (
        "--index-url https://user:hunter2@h.example/simple\n--require-hashes\n"
        f"joblib==1.4.2 --hash=sha256:{HASH}  # via -r https://h.example/x\n"
    )
    spec = environment_from(requirements_text=text)

    assert spec.lock == f"joblib==1.4.2 \\\n    --hash=sha256:{HASH}\n"
    assert spec.indexes.default == "https://user:hunter2@h.example/simple"
    assert "hunter2" not in repr(spec)


def test_files_that_a_file_names_are_read_from_where_they_lie():
    """Requirements and constraints, nested, each line with its own place."""
    read = beside(sub__more_txt="-r deeper.txt\nscipy\n", sub__deeper_txt="pandas\n", limits_txt="numpy<2\n-f wheels\n")
    spec = environment_from(requirements_text="numpy\n-r sub/more.txt\n-climits.txt\n", read=read)

    assert spec.requirements == ("numpy", "pandas", "scipy")
    assert spec.constraints == ("numpy<2",)
    assert spec.indexes.links == ("wheels",)
    assert spec.origins["pandas"] == "sub/deeper.txt:1"


def test_every_bad_line_of_every_file_is_reported_at_once():
    """With the file that it stands in."""
    read = beside(one_txt="a==\n--requirement absent.txt\n-r one.txt\n-r requirements.txt\n-e .\n")
    problems = refusals(requirements_text="b==\n-r one.txt\n-r https://h.example/x\n", read=read)

    assert [problem.removeprefix("requirements_file: ") for problem in problems] == [
        "requirements.txt:1: not a requirement, got b==; write NAME==VERSION",
        "requirements.txt:3: -r needs a file, got an address; write its path",
        "one.txt:1: not a requirement, got a==; write NAME==VERSION",
        "one.txt:2: --requirement absent.txt: there is no such file beside the file that names it",
        "one.txt:3: -r one.txt: the files name each other; take one of the lines out",
        "one.txt:4: -r requirements.txt: the files name each other; take one of the lines out",
        "one.txt:5: an editable install has no place in an image; put its code into the source directory",
    ]


def test_a_conda_files_pip_section_takes_pips_options():
    """Further files and indexes, as pip reads them there."""
    text = (
        "dependencies:\n- python=3.11\n- pip:\n  - -r more.txt\n  - --index-url=https://u:${TOKEN}@h.example/s\n"
        "  - --extra-index-url https://two.example/s\n  - --trusted-host two.example\n  - --pre\n"
    )
    spec = environment_from(conda_text=text, read=beside(more_txt="pandas\n"), environ={"TOKEN": "hunter2"})

    assert spec.requirements == ("pandas",)
    assert spec.indexes.default == "https://u:hunter2@h.example/s"
    assert spec.indexes.extra == ("https://two.example/s",)
    assert (spec.indexes.trusted, spec.indexes.prereleases) == (("two.example",), True)
    assert "hunter2" not in f"{spec!r}{spec.beside}"


def test_where_packages_come_from_is_part_of_the_question_without_password_and_folder():
    """The same index with a renewed password is the same question."""

    def asked(url: str, **given):
        return environment_from(requirements_text=f"--index-url {url}\nnumpy\n", **given).beside

    assert asked("https://u:one@h.example/s") == asked("https://u:two@h.example/s")
    assert asked("https://u:one@h.example/s") != asked("https://u:one@other.example/s")
    assert environment_from(requirements_text="numpy\n").beside == ()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("dask", "dask[complete]"),
        ("psycopg2", "psycopg2-binary"),
        ("python-graphviz", "graphviz"),
        ("ruamel_yaml=0.18", "ruamel-yaml==0.18.*"),
        ("numpy-base=1.26", "numpy==1.26.*"),
        ("docker-py=7.1", "docker==7.1.*"),
        ("pysoundfile", "soundfile"),
        ("pytorch_geometric>=2.5", "torch-geometric>=2.5"),
        ("pyg", "torch-geometric"),
        ("ignite", "pytorch-ignite"),
        ("python-hdfs", "hdfs"),
        ("redis-py", "redis"),
        ("python-tzdata", "tzdata"),
    ],
)
def test_conda_names_with_one_counterpart_are_translated(line, expected):
    """And one line says so."""
    spec = environment_from(conda_text=f"dependencies:\n- python=3.11\n- {line}\n")

    assert spec.requirements == (expected,)


@pytest.mark.parametrize(
    "line",
    ["ffmpeg", "graphviz", "r-ggplot2=3", "gcc_linux-64", "cuda-toolkit", "gdal", "cpuonly", "krb5", "glib=2.78"],
)
def test_conda_packages_without_a_counterpart_are_refused_with_advice(line):
    """A package of the same name on the package index may be another thing."""
    (problem,) = refusals(conda_text=f"dependencies:\n- python=3.11\n- {line}\n")

    assert "env.yml:3: " in problem
    assert "cannot be installed with pip: " in problem
    assert "; " in problem


def test_what_an_exported_environment_lists_of_condas_own_python_is_left_out():
    """The image's Python has its own, so build strings do not matter there; one line says so."""
    text = "dependencies:\n- python=3.11\n- _libgcc_mutex=0.1=main\n- openssl=1.1.1w=h7f8727e_0\n- numpy=1.26\n"
    spec = environment_from(conda_text=text)

    assert spec.requirements == ("numpy==1.26.*",)
    assert spec.notes == ("libgcc-mutex, openssl: left out, the image's Python and its wheels bring their own",)


def test_packages_that_the_base_brings_are_not_asked_for():
    """Nor refused where the package index has none; that they are left out is part of the question."""
    text = "dependencies:\n- python=3.11\n- gdal=3.8=py311_0\n- pytorch\n- numpy=1.26\n- pip: [Torch==2.3, joblib]\n"
    spec = environment_from(conda_text=text, base_packages=["GDAL", "pytorch", "torch"])

    assert spec.requirements == ("joblib", "numpy==1.26.*")
    assert spec.of_base == ("gdal", "pytorch", "torch")
    assert spec.beside == ("of the base gdal", "of the base pytorch", "of the base torch")
