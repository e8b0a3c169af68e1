"""The life of models in a store, the same in a folder and in an object store."""

from __future__ import annotations

import json
import os
import stat

import obstore
import pytest
from model_kit import Workbench

from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.object_json import StoreUnreachableError
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.problems import InvalidInputError, OperationError

NOTHING = ModelMeta()


@pytest.fixture
def folder_bench(tmp_path):
    """A workbench with a store in a folder."""
    return Workbench(tmp_path, "folder")


def test_the_first_content_is_version_one_and_the_next_is_two(bench):
    """The forecast says so before."""
    one, two = bench.model(a=b"1"), bench.model(a=b"2")

    assert 1 == bench.store.forecast("ridge", one.digest)
    first = bench.store.register("ridge", one, NOTHING, "dev")
    assert ("ridge", 1, one.digest, "models/ridge/versions/1", False) == (
        first.name, first.version, first.digest, first.uri, first.existed
    )  # fmt: skip
    assert 2 == bench.store.forecast("ridge", two.digest)
    assert 2 == bench.store.register("ridge", two, NOTHING, "dev").version


def test_the_same_content_is_the_same_version(bench):
    """From whichever machine, at whatever time; going back goes back to the old number."""
    one, two = bench.model(a=b"1"), bench.model(a=b"2")
    bench.store.register("ridge", one, NOTHING, "dev")
    bench.store.register("ridge", two, NOTHING, "dev")
    again = bench.open().register("ridge", one, NOTHING, "other")

    assert (1, True) == (again.version, again.existed)
    assert 1 == bench.store.forecast("ridge", one.digest)


def test_each_name_counts_for_itself(bench):
    """The bytes lie there once all the same."""
    model = bench.model(a=b"1", sub__b=b"1")
    for name in ("ridge", "lasso"):
        assert 1 == bench.store.register(name, model, NOTHING, "dev").version

    assert 1 == len(bench.keys("blobs"))


def test_a_version_tells_what_it_is(bench):
    """Everything that was registered, and when and by whom."""
    model = bench.model(a=b"1", sub__b=b"22")
    meta = ModelMeta(description="d", tags={"area": "houses"}, properties={"run": "7"}, model_framework="Onnx",
                     sample_input={"data": [[1.5]]})  # fmt: skip
    bench.store.register("ridge", model, meta, "dev")
    found = bench.open().get("ridge", 1)

    assert found is not None
    assert ("ridge", 1, "ridge:1", "models/ridge/versions/1") == (found.name, found.version, found.id, found.uri)
    assert (model.digest, model.files, "m", False, 3) == (
        found.digest, found.files, found.base_name, found.is_file, found.size
    )  # fmt: skip
    assert ("2026-01-31T12:00:00Z", "dev", meta, False) == (found.created, found.created_by, found.meta, found.deleted)
    assert {"m/a": b"1", "m/sub/b": b"22"} == bench.contents(found)


def test_a_version_is_found_by_its_content(bench):
    """Or not at all."""
    model = bench.model(a=b"1")
    bench.store.register("ridge", model, NOTHING, "dev")

    assert 1 == bench.store.find("ridge", model.digest).version
    assert bench.store.find("lasso", model.digest) is None
    assert bench.store.get("ridge", 2) is None


def test_versions_are_listed_by_name_tags_and_age(bench):
    """As with Azure ML v1: a tag's key alone matches any value, several tags must all be there."""
    for number, tags in enumerate([{"area": "a"}, {"area": "b", "good": "yes"}, {}]):
        bench.store.register("ridge", bench.model(a=b"%d" % number), ModelMeta(tags=tags), "dev")
    bench.store.register("lasso", bench.model(a=b"1"), ModelMeta(tags={"area": "a"}), "dev")

    def ids(*args, **kwargs):
        return [version.id for version in bench.store.list(*args, **kwargs)]

    assert ["lasso:1", "ridge:1", "ridge:2", "ridge:3"] == ids()
    assert ["ridge:1", "ridge:2", "ridge:3"] == ids("ridge")
    assert ["lasso:1", "ridge:1"] == ids(tags={"area": "a"})
    assert ["ridge:2"] == ids("ridge", {"area": None, "good": "yes"})
    assert ["lasso:1", "ridge:3"] == ids(latest=True)
    assert ["lasso:1", "ridge:2"] == ids(tags={"area": None}, latest=True)
    assert "ridge:2" == bench.store.latest("ridge", {"area": None}).id
    assert "ridge:3" == bench.store.latest("ridge").id
    assert bench.store.latest("ridge", {"area": "c"}) is None
    assert [] == ids("unknown")


