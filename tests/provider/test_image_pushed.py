"""An image and its registry: pushed, looked for, pushed again, let go of; against the reference registry."""

from __future__ import annotations

import dataclasses
import json

import pytest
from pushed_kit import HANDLER, Bench
from registry_faults import proxied
from registry_kit import at, client, get, htpasswd_auth, registry

from pulumi_mlserve.core.images.destination import claim_tag, plain_tags
from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE, digest_of
from pulumi_mlserve.core.images.referrers import is_referrers_tag, referrers_tag
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.provider.call import PartialFailure
from pulumi_mlserve.provider.values import UNKNOWN


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A registry that takes anything from anybody."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def where(real, request):
    """A folder of the registry of this test's own."""
    return f"{real.host}/{request.node.name.split('[')[0].removeprefix('test_')[:60]}"


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """A program's folder and the stores beside it."""
    return Bench(tmp_path / "one", monkeypatch)


def tags(where):
    """Return the tags of the image's repository, as the registry lists them."""
    host, _, folder = where.partition("/")
    status, body = get(f"http://{host}/v2/{folder}/diabetes/tags/list")
    return sorted(json.loads(body)["tags"] or ()) if status == 200 else []


def is_there(reference):
    """Return whether the registry has an image."""
    host, _, rest = reference.partition("/")
    name, _, digest = rest.partition("@")
    return get(f"http://{host}/v2/{name}/manifests/{digest}", MANIFEST_TYPE)[0] == 200


def test_an_image_is_pushed_and_referred_to_by_digest(bench, where):
    """It is in the registry by digest, by the stack's tag and by one that never moves, and in the local store, too."""
    made = bench.up(registry=where)
    digest = made.state["digest"]
    claim = claim_tag(digest, "dev", made.claimant, made.state["owner"])

    assert f"{where}/diabetes@{digest}" == made.state["reference"]
    assert is_there(made.state["reference"])
    assert sorted(["dev", claim, referrers_tag(digest)]) == tags(where)
    assert bench.images.whole(digest) is not None
    assert [f"{where}/diabetes"] == made.state["pushed_to"]
    assert 1 == len(bench.heard.told("pushed ", "info"))


def test_a_changed_model_uploads_its_layer_and_the_small_ones_that_name_it(bench, real, request):
    """That model's layer, the layout layer, config, manifest, and the new list with its manifest; nothing else."""
    folder = request.node.name.removeprefix("test_")[:60]
    with proxied(real) as proxy:
        before = bench.up(registry=f"{proxy.host}/{folder}")
        old = bench.images.get(before.state["digest"])
        proxy.seen.clear()
        bench.ridge = bench.models.add("ridge", {"ridge.onnx": b"Ridge" + b"ridge" * 999}, version=2)

        after = bench.up(before=before, registry=f"{proxy.host}/{folder}")
        new = bench.images.get(after.state["digest"])
        ended = [path for method, path, _, _ in proxy.seen if method == "PUT" and "digest=" in path]
        listed = bench.images.sbom(new.digest)
        moved = {layer.digest for layer in new.layers} - {layer.digest for layer in old.layers}

        assert {"model:ridge", "layout"} == {layer.name for layer in new.layers if layer.digest in moved}
        assert listed is not None
        assert {*moved, new.config_digest, digest_of(listed)} == {
            path.partition("digest=")[2].replace("%3A", ":") for path in ended
        }
        assert 0 == proxy.count("PATCH")
        names = [path.rpartition("/")[2] for method, path, _, _ in proxy.seen if method == "PUT" and "/manif" in path]
        claim = claim_tag(new.digest, "dev", after.claimant, after.state["owner"])
        assert sorted([new.digest, new.sbom, claim, "dev", referrers_tag(new.digest)]) == sorted(names)


def test_a_second_up_sends_nothing_and_the_moving_tag_moves(bench, where):
    """Tags, properties and description are no part of an image."""
    first = bench.up(registry=where)
    again = bench.up(before=first, registry=where, description="words")
    (bench.source / "score.py").write_text("def init(): ...\ndef run(x): ...\n")
    third = bench.up(before=again, registry=where)

    assert first.state["digest"] == again.state["digest"] != third.state["digest"]
    assert 2 == len(bench.heard.told("pushed ", "info"))
    assert third.state["digest"] == meaning(f"{where}/diabetes:dev")
    assert is_there(first.state["reference"])


