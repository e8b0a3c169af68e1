"""What a model in a workspace asks of the environment that declares it."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from pulumi_mlserve.components.workspace_model import declare_in_workspace


def test_the_extra_is_named_where_it_is_missing(monkeypatch):
    """Nobody has to guess from the name of a module which package brings it."""
    monkeypatch.setitem(sys.modules, "pulumi_azure_native", None)

    with pytest.raises(ModuleNotFoundError, match=r"workspace: needs the SDK .* pip install 'pulumi-mlserve\[azure\]'"):
        declare_in_workspace("m", SimpleNamespace(), {}, SimpleNamespace())