def test_ten_versions_are_counted_as_numbers(bench):
    """The tenth is the newest, not the one after the first."""
    for number in range(11):
        bench.store.register("ridge", bench.model(a=b"%d" % number), NOTHING, "dev")

    assert list(range(1, 12)) == [version.version for version in bench.store.list("ridge")]
    assert 11 == bench.store.latest("ridge").version


def test_what_is_said_may_change_without_a_new_version(bench):
    """The content stays as it was written."""
    bench.store.register("ridge", bench.model(a=b"1"), ModelMeta(tags={"a": "1"}, description="old"), "dev")
    bench.store.update_meta("ridge", 1, ModelMeta(tags={"b": "2"}))
    found = bench.store.get("ridge", 1)

    assert ({"b": "2"}, None) == (found.meta.tags, found.meta.description)
    assert 1 == len(bench.store.list())


def test_properties_are_added_and_never_changed(bench):
    """Not by an update, not by registering again; those of others stay."""
    model = bench.model(a=b"1")
    bench.store.register("ridge", model, ModelMeta(properties={"run": "1"}), "dev")
    bench.store.register("ridge", model, ModelMeta(properties={"data": "x"}), "other")
    with pytest.raises(InvalidInputError, match=r"properties.run: is recorded as '1' and cannot change, got '2'"):
        bench.store.update_meta("ridge", 1, ModelMeta(properties={"run": "2"}))
    with pytest.raises(InvalidInputError, match=r"properties.data: is recorded as 'x'"):
        bench.store.register("ridge", model, ModelMeta(properties={"data": "y"}), "dev")

    assert {"run": "1", "data": "x"} == bench.store.get("ridge", 1).meta.properties


def test_nothing_can_be_said_about_a_version_that_is_not_there(bench):
    """The store is named."""
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")
    with pytest.raises(OperationError, match=r"ridge:7: there is no such version in .*store"):
        bench.store.update_meta("ridge", 7, NOTHING)


@pytest.mark.parametrize("name", ["../x", "a/b", "", "-", "x" * 256])
def test_a_name_that_is_none_is_refused(bench, name):
    """It would be a path of somebody else's."""
    with pytest.raises(InvalidInputError, match="name: not a model name"):
        bench.store.register(name, bench.model(a=b"1"), NOTHING, "dev")
    assert [] == bench.keys("blobs")


def test_a_changed_source_is_not_registered(bench):
    """What was announced by its digest is what is stored, or nothing is."""
    model = bench.model(a=b"1", b=b"2")
    (model.root / "b").write_bytes(b"3")
    with pytest.raises(OperationError, match="b: changed since it was hashed"):
        bench.store.register("ridge", model, NOTHING, "dev")

    assert [] == bench.store.list()
    assert [] == bench.keys("incoming")


def test_registering_again_repairs_what_is_missing_or_cut_short(bench):
    """The store's content is looked at, not only its lists."""
    model = bench.model(a=b"1" * 100, b=b"2" * 100)
    bench.store.register("ridge", model, NOTHING, "dev")
    first, second = bench.keys("blobs")
    bench.store.objects.delete(first)
    if bench.kind == "folder":
        (bench.folder / "store" / second).chmod(0o644)
        os.truncate(bench.folder / "store" / second, 5)
    damaged = bench.store.get("ridge", 1)
    with pytest.raises(OperationError, match=r"the store's content of 'm/.' is damaged, got .* instead of 100"):
        bench.contents(damaged)
    with pytest.raises(OperationError, match="register the model again from its files to repair the store"):
        bench.store.materialise(damaged, bench.folder / "out")
    bench.store.register("ridge", model, NOTHING, "dev")

    assert {"m/a": b"1" * 100, "m/b": b"2" * 100} == bench.contents(damaged)


def test_a_version_is_put_into_a_folder(bench):
    """Read-only, under its base name, with the bytes it was registered with."""
    bench.store.register("ridge", bench.model(a=b"1", sub__b=b"22"), NOTHING, "dev")
    out = bench.store.materialise(bench.store.get("ridge", 1), bench.folder / "new" / "out")

    assert bench.folder / "new" / "out" / "m" == out
    assert (b"1", b"22") == ((out / "a").read_bytes(), (out / "sub" / "b").read_bytes())
    assert 0o444 == stat.S_IMODE((out / "a").stat().st_mode)
    assert ["a", "sub"] == sorted(path.name for path in out.iterdir())


