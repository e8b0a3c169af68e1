"""`mlserve models …` against a real store in a folder."""

from __future__ import annotations

import json

import pytest

from pulumi_mlserve.cli.main import main
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records, ServiceRecord, UsedModel
from pulumi_mlserve.clients.places import store_location
from pulumi_mlserve.registration import register_model


@pytest.fixture
def model(tmp_path):
    """A model file."""
    path = tmp_path / "ridge.onnx"
    path.write_bytes(b"first")
    return path


def answered(capsys, *arguments: str):
    """Returns what a command answered as JSON."""
    assert 0 == main([*arguments, "--json"]), capsys.readouterr().err
    return json.loads(capsys.readouterr().out)


def test_registering_gives_versions(model, capsys):
    """Each content is the next version; the same bytes are the version that is there."""
    first = answered(capsys, "models", "register", str(model), "diabetes")
    again = answered(capsys, "models", "register", str(model), "diabetes")
    model.write_bytes(b"second")
    second = answered(capsys, "models", "register", str(model), "diabetes")

    assert [(1, False), (1, True), (2, False)] == [(it["version"], it["existed"]) for it in (first, again, second)]
    assert first["digest"] == again["digest"] != second["digest"]


def test_a_signature_in_the_stores_address_is_not_shown(capsys, monkeypatch):
    """Neither by a list nor by the doctor."""
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "team")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9/team")
    monkeypatch.setattr("pulumi_mlserve.clients.models.object_json._RETRIES", 0)
    for command in (["models", "list"], ["models", "show", "ridge"]):
        main([*command, "--store", "az://models?sv=1&sig=geheim"])
    monkeypatch.setenv("MLSERVE_STORE", "az://models?sv=1&sig=geheim")
    main(["doctor"])
    said = "".join(capsys.readouterr())

    assert "az://models" in said
    assert "geheim" not in said


def test_an_address_reaches_the_registration_as_it_was_given(capsys):
    """Not as a path, in which two slashes are one."""
    assert 1 == main(["models", "register", "ftp://host/ridge.onnx", "diabetes"])
    assert "path: not an address that a model can be taken from, got 'ftp://host/ridge.onnx'" in capsys.readouterr().err


def test_list_filters(model, capsys):
    """By name, by tag, and only the newest of each."""
    for number, name in enumerate(("diabetes", "diabetes", "wine")):
        model.write_bytes(bytes([number]))
        main(["models", "register", str(model), name, "--tag", f"stage={number}", "--tag", "area=test"])
    capsys.readouterr()

    def ids(*options: str) -> list[str]:
        return [version["id"] for version in answered(capsys, "models", "list", *options)]

    assert ["diabetes:1", "diabetes:2", "wine:1"] == ids()
    assert ["diabetes:1", "diabetes:2"] == ids("diabetes")
    assert ["diabetes:2", "wine:1"] == ids("--latest")
    assert ["diabetes:2"] == ids("--tag", "stage=1")
    assert 3 == len(ids("--tag", "area"))
    assert [] == ids("--tag", "area=other")


def test_table_shows_versions_with_their_tags(model, capsys):
    """A person sees name and number as other commands take them, size and tags."""
    main(["models", "register", str(model), "diabetes", "--tag", "area=test", "--framework", "Onnx"])
    assert "diabetes:1 registered" in capsys.readouterr().out

    assert 0 == main(["models", "list"])
    header, row = capsys.readouterr().out.splitlines()
    assert ["model", "digest", "size"] == header.split()[:3]
    for part in ("diabetes:1", "5 B", "Onnx", "area=test"):
        assert part in row


def test_empty_store_says_how_to_fill_it(capsys):
    """Without models there is no empty table."""
    assert 0 == main(["models", "list"])
    assert "mlserve models register" in capsys.readouterr().out


