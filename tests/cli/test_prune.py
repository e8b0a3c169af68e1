"""`mlserve models prune` against a real store in a folder."""

from __future__ import annotations

import json

import pytest

from pulumi_mlserve.cli.main import main
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records, ServiceRecord, UsedModel
from pulumi_mlserve.clients.places import store_location
from pulumi_mlserve.registration import register_model

STACK = "shop/dev/wine"


@pytest.fixture
def store(tmp_path):
    """Four versions of ridge by hand, of which a service runs the first; two of wine that a stack claims."""
    path = tmp_path / "m.onnx"
    for number in range(4):
        path.write_bytes(b"r" * (number + 1))
        register_model(path, "ridge")
    for number in range(2):
        path.write_bytes(b"w" * (number + 10))
        register_model(path, "wine", claimant=STACK)
    store = ModelStore(store_location(None))
    used = (UsedModel("ridge", 1, store.get("ridge", 1).digest),)
    Records(store).put(
        ServiceRecord("shop", "dev", "price", "local", "price", "sha256:ab", used, "", "2026-01-02T03:04:05Z", "r1", "")
    )
    return store


def ids(store) -> list[str]:
    """Returns what is in a store."""
    return [version.id for version in store.list()]


ALL = ["ridge:1", "ridge:2", "ridge:3", "ridge:4", "wine:1", "wine:2"]


def test_claimed_versions_stay(store, capsys):
    """Without a word about claims nothing goes, and no question is asked."""
    assert 0 == main(["models", "prune"])
    assert "nothing to delete: see why with --dry-run\n" == capsys.readouterr().out
    assert ALL == ids(store)


def test_dry_run_says_why(store, capsys):
    """Each version with its reason; nothing changes."""
    assert 0 == main(["models", "prune", "--by-hand", "--dry-run"])
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert ALL == ids(store)
    assert lines[1].startswith("ridge:2 goes 2 B")
    assert lines[1].endswith("the claim of registered by hand is let go")
    assert "ridge:1 stays needed by price (shop/dev)" in lines
    assert "ridge:4 stays the newest" in lines
    assert f"wine:1 stays claimed by {STACK}" in lines
    assert "2 versions would go, 5 B; 4 stay" == lines[-1]


def test_versions_go_after_a_yes(store, capsys):
    """What is registered by hand and nobody needs; without a yes nothing goes."""
    assert 1 == main(["models", "prune", "--by-hand"])
    assert "delete 2 versions, 5 B: nobody is there to ask" in capsys.readouterr().err
    assert ALL == ids(store)

    assert 0 == main(["models", "prune", "--by-hand", "--yes"])
    assert "deleted 2 versions, 5 B" == capsys.readouterr().out.splitlines()[-1]
    assert ["ridge:1", "ridge:4", "wine:1", "wine:2"] == ids(store)


def test_claimant_and_name_choose(store, capsys):
    """One claimant's versions of one model; programs read what went."""
    assert 0 == main(["models", "prune", "wine", "--by-hand", "--claimant", STACK, "--yes", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert (True, ["wine:1"], [[STACK]]) == (
        said["done"],
        [one["id"] for one in said["gone"]],
        [one["claimants"] for one in said["gone"]],
    )
    assert {"wine:2": "the newest"} == said["kept"]
    assert [*ALL[:4], "wine:2"] == ids(store)


def test_all_mistakes_are_told(store, capsys):
    """And nothing goes."""
    assert 1 == main(["models", "prune", "wine", "--revisions", "0", "--claimant", "shop/dev/whine", "--yes"])
    assert [
        "mlserve: --revisions: must be at least 1, got 0: what runs always stays",
        f"mlserve: --claimant: claims nothing here, got 'shop/dev/whine'; claimants are {STACK}",
    ] == capsys.readouterr().err.splitlines()
    assert 1 == main(["models", "prune", "whine"])
    assert "mlserve: name: is not in" in capsys.readouterr().err
    assert ALL == ids(store)
