"""Facts about documents that are not what they should be: told where it is, and none ends in a traceback."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pulumi_mlserve.core.environments.environment import environment_from
from pulumi_mlserve.core.problems import InvalidInputError

HASH = "0" * 64
PROJECT = "[project]\nname = 'a'\n"
LOCK = 'lock-version = "1.0"\n'
PACKAGE = f"{LOCK}[[packages]]\nname = 'a'\nversion = '1'\nwheels = [{{hashes = {{sha256 = '{HASH}'}}}}]\n"


def refusals(text: str, name: str) -> list[str]:
    """Return the problems of a file as lines."""
    with pytest.raises(InvalidInputError) as caught:
        environment_from(requirements_text=text, file_name=name)
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("project = 5\n", "1: there is no table [project]; add [project] with dependencies"),
        (
            "tool = 5\n[project]\n",
            "1: tool is not a table, got 5; write its keys under a head of its own, or take it out",
        ),
        ("[project]\nname = 3\n", "2: name is not a text, got 3; put it in quotation marks"),
        (
            "[project]\nrequires-python = 3.11\n",
            "2: requires-python is not a text, got 3.11; put it in quotation marks",
        ),
        ("[project]\nrequires-python = '===x'\n", "2: no Python from 3.10 to 3.13 fits, got '===x'"),
        ("[project]\ndynamic = 'dependencies'\n", "2: dynamic is not a list of texts, got a text; write dynamic = "),
        ("[project]\ndependencies = [5]\n", "2: not a requirement in dependencies"),
        ("[project]\noptional-dependencies = []\n", "2: optional-dependencies is not a table, got a list"),
        ("dependency-groups = 1979-05-27\n[project]\n", "1: dependency-groups is not a table, got a date"),
        (f"{PROJECT}[tool.uv]\nindex = 5\n", "4: index is not a list of tables, got 5; write [[tool.uv.index]] with"),
        (f"{PROJECT}[tool.uv]\nindex = 'https://u:p@h'\n", "4: index is not a list of tables, got a text; write"),
        (f"{PROJECT}[tool.uv]\nindex = ['https://x']\n", "4: index is not a list of tables, got a list; write"),
        (f"{PROJECT}[[tool.uv.index]]\nurl = 5\n", "4: url is not a text, got 5"),
        (
            f"{PROJECT}[[tool.uv.index]]\nurl = 'https://h/s'\ndefault = 'no'\n",
            "5: default is not true or false, got a",
        ),
        (f"{PROJECT}[tool.uv]\nno-index = 'x'\n", "4: no-index is not true or false, got a text; write one of them"),
        (f"{PROJECT}[tool.uv]\nextra-index-url = [5]\n", "4: extra-index-url is not a list of texts, got a list"),
        (f"{PROJECT}[tool.uv]\nsources = true\n", "4: sources is not a table, got true"),
        (
            f"{PROJECT}[tool.uv]\nconstraint-dependencies = 'numpy<2'\n",
            "4: constraint-dependencies is not a list of texts, got a text; write constraint-dependencies = ",
        ),
        (f"{PROJECT}[tool.uv]\nconstraint-dependencies = ['-r x']\n", "4: not a requirement, got -r x; write NAME<"),
    ],
)
def test_a_value_of_another_kind_in_a_pyproject_is_told_at_its_place(text, expected):
    """With what stands there, but no text: it may hold a password."""
    (problem, *_) = refusals(text, "pyproject.toml")

    assert problem.startswith(f"pyproject.toml:{expected}")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("packages = 'x'\n", "2: packages is not a list of tables, got a text; write [[packages]] above each"),
        ("[packages]\nname = 'a'\n", "2: packages is not a list of tables, got a table; write [[packages]] above each"),
        ("packages = ['a']\n", "2: not a package, got a text; write it as a table [[packages]]"),
        ("requires-python = 3.11\n", "2: requires-python is not a text, got 3.11; write requires-python = "),
        ("[[packages]]\nname = 3\nversion = '1'\n", "2: a package has no name, got 3; make the lock anew"),
        ("[[packages]]\nname = 'a b'\nversion = '1'\n", "2: a package has no name, got a text"),
        ("[[packages]]\nversion = '1'\n", "2: a package has no name, got nothing"),
        ("[[packages]]\nname = 'a'\nversion = 1\n", "2: the version of a is none, got 1; make the lock anew"),
        ("[[packages]]\nname = 'a'\nversion = '1 ; x'\n", "2: the version of a is none, got a text"),
        ("[[packages]]\nname = 'a'\nversion = '1'\nwheels = 'a'\n", "2: the wheels of a are not a list of tables, got"),
        ("[[packages]]\nname = 'a'\nversion = '1'\nwheels = [1]\n", "2: the wheels of a are not a list of tables, got"),
        ("[[packages]]\nname = 'a'\nversion = '1'\nwheels = [{hashes = 1}]\n", "2: a has no wheel with a hash"),
        (
            "[[packages]]\nname = 'a'\nversion = '1'\nwheels = [{hashes = {sha256 = 1}}]\n",
            "2: a has no wheel with a hash; nothing is built from source, take another version or package",
        ),
        ("[[packages]]\nname = 'a'\nversion = '1'\nmarker = 5\n", "2: the marker of a is not a text, got 5"),
        ("[[packages]]\nname = 'a'\nversion = '1'\nmarker = 'x'\n", "2: the marker of a cannot be read, got 'x'; make"),
    ],
)
def test_a_value_of_another_kind_in_a_pylock_is_told_at_its_place(text, expected):
    """At the head of its package."""
    assert refusals(LOCK + text, "pylock.toml")[0].startswith(f"pylock.toml:{expected}")


def test_a_pylock_without_packages_is_the_lock_of_none():
    """As uv writes it for a project that needs nothing."""
    spec = environment_from(requirements_text=LOCK, file_name="pylock.toml")

    assert (spec.requirements, spec.lock.strip()) == ((), "")


@pytest.mark.parametrize("python", ["==3.11rc1", "==3.11+local", "===3.11", "==3.11.4"])
def test_every_form_of_a_version_of_python_is_read(python):
    """Of a version that is not final, its minor version counts."""
    assert environment_from(conda_text=f"dependencies:\n- python{python}\n").python == "3.11"


WORDS = st.sampled_from(
    [
        *(
            "a",
            "a==1",
            "numpy>=1 ; python_version < '3'",
            "a[x]",
            "-r a",
            "x @ https://u:p@h/x?s",
            "https://h/s",
            "==1",
        ),
        *("", ">=3.10", "===x", "allow", "flat", "dependencies", "sha256", HASH, "1", "1.0", "a\nb", "'x' in extras"),
        *("sys_platform == 'win32'", "platform_release >= '5'", "\x00", "\u2028", "#", " ;", "--hash=sha256:0"),
    ]
)
PROJECT_KEYS = ("name", "requires-python", "dependencies", "dynamic", "optional-dependencies")
UV_KEYS = (
    *("index", "index-url", "extra-index-url", "find-links", "no-index", "prerelease", "constraint-dependencies"),
    *("sources", "resolution"),
)
LOCK_KEYS = ("packages", "requires-python", "environments")
PACKAGE_KEYS = ("name", "version", "marker", "wheels", "archive", "vcs", "directory")
INNER_KEYS = ("a", "include-group", "url", "default", "explicit", "format", "hashes", "sha256", "name")
VALUES = st.recursive(
    WORDS | st.text(max_size=8) | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.just("1979-05-27"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(INNER_KEYS), inner, max_size=3),
    max_leaves=4,
)


def table(keys: tuple[str, ...]):
    """Return tables with any of these keys, each with any value."""
    return st.fixed_dictionaries({}, optional=dict.fromkeys(keys, VALUES))


def toml(value) -> str:
    """Return a value as TOML."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(key)} = {toml(one)}" for key, one in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return "1979-05-27" if value == "1979-05-27" else json.dumps(value, ensure_ascii=False)


