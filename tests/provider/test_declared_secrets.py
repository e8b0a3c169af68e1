"""What is declared a secret leaves check as one, however the program came by it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest
from pulumi.runtime.proto import provider_pb2

from pulumi_mlserve.provider.main import handlers
from pulumi_mlserve.provider.server import Servicer
from pulumi_mlserve.provider.values import decode, encode

IMAGE = {
    "name": "any",
    "digest": "sha256:" + "0" * 64,
    "reference": "any@sha256:" + "0" * 64,
    "features": ["collection"],
}
URN = "urn:pulumi:dev::shop::mlserve:index:LocalProcess::price"


def asked(**news):
    """Returns the answer of check."""
    servicer = Servicer(SimpleNamespace(), handlers(), "")
    request = provider_pb2.CheckRequest(urn=URN, news=encode({"name": "price", "image": IMAGE, **news}))
    return asyncio.run(servicer.Check(request, None))


def checked(**news):
    """Returns what check makes of inputs, as the engine gets it."""
    response = asked(**news)

    assert [] == list(response.failures)
    return decode(response.inputs)


def test_options_of_an_object_store_are_secret():
    """With the object that they are in; without options nothing is hidden."""
    collected = {"target": "az://x", "options": {"account_key": "hunter2"}}
    found = checked(collectModelData=True, dataCollection=collected)

    assert ({"dataCollection"}, collected) == (found.secrets, found.plain["dataCollection"])
    assert set() == checked(collectModelData=True, dataCollection={"format": "jsonl"}).secrets


def test_keys_are_secret():
    """Those that a program wrote in clear, too."""
    assert {"keys"} == checked(keys={"primary": "a" * 16, "secondary": "b" * 16}).secrets


def test_what_is_wrong_with_a_declared_secret_is_told_without_it():
    """The command line prints the value at a failure's path: so that such a failure has none."""
    (failure,) = asked(
        enableAppInsights=True, appInsightsConnectionString="hunter2", image={**IMAGE, "features": ["telemetry"]}
    ).failures

    assert "" == failure.property
    assert failure.reason.startswith("appInsightsConnectionString: has no InstrumentationKey")
    assert "hunter2" not in failure.reason


@pytest.mark.parametrize("address", ["az://models?sv=2022&sig=hunter2", "https://me:hunter2@x.blob.core.windows.net/a"])
def test_an_address_with_a_login_in_it_is_a_secret_setting(address):
    """The state of the provider has it encrypted, also where the stack's file has it in clear."""
    servicer = Servicer(SimpleNamespace(), handlers(), "")

    def secrets(store):
        request = provider_pb2.CheckRequest(urn=URN, news=encode({"store": store}))
        return decode(asyncio.run(servicer.CheckConfig(request, None)).inputs).secrets

    assert ({"store"}, set()) == (secrets(address), secrets("az://models/team"))


@pytest.mark.parametrize(
    ("setting", "value", "property", "told"),
    [
        ("store", "ftp://x", "store", "not a place for models, got 'ftp://x'"),
        ("store", "az://", "store", "not a place for models, got 'az://'"),
        ("store", "ftp://me:hunter2@x", "", "not a place for models, got "),
        ("store", "s3://me:hunter2@models", "", "holds a login, got 's3://models'; give it in the environment"),
        ("registry", "https://r.example", "registry", "not a registry"),
    ],
)
def test_a_setting_of_the_stack_is_refused_as_one(setting, value, property, told):  # noqa: A002  # as the engine calls it
    """Before any resource is looked at, by the name that the stack has for it, and never with a login."""
    request = provider_pb2.CheckRequest(urn=URN, news=encode({setting: value}))
    (failure,) = asyncio.run(Servicer(SimpleNamespace(), handlers(), "").CheckConfig(request, None)).failures

    assert property == failure.property
    assert told in failure.reason
    assert f"(the stack's mlserve:{setting}, or {setting} of a Provider)" in failure.reason
    assert "hunter2" not in failure.reason


@pytest.mark.parametrize(
    ("project", "provider", "refused"),
    [("mlserve", "default_1_0_0", 0), ("mlserve", "mine", 1), ("shop", "default_1_0_0", 1)],
)
def test_a_project_of_our_name_may_have_settings_of_its_own(project, provider, refused):
    """The engine gives the default provider all settings of that name; anybody else has mistyped one."""
    urn = f"urn:pulumi:dev::{project}::pulumi:providers:mlserve::{provider}"
    request = provider_pb2.CheckRequest(urn=urn, news=encode({"file": "w.json", "version": "1.0.0"}))
    found = asyncio.run(Servicer(SimpleNamespace(), handlers(), "").CheckConfig(request, None)).failures

    assert ["file"] * refused == [one.property for one in found]


@pytest.mark.parametrize(
    "settings", [{"store": "/models"}, {"store": "az://models/team", "registry": "r.example/team"}]
)
def test_good_settings_of_a_stack_are_taken(settings):
    """A folder, an address, a registry."""
    request = provider_pb2.CheckRequest(urn=URN, news=encode(settings))

    assert [] == list(asyncio.run(Servicer(SimpleNamespace(), handlers(), "").CheckConfig(request, None)).failures)
