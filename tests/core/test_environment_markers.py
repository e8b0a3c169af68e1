"""Facts about markers: which lines of a file and of a lock count for the Python and platform of an image."""

from __future__ import annotations

import pytest
from packaging.markers import Marker

from pulumi_mlserve.core.environments.committed_lock import CommittedLock, lock_text, own_hash
from pulumi_mlserve.core.environments.environment import environment_from
from pulumi_mlserve.core.environments.lock_changes import package_changes
from pulumi_mlserve.core.environments.locks import header_for, read_pins, unmet, versions_of
from pulumi_mlserve.core.environments.target import Target
from pulumi_mlserve.core.problems import InvalidInputError

HERE = Target("3.11", "linux/amd64")
HASH = "--hash=sha256:" + "0" * 64
EXPORTED = (
    f"click==8.1.8 {HASH}\n"
    f"colorama==0.4.6 ; sys_platform == 'win32' {HASH}\n"
    f"numpy==2.2.6 ; python_full_version < '3.11' {HASH}\n"
    f"numpy==2.4.6 ; python_full_version >= '3.11' {HASH}\n"
)


def refusals(**given) -> list[str]:
    """Return the problems of an environment as lines."""
    with pytest.raises(InvalidInputError) as caught:
        environment_from(**given)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("marker", "python", "platform", "expected"),
    [
        ('python_version < "3.9"', "3.11", "linux/amd64", False),
        ('python_full_version >= "3.12"', "3.12", "linux/amd64", True),
        ('python_full_version == "3.11.*"', "3.11", "linux/amd64", True),
        ('sys_platform == "win32" or os_name == "nt"', "3.11", "linux/amd64", False),
        ('sys_platform == "darwin" and platform_machine == "arm64"', "3.11", "darwin/arm64", True),
        ('platform_system == "Linux" and platform_machine == "aarch64"', "3.11", "linux/arm64", True),
        ('platform_machine == "x86_64"', "3.11", "linux/arm64", False),
        ('implementation_name == "cpython" and platform_python_implementation != "PyPy"', "3.11", "linux/amd64", True),
        ('extra == "serve"', "3.11", "linux/amd64", False),
        ('sys_platform ~= "linux"', "3.11", "linux/amd64", True),
    ],
)
def test_a_marker_asks_about_the_target_and_not_about_this_machine(marker, python, platform, expected):
    """What cannot be decided applies: nothing is dropped in silence."""
    assert Target(python, platform).meets(Marker(marker)) is expected


def test_a_lock_meets_the_line_that_applies():
    """The other line of the same package asks for nothing here."""
    pins = read_pins(f"packaging==24.1 {HASH}\n")
    lines = ['packaging==23.0 ; python_version < "3.9"', 'packaging==24.1 ; python_version >= "3.9"']

    assert unmet(lines, pins, HERE) == ([], [])
    assert unmet(['packaging==23.0 ; python_version >= "3.9"'], pins, HERE)[1]
    assert unmet(['attrs ; python_version < "3.9"', 'attrs ; sys_platform == "linux"'], pins, HERE) == (
        ['attrs ; sys_platform == "linux"'],
        [],
    )


@pytest.mark.parametrize(("python", "numpy"), [("3.10", "2.2.6"), ("3.11", "2.4.6"), ("3.13", "2.4.6")])
def test_of_several_pins_of_a_package_the_one_that_applies_counts(python, numpy):
    """As uv exports a project for several Pythons."""
    target, pins = Target(python, "linux/amd64"), read_pins(EXPORTED)

    assert unmet([f"numpy=={numpy}", "click"], pins, target) == ([], [])
    assert unmet(["numpy==1.0", "colorama"], pins, target) == (["colorama"], ["numpy==1.0"])


def test_the_packages_of_a_lock_are_those_that_apply_to_what_it_was_made_for():
    """In what a change of it is said to be, too."""
    before = header_for("3.10", "linux/amd64", "sha256:" + "a" * 64) + "\n" + EXPORTED
    after = header_for("3.12", "linux/amd64", "sha256:" + "a" * 64) + "\n" + EXPORTED

    assert versions_of(before) == {"click": "8.1.8", "numpy": "2.2.6"}
    assert [str(change) for change in package_changes(before, after)] == ["numpy 2.2.6 → 2.4.6"]
    assert versions_of("a==1 ; nonsense " + HASH) == {"a": "1"}


@pytest.mark.parametrize(
    ("line", "expected"),
    [("a==1 ; nonsense", "has a marker that cannot be read"), ("a==1.*", "lacks its version"), ("a===1", "lacks its")],
)
def test_a_line_of_a_lock_that_says_nothing_clear_is_refused(line, expected):
    """A version that is none would end in a traceback later."""
    with pytest.raises(ValueError, match=expected):
        read_pins(f"{line} {HASH}\n")


