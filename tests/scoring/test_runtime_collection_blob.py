"""Data collected into a container of Azure Blob Storage: a real emulator, also while it is down."""

from __future__ import annotations

import csv
import io
import json
import os
import sys

import pytest
from azurite_kit import ACCOUNT, KEY, Azurite, Line
from collection_kit import until
from mlserve_scoring.collection.azure_variables import account_and_key
from mlserve_scoring.collection.object_store import connected
from mlserve_scoring.errors import StartError
from scoring_kit import PATIENCE

ECHO = """
    import json
    def init(): pass
    def run(data):
        return json.loads(data)
"""


@pytest.fixture(scope="module")
def azurite(tmp_path_factory):
    """A running emulator."""
    emulator = Azurite(tmp_path_factory.mktemp("azurite"))
    emulator.start()
    try:
        yield emulator
    finally:
        emulator.stop()


def objects(azurite, container):
    """All objects kept as JSON lines."""
    blobs = azurite.blobs(container)
    return [json.loads(line) for name in sorted(blobs) for line in blobs[name].decode().splitlines()]


def test_blobs_lie_in_v1s_path_and_are_never_written_over_by_others(image, start, azurite):
    """Two processes and a restart, with v1's connection string: readers of `…/*/*/data.csv` find every row."""
    azurite.make_container("modeldata")
    root = image({"score.py": ECHO})
    variables = {"AML_MODEL_DC_STORAGE": azurite.connection_string}
    wanted = {"target": "az://modeldata", "flush_s": 0.1, "workspace": "s/g/w"}
    options = {"variables": variables, "collection": wanted, "drain_seconds": PATIENCE}
    services = [start(root, **options) for _ in range(2)]
    for number in range(3):
        for service in services:
            service.score({"n": number})
        until(lambda number=number: _count(azurite.blobs("modeldata")) == 2 * (number + 1))
    for service in services:
        service.stop()
    again = start(root, **options)
    again.score({"n": 3})
    again.stop()
    blobs = {name: data for name, data in azurite.blobs("modeldata").items() if "/inputs/" in name}
    kept = [row["input"] for data in blobs.values() for row in csv.DictReader(io.StringIO(data.decode()))]

    assert 3 == len(blobs)
    assert sorted([f'{{"n":{number}}}' for number in (0, 0, 1, 1, 2, 2, 3)]) == sorted(kept)
    for name in blobs:
        parts = name.split("/")
        assert ["modeldata", "s", "g", "w", "diabetes", "test", "default", "inputs"] == parts[:8]
        assert "data.csv" == parts[11]


def _count(blobs):
    return sum(data.count(b"\n") - 1 for name, data in blobs.items() if "/inputs/" in name)


def test_a_store_that_is_down_holds_up_no_request_and_gets_all_when_it_is_back(image, start, azurite):
    """Answers come while nothing can be written; what waited is written once, in order."""
    azurite.make_container("down")
    line = Line(azurite.port)
    line.join()
    endpoint = f"http://127.0.0.1:{line.port}/{ACCOUNT}"
    options = {"account_name": ACCOUNT, "account_key": KEY, "endpoint": endpoint}
    wanted = {"target": "az://down/sub", "format": "jsonl", "flush_s": 0.1, "options": options}
    service = start(image({"score.py": ECHO}), collection=wanted)
    service.score(0)
    until(lambda: len(objects(azurite, "down")) == 1)
    line.cut()
    for number in range(1, 20):
        assert 200 == service.score(number).status
    until(lambda: "collected data is lost or not written: write_failures" in service.log)
    line.join()
    kept = until(lambda: len(found := objects(azurite, "down")) == 20 and found)
    service.stop()
    line.cut()

    assert list(range(20)) == [entry["input"] for entry in kept]
    assert all(name.startswith("sub/modeldata/") for name in azurite.blobs("down"))
    assert KEY not in service.log


def test_a_container_that_is_not_there_stops_no_service(image, start, azurite):
    """The log says what the store says; what was not written is counted when the service ends."""
    options = {"account_name": ACCOUNT, "account_key": KEY, "endpoint": azurite.endpoint}
    service = start(
        image({"score.py": ECHO}), collection={"target": "az://missing", "flush_s": 0.1, "options": options}
    )
    answer = service.score(1)
    until(lambda: "write_failures" in service.log)
    service.stop()

    assert 200 == answer.status
    assert "undelivered 1" in service.log


def test_an_address_without_account_or_with_an_unknown_option_is_refused(monkeypatch):
    """Both name the setting and show no signature."""
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AML_MODEL_DC_STORAGE", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(StartError, match=r"collection.target: az://c/p cannot be used, .*Account must be specified"):
        connected("az://c/p?sig=secret", {})
    with pytest.raises(StartError, match=r"collection.target: az://c cannot be used"):
        connected("az://c", {"account_name": "a", "no_such": "x"})


def test_without_the_feature_the_start_says_which_one_is_missing(monkeypatch):
    """A folder needs nothing."""
    monkeypatch.setitem(sys.modules, "obstore", None)
    with pytest.raises(StartError, match=r"needs the feature 'collection', which the image lacks"):
        connected("gs://bucket", {})


def test_the_account_may_be_named_as_azures_tools_name_it(monkeypatch):
    """With its key; options say it first."""
    for name in ("AZURE_STORAGE_ACCOUNT_NAME", "AML_MODEL_DC_STORAGE", "AZURE_STORAGE_CONNECTION_STRING"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT", "a")
    monkeypatch.setenv("AZURE_STORAGE_KEY", "a2V5")

    assert callable(connected("az://c/p", {}))
    assert {"account_name": "a", "account_key": "a2V5"} == account_and_key(os.environ, {})
    assert {} == account_and_key(os.environ, {"account_name": "b", "azure_storage_sas_token": "sig=x"})
    assert {"account_name": "a"} == account_and_key(os.environ, {"account_key": "b3Ro"})
