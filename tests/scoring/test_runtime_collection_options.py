"""The names of object stores' options are those that obstore takes."""

from __future__ import annotations

import re
from pathlib import Path

import obstore
import pytest
from mlserve_scoring.collection.object_store import SCHEMES
from mlserve_scoring.collection.store_options import KINDS, options_problems
from obstore.exceptions import BaseError, UnknownConfigurationKeyError
from obstore.store import from_url

STUBS = {"abfss://c@a.dfs.core.windows.net": "_azure", "s3://b": "_aws", "gs://b": "_gcs"}
BY_URL = [(url, name) for url in STUBS for name in KINDS[url.partition("://")[0]].names]


def takes(url, name):
    """Whether obstore knows the option, whatever it thinks of the value."""
    try:
        from_url(url, config={name: "x"})
    except UnknownConfigurationKeyError:
        return False
    except (BaseError, ValueError):
        return True
    return True


@pytest.mark.parametrize(("url", "name"), BY_URL)
def test_every_option_is_one_that_the_library_takes(url, name):
    """Under its own name, or with the cloud's before it."""
    assert takes(url, name)
    assert not takes(url, f"no_{name}")


@pytest.mark.parametrize("url", STUBS)
def test_every_option_that_the_library_documents_is_known(url):
    """In its types of configuration; large and small letters are the same."""
    text = (Path(obstore.__file__).parent / "_store" / f"{STUBS[url]}.pyi").read_text(encoding="utf-8")
    body = re.search(r"^class \w+Config\(TypedDict.*?(?=^class )", text, re.MULTILINE | re.DOTALL)[0]
    documented = [name for name in re.findall(r"^    ([a-z0-9_]+): ", body, re.MULTILINE) if takes(url, name)]
    variables = [name for name in re.findall(r"`((?:AZURE|AWS|GOOGLE)_[A-Z_]+)`", body) if takes(url, name)]

    assert len(documented) > 5
    assert [] == options_problems(url, [*documented, *variables])


def test_every_kind_of_address_has_its_options():
    """One that is taken has a list."""
    assert {*SCHEMES} == {*KINDS}