def test_a_committed_lock_is_held_against_the_lines_that_apply():
    """With the place of the line that does."""
    text = 'packaging==23.0 ; python_version < "3.9"\npackaging==24.1 ; python_version >= "3.9"\n'
    spec = environment_from(requirements_text=text)

    def lock(version: str) -> CommittedLock:
        pins = read_pins(f"packaging=={version} {HASH}\n")
        return CommittedLock("requirements.lock", lock_text(pins, spec, "linux/amd64", "requirements.txt"))

    assert lock("24.1").problems(spec, "linux/amd64", "requirements.txt") == []
    assert lock("23.0").problems(spec, "linux/amd64", "requirements.txt") == [
        (
            "requirements.lock: has packaging 23.0, and requirements.txt:2 asks for packaging==24.1 ; "
            'python_version >= "3.9"; run `mlserve lock requirements.txt`'
        )
    ]


@pytest.mark.parametrize(
    ("text", "requirements"),
    [
        (
            'numpy==1.19.5 ; python_version < "3.10"\nnumpy==1.26.4 ; python_version >= "3.10"\n',
            ('numpy==1.19.5 ; python_version < "3.10"', 'numpy==1.26.4 ; python_version >= "3.10"'),
        ),
        ('tensorflow==1.15 ; sys_platform == "win32"\n', ('tensorflow==1.15 ; sys_platform == "win32"',)),
        (
            'scikit-learn==1.3.2 ; python_version < "3.9"\nscikit-learn>=1.6 ; python_version >= "3.9"\nnumpy\n',
            ("numpy", 'scikit-learn==1.3.2 ; python_version < "3.9"', 'scikit-learn>=1.6 ; python_version >= "3.9"'),
        ),
        (
            'inference-schema[pandas-support] ; sys_platform == "win32"\njoblib\n',
            ("joblib",),
        ),
    ],
)
def test_lines_that_do_not_apply_refuse_and_add_nothing(text, requirements):
    """They stay in the question as they are, so that what identifies it does not change."""
    spec = environment_from(requirements_text=text)

    assert spec.requirements == requirements
    assert own_hash(spec, "linux/amd64") == own_hash(environment_from(requirements_text=text), "linux/amd64")


def test_lines_of_a_pyproject_that_do_not_apply_refuse_nothing():
    """Its markers are read the same way."""
    text = "[project]\nname = 'a'\ndependencies = ['tensorflow==1.15 ; sys_platform == \"win32\"', 'numpy']\n"

    assert "numpy" in environment_from(requirements_text=text, file_name="pyproject.toml").requirements


def test_lines_that_apply_still_refuse():
    """Whether they do depends on the image's platform."""
    text = 'numpy==1.19.5 ; platform_machine == "aarch64"\n'

    assert environment_from(requirements_text=text).python == "3.11"
    (problem,) = refusals(requirements_text=text, platform="linux/arm64")
    assert "requirements.txt:1: numpy==1.19.5 has no wheel for Python 3.11" in problem


def test_a_numpy_that_does_not_apply_keeps_no_numpy_out():
    """Only a pin that counts is the user's own."""
    spec = environment_from(requirements_text='scikit-learn==1.3.2\nnumpy>=1.20 ; python_version < "3.9"\n')

    assert "numpy<2" in spec.requirements


def test_messages_name_the_line_that_applies():
    """Not the first line about the package."""
    spec = environment_from(requirements_text='a==1 ; python_version < "3.9"\na==2 ; python_version >= "3.9"\n')

    assert spec.origins == {'a==2 ; python_version >= "3.9"': "requirements.txt:2"}


def test_an_export_for_several_pythons_is_a_lock():
    """With the lines for others, which an installer passes over."""
    spec = environment_from(requirements_text=EXPORTED, python="3.12")

    assert spec.lock.count("\n    --hash") == 4
    assert "numpy==2.2.6 ; python_full_version < '3.11' \\\n" in spec.lock


def test_packages_of_a_pylock_that_do_not_apply_are_not_refused():
    """Each problem has the line of its own table, though two tables have one name."""
    head = 'lock-version = "1.0"\nrequires-python = ">=3.10"\n'
    tables = "".join(
        f"[[packages]]\nname = 'numpy'\nversion = '{version}'\nmarker = \"python_full_version {marker}\"\n{wheels}\n"
        for version, marker, wheels in (
            ("1.0", "< '3.11'", ""),
            ("2.0", ">= '3.11'", f"wheels = [{{hashes = {{sha256 = '{'0' * 64}'}}}}]"),
        )
    )

    spec = environment_from(requirements_text=head + tables, file_name="pylock.toml")
    assert spec.requirements == ('numpy==2.0 ; python_full_version >= "3.11"',)
    assert spec.origins == {spec.requirements[0]: "pylock.toml:8"}
    (problem,) = refusals(requirements_text=head + tables, file_name="pylock.toml", python="3.10")
    assert problem.startswith("requirements_file: pylock.toml:3: numpy has no wheel with a hash")
