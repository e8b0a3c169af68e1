"""What `pulumi import` and `.get()` can take over, and the refusal of what they cannot."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.declarations import RESOURCES
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.provider.call import Call, Found
from pulumi_mlserve.provider.server import reader


class Known:
    """A handler that knows every id."""

    def read(self, call: Call) -> Found:
        """Find it."""
        return Found(call.id, {}, {})


@pytest.mark.parametrize("declaration", RESOURCES, ids=lambda d: d.name)
def test_only_models_can_be_imported(declaration):
    """An id alone names a version of a model; nothing else could be made again from what its id says."""
    urn = f"urn:pulumi:dev::shop::mlserve:index:{declaration.name}::price"
    read = reader(Known(), declaration)
    if declaration.name == "Model":
        assert "price:1" == read(Call(urn, id="price:1")).id
        return

    with pytest.raises(OperationError, match=f"an? {declaration.name} cannot be imported") as caught:
        read(Call(urn, id="any"))
    assert str(caught.value).endswith("what can be imported is a Model, by NAME:VERSION")
    assert "any" == read(Call(urn, id="any", state={"name": "price"})).id
    assert "any" == read(Call(urn, id="any", news={"name": "price"})).id


def test_claims_keep_their_name_for_life():
    """An alias renames the resource, not what it claimed, or nobody would ever release that."""
    urn = "urn:pulumi:dev::shop::mlserve:index:Model::"

    assert "shop/dev/old" == Call(urn + "old").claimant
    assert "shop/dev/old" == Call(urn + "new", state={"claimant": "shop/dev/old"}).claimant