def test_a_copy_belongs_to_whoever_asked_for_it(bench):
    """Changing it changes nothing in the store."""
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")
    version = bench.store.get("ridge", 1)
    out = bench.store.materialise(version, bench.folder / "out", link=False)
    (out / "a").write_bytes(b"changed")

    assert {"m/a": b"1"} == bench.contents(version)
    assert b"1" == (bench.store.materialise(version, bench.folder / "out") / "a").read_bytes()


def test_links_take_no_room(folder_bench):
    """A model of 10 GB lies on a disk once."""
    folder_bench.store.register("ridge", folder_bench.model(a=b"1"), NOTHING, "dev")
    version = folder_bench.store.get("ridge", 1)
    out = folder_bench.store.materialise(version, folder_bench.folder / "out")

    assert (out / "a").samefile(folder_bench.store.blob_path(version.files[0].sha256))
    assert folder_bench.store.blob_path("0" * 64) is None


def test_where_no_link_can_be_the_files_are_copied(folder_bench, monkeypatch):
    """The image store may be on another disk."""
    folder_bench.store.register("ridge", folder_bench.model(a=b"1"), NOTHING, "dev")
    version = folder_bench.store.get("ridge", 1)

    def refuse(self, target):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr("pathlib.Path.hardlink_to", refuse)
    out = folder_bench.store.materialise(version, folder_bench.folder / "out")

    assert not (out / "a").samefile(folder_bench.store.blob_path(version.files[0].sha256))
    assert (b"1", 0o444) == ((out / "a").read_bytes(), stat.S_IMODE((out / "a").stat().st_mode))


def test_a_large_file_travels_in_parts(bench):
    """More than one part each way, and any place in it can be read."""
    content = os.urandom(20 << 20)
    bench.store.register("ridge", bench.model(big=content), NOTHING, "dev")
    version = bench.store.get("ridge", 1)
    with bench.store.open_file(version, "m/big") as file:
        file.seek(19 << 20)
        tail = file.read()
        file.seek(5)
        head = file.read(5)

    assert (content[19 << 20 :], content[5:10]) == (tail, head)
    assert content == (bench.store.materialise(version, bench.folder / "out") / "big").read_bytes()


def test_thousands_of_small_files_are_stored_and_put_somewhere(folder_bench):
    """In seconds: they are synced to the disk together."""
    files = {f"m/f{number}": b"%d" % number for number in range(2_000)}
    model = folder_bench.model(**{path.removeprefix("m/"): content for path, content in files.items()})
    folder_bench.store.register("ridge", model, NOTHING, "dev")
    version = folder_bench.store.get("ridge", 1)
    out = folder_bench.store.materialise(version, folder_bench.folder / "out")

    assert files == {f"m/{path.name}": path.read_bytes() for path in out.iterdir()}
    assert [] == list((folder_bench.folder / "store" / "incoming").iterdir())


def test_a_file_that_is_not_in_the_version_is_no_file(bench):
    """Whatever else the store holds."""
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")

    with pytest.raises(OperationError, match=r"ridge:1: there is no such file, got 'm/b'"):
        bench.store.open_file(bench.store.get("ridge", 1), "m/b")


def test_other_bytes_of_the_same_size_are_noticed_when_they_are_fetched(tmp_path):
    """An object store is not trusted with what a model is."""
    bench = Workbench(tmp_path, "objects")
    bench.store.register("ridge", bench.model(a=b"1" * 10), NOTHING, "dev")
    obstore.put(bench.store.objects.backend, bench.keys("blobs")[0], b"2" * 10)
    with pytest.raises(OperationError, match="'m/a' is damaged, got other bytes"):
        bench.store.materialise(bench.store.get("ridge", 1), tmp_path / "out")

    assert [] == list((tmp_path / "out" / "m").iterdir())


def test_every_object_says_its_schema(bench):
    """Readable without this package, and recognisable by a later one."""
    bench.store.register("ridge", bench.model(a=b"1"), ModelMeta(tags={"größe": "ä"}), "dev")
    keys = [key for key in bench.keys("models") if key.endswith(".json")]

    assert [
        "claims", "digests", "metadata", "versions"
    ] == sorted({key.split("/")[2] for key in keys})  # fmt: skip
    assert [1] * len(keys) == [bench.store.objects.read(key)["schema"] for key in keys]


