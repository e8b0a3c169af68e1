"""The OCI documents of an image: canonical, complete, without anything of the builder."""

import hashlib
import json
from dataclasses import replace

import pytest

from pulumi_mlserve.core.digest import FileEntry
from pulumi_mlserve.core.images.image import ImageInputs, ImageLayer, ImageModel
from pulumi_mlserve.core.images.manifest import container_settings
from pulumi_mlserve.core.images.oci import (
    MAX_LABEL_BYTES,
    TAR_GZIP_TYPE,
    TAR_TYPE,
    Base,
    Origin,
    config_json,
    digest_of,
    environment,
    manifest_json,
)

MODEL = ImageModel("ridge", 4, "sha256:" + "a" * 64, (FileEntry("ridge.onnx", "1" * 64, 5),))
INPUTS = ImageInputs(
    "diabetes", "3.11", None, "sha256:r", models=(MODEL,), entry_script="score.py", variables={"A": "1"}
)
LAYERS = [
    ImageLayer("code", "code", "sha256:k", "sha256:" + "1" * 64, "sha256:" + "2" * 64, 10, TAR_GZIP_TYPE),
    ImageLayer("model", "model:ridge", "sha256:l", "sha256:" + "3" * 64, "sha256:" + "3" * 64, 20, TAR_TYPE),
]
BASE = Base(
    "sha256:" + "b" * 64,
    ({"mediaType": TAR_GZIP_TYPE, "digest": "sha256:" + "c" * 64, "size": 3},),
    ("sha256:" + "d" * 64,),
    ("PATH=/opt/bin", "X=y=z"),
)


def config(inputs=INPUTS, **more):
    """Return a config as values."""
    return json.loads(config_json(inputs, recipe="sha256:recipe", layers=LAYERS, **more))


def test_the_config_says_how_to_run():
    """Entry point, user, port and folder are v1's or ours, the user a number."""
    found = config()["config"]

    assert ["python3", "-m", "mlserve_scoring", "serve"] == found["Entrypoint"]
    assert ["--settings", "/opt/mlserve/settings.json"] == found["Cmd"]
    assert ("1000", "/var/azureml-app", {"5001/tcp": {}}) == (found["User"], found["WorkingDir"], found["ExposedPorts"])


def test_an_image_that_speaks_grpc_says_so():
    """Its container listens at a second port, which the config names; others are as they were."""
    speaking = replace(INPUTS, features=("grpc",))

    assert {"5001/tcp": {}, "8081/tcp": {}} == config(speaking)["config"]["ExposedPorts"]
    assert (5001, 8081) == tuple(container_settings(speaking)[name] for name in ("port", "grpc_port"))
    assert "grpc_port" not in container_settings(INPUTS)


def test_the_config_names_the_layers_by_their_tars():
    """Kubernetes and docker check what they unpack against these."""
    found = config(base=BASE)

    assert {"type": "layers", "diff_ids": ["sha256:" + digit * 64 for digit in "d23"]} == found["rootfs"]
    assert 3 == len(found["history"])


@pytest.mark.parametrize(
    ("platform", "expected"),
    [("linux/amd64", ("linux", "amd64", None)), ("linux/arm64/v8", ("linux", "arm64", "v8"))],
)
def test_the_platform_is_told_in_parts(platform, expected):
    """A registry shows what the image runs on."""
    found = config(replace(INPUTS, platform=platform))

    assert expected == (found["os"], found["architecture"], found.get("variant"))


def test_one_model_is_the_model_folder():
    """AZUREML_MODEL_DIR is v1's: the version's folder for one model, the folder of all for several, empty for none."""
    second = replace(MODEL, name="other")

    assert "/var/azureml-app/azureml-models/ridge/4" == environment(INPUTS)["AZUREML_MODEL_DIR"]
    several = replace(INPUTS, models=(MODEL, second))

    assert "/var/azureml-app/azureml-models" == environment(several)["AZUREML_MODEL_DIR"]
    assert "" == environment(replace(INPUTS, models=()))["AZUREML_MODEL_DIR"]


def test_the_users_variables_win_but_cannot_hide_the_runtime():
    """An image whose runtime is not found cannot start."""
    found = environment(replace(INPUTS, variables={"LANG": "de", "PYTHONPATH": "/lib"}), BASE)

    assert ("de", "/opt/mlserve/runtime:/lib", "y=z") == (found["LANG"], found["PYTHONPATH"], found["X"])
    assert found["PATH"].startswith("/opt/bin:")