def meaning(text):
    """Return the digest that a tag means."""
    host, _, rest = text.partition("/")
    with client() as ours:
        return ours.resolve(at(type("Where", (), {"host": host}), rest)).digest


def test_a_moving_tag_may_have_another_name(bench, where):
    """The stack's name is only the default."""
    bench.up(registry=where, registry_tag="stable", repository="shop/price")

    host, _, folder = where.partition("/")
    status, body = get(f"http://{host}/v2/{folder}/shop/price/tags/list")

    assert 200 == status
    assert ["stable"] == plain_tags(json.loads(body)["tags"])


def test_another_registry_gets_the_image_without_a_new_build(bench, where):
    """It is an update: the old registry keeps its image until the resource goes."""
    first = bench.up(registry=where)
    (bench.source / "score.py").unlink()
    preview = HANDLER.update(bench_call(bench, first, preview=True, registry=f"{where}/b"))
    second = bench_up(bench, first, registry=f"{where}/b")

    assert f"{where}/b/diabetes@{first.state['digest']}" == second.state["reference"] == preview["reference"]
    assert is_there(first.state["reference"])
    assert is_there(second.state["reference"])
    HANDLER.delete(second)
    assert not is_there(first.state["reference"])
    assert not is_there(second.state["reference"])
    assert [] == list(bench.images.list())


def bench_call(bench, before, **changes):
    """Return a call with the old inputs but for what changes, where the source cannot be read."""
    preview = changes.pop("preview", False)
    return dataclasses.replace(before, preview=preview, news={**before.news, **changes}, olds=before.news)


def bench_up(bench, before, **changes):
    """Update with the old inputs but for what changes."""
    call = bench_call(bench, before, **changes)
    return dataclasses.replace(call, olds=call.news, state=HANDLER.update(call))


def test_what_a_registry_lost_is_drift_that_the_next_update_pushes_again(bench, where):
    """A refresh sees it, the bytes come from the local store."""
    made = bench.up(registry=where)
    assert bench.refreshed(made).olds["pushed"]
    with client() as ours:
        host, _, rest = made.state["reference"].partition("/")
        assert ours.delete(at(type("Where", (), {"host": host}), rest))

    lost = bench.refreshed(made)
    assert not lost.olds["pushed"]
    assert "diabetes" == lost.id
    again = bench_up(bench, lost, pushed=True)
    assert made.state["digest"] == again.state["digest"]
    assert is_there(made.state["reference"])


def test_a_registry_that_does_not_answer_has_lost_nothing(bench, tmp_path):
    """A failed look-up is never read as gone."""
    with registry(tmp_path / "registry") as own:
        made = bench.up(registry=own.host)

    with pytest.raises(OperationError, match="cannot be reached"):
        bench.refreshed(made)
    with pytest.raises(OperationError, match="cannot be reached"):
        HANDLER.delete(made)
    assert bench.images.whole(made.state["digest"]) is not None


def test_another_machine_finds_the_image_in_the_registry(bench, where, tmp_path, monkeypatch):
    """Whoever has the state alone need not have the bytes."""
    made = bench.up(registry=where)
    other = Bench(tmp_path / "two", monkeypatch)

    assert "diabetes" == other.refreshed(dataclasses.replace(made, settings=other.settings)).id


def test_a_push_that_fails_keeps_what_was_built(bench, tmp_path):
    """The next update pushes it; nothing is built twice and no claim is left behind."""
    with registry(tmp_path / "registry") as own, proxied(own) as proxy:
        proxy.fault("PUT", "/manifests/sha256", status=403, times=1)
        with pytest.raises(PartialFailure, match="403") as failed:
            bench.up(registry=proxy.host)
        call = bench.call(registry=proxy.host)
        kept = dataclasses.replace(call, id="diabetes", olds=call.news, state=failed.value.state)
        after = bench_up(bench, kept)

        assert failed.value.state["digest"] == after.state["digest"]
        assert is_there(after.state["reference"])
        HANDLER.delete(after)
        assert not is_there(after.state["reference"])


