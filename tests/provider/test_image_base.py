"""The base that check settles: none where nobody asked, kept while the same is asked for, refused if unfit."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from base_kit import debian, push_base, push_index
from registry_kit import registry

from pulumi_mlserve.clients.environments.resolver import Lock
from pulumi_mlserve.clients.images.image_build import ImageContent
from pulumi_mlserve.clients.registries import registry_client as clients
from pulumi_mlserve.clients.registries.registry_client import RegistryClient
from pulumi_mlserve.core.environments.environment import EnvironmentSpec
from pulumi_mlserve.core.images.image import ImageInputs
from pulumi_mlserve.core.images.oci import config_json, environment
from pulumi_mlserve.core.problems import InvalidInputError, Problem
from pulumi_mlserve.provider import image_base, image_forecast, service_surroundings
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_base import base_content, base_digest, base_reference, device_of, settle_base
from pulumi_mlserve.provider.image_environment import Environment
from pulumi_mlserve.provider.image_registry import registry_client
from pulumi_mlserve.provider.image_unsettled import UnsettledError
from pulumi_mlserve.provider.service_surroundings import surroundings_problems
from pulumi_mlserve.provider.values import UNKNOWN

URN = "urn:pulumi:dev::shop::mlserve:index:ScoringImage$mlserve:index:Image::diabetes"
GPU = (("onnxruntime-gpu", "1.22.0"),)
CUDA = {"usr/local/cuda/lib64/libcudart.so.12.4.127": b"", "usr/lib/libcudnn.so.9.1.0": b""}


@pytest.fixture(scope="module")
def where(tmp_path_factory):
    """A running registry."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def said(tmp_path, monkeypatch):
    """What was said; caches and installed packages of this test's own."""
    cache, packages = tmp_path / "bases", tmp_path / "packages"
    cache.mkdir()
    for name, tag in (("numpy-2.0.0", "cp311-cp311-manylinux_2_27_x86_64"), ("pure_one-1", "py3-none-any")):
        (packages / f"{name}.dist-info").mkdir(parents=True)
        (packages / f"{name}.dist-info" / "WHEEL").write_text(f"Wheel-Version: 1.0\nTag: {tag}\n")
    resolver = SimpleNamespace(install=lambda *_, **__: packages)
    monkeypatch.setattr(image_base, "workplace", lambda _: SimpleNamespace(resolver=resolver))
    monkeypatch.setattr(image_base, "cache_folder", lambda _: cache)
    return []


def asked(said, *, before=None, **news):
    """Return a call about an image."""
    olds = (
        {} if before is None else {**before, "recipe": "sha256:r", "lock": "lock", "requirements": ["python==3.11.*"]}
    )
    return Call(
        URN, news={"name": "diabetes", **news}, olds=olds, say=lambda text, kind: said.append(f"{kind}: {text}")
    )


def locked(python="3.11", platform="linux/amd64", packages=(("numpy", "2.0.0"),)):
    """Return an environment with its lock."""
    return Environment(EnvironmentSpec(python, ()), Lock("lock", packages, python, platform, "sha256:k"))


def settled(said, environment=None, **given):
    """Return the base for an image."""
    return settle_base(asked(said, **given), environment or locked())


def refused(said, environment=None, **given):
    """Return why there is none."""
    with pytest.raises(InvalidInputError) as error:
        settled(said, environment, **given)
    return [(problem.path, problem.message) for problem in error.value.problems]


@pytest.mark.parametrize("given", [{}, {"base_image": "scratch"}, {"base_image": "scratch", "registry": "a.example"}])
def test_nobody_is_asked_without_need(said, monkeypatch, given):
    """On a laptop, or where nothing is to be below."""
    monkeypatch.setattr(image_base, "base_images", None)

    assert settled(said, **given) is None


