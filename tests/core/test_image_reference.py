"""References to images: what they mean, and what is said about those that mean nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as some

from pulumi_mlserve.core.images.reference import Reference, is_digest, parse_reference, reference_problem

DIGEST = "sha256:" + "a1" * 32


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("python", ("docker.io", "library/python", None, None)),
        ("python:3.11-slim", ("docker.io", "library/python", "3.11-slim", None)),
        ("someone/thing", ("docker.io", "someone/thing", None, None)),
        ("docker.io/python", ("docker.io", "library/python", None, None)),
        ("index.docker.io/someone/thing:1", ("docker.io", "someone/thing", "1", None)),
        ("localhost/thing", ("localhost", "thing", None, None)),
        ("localhost:5000/thing:Tag_1", ("localhost:5000", "thing", "Tag_1", None)),
        ("[::1]:5000/thing", ("[::1]:5000", "thing", None, None)),
        ("x.azurecr.io/a/b__c/d--e.f:1", ("x.azurecr.io", "a/b__c/d--e.f", "1", None)),
        (f"x.azurecr.io/a@{DIGEST}", ("x.azurecr.io", "a", None, DIGEST)),
        (f"x.azurecr.io:443/a:1@{DIGEST}", ("x.azurecr.io:443", "a", "1", DIGEST)),
    ],
)
def test_references_are_read_as_docker_reads_them(text, meaning):
    """A host is told from a folder of Docker Hub by its dot, its port or its name."""
    assert Reference(*meaning) == parse_reference(text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("  ", "it is empty"),
        (" python", "begins or ends with a space; did you mean 'python'?"),
        ("py thon", "a space at place 3"),
        ("pyth\u00f6n", "at place 5"),
        ("https://x.azurecr.io/a:1", "begins with 'https://'; did you mean 'x.azurecr.io/a:1'?"),
        ("docker://python", "did you mean 'python'?"),
        ("x.azurecr.io/a/", "ends with '/'; did you mean 'x.azurecr.io/a'?"),
        ("hub.docker.com/_/python", "did you mean 'docker.io/library/python'?"),
        ("hub.docker.com/r/someone/thing", "did you mean 'docker.io/someone/thing'?"),
        ("x.azurecr.io/Team/App", "upper-case letter at place 14; did you mean 'team/app'?"),
        ("X.azurecr.io/app", "did you mean 'x.azurecr.io'?"),
        ("x.azurecr.io//app", "'/' twice at place 14; did you mean '/app'?"),
        ("x.azurecr.io/a//b", "did you mean 'a/b'?"),
        ("x.azurecr.io/-app", "'-app' at place 14"),
        ("x.azurecr.io/a..b", "'a..b' at place 14"),
        ("x..io/app", "no host name"),
        ("x.io:99999/app", "99999 is no port"),
        ("x.io/app:", "no tag after the ':' at place 9"),
        ("x.io/app:.1", "'.1' at place 10 is no tag"),
        ("x.io/app:" + "t" * 129, "is no tag"),
        ("x.io/app:" + "a1" * 32 + "@", "is no sha256"),
        ("x.io/" + "a" * 256, "at most 255"),
        ("app:sha256:" + "a1" * 32, "not an image reference"),
        ("app@" + "a1" * 32, "did you mean '@sha256:a1"),
        ("app@sha256:" + "A1" * 32, "lower case"),
        ("app@sha256:" + "a1" * 31, "has 62 digits"),
        ("app@sha512:" + "a1" * 64, "is no sha256"),
        (f"app@{DIGEST}@{DIGEST}", "a second '@' at place 76"),
    ],
)
def test_a_wrong_reference_is_told_with_its_place(text, said):
    """What is wrong, where, and what was probably meant."""
    message = reference_problem(text)

    assert message is not None
    assert said in message


@pytest.mark.parametrize("text", ["python", "localhost:5000/a/b:1", f"x.io/a:1@{DIGEST}"])
def test_a_reference_is_written_as_it_is_read(text):
    """Its text means itself."""
    meant = parse_reference(text)

    assert meant == parse_reference(str(meant))
    assert reference_problem(text) is None


@given(some.text(alphabet="aB1.:/@-_ [", max_size=20))
def test_any_text_is_a_reference_or_told_why_not(text):
    """Nothing else happens, and what is one reads back."""
    if reference_problem(text) is None:
        assert parse_reference(str(parse_reference(text))) == parse_reference(text)


def test_what_is_asked_for_is_the_digest_then_the_tag():
    """Without both it is latest; Docker Hub answers at another name than its own."""
    plain = parse_reference("python")

    assert "latest" == plain.wanted
    assert "3" == plain.tagged("3").wanted
    assert DIGEST == parse_reference(f"python:3@{DIGEST}").wanted
    assert Reference("docker.io", "library/python", None, DIGEST) == plain.tagged("3").at(DIGEST)
    assert "registry-1.docker.io" == plain.host
    assert "localhost:5000" == parse_reference("localhost:5000/a").host
    assert "docker.io/library/python" == plain.name


def test_only_sha256_is_a_digest():
    """Sixty-four lower-case digits."""
    assert is_digest(DIGEST)
    assert not is_digest(DIGEST[:-1])
    assert not is_digest(DIGEST + "\n")
