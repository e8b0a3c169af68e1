"""Stores of every kind for the tests of clients: a folder, memory, and real servers that speak Azure Blob, S3, GCS."""

from __future__ import annotations

import itertools
import os

import pytest
from azurite_kit import Azurite
from gcs_kit import Gcs
from model_kit import SERVED, STORES, Workbench
from s3_kit import S3, VARIABLES

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory):
    """A running emulator of Azure Blob Storage."""
    yield from _running(Azurite(tmp_path_factory.mktemp("azurite")))


@pytest.fixture(scope="session")
def s3(tmp_path_factory):
    """A running server that speaks S3."""
    yield from _running(S3(tmp_path_factory.mktemp("s3")))


@pytest.fixture(scope="session")
def gcs(tmp_path_factory):
    """A running server that speaks Google Cloud Storage."""
    yield from _running(Gcs(tmp_path_factory.mktemp("gcs")))


@pytest.fixture
def place(request, monkeypatch):
    """A function that makes a new container or bucket and returns its address; credentials are in the environment."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "AWS_", "GOOGLE_")):
            monkeypatch.delenv(name)

    def make(kind):
        name = f"store{next(_NUMBERS)}"
        if kind == "azure":
            server = request.getfixturevalue("azurite")
            server.make_container(name)
            monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", server.connection_string)
            return f"az://{name}/team"
        if kind == "gcs":
            server = request.getfixturevalue("gcs")
            server.make_bucket(name)
            monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT_KEY", server.account)
            monkeypatch.setenv("GOOGLE_ALLOW_HTTP", "true")
            return f"gs://{name}/team"
        server = request.getfixturevalue("s3")
        server.make_bucket(name)
        for variable, value in {**VARIABLES, "AWS_ENDPOINT_URL": server.endpoint, "AWS_ALLOW_HTTP": "true"}.items():
            monkeypatch.setenv(variable, value)
        return f"s3://{name}/team"

    return make


@pytest.fixture(params=STORES)
def bench(request, tmp_path, place):
    """A workbench for each kind of store."""
    return Workbench(tmp_path, request.param, place(request.param) if request.param in SERVED else "memory://store")


def _running(server):
    server.start()
    try:
        yield server
    finally:
        server.stop()