@pytest.mark.parametrize("schema", [2, "1", None])
def test_a_newer_schema_is_refused_and_not_guessed(folder_bench, schema):
    """With what to do about it."""
    folder_bench.store.register("ridge", folder_bench.model(a=b"1"), NOTHING, "dev")
    path = folder_bench.folder / "store" / "models" / "ridge" / "versions" / "1.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": schema}))

    with pytest.raises(OperationError, match=rf"1.json was written by a newer version, got schema {schema!r}"):
        folder_bench.store.get("ridge", 1)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '"x"', "\xff"])
def test_a_damaged_object_is_named(folder_bench, text):
    """Not skipped: a version that cannot be read is not a version that is not there."""
    folder_bench.store.register("ridge", folder_bench.model(a=b"1"), NOTHING, "dev")
    path = folder_bench.folder / "store" / "models" / "ridge" / "versions" / "1.json"
    path.write_bytes(text.encode("latin-1"))

    with pytest.raises(OperationError, match=r"models/ridge/versions/1.json is damaged, got .*; restore it"):
        folder_bench.store.list()


def test_what_others_put_into_the_folder_is_no_version(folder_bench):
    """Editors and file managers leave files behind."""
    folder_bench.store.register("ridge", folder_bench.model(a=b"1"), NOTHING, "dev")
    models = folder_bench.folder / "store" / "models"
    (models / "ridge" / "versions" / ".DS_Store").write_bytes(b"x")
    (models / "ridge" / "versions" / "1.json~").write_bytes(b"x")
    (models / "empty").mkdir()

    assert ["ridge:1"] == [version.id for version in folder_bench.store.list()]


def test_metadata_lost_in_an_interruption_is_empty(folder_bench):
    """The version itself is whole."""
    folder_bench.store.register("ridge", folder_bench.model(a=b"1"), ModelMeta(tags={"a": "1"}), "dev")
    (folder_bench.folder / "store" / "models" / "ridge" / "metadata" / "1.json").unlink()

    assert NOTHING == folder_bench.store.get("ridge", 1).meta


def test_a_store_that_is_only_looked_at_is_not_made(tmp_path):
    """A preview leaves no trace."""
    store = ModelStore(str(tmp_path / "store"))

    assert (1, []) == (store.forecast("ridge", "sha256:" + "a" * 64), store.list())
    assert not (tmp_path / "store").exists()


def test_a_version_of_an_empty_store_is_not_known_to_be_gone(bench):
    """A disk that is not mounted looks like this; what a stack has deployed is not forgotten because of it."""
    with pytest.raises(StoreUnreachableError, match=r"the store is empty, so ridge:1 cannot be looked up; check that"):
        bench.store.get("ridge", 1)
    bench.store.register("ridge", bench.model(a=b"1"), NOTHING, "dev")

    assert bench.store.get("ridge", 2) is None
    assert bench.store.get("lasso", 1) is None


def test_a_place_that_cannot_be_a_store_is_refused(tmp_path):
    """At once, with what can be one."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OperationError, match="store: not a place for models, got 'ftp://x'; use a folder or an az://"):
        ModelStore("ftp://x")
    bench = Workbench(tmp_path, "folder")
    with pytest.raises(OperationError, match=r"store: the folder .* cannot be used: .*Not a directory"):
        ModelStore(str(tmp_path / "file" / "store")).register("ridge", bench.model(a=b"1"), NOTHING, "dev")


def test_a_store_that_does_not_answer_is_not_an_empty_one(monkeypatch):
    """What is not known is not "nothing"; signatures in addresses are not shown."""
    for name, value in {"ACCOUNT_NAME": "devaccount", "ACCOUNT_KEY": "a2V5", "ENDPOINT": "http://127.0.0.1:9",
                        "ALLOW_HTTP": "true"}.items():  # fmt: skip
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
        monkeypatch.setenv(f"AZURE_{name}", value)
    monkeypatch.setattr("pulumi_mlserve.clients.models.object_json._RETRIES", 0)
    store = ModelStore("az://models/team?sig=geheim")

    with pytest.raises(
        StoreUnreachableError, match=r"az://models/team: the store cannot be reached for .*; check"
    ) as e:
        store.forecast("ridge", "sha256:" + "a" * 64)
    assert "geheim" not in str(e.value)
