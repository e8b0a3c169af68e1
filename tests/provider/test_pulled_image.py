"""Images made elsewhere, as a service is given them: told in preview, taken in, let go of."""

from __future__ import annotations

import dataclasses

import pytest
from mlserve_scoring.contract import Contract
from pushed_kit import Bench, Heard
from registry_faults import proxied
from registry_kit import Pattern, Waits, at, client, image_of, registry

from pulumi_mlserve.clients.registries.logins import Logins
from pulumi_mlserve.clients.registries.registry_client import RegistryClient
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE
from pulumi_mlserve.core.problems import InvalidInputError, OperationError
from pulumi_mlserve.provider import pulled_images
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers.local_process import LocalProcessHandler
from pulumi_mlserve.provider.handlers.pulled_image import PulledImageHandler
from pulumi_mlserve.provider.service_told import revision_of
from pulumi_mlserve.provider.values import UNKNOWN
from pulumi_mlserve.provider.workplace import workplace

HANDLER = PulledImageHandler()
URN = "urn:pulumi:dev::shop::mlserve:index:LocalService$mlserve:index:PulledImage::price"


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A registry that takes anything from anybody."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def pushed(tmp_path, monkeypatch, real):
    """The reference of an image that another machine pushed."""
    monkeypatch.setattr("pulumi_mlserve.provider.pulled_images.host_platform", lambda: "linux/amd64")
    return Bench(tmp_path / "there", monkeypatch).up(registry=f"{real.host}/pulled").state["reference"]


@pytest.fixture
def asked(tmp_path, pushed):
    """A call about an image on this machine, whose store is empty."""
    return Call(URN, news={"reference": pushed}, settings={"store": str(tmp_path / "here")}, say=Heard())


def test_a_preview_tells_all_that_an_image_is(asked, pushed):
    """Nothing is taken in for that."""
    _, told = HANDLER.create(dataclasses.replace(asked, preview=True))
    _, made = HANDLER.create(asked)

    assert ("diabetes", pushed, "3.11") == (told["name"], told["reference"], told["python"])
    assert [{"name": "ridge", "version": 1}] == [{k: m[k] for k in ("name", "version")} for m in told["models"]]
    assert told == {name: value for name, value in made.items() if name != "owner"}


@pytest.fixture
def here(tmp_path, monkeypatch):
    """What one person has on this machine: an image of the local store, in no registry."""
    bench = Bench(tmp_path / "here", monkeypatch)
    monkeypatch.setattr("pulumi_mlserve.provider.pulled_images.host_platform", lambda: bench.build().platform)
    return bench


def of_here(bench, image, **more) -> Call:
    """A call about an image of the local store by its name there."""
    return Call(URN, news={"reference": image.reference}, settings=bench.settings, say=bench.heard, **more)


def image_script(bench, image) -> str:
    """The script that an image holds; empty where a model answers by itself."""
    return bench.images.own_manifest(image.digest).entry_script or ""


@pytest.mark.parametrize("preview", [True, False])
def test_an_image_of_the_local_store_says_what_it_is(here, preview):
    """Models, contract, features and deciding variables, as an image of a registry does; nobody claims it for that."""
    contract = Contract({"type": "array"}, {}, source="decorators").to_json()
    variables = {"SERVICE_PATH_PREFIX": "/api", "PASSWORD": "x"}
    image = here.build(content={"contract": contract}, features=("entra",), variables=variables)
    call = of_here(here, image, preview=preview)
    _, told = HANDLER.create(call)

    assert [{"name": "ridge", "version": 1, "digest": here.ridge.digest}] == told["models"]
    assert (image.reference, image.digest, image.name) == tuple(told[key] for key in ("reference", "digest", "name"))
    assert (image.python, image.platform, "cpu") == tuple(told[key] for key in ("python", "platform", "device"))
    assert image_script(here, image) == told["entry_script"]
    assert (["entra"], {"SERVICE_PATH_PREFIX": "/api"}) == (told["features"], told["variables"])
    assert contract == told["contract"]
    assert "owner" not in told
    made = dataclasses.replace(call, id="image", olds=call.news, state=told)
    HANDLER.delete(made)
    assert here.images.whole(image.digest) is not None
    assert (call.claimant,) != here.images.claims(image.name, image.digest)


