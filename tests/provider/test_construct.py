"""Components for other languages: wrong inputs are told like a Python program's, under the names of the wire."""

from __future__ import annotations

import pytest
from pulumi.errors import InputPropertiesError

from pulumi_mlserve.core.service_refusals import why_not_local
from pulumi_mlserve.provider.construct import ComponentHost

IMAGE = {"name": "price", "digest": "sha256:" + "0" * 64, "reference": "price@sha256:" + "0" * 64}


def refused(kind: str, **inputs) -> dict[str, str]:
    """What is wrong with inputs, by property path; nothing is registered."""
    with pytest.raises(InputPropertiesError) as caught:
        ComponentHost("1", "{}").construct("price", f"mlserve:index:{kind}", inputs)
    return {detail["property_path"]: detail["reason"] for detail in caught.value.errors}


def test_settings_of_other_targets_are_refused_with_the_same_words():
    """Several at once, together with what is missing and what does not go together."""
    found = refused("LocalService", numReplicas=2.0, vnetName="v", gpuCores=1.0, primaryKey="k", port="x")

    assert why_not_local("num_replicas") == found["numReplicas"]
    assert why_not_local("vnet_name") == found["vnetName"]
    assert why_not_local("gpu_cores") == found["gpuCores"]
    assert "is given, but authEnabled is not true; switch it on or leave this out" == found["primaryKey"]
    assert "is required" == found["image"]
    assert "must be an integer, got 'x'" == found["port"]


def test_names_in_messages_are_those_of_the_wire():
    """What to write instead is spelled as the program must spell it."""
    found = refused("LocalService", image=IMAGE, memory=1.0, env={}, maxRequestWaitTime=1.0, cpuCore=1.0)

    assert "there is no such setting; did you mean 'memoryGb'?" == found["memory"]
    assert "there is no such setting; did you mean 'environmentVariables'?" == found["env"]
    assert "scoringTimeoutMs" in found["maxRequestWaitTime"]
    assert "there is no such argument; did you mean 'cpuCores'?" == found["cpuCore"]


def test_every_component_has_its_rules():
    """An unknown component and an unknown argument are named."""
    assert {"tag": "there is no such argument; did you mean 'tags'?"} == refused("RegisteredModel", path="x", tag="y")
    assert {"model": "there is no such argument; did you mean 'models'?"} == refused("ScoringImage", model="y")
    with pytest.raises(InputPropertiesError, match="there is no component 'mlserve:index:Oven'"):
        ComponentHost("1", "{}").construct("price", "mlserve:index:Oven", {})