def test_show_names_files_and_users(model, capsys):
    """The newest version is shown unless a number is given."""
    main(["models", "register", str(model), "diabetes", "--description", "a ridge", "--property", "run=7"])
    capsys.readouterr()

    shown = answered(capsys, "models", "show", "diabetes")

    assert "a ridge" == shown["description"]
    assert {"run": "7"} == shown["properties"]
    assert ["ridge.onnx"] == [file["path"] for file in shown["files"]]
    assert [] == shown["services"]
    assert 0 == main(["models", "show", "diabetes:1"])
    assert "ridge.onnx" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["show", "absent"], "model absent: is not there"),
        (["show", "absent:x"], "not NAME or NAME:VERSION, got 'absent:x'"),
        (["register", "absent.onnx", "diabetes"], "absent.onnx"),
        (["register", "{model}", "not/a/name"], "not/a/name"),
        (["register", "{model}", "diabetes", "--tag", "novalue"], "--tag: not KEY=VALUE, got 'novalue'"),
        (["register", "{model}", "diabetes", "--framework", "onyx"], "onyx"),
    ],
)
def test_mistakes_are_one_line(model, capsys, arguments, text):
    """What cannot work is said in a line, and nothing is registered."""
    assert 1 == main(["models", *(part.format(model=model) for part in arguments)])

    output = capsys.readouterr()
    assert text in output.err
    assert all(line.startswith("mlserve: ") for line in output.err.splitlines())
    assert [] == answered(capsys, "models", "list")


def test_all_mistakes_of_a_registration_are_told(model, capsys):
    """Those of the options beside those of the model."""
    options = ["--tag", "stage", "--property", "=7", "--property", "a=1", "--property", "a=2", "--framework", "onyx"]
    assert 1 == main(["models", "register", str(model), "not/a/name", *options])

    paths = [line.split(": ")[1] for line in capsys.readouterr().err.splitlines()]
    assert ["--tag", "--property", "--property", "model_framework", "name"] == paths


def test_store_option_names_another_store(model, tmp_path, capsys):
    """--store comes before the environment."""
    answered(capsys, "models", "register", str(model), "diabetes", "--store", str(tmp_path / "other"))

    assert [] == answered(capsys, "models", "list")
    assert 1 == len(answered(capsys, "models", "list", "--store", str(tmp_path / "other")))


def test_registering_a_pickle_says_that_it_is_code(tmp_path, capsys):
    """A note on stderr, and the version all the same."""
    (tmp_path / "model.pkl").write_bytes(b"first")

    assert 0 == main(["models", "register", str(tmp_path / "model.pkl"), "diabetes"])

    output = capsys.readouterr()
    assert output.err.startswith("mlserve: note: ")
    assert "diabetes:1 registered" in output.out


def test_version_registered_by_hand_is_released(model, capsys):
    """Its files go with the last claim, after a yes; the number is never given again."""
    main(["models", "register", str(model), "diabetes"])

    assert 1 == main(["models", "release", "diabetes", "1"])
    assert "let go of diabetes:1 and delete its files, 5 B: nobody is there to ask" in capsys.readouterr().err
    assert 0 == main(["models", "release", "diabetes", "1", "--yes"])
    assert "diabetes:1 released; its files are deleted" in capsys.readouterr().out
    assert 1 == main(["models", "release", "diabetes", "1", "--yes"])
    assert "model diabetes:1: was deleted" in capsys.readouterr().err
    assert 2 == answered(capsys, "models", "register", str(model), "diabetes")["version"]


def test_version_that_a_stack_claims_stays(model, capsys):
    """The claim by hand goes, the files stay; then there is nothing left to release by hand."""
    main(["models", "register", str(model), "diabetes"])
    register_model(model, "diabetes", claimant="shop/dev/diabetes")
    capsys.readouterr()

    said = answered(capsys, "models", "release", "diabetes", "1", "--yes")
    assert (False, ["shop/dev/diabetes"]) == (said["deleted"], said["claimants"])
    assert 1 == main(["models", "release", "diabetes", "1", "--yes"])
    assert "is not held by hand, but by shop/dev/diabetes" in capsys.readouterr().err
    assert ["diabetes:1"] == [version["id"] for version in answered(capsys, "models", "list")]