def test_an_image_that_the_local_store_lacks_is_not_known_in_preview(here):
    """The store that has it may be another machine's; whoever makes the service needs it here."""
    call = of_here(here, here.build())
    call = dataclasses.replace(call, news={"reference": f"price@sha256:{'1' * 64}"})
    _, told = HANDLER.create(dataclasses.replace(call, preview=True))
    state = {"reference": call.news["reference"], "digest": f"sha256:{'1' * 64}"}

    assert [] == HANDLER.check(call).problems
    assert ("price", f"sha256:{'1' * 64}", UNKNOWN) == (told["name"], told["digest"], told["models"])
    assert here.heard.told("is not in the local image store of this machine", "warning")
    with pytest.raises(OperationError, match="is not in the local image store of this machine"):
        HANDLER.create(call)
    assert "image" == HANDLER.read(dataclasses.replace(call, id="image", state=state)).id


def test_an_image_of_the_local_store_that_needs_its_base_is_refused(here):
    """As one of a registry is."""
    image = here.build(base_packages=("gdal",))

    with pytest.raises(InvalidInputError, match="needs what only its base image brings, gdal"):
        HANDLER.create(of_here(here, image, preview=True))


def test_a_damaged_image_of_the_local_store_is_told(here, tmp_path):
    """Its manifest is read from the layer that holds it."""
    image = here.build()
    (blob,) = tmp_path.glob(f"here/images/**/{image.layers[-1].digest.partition(':')[2]}")
    blob.chmod(0o600)
    blob.write_bytes(b"torn")

    with pytest.raises(OperationError, match="its layout layer cannot be read"):
        HANDLER.create(of_here(here, image))


def test_a_service_that_goes_over_to_the_local_store_lets_go_of_what_it_pulled(asked, pushed):
    """The claim of the pull stays known, and ends with the resource."""
    _, pulled = HANDLER.create(asked)
    local = {"reference": f"{pulled['name']}@{pulled['digest']}"}
    call = dataclasses.replace(asked, id="image", news=local, olds=asked.news, state=pulled)
    state = HANDLER.update(call)
    HANDLER.delete(dataclasses.replace(call, olds=local, state=state))

    assert pulled["owner"] == state["owner"]
    assert [] == list(workplace(asked.settings).images.list())


def test_a_pulled_image_goes_with_the_resource(asked):
    """Its bytes are this machine's only; the registry keeps it."""
    _, state = HANDLER.create(asked)
    images = workplace(asked.settings).images
    made = dataclasses.replace(asked, id="image", olds=asked.news, state=state)

    assert images.whole(state["digest"]) is not None
    assert "image" == HANDLER.read(made).id
    HANDLER.delete(made)
    assert [] == list(images.list())
    assert "image" == HANDLER.read(made).id


def test_an_image_that_is_nowhere_any_more_is_gone(asked, real, pushed):
    """Only the registry can say so."""
    _, state = HANDLER.create(asked)
    made = dataclasses.replace(asked, id="image", olds=asked.news, state=state)
    HANDLER.delete(made)
    with client() as ours:
        ours.delete(at(real, pushed.partition("/")[2]))

    assert "" == HANDLER.read(made).id
    with pytest.raises(InvalidInputError, match="is not there"):
        HANDLER.create(asked)


def test_a_registry_that_does_not_answer_leaves_the_image_unknown_in_preview(asked, tmp_path, monkeypatch):
    """A warning there, an error when it is needed."""

    def hurried(call, **more):
        return RegistryClient(Logins(()), cancelled=call.cancelled, clock=Waits().clock(), **more)

    monkeypatch.setattr(pulled_images, "registry_client", hurried)
    with registry(tmp_path / "gone") as gone:
        host = gone.host
    call = dataclasses.replace(asked, news={"reference": f"{host}/a/b@sha256:{'1' * 64}"})
    _, told = HANDLER.create(dataclasses.replace(call, preview=True))

    assert UNKNOWN is told["contract"]
    assert f"sha256:{'1' * 64}" == told["digest"]
    assert asked.say.told("not known yet", "warning")
    with pytest.raises(OperationError, match="cannot be reached"):
        HANDLER.create(call)


