"""Facts about hashes in environment files: honoured or refused, never passed over."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.environments.environment import environment_from
from pulumi_mlserve.core.problems import InvalidInputError

HASH = "--hash=sha256:" + "0" * 64
PIN = f"packaging==24.1 {HASH}\n"
LOCKED = f"packaging==24.1 \\\n    {HASH}\n"
ADVICE = "write its version and hashes, or take all hashes out and commit what `mlserve lock` writes"


def refusals(text: str, files: dict[str, str] | None = None, **given) -> list[str]:
    """Return the problems of a requirements file, or of a conda file, as lines."""
    kind = given.pop("kind", "requirements_text")
    with pytest.raises(InvalidInputError) as caught:
        environment_from(**{kind: text}, read=lambda path: (files or {})[path], **given)
    return [problem.message for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "files"),
    [
        ("-r locked.in\n", {"locked.in": PIN}),
        ("-r one.in\n-r two.in\n", {"one.in": "-r two.in\n", "two.in": ""} | {"one.in": PIN}),
        ("--require-hashes\n-r locked.in\n-c limits.in\n", {"locked.in": PIN, "limits.in": "attrs<24\n"}),
        (f"attrs==23.1 ; sys_platform == 'win32'\n{PIN}", {}),
    ],
)
def test_a_file_whose_packages_all_have_hashes_is_a_lock(text, files):
    """Wherever they stand, and whatever else is asked for elsewhere."""
    spec = environment_from(requirements_text=text, read=files.__getitem__)

    assert spec.lock == LOCKED


def test_a_conda_files_pip_section_may_be_a_lock():
    """When conda itself is asked for nothing but Python."""
    text = "dependencies:\n- python=3.11\n- pip:\n  - -r locked.in\n"

    assert environment_from(conda_text=text, read={"locked.in": PIN}.__getitem__).lock == LOCKED


def test_hashes_for_some_packages_are_refused_for_the_others():
    """As pip does, line by line, with what asks for them."""
    assert refusals(f"{PIN}attrs\n-r more.in\n", {"more.in": "joblib==1.4.2\n"}) == [
        f"requirements.txt:2: attrs has no --hash, and requirements.txt:1 has hashes for packaging; {ADVICE}",
        f"more.in:1: joblib has no --hash, and requirements.txt:1 has hashes for packaging; {ADVICE}",
    ]
    assert refusals("-r locked.in\nattrs\n", {"locked.in": PIN}) == [
        f"requirements.txt:2: attrs has no --hash, and locked.in:1 has hashes for packaging; {ADVICE}"
    ]
    conda = "dependencies:\n- python=3.11\n- numpy\n- pip:\n  - " + PIN
    assert refusals(conda, kind="conda_text") == [
        f"env.yml:3: numpy has no --hash, and env.yml:5 has hashes for packaging; {ADVICE}"
    ]


def test_hashes_that_are_required_are_required():
    """The option is no decoration."""
    assert refusals("attrs==23.1\n--require-hashes\n") == [
        f"requirements.txt:1: attrs has no --hash, and requirements.txt:2 has --require-hashes; {ADVICE}"
    ]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (f"a>=1 {HASH}", "hashes belong to one version, got a>=1; write a==VERSION"),
        (f"a==1.* {HASH}", "hashes belong to one version, got a==1.*; write a==VERSION"),
        (f"a {HASH}", "hashes belong to one version, got a; write a==VERSION"),
        ("a==1 --hash=md5:abc", "not a hash of a, got 'md5:abc'; write sha256:, sha384: or sha512: and all its digits"),
        (f"a==1 {HASH}0", "not a hash of a, got 'sha256:"),
        (f"a==1 {HASH} --hash=sha256:1", "not a hash of a, got 'sha256:1'"),
        (
            "-c limits.in",
            "limits.in:1: a constraint cannot have hashes, got some for packaging; write them where it is",
        ),
    ],
)
def test_a_hash_that_cannot_be_honoured_is_refused_at_its_line(line, expected):
    """It is neither dropped nor left to the installer."""
    (problem,) = refusals(f"{line}\n", {"limits.in": PIN})

    assert expected in problem


def test_packages_that_the_base_brings_need_no_hashes():
    """They are not installed."""
    assert environment_from(requirements_text=f"{PIN}gdal\n", base_packages=["gdal"]).lock == LOCKED


def test_a_lock_beside_a_file_that_is_one_is_refused():
    """Two answers to one question."""
    assert refusals(PIN, lock_text=PIN, lock_name="requirements.lock") == [
        (
            "requirements.lock: lies beside requirements.txt, which has hashes and is a lock itself; "
            "take one of the two away"
        )
    ]


def test_nothing_is_added_to_a_lock():
    """Which has its numpy, or needs none."""
    spec = environment_from(requirements_text="-r locked.in\n", read=lambda _: f"scikit-learn==1.3.2 {HASH}\n")

    assert spec.requirements == ("scikit-learn==1.3.2",)