def test_a_base_is_settled_with_what_it_is(said, where):
    """Digest, Python and how it is called, system and C library."""
    pushed = push_base(where, debian())

    base = settled(said, base_image=str(pushed.reference))

    wanted = {"digest": pushed.digest, "index": pushed.digest, "reference": str(pushed.reference), "glibc": "2.36"}
    wanted |= {"python": "3.11.2", "interpreter": "/usr/bin/python3.11", "platform": "linux/amd64"}
    assert wanted == {name: base[name] for name in wanted}
    assert (pushed.digest, str(pushed.reference.at(pushed.digest))) == (
        base_digest({"base": base}),
        base_reference({"base": base}),
    )
    assert [line for line in said if "Python 3.11.2, glibc 2.36" in line]


def test_a_kept_base_asks_only_whether_its_tag_moved(said, where, monkeypatch):
    """Its layers are not looked at again while the packages are the same."""
    pushed = push_base(where, debian(), name="kept:1")
    given = {"base_image": str(pushed.reference)}
    base = settled(said, **given)
    monkeypatch.setattr(image_base, "_found", None)

    assert base == settled(said, before={"base": base}, **given)


def test_other_packages_on_a_kept_base_are_compared_with_it(said, where):
    """Without asking what the tag means now."""
    pushed = push_base(where, debian(), name="same:1")
    given = {"base_image": str(pushed.reference)}
    base = settled(said, **given)
    push_base(where, debian("3.12"), name="same:1")

    other = dataclasses.replace(locked().lock, text="other")
    assert base == settled(said, dataclasses.replace(locked(), lock=other), before={"base": base}, **given)
    (found,) = refused(said, locked("3.12"), before={"base": base}, **given)
    assert "has Python 3.11, and the packages are locked for 3.12" in found[1]


def test_the_platforms_own_image_of_an_index_is_the_base(said, where):
    """And the lock says which platform that is."""
    parts = [
        push_base(where, debian(machine=machine), name=f"both:{machine}", platform=f"linux/{machine}")
        for machine in ("amd64", "arm64")
    ]
    index = push_index(where, *parts, name="both:1")

    base = settled(said, locked(platform="linux/arm64"), base_image=str(index.reference))

    assert (parts[1].digest, index.digest) == (base["digest"], base["index"])


def test_a_run_stands_for_the_image_in_which_it_ran(said, where, monkeypatch):
    """What it named is kept; MLflow is not asked again."""
    pushed = push_base(where, debian(), name="train:1")
    monkeypatch.setattr(image_base, "run_image", lambda run, address: {("abc", ""): pushed.reference}[run, address])
    base = settled(said, base_image="runs:/abc")
    monkeypatch.setattr(image_base, "run_image", None)

    assert (pushed.digest, str(pushed.reference)) == (base["digest"], base["reference"])
    assert base == settled(said, before={"base": base}, base_image="runs:/abc")


def test_a_preview_tells_what_of_a_base_is_sent(said, where, monkeypatch, tmp_path):
    """Its layers go to another registry; in its own they are mounted."""
    pushed = push_base(where, debian(), name="sent:1")
    call = asked(said, base_image=str(pushed.reference))
    call = dataclasses.replace(call, news={**call.news, "base": settle_base(call, locked())})
    content = ImageContent(base=base_content(call))
    images = SimpleNamespace(forecast=lambda *_: [])
    monkeypatch.setattr(image_forecast, "workplace", lambda _: SimpleNamespace(images=images))

    def told(host):
        said.clear()
        news = {**call.news, "registry": f"{host}/ml"}
        image_forecast.say_what_is_built(dataclasses.replace(call, news=news), None, content)
        return "\n".join(said)

    with registry(tmp_path / "other") as other:
        assert f"{other.host}/ml/diabetes: gets base, layout" in told(other.host)
    assert "layers: base " in told(where.host)
    assert f"{where.host}/ml/diabetes: gets layout" in told(where.host)


def test_a_base_on_another_registry_is_another(said, where):
    """What was asked for is remembered, not what it was found as."""
    pushed = push_base(where, debian(), name="one:1")
    base = settled(said, base_image=str(pushed.reference))
    other = push_base(where, debian(glibc="2.41"), name="two:1")

    found = settled(said, before={"base": base}, base_image="two:1", base_image_registry={"address": where.host})

    assert other.digest == found["digest"]