def read(text: str, name: str) -> None:
    """Read a document; only the project's own error may come out."""
    with contextlib.suppress(InvalidInputError):
        environment_from(requirements_text=text, file_name=name, extras=["a"] if name == "pyproject.toml" else [])


def lines(document: dict) -> str:
    """Return the keys of a table, one a line."""
    return "".join(f"{json.dumps(key)} = {toml(value)}\n" for key, value in document.items())


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(table(PROJECT_KEYS), table(UV_KEYS), table(("dependency-groups",)))
def test_no_pyproject_ends_in_a_traceback(project, uv, rest):
    """Whatever stands where."""
    read(lines({**rest, "project": project, "tool": {"uv": uv}}), "pyproject.toml")


@given(table(("project", "tool", "dependency-groups")))
def test_no_pyproject_without_its_tables_ends_in_a_traceback(document):
    """Nor where something else stands in their place."""
    read(lines(document), "pyproject.toml")


@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow])
@given(table(LOCK_KEYS[1:]), st.lists(table(PACKAGE_KEYS), max_size=2))
def test_no_pylock_ends_in_a_traceback(document, packages):
    """Whatever stands where."""
    tables = "".join(f"[[packages]]\n{lines(package)}" for package in packages)

    read(f"{LOCK}{lines(document)}{tables}", "pylock.toml")


@given(table(LOCK_KEYS))
def test_no_pylock_without_its_tables_ends_in_a_traceback(document):
    """Nor where something else stands in their place."""
    read(LOCK + lines(document), "pylock.toml")


@given(st.sampled_from([PACKAGE, f"{PROJECT}dependencies = ['a']\n[tool.uv]\nindex = []\n"]), st.data())
def test_no_damaged_document_ends_in_a_traceback(text, data):
    """Nor one that was cut, or written over."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    damaged = text[:start] + data.draw(WORDS | st.text(max_size=5)) + text[end:]

    for name in ("pyproject.toml", "pylock.toml", "requirements.txt"):
        read(damaged, name)


@given(st.text() | st.lists(st.sampled_from(["- ", "pip:", ":", "\n", "  ", "a", "python=3.11", "[", "&x", "*x"])))
def test_no_conda_file_ends_in_a_traceback(given):
    """Whatever YAML makes of it."""
    with contextlib.suppress(InvalidInputError):
        environment_from(conda_text="dependencies:\n" + (given if isinstance(given, str) else "".join(given)))