def test_an_image_of_somebody_else_needs_another_target(asked, real):
    """A Python of this machine cannot run what it does not know."""
    manifest, blobs = image_of(Pattern(1000, b"foreign").source())
    with client() as ours:
        reference = str(ours.push(at(real, "foreign:1"), manifest, MANIFEST_TYPE, blobs).reference)

    with pytest.raises(InvalidInputError, match="needs a target that runs containers"):
        HANDLER.create(dataclasses.replace(asked, preview=True, news={"reference": reference}))


def test_an_image_for_another_kind_of_machine_is_refused_in_preview(asked, monkeypatch):
    """Its wheels would not load."""
    monkeypatch.setattr("pulumi_mlserve.provider.pulled_images.host_platform", lambda: "linux/arm64")

    with pytest.raises(InvalidInputError, match=r"made for linux/amd64, and this machine is linux/arm64"):
        HANDLER.create(dataclasses.replace(asked, preview=True))


@pytest.mark.parametrize(
    ("reference", "words"),
    [
        ("x.io/a/b:1", "mlserve images pull x.io/a/b:1"),
        ("x.io/a/b", "has no digest"),
        ("a/b@sha256:" + "1" * 64, "names no registry"),
        ("https://x.io/a", "did you mean"),
        ("x.io/a@sha256:12", "64"),
    ],
)
def test_a_reference_that_names_no_image_for_good_is_refused(asked, reference, words):
    """A tag may mean another image tomorrow."""
    (problem,) = HANDLER.check(dataclasses.replace(asked, news={"reference": reference})).problems

    assert "reference" == problem.path
    assert words in problem.message


def test_where_an_image_lies_is_no_difference_to_a_service():
    """Moved to another registry it is the same image: nothing restarts, and the revision keeps its name."""
    image = {"name": "price", "digest": "sha256:" + "1" * 64}
    old, new = {**image, "reference": f"price@{image['digest']}"}, {**image, "reference": f"x.io/p@{image['digest']}"}
    urn = "urn:pulumi:dev::shop::mlserve:index:LocalService$mlserve:index:LocalProcess::price"
    call = Call(urn, news={"name": "price", "image": new}, olds={"name": "price", "image": old})

    assert new == LocalProcessHandler().drift(call)["image"]
    assert revision_of(call, ()) == revision_of(dataclasses.replace(call, news=call.olds), ())


def test_a_pull_that_failed_is_finished_by_the_next(asked, real, pushed):
    """What arrived whole is not read again."""
    with proxied(real) as proxy:
        reference = f"{proxy.host}/{pushed.partition('/')[2]}"
        proxy.fault("GET", "/blobs/", status=403, after=3, times=1)
        call = dataclasses.replace(asked, news={"reference": reference})
        with pytest.raises(OperationError, match="403"):
            HANDLER.create(call)
        assert [] == list(workplace(asked.settings).images.list())
        before = proxy.count("GET", "/blobs/", 200)
        _, state = HANDLER.create(call)

        assert workplace(asked.settings).images.verify(state["digest"]) == ()
        assert proxy.count("GET", "/blobs/", 200) - before < 7


def test_an_image_that_needs_packages_of_its_base_is_refused(tmp_path, asked, monkeypatch, real):
    """A local service runs without the base."""
    there = Bench(tmp_path / "based", monkeypatch)
    plan = there.plan
    monkeypatch.setattr(there, "plan", lambda **changes: plan(base_packages=("gdal",), **changes))
    reference = there.up(registry=f"{real.host}/based").state["reference"]

    with pytest.raises(InvalidInputError, match="needs what only its base image brings, gdal"):
        HANDLER.create(dataclasses.replace(asked, preview=True, news={"reference": reference}))