def test_a_long_contract_is_named_by_its_hash_only():
    """Labels are copied into every object of a cluster."""
    short = config(contract={"x": "y"})["config"]["Labels"]
    long = config(contract={"x": "y" * MAX_LABEL_BYTES})["config"]["Labels"]

    assert '{"x":"y"}' == short["mlserve.contract"]
    assert "mlserve.contract" not in long
    assert long["mlserve.contract.digest"].startswith("sha256:")


def test_the_labels_tell_what_is_inside():
    """Recipe and models can be read without unpacking."""
    labels = config()["config"]["Labels"]

    assert "sha256:recipe" == labels["mlserve.recipe"]
    assert [{"digest": MODEL.digest, "name": "ridge", "version": 4}] == json.loads(labels["mlserve.models"])


def test_the_manifest_lists_base_layers_first():
    """A base's layers keep their descriptors."""
    found = json.loads(manifest_json("diabetes", b"{}", LAYERS, base=BASE))

    assert ["sha256:" + digit * 64 for digit in "c13"] == [layer["digest"] for layer in found["layers"]]
    assert {"digest": digest_of(b"{}"), "mediaType": "application/vnd.oci.image.config.v1+json", "size": 2} == found[
        "config"
    ]


def test_registries_are_told_what_the_image_is_and_comes_from():
    """Title, time, source and base stand in the manifest's annotations and in the config's labels, by OCI's keys."""
    origin = Origin("2020-02-03T04:05:06Z", "https://example.com/code")
    base = replace(BASE, name="docker.io/library/python:3.11")
    expected = {
        "org.opencontainers.image.title": "diabetes",
        "org.opencontainers.image.created": "2020-02-03T04:05:06Z",
        "org.opencontainers.image.source": "https://example.com/code",
        "org.opencontainers.image.base.digest": BASE.digest,
        "org.opencontainers.image.base.name": "docker.io/library/python:3.11",
    }
    text = json.loads(manifest_json("diabetes", b"{}", LAYERS, base=base, origin=origin))
    told = config(base=base, origin=origin)

    assert expected == text["annotations"]
    assert expected.items() <= told["config"]["Labels"].items()
    assert "2020-02-03T04:05:06Z" == told["created"]


def test_nothing_is_told_of_the_moment_and_the_place_unless_asked():
    """The digest is that of the content."""
    text = json.loads(manifest_json("diabetes", b"{}", LAYERS))

    assert {
        "org.opencontainers.image.title": "diabetes",
        "org.opencontainers.image.created": "1970-01-01T00:00:00Z",
    } == text["annotations"]


def test_the_documents_have_the_same_bytes_for_ever():
    """The digest identifies an image everywhere, so its form may not drift."""
    text = config_json(INPUTS, recipe="sha256:recipe", layers=LAYERS)

    assert "92af0510349b0cedddedc9157c227943779db545c119982ab47d309bdcc941fa" == hashlib.sha256(text).hexdigest()
    manifest = manifest_json("diabetes", text, LAYERS)

    assert "f68fff404e947398cc8df048a912674b9b06bf4bbafa3a8922ca385275c85a4a" == hashlib.sha256(manifest).hexdigest()
    assert text == config_json(replace(INPUTS, variables=dict(INPUTS.variables)), recipe="sha256:recipe", layers=LAYERS)


def test_an_image_for_gpus_says_so():
    """To NVIDIA's container runtime by variables, to whoever pulls it by a label; one for the CPU has neither."""
    found = config(replace(INPUTS, device="cuda"))["config"]

    assert "cuda" == found["Labels"]["mlserve.device"]
    assert {"NVIDIA_VISIBLE_DEVICES=all", "NVIDIA_DRIVER_CAPABILITIES=compute,utility"} <= {*found["Env"]}
    plain = config()["config"]
    assert "mlserve.device" not in plain["Labels"]
    assert not [text for text in plain["Env"] if text.startswith(("NVIDIA", "LD_LIBRARY_PATH"))]


def test_a_base_says_how_its_python_is_called():
    """And its labels stay, except those that are about the base itself."""
    labels = {"maintainer": "x", "mlserve.recipe": "r", "org.opencontainers.image.version": "1"}
    found = config(base=replace(BASE, python="/opt/conda/bin/python3.11", labels=labels))["config"]

    assert ["/opt/conda/bin/python3.11", "-m", "mlserve_scoring", "serve"] == found["Entrypoint"]
    assert ("x", "sha256:recipe") == (found["Labels"]["maintainer"], found["Labels"]["mlserve.recipe"])
    assert "org.opencontainers.image.version" not in found["Labels"]