def test_what_does_not_fit_is_told_at_its_property(said, where):
    """All at once: Python and C library."""
    pushed = push_base(where, debian("3.12", glibc="2.12"), name="old:1")

    found = refused(said, base_image=str(pushed.reference))

    assert ["base_image", "base_image"] == [path for path, _ in found]
    assert "set python_version='3.12'" in found[0][1]
    assert "numpy (2.27)" in found[1][1]


def test_a_default_that_cannot_be_looked_up_is_no_mistake_of_the_program(said, monkeypatch):
    """It says what else to do; the next run may reach it."""
    monkeypatch.setattr(image_base, "default_base", lambda _: "127.0.0.1:9/library/python:3.11")
    monkeypatch.setattr(image_base, "base_images", _hurried(image_base.base_images))

    with pytest.raises(UnsettledError) as failure:
        settled(said, registry="a.example")
    assert "registry" == failure.value.problem.path
    assert "'scratch' for none" in failure.value.problem.message


def test_a_base_that_is_not_there_is_refused_in_preview(said, where):
    """The registry itself says so: a tag that was mistyped is no reason to wait for the next run."""
    push_base(where, debian(), name="there:1")
    (found,) = refused(said, base_image=f"{where.host}/there:2")

    assert "base_image" == found[0]
    assert f"{where.host}/there:2 is not there" in found[1]


def _hurried(make):
    def hurried(call):
        return dataclasses.replace(
            make(call), client=lambda logins, **more: RegistryClient(logins, **{**more, "attempts": 1})
        )

    return hurried


def test_what_is_not_known_yet_leaves_the_base_unknown(said, where):
    """The login of a registry that the same program makes; a kept base needs none."""
    pushed = push_base(where, debian(), name="later:1")
    given = {"base_image": str(pushed.reference)}
    base = settled(said, **given)
    later = {**given, "base_image_registry": {"address": where.host, "username": "u", "password": UNKNOWN}}

    assert UNKNOWN is settled(said, **later)
    assert base == settled(said, before={"base": base}, **later)
    assert UNKNOWN is settled(said, Environment(EnvironmentSpec("3.11", ()), None), **given)


def test_packages_for_another_system_stand_on_no_base(said):
    """Containers run Linux."""
    (found,) = refused(said, locked(platform="darwin/arm64"), base_image="a.example/b")

    assert "base_image" == found[0]
    assert "darwin/arm64" in found[1]


def test_a_scoring_image_is_no_base(said, where):
    """Its layers would lie below those of another; what it stands on is named."""
    labels = {"mlserve.recipe": "sha256:r", "org.opencontainers.image.base.name": "docker.io/library/python:3.11"}
    pushed = push_base(where, debian(), name="ours:1", labels=labels)

    (found,) = refused(said, base_image=str(pushed.reference))

    assert "is a scoring image itself" in found[1]
    assert "'docker.io/library/python:3.11'" in found[1]


def test_files_that_lie_in_the_way_are_told(said, where):
    """Those of a v1 image, say."""
    pushed = push_base(where, debian(), {"var/azureml-app/score.py": b""}, name="v1:1")

    settled(said, base_image=str(pushed.reference))

    assert [line for line in said if line.startswith("warning") and "/var/azureml-app already" in line]


def test_an_image_is_for_what_its_base_is_made_for(said, where):
    """With CUDA it is for GPUs, unless that is denied."""
    pushed = push_base(where, debian(), CUDA, name="cuda:1")
    given = {"base_image": str(pushed.reference)}
    base = settled(said, locked(packages=GPU), **given)

    assert ("12.4.127", "cuda") == (base["cuda"], device_of({"base": base}))
    assert "cpu" == device_of({})
    ((path, text),) = refused(said, locked(packages=GPU), enable_gpu=False, **given)
    assert ("enable_gpu", True) == (path, "is for GPUs" in text)


