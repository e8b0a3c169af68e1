"""Services of one machine never share an identity, and each identity can name a folder."""

from __future__ import annotations

import itertools

import pytest

from pulumi_mlserve.core.service_identity import is_service_id, plain_service_id, service_id


def test_names_without_dots_are_joined_by_dots():
    """The usual case reads as it always did."""
    assert "shop.dev.price" == service_id("shop", "dev", "price") == plain_service_id("shop", "dev", "price")


def test_dots_in_project_and_stack_do_not_mix():
    """`a.b` with stack `c` and `a` with stack `b.c` are two, though both join to one text."""
    assert plain_service_id("a.b", "c", "price") == plain_service_id("a", "b.c", "price")
    found = [service_id(*parts, "price") for parts in (("a.b", "c"), ("a", "b.c"), ("a.b.c", "dev"), ("a", "dev"))]

    assert 4 == len(set(found))
    assert found[0].startswith("a-b-c-price.")


def test_no_two_services_share_an_identity():
    """Every project and stack of a few letters, dots, dashes and underscores has its own."""
    texts = ["".join(letters) for count in (1, 2, 3) for letters in itertools.product("a.-_", repeat=count)]
    found = [service_id(project, stack, "abc") for project in texts for stack in texts]

    assert len(found) == len(set(found))
    assert all(map(is_service_id, found))


@pytest.mark.parametrize(
    "parts", [("p" * 100, "s" * 100, "n" * 32), ("_private", "dev", "abc"), ("...", "-", "abc"), ("-", "-", "-")]
)
def test_any_project_and_stack_gives_a_name_for_a_folder(parts):
    """The longest and the oddest names that the engine allows are no obstacle."""
    assert is_service_id(service_id(*parts))
    assert len(service_id(*parts)) <= 128
