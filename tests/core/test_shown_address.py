"""What is shown of an address of objects: nothing that may be a secret, and all else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlserve_scoring.collection.shown_address import shown


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("https://user:SECRET@h/y?sig=SECRET", "https://h/y"),
        ("https://user:SEC@RET@h/y", "https://h/y"),
        ("https://user:SEC/RET@h/y", "https://h/y"),
        ("https://user:SEC@RET/SECRET@h/y", "https://h/y"),
        ("https://user:SEC?RET@h/y", "https://***"),
        ("https://user:SEC#RET@h/y", "https://***"),
        ("https://user:SECRET@h/y?sig=SEC@RET", "https://***"),
        ("https://h:8080/y?sig=SEC@RET", "https://***"),
        ("https://SECRET@h/y", "https://h/y"),
        ("s3://SECRET:SEC/RET@bucket/x", "s3://bucket/x"),
        ("az://c/p?sv=1&sig=SECRET", "az://c/p"),
        ("az://c/p?sv=1&sig=SEC:RE@T", "az://c/p"),
        ("abfss://user:SECRET@c/x", "abfss://c/x"),
        ("abfss://c@team.dfs.core.windows.net/x", "abfss://c@team.dfs.core.windows.net/x"),
        ("abfss://c@team.dfs.core.windows.net/x@1:2", "abfss://c@team.dfs.core.windows.net/x@1:2"),
        ("s3://bucket/a:b@c", "s3://bucket/a:b@c"),
        ("https://h:8080/y", "https://h:8080/y"),
        ("models:/ridge@champion", "models:/ridge@champion"),
        ("/folder/a@b", "/folder/a@b"),
    ],
)
def test_an_address_is_shown_without_what_may_be_secret(address, expected):
    """Where it can be read in two ways, less of it is shown."""
    assert expected == shown(address)


@given(st.text("aZ09:@/?#& %+=.[]$", min_size=1), st.text("aZ09/?#@&=.", max_size=20))
def test_no_part_of_a_password_is_shown(password, path):
    """Whatever characters it has; X marks what is secret."""
    secret = "X" + "X".join(password) + "X"

    assert "X" not in shown(f"https://user:{secret}@h.example/{path}")