def test_packages_for_gpus_need_a_base_that_has_cuda(said, where):
    """Without any base nothing is asked of it, and what can never work is refused all the same."""
    pushed = push_base(where, debian(), name="cpu:1")

    ((path, text),) = refused(said, locked(packages=GPU), base_image=str(pushed.reference))
    assert ("base_image", True) == (path, "needs CUDA 12 and cuDNN 9" in text)
    assert settled(said, locked(packages=GPU)) is None
    ((path, text),) = refused(said, locked(packages=(("onnxruntime", "1.22.0"),)), enable_gpu=True)
    assert ("enable_gpu", True) == (path, "never uses a GPU" in text)


def test_what_is_built_has_the_bases_layers_and_settings(said, where):
    """In the types of OCI, with its variables; ours are on top, and another image's script is not among them."""
    env = ["PATH=/opt/bin", "FROM_BASE=1", "AZUREML_ENTRY_SCRIPT=old.py", "PYTHONPATH=/opt/lib", "MLSERVE_X=1"]
    labels = {"maintainer": "somebody", "org.opencontainers.image.title": "base"}
    docker = "application/vnd.docker.image.rootfs.diff.tar.gzip"
    pushed = push_base(where, debian(), name="built:1", env=env, labels=labels, types=[docker])
    given = {"base_image": str(pushed.reference)}
    base = settled(said, **given)

    content = base_content(asked(said, **given, base=base))
    inputs = ImageInputs("diabetes", "3.11", None, "sha256:r", base=content.base.digest, device="cuda")
    variables = environment(inputs, content.base)
    config = config_json(inputs, recipe="sha256:x", layers=[], base=content.base).decode()

    assert ["application/vnd.oci.image.layer.v1.tar+gzip"] == [layer["mediaType"] for layer in content.base.layers]
    assert (pushed.digest, None) == (content.base.digest, content.blobs)
    assert ("1", "/opt/mlserve/runtime:/opt/lib", "all") == tuple(
        variables[name] for name in ("FROM_BASE", "PYTHONPATH", "NVIDIA_VISIBLE_DEVICES")
    )
    assert "/opt/mlserve/site-packages/nvidia/cudnn/lib" in variables["LD_LIBRARY_PATH"].split(":")
    assert not {"AZUREML_ENTRY_SCRIPT", "MLSERVE_X"} & variables.keys()
    assert '"Entrypoint":["/usr/bin/python3.11","-m"' in config
    assert '"maintainer":"somebody"' in config
    assert '"org.opencontainers.image.title":"diabetes"' in config


def test_a_login_for_the_base_is_the_last_where_the_image_goes(monkeypatch):
    """It may read alone; elsewhere it is the first."""
    monkeypatch.setenv("DOCKER_CONFIG", "/nonexistent")
    access = {"address": "a.example", "username": "reader", "password": "secret"}
    news = {"name": "x", "base_image": "b", "base_image_registry": access}
    found = []
    monkeypatch.setattr(clients, "RegistryClient", lambda logins, **_: found.append(logins))

    registry_client(Call(URN, news={**news, "registry": "a.example/ml"}))
    registry_client(Call(URN, news={**news, "registry": "c.example/ml"}))

    assert ["reader", "reader"] == [logins.find("a.example").login.user for logins in found]
    assert ["reader", "reader"] == [logins.sources[-1]("a.example").user for logins in found]
    assert (None, "reader") == tuple(getattr(logins.sources[0]("a.example"), "user", None) for logins in found)


@pytest.mark.parametrize(
    ("device", "gpu", "same", "problems"),
    [("cuda", False, False, 1), ("cuda", True, False, 0), ("cuda", False, True, 0), (None, False, False, 0)],
)
def test_a_local_service_needs_the_images_device(monkeypatch, device, gpu, same, problems):
    """One that is served already is left alone: it may run on another machine."""
    monkeypatch.setattr(service_surroundings, "has_nvidia_gpu", lambda: gpu)
    image = {"name": "price", "digest": "sha256:1", "reference": "price@sha256:1", "features": [], "device": device}

    call = Call(URN, news={"image": image}, olds={"image": image} if same else {})
    found = surroundings_problems(call, {}, set())

    assert ["image"] * problems == [problem.path for problem in found]
    assert all(isinstance(problem, Problem) for problem in found)