def test_an_image_that_another_stack_pushed_stays_there(bench, where):
    """The same digest in the same repository: the last one to go takes it along."""
    dev, prod = bench.up(registry=where), bench.up(registry=where, stack="prod")
    assert dev.state["reference"] == prod.state["reference"]

    HANDLER.delete(dev)
    assert is_there(prod.state["reference"])
    assert bench.heard.told("stays: it is needed as prod-", "info")
    assert [claim_tag(prod.state["digest"], "prod", prod.claimant, prod.state["owner"])] == [
        tag for tag in tags(where) if "-" in tag and not is_referrers_tag(tag)
    ]
    HANDLER.delete(prod)
    assert not is_there(prod.state["reference"])
    assert [] == tags(where)


def test_the_old_half_of_a_replacement_takes_nothing_from_the_new_one(bench, where):
    """``pulumi up --replace`` creates and then deletes under one name."""
    old, new = bench.up(registry=where), bench.up(registry=where)

    HANDLER.delete(old)
    assert is_there(new.state["reference"])
    HANDLER.delete(new)
    assert not is_there(new.state["reference"])


def test_a_stack_of_the_same_name_in_another_backend_loses_nothing(bench, where):
    """Two people who call their stack ``dev`` have one claimant; what either pushed is never taken over."""
    mine = bench.up(registry=where)
    (bench.source / "score.py").write_text("def init(): ...\ndef run(x): ...\n")
    theirs = bench.up(registry=where)

    HANDLER.delete(theirs)
    assert not is_there(theirs.state["reference"])
    assert is_there(mine.state["reference"])
    HANDLER.delete(mine)
    assert not is_there(mine.state["reference"])


