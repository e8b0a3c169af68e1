"""The stand-in for azure-native is stricter than the SDK: what it does not refuse, ARM would take."""

from __future__ import annotations

import pytest
from azure_native_standin.bodies import UNKNOWN, problems
from azure_native_standin.cloud import refusals

GROUP = "azure-native:containerinstance:ContainerGroup"
CONTAINER = {"name": "main", "image": "img", "resources": {"requests": {"cpu": 1, "memoryInGB": 1.5}}}
BODY = {"resourceGroupName": "g", "osType": "Linux", "containers": [CONTAINER], "tags": {"a": "b"}}


def test_a_right_body_is_taken():
    """Nested objects, lists, maps, enums, whole numbers for fractions, what is not known yet."""
    assert [] == [*problems(GROUP, BODY | {"containers": [CONTAINER | {"image": UNKNOWN}], "zones": UNKNOWN})]


@pytest.mark.parametrize(
    ("change", "path", "told"),
    [
        ({"resourceGroupName": None}, "resourceGroupName", "is required"),
        ({"osTyp": "Linux"}, "osTyp", "there is no such property"),
        ({"osType": "Solaris"}, "osType", "is none of Windows, Linux, got 'Solaris'"),
        ({"tags": {"a": 1}}, "tags.a", "is no str, got 1"),
        ({"zones": "1"}, "zones", "is no list, got '1'"),
        ({"containers": [{**CONTAINER, "name": None}]}, "containers[0].name", "is required"),
        ({"containers": [{**CONTAINER, "ports": [{"port": 80.5}]}]}, "containers[0].ports[0].port", "is no int"),
        ({"containers": [{**CONTAINER, "resources": 1}]}, "containers[0].resources", "is no object, got 1"),
        ({"containers": [{**CONTAINER, "memory_in_gb": 1}]}, "containers[0].memory_in_gb", "there is no such property"),
    ],
)
def test_a_wrong_body_is_refused_at_its_path(change, path, told):
    """One change of a right body each."""
    ((found, why),) = problems(GROUP, BODY | change)

    assert path == found
    assert told in why


def test_a_kind_that_nobody_added_is_refused():
    """Rather than taken as it is."""
    assert "is no resource that the stand-in knows" in next(refusals("azure-native:web:WebApp", {}))[1]