def test_version_that_a_service_runs_is_not_released(model, capsys):
    """A record that names it keeps its files, and the services are named."""
    main(["models", "register", str(model), "diabetes"])
    capsys.readouterr()
    digest = answered(capsys, "models", "show", "diabetes")["digest"]
    used = (UsedModel("diabetes", 1, digest),)
    Records(ModelStore(store_location(None))).put(
        ServiceRecord("shop", "dev", "price", "local", "price", "sha256:ab", used, "", "2026-01-02T03:04:05Z", "r1", "")
    )

    assert 1 == main(["models", "release", "diabetes", "1", "--yes"])
    assert "price (shop/dev)" in capsys.readouterr().err
    assert 1 == len(answered(capsys, "models", "list"))


def test_list_finds_by_property_and_says_all(model, capsys):
    """A property with or without its value; the table then has the properties, and no column that is empty."""
    main(["models", "register", str(model), "diabetes", "--property", "run_id=7", "--description", "a ridge"])
    model.write_bytes(b"second")
    main(["models", "register", str(model), "diabetes"])
    capsys.readouterr()

    def ids(*options: str) -> list[str]:
        return [version["id"] for version in answered(capsys, "models", "list", *options)]

    assert ["diabetes:1"] == ids("--property", "run_id=7") == ids("--property", "run_id", "--name", "diabetes")
    assert ["diabetes:1"] == ids("--property", "run_id", "--latest")
    assert [] == ids("--property", "run_id=8")
    assert 0 == main(["models", "list", "--property", "run_id"])
    header, row = capsys.readouterr().out.splitlines()
    assert ("registered", "properties") == tuple(header.split()[-2:])
    assert "run_id=7" == row.split()[-1]


def test_all_mistakes_of_a_list_are_told(capsys):
    """One line for each."""
    assert 1 == main(["models", "list", "one", "--name", "two", "--tag", "=x", "--tag", "a=1", "--tag", "a=2"])

    assert [
        "mlserve: --tag: not KEY or KEY=VALUE, got '=x'",
        "mlserve: --tag: two values of 'a', got 'a=1' and 'a=2'; give one",
        "mlserve: --name: another name, got 'one' and 'two'; give one",
    ] == capsys.readouterr().err.splitlines()


def test_what_is_said_about_a_model_is_shown(model, capsys):
    """Samples and needs too, and who claims the version."""
    register_model(
        model,
        "diabetes",
        sample_input={"data": [1]},
        resource_configuration={"cpu": 2, "memory_in_gb": 0.5},
        claimant="shop/dev/diabetes",
    )

    assert 0 == main(["models", "show", "diabetes"])
    shown = capsys.readouterr().out
    for part in ('{"data": [1]}', "2 cores, 0.5 GB of memory", "claims", "shop/dev/diabetes"):
        assert part in shown


def test_download_puts_a_model_into_a_folder(model, tmp_path, capsys):
    """Whole, changeable, the newest unless a number is given; a second one into the same place is refused."""
    main(["models", "register", str(model), "diabetes"])
    capsys.readouterr()

    said = answered(capsys, "models", "download", "diabetes", str(tmp_path / "new" / "there"))
    there = tmp_path / "new" / "there" / "ridge.onnx"
    assert str(there) == said["path"]
    assert b"first" == there.read_bytes()
    there.write_bytes(b"mine")
    assert 1 == main(["models", "download", "diabetes:1", str(there.parent)])
    assert f"mlserve: {there}: is there already; remove it" in capsys.readouterr().err
    assert b"mine" == there.read_bytes()
    assert [there] == [*there.parent.iterdir()]


def test_damaged_model_is_not_downloaded(model, tmp_path, capsys):
    """Bytes other than those registered never reach the folder."""
    main(["models", "register", str(model), "diabetes"])
    (blob,) = (ModelStore(store_location(None)).folder / "blobs" / "sha256").glob("??/*")
    blob.chmod(0o644)
    blob.write_bytes(b"other")

    assert 1 == main(["models", "download", "diabetes", str(tmp_path / "there")])
    assert "mlserve: " in capsys.readouterr().err
    assert [] == [*(tmp_path / "there").iterdir()]


def test_download_needs_a_folder(model, capsys):
    """A file in its place is said in a line."""
    main(["models", "register", str(model), "diabetes"])

    assert 1 == main(["models", "download", "diabetes", str(model)])
    assert f"{model}: is no folder; give one, in which ridge.onnx will lie" in capsys.readouterr().err