def listing(*entries):
    """An index of what it is given, and its entry in another one."""
    content = canonical({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": list(entries)}).encode()
    return content, {"mediaType": INDEX_TYPE, "digest": digest_of(content), "size": len(content)}


@pytest.mark.parametrize("within", ["alone", "an index", "an index of indexes"])
def test_an_image_that_a_person_tagged_stays(bench, where, within):
    """Nobody else knows what ``release-1`` is good for; it may mean one image of several platforms."""
    made = bench.up(registry=where)
    with bench.images.opened(made.state["digest"]) as opened, client() as ours:
        host, _, rest = made.state["reference"].partition("/")
        repository = at(type("Where", (), {"host": host}), rest.partition("@")[0])
        content, kind = opened.manifest, MANIFEST_TYPE
        entry = {"mediaType": kind, "digest": digest_of(content), "size": len(content)}
        if within != "alone":
            (content, entry), kind = listing(entry), INDEX_TYPE
        if within == "an index of indexes":
            ours.tag(repository.at(entry["digest"]), content, kind)
            content, _ = listing(entry)
        ours.tag(repository.tagged("release-1"), content, kind)

    HANDLER.delete(made)
    assert is_there(made.state["reference"])
    assert bench.heard.told("'release-1' means it")


def test_an_index_at_the_tag_that_moves_keeps_its_images(bench, where):
    """Somebody made the stack's tag mean more than the stack knows of."""
    made = bench.up(registry=where)
    with bench.images.opened(made.state["digest"]) as opened, client() as ours:
        host, _, rest = made.state["reference"].partition("/")
        repository = at(type("Where", (), {"host": host}), rest.partition("@")[0])
        size = len(opened.manifest)
        content, _ = listing({"mediaType": MANIFEST_TYPE, "digest": made.state["digest"], "size": size})
        ours.tag(repository.tagged("dev"), content, INDEX_TYPE)

    HANDLER.delete(made)
    assert is_there(made.state["reference"])
    assert bench.heard.told("'dev' means it")


def test_an_image_that_runs_is_deleted_nowhere(bench, where, monkeypatch):
    """The guard comes before anything is removed, on every machine."""
    made = bench.up(registry=where)
    monkeypatch.setattr(bench.place.records, "users_of_image", lambda _digest: ["ridge (shop/prod)"])

    with pytest.raises(OperationError, match=r"in use by ridge \(shop/prod\)"):
        HANDLER.delete(made)
    assert is_there(made.state["reference"])
    assert bench.images.whole(made.state["digest"]) is not None


def test_every_image_of_a_resource_goes_with_it(bench, where):
    """The older ones stay while it is updated: they are the way back."""
    first = bench.up(registry=where)
    (bench.source / "score.py").write_text("def init(): ...\ndef run(x): ...\n")
    second = bench.up(before=first, registry=where)

    assert is_there(first.state["reference"])
    HANDLER.delete(second)
    assert not is_there(first.state["reference"])
    assert not is_there(second.state["reference"])


def test_a_registry_that_deletes_nothing_is_told_of(bench, tmp_path):
    """The resource goes, the image stays, one line says so."""
    with registry(tmp_path / "registry", delete=False) as own:
        made = bench.up(registry=own.host)
        HANDLER.delete(made)

        assert is_there(made.state["reference"])
        assert bench.heard.told("does not allow to delete images", "warning")
        assert [] == list(bench.images.list())


def test_credentials_come_from_docker_and_are_told_nowhere(bench, tmp_path, monkeypatch):
    """They stand in no output and in no line."""
    (tmp_path / "docker").mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    with registry(tmp_path / "registry", auth=htpasswd_auth(tmp_path / "auth")) as own:
        HANDLER.create(bench.call(registry=own.host, preview=True))
        assert bench.heard.told("log in: docker login", "warning")
        login = {"auths": {own.host: {"username": "robot", "password": "open sesame"}}}
        with pytest.raises(PartialFailure, match="docker login"):
            bench.up(registry=own.host)
        (tmp_path / "docker" / "config.json").write_text(json.dumps(login))
        made = bench.up(registry=own.host)

        assert own.host in made.state["reference"]
        assert "sesame" not in json.dumps(made.state, default=str) + "".join(bench.heard.lines)


def test_a_tag_that_may_not_move_is_a_warning(bench, tmp_path):
    """Registries can make tags immutable; the digest is what counts."""
    with registry(tmp_path / "registry") as own, proxied(own) as proxy:
        proxy.fault("PUT", "/manifests/dev$", status=409, times=9)
        made = bench.up(registry=proxy.host)

        assert is_there(made.state["reference"])
        assert bench.heard.told("the tag 'dev' stays where it was", "warning")


def test_a_preview_tells_what_is_built_and_what_is_sent(bench, where):
    """Sizes, what the registry has, and why: without packing anything."""
    HANDLER.create(bench.call(registry=where, preview=True))
    name = f"{where}/diabetes"

    assert bench.heard.told("layers: to be packed: dependencies ", "info")
    assert bench.heard.told(f"{name}: gets dependencies, runtime, code, model:ridge, layout, at most ", "info")
    assert [] == list(bench.images.list())
    made = bench.up(registry=where)
    (bench.source / "score.py").write_text("def init(): ...\ndef run(x): ...\n")
    bench.heard.lines.clear()
    HANDLER.update(bench.call(before=made, registry=where, preview=True))
    assert bench.heard.told("built anew because of: source_directory", "info")
    assert bench.heard.told("; to be packed: code ", "info")
    assert bench.heard.told(f"{name}: has dependencies, runtime, model:ridge; gets code, layout, at most ", "info")
    HANDLER.update(bench_call(bench, made, preview=True, registry=f"{where}/b"))
    assert bench.heard.told(f"{where}/b/diabetes: gets dependencies, runtime, code, model:ridge, layout", "info")


def test_a_registry_that_is_not_known_yet_leaves_the_reference_unknown(bench):
    """As one that the same program makes; nothing is asked, and pushed is known to become true."""
    call = bench.call(registry=UNKNOWN, preview=True)
    _, created = HANDLER.create(call)
    made = bench.up()
    moved = HANDLER.update(bench.call(before=made, registry=UNKNOWN, preview=True))

    assert UNKNOWN is created["reference"] is moved["reference"]
    assert made.state["digest"] == moved["digest"]
    assert call.news["pushed"]
    assert [] == bench.heard.told("", "warning")


def test_a_registry_that_does_not_answer_a_preview_is_one_warning(bench, tmp_path):
    """It is asked once, and not for long."""
    with registry(tmp_path / "registry") as own:
        made = bench.up(registry=own.host)
    (bench.source / "score.py").write_text("def init(): ...\ndef run(x): ...\n")
    HANDLER.update(bench.call(before=made, registry=own.host, preview=True))

    assert 1 == len(bench.heard.told("not known yet what it lacks", "warning"))
