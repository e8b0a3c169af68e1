"""Facts about secrets in environment files: messages show none of them, however an address is written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pulumi_mlserve.core.environments.environment import environment_from
from pulumi_mlserve.core.environments.index_options import has_credentials
from pulumi_mlserve.core.environments.masking import masked
from pulumi_mlserve.core.problems import InvalidInputError


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://acc.blob.example/p/x.whl?sig=SECRET", "https://acc.blob.example/p/x.whl"),
        ("https://acc.blob.example/p/x.whl?sig=SEC@RET", "https://acc.blob.example/p/x.whl"),
        ("https://h.example/x.whl#sha256=SECRET", "https://h.example/x.whl"),
        ("https://user:SECRET@h.example/x.whl", "https://***@h.example/x.whl"),
        ("https://user:SEC@RET@h.example/x.whl", "https://***@h.example/x.whl"),
        ("https://user:SEC/RET@h.example/x.whl", "https://***@h.example/x.whl"),
        ("https://user:123/SECRET@h.example:8080/x.whl", "https://***@h.example:8080/x.whl"),
        ("https://user:SEC@RET/SECRET@h.example/x.whl", "https://***@h.example/x.whl"),
        ("https://user:SEC?RET@h.example/x.whl", "https://***"),
        ("https://user:SECRET@h.example/x.whl?sig=SEC@RET", "https://***"),
        ("https://user:SEC RET@h.example/x.whl", "https://***@h.example/x.whl"),
        ("https://SECRET@h.example/x.whl", "https://***@h.example/x.whl"),
        ("https://user:SECRET", "https://***"),
        ("https://h.example/t/SECRET-TOKEN-1/x.whl", "https://h.example/t/***/x.whl"),
        ("git+https://host.example/team/repo@v1.0", "git+https://host.example/team/repo@v1.0"),
        ("git+ssh://git@host.example/team/repo", "git+ssh://***@host.example/team/repo"),
        ("https://h.example/a https://u:SECRET@h.example/b", "https://h.example/a https://***@h.example/b"),
        ("https://[::1]:8080/x", "https://[::1]:8080/x"),
        ("http://localhost:8080/x.whl", "http://localhost:8080/x.whl"),
        ("user:SECRET@h.example/x.whl", "***@h.example/x.whl"),
        ("user:SEC RET@h.example/x.whl", "***@h.example/x.whl"),
        ("https:user:SEC?RET@h.example/x.whl", "***"),
        ("https:user:SEC#RET@h.example/x.whl", "***"),
        ("https:user:SEC//RET@h.example/x.whl", "***//***@h.example/x.whl"),
        ("https:h.example/x.whl?sig=SECRET", "https:h.example/x.whl"),
        ("https:h.example/x.whl?sig=SEC@RET", "***"),
        ("file:///home/x.whl", "file:///home/x.whl"),
        ("numpy==", "numpy=="),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(address, shown):
    """Where it can be read in two ways, less of it is shown."""
    assert masked(address) == shown


@given(st.text("aZ09:@/?#& %+=.[]$", min_size=1), st.text("aZ09/?#@&=.", max_size=20))
def test_no_part_of_a_password_is_shown(password, path):
    """Whatever characters it has; X marks what is secret."""
    secret = "X" + "X".join(password) + "X"

    for beginning in ("https://", "https:", "//", ""):
        assert "X" not in masked(f"name @ {beginning}user:{secret}@h.example/{path}")


@pytest.mark.parametrize(
    "line",
    [
        "x @ https://acc.blob.example/p/x-1.0-py3-none-any.whl?sig=SECRET",
        "x @ https://u:p@SECRET@h.example/x.whl",
        "https://u:p/SECRET@h.example/x.whl",
        "./x.whl?u:SECRET@h.whl",
        "-r git+https://u:SECRET@h.example/x.txt",
        "-r u:SECRET@h.example/x.txt",
        "--index-urlhttps://u:SECRET@h.example/simple",
        "--index-url ftp://u:SECRET@h.example/simple",
        "-c https://h.example/x.txt?sig=SECRET",
        "numpy=1 https://u:SECRET@h.example",
        "numpy==1 --hash=sha256:https:u:SECRET@h.example",
        "numpy==1 --hash=sha256:git+https://u:SECRET@h.example",
        "numpy==1 --hash=sha256:https:u:p SECRET@h.example",
    ],
)
def test_no_message_about_a_line_shows_a_secret(line):
    """In a requirements file, in a conda file's pip section and in a pyproject file."""
    texts = {
        "requirements_text": f"{line}\n",
        "conda_text": f"dependencies:\n- python=3.11\n- pip:\n  - '{line}'\n",
    }
    for kind, text in texts.items():
        with pytest.raises(InvalidInputError) as caught:
            environment_from(**{kind: text})
        assert "SECRET" not in str(caught.value)
    with pytest.raises(InvalidInputError) as caught:
        environment_from(requirements_text=f"[project]\ndependencies = ['{line}']\n", file_name="pyproject.toml")
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    "line",
    [
        "//u:SECRET@h.example/x::numpy",
        "numpy=//u:SECRET@h.example/x",
        "https:u:SECRET@h.example/x",
        "numpy[url=https:u:SECRET@h.example]",
        "numpy=1|https:u:SECRET@h.example",
        "numpy 1 https:u:SECRET@h.example",
    ],
)
def test_no_message_about_a_package_of_conda_shows_a_secret(line):
    """What is wrong with it is said all the same."""
    with pytest.raises(InvalidInputError, match="got") as caught:
        environment_from(conda_text=f"dependencies:\n- python=3.11\n- '{line}'\n")

    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("--index-url https://u:p@h.example/s", True),
        ("--index-url https://u:p@ss@h.example/s", True),
        ("--index-url https://u:p/ss@h.example/s", True),
        ("--index-url https://u:${TOKEN}@h.example/s", False),
        ("# https://h.example:8080/@scope/x", False),
        ("# https://h.example/repo@v1, ask a@h.example", False),
        ("# https://[::1]/@scope", False),
    ],
)
def test_a_file_that_holds_a_password_is_known(text, expected):
    """It must not go into an image."""
    assert has_credentials(text) is expected


def test_a_password_with_an_at_sign_is_no_part_of_the_question():
    """Renewed, it moves nothing."""

    def asked(password: str) -> tuple[str, ...]:
        return environment_from(requirements_text=f"-i https://u:{password}@h.example/s\nnumpy\n").beside

    assert asked("one@two") == asked("three") == asked("fo@u@r")
