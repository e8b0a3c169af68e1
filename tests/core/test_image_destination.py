"""Where an image goes in a registry, and what is wrong with what a program says about it."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.images.destination import (
    claim_mark,
    claim_tag,
    claims_by,
    destination_of,
    destination_problems,
    other_claims,
    own_claims,
    plain_tags,
    stack_tag,
)
from pulumi_mlserve.core.images.reference import has_registry

ONE, TWO = "sha256:" + "1" * 64, "sha256:" + "2" * 64


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"registry": "x.io", "name": "price"}, f"x.io/price@{ONE}"),
        ({"registry": "x.io:5000/ml/team", "name": "price"}, f"x.io:5000/ml/team/price@{ONE}"),
        ({"registry": "x.io/ml", "name": "price", "repository": "shop/price"}, f"x.io/ml/shop/price@{ONE}"),
        ({"registry": "index.docker.io/me", "name": "price"}, f"docker.io/me/price@{ONE}"),
    ],
)
def test_an_image_goes_to_its_repository_below_the_registry(inputs, expected):
    """Registry, folder and repository are put together; the image's name is the repository by default."""
    found = destination_of(inputs, "dev")

    assert expected == found.reference(ONE)
    assert "dev" == found.tag


def test_without_a_registry_an_image_goes_nowhere():
    """It stays in the local image store."""
    assert destination_of({"name": "price"}, "dev") is None


@pytest.mark.parametrize(
    ("given", "path", "words"),
    [
        ({"registry": "https://x.io"}, "registry", "did you mean 'x.io'"),
        ({"registry": "x.io/"}, "registry", "did you mean 'x.io'"),
        ({"registry": "X.io"}, "registry", "did you mean 'x.io'"),
        ({"registry": "team"}, "registry", "did you mean 'docker.io/team'"),
        ({"registry": "docker.io"}, "registry", "docker.io/NAME"),
        ({"registry": "x.io/Team"}, "registry", "upper-case"),
        ({"registry": "x.io/team:1"}, "registry", "may not name a part"),
        ({"registry": "x.io:99999"}, "registry", "no port"),
        ({"registry": "x.io", "repository": "Price"}, "repository", "did you mean 'price'"),
        ({"registry": "x.io", "registry_tag": "-a"}, "registry_tag", "not a tag"),
        ({"registry": "x.io", "name": "a..b"}, "name", "give repository"),
        ({"repository": "shop"}, "repository", "there is none"),
        ({"registry_tag": "shop"}, "registry_tag", "set mlserve:registry"),
    ],
)
def test_a_bad_destination_is_told_at_its_property(given, path, words):
    """What is wrong, and what was probably meant."""
    found = destination_problems(given)

    assert [path] == [problem.path for problem in found]
    assert words in found[0].message


def test_a_password_in_a_registry_is_not_repeated():
    """It would stand in every log."""
    (found,) = destination_problems({"registry": "me:secret@x.io"})

    assert "secret" not in found.message


def test_claims_of_others_are_told_from_ones_own_by_the_tags_alone():
    """Nobody else can say who needs an image of a registry."""
    mine, older = claim_tag(ONE, "dev", "shop/dev/a", "1"), claim_tag(TWO, "dev", "shop/dev/a", "1")
    other, reborn = claim_tag(ONE, "prod", "shop/prod/a", "2"), claim_tag(ONE, "dev", "shop/dev/a", "3")
    tags = [mine, older, other, reborn, "dev", "release-1", ONE.replace(":", "-")]  # the last means a list

    assert [mine, older] == own_claims(tags, "shop/dev/a", "1")
    assert [other, reborn] == other_claims(tags, ONE, "shop/dev/a", "1")
    assert [reborn] == claims_by(tags, {claim_mark("shop/dev/a", "3")})
    assert ["dev", "release-1"] == plain_tags(tags)


@pytest.mark.parametrize(("stack", "tag"), [("dev", "dev"), ("-.dev", "dev"), ("...", "stack"), ("a" * 200, "a" * 100)])
def test_every_stack_has_a_tag(stack, tag):
    """A tag may not begin with a dot or a dash."""
    assert tag == stack_tag(stack)


@pytest.mark.parametrize(
    ("text", "expected"), [("x.io/a", True), ("localhost/a", True), ("a:1/b", True), ("a/b", False), ("a", False)]
)
def test_only_a_host_before_the_first_slash_is_a_registry(text, expected):
    """The name of an image in the local store is none."""
    assert expected == has_registry(text)
