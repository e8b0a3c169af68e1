"""What a person is told of an image beside its problems: once, with what to do."""

from __future__ import annotations

import dataclasses

import pytest

from pulumi_mlserve.clients.environments.resolver import OfflineError
from pulumi_mlserve.clients.images.image_build import ImageContent
from pulumi_mlserve.core.images.image import ImageInputs
from pulumi_mlserve.core.images.layers import plan_layers
from pulumi_mlserve.core.problems import InvalidInputError, Problem
from pulumi_mlserve.core.scripts.module_names import modules_of
from pulumi_mlserve.provider import image_environment
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers import image
from pulumi_mlserve.provider.handlers.image import ImageHandler
from pulumi_mlserve.provider.image_changes import say_that_the_lock_is_the_stacks, say_what_changes, say_what_is_newer
from pulumi_mlserve.provider.image_environment import has_committed_lock, platform_of, read_environment
from pulumi_mlserve.provider.image_samples import samples_of
from pulumi_mlserve.provider.image_trial import try_image
from pulumi_mlserve.provider.service_surroundings import surroundings_problems
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown

URN = "urn:pulumi:dev::shop::mlserve:index:ScoringImage$mlserve:index:Image::price"
SOME = "sha256:" + "0" * 64
SAMPLE = {"input": [1], "output": [2]}
DECORATED = "from inference_schema.schema_decorators import input_schema{}\ndef init(): ...\n{}\ndef run(data): ...\n"


class Heard:
    """What was said."""

    def __init__(self):
        self.lines = []

    def __call__(self, text, kind):
        """Take one line."""
        self.lines.append(f"{kind}: {text}")


class NoIndex:
    """A resolver without a package index."""

    def lock(self, *_arguments, **_keywords):
        """Fail as the real one does."""
        raise OfflineError("the packages cannot be resolved: the package index cannot be reached (dns error); connect")


class Remembering:
    """A resolver that remembers what it is asked."""

    def __init__(self):
        self.spec = None

    def lock(self, spec, *_arguments, **_keywords):
        """Remember the question."""
        self.spec = spec


@pytest.fixture
def resolver(monkeypatch):
    """Return a function that sets the resolver."""

    def set_to(one):
        place = type("Place", (), {"resolver": one})
        monkeypatch.setattr(image_environment, "workplace", lambda _settings: place)
        return one

    return set_to


@pytest.fixture
def source(tmp_path):
    """Return a source directory with a script."""
    (tmp_path / "score.py").write_text("def init(): ...\ndef run(data): ...\n")
    return tmp_path


def inputs(source, **more):
    """Return an image's inputs."""
    models = [{"name": "price", "digest": "sha256:0", "sample": SAMPLE}]
    return {"entry_script": "score.py", "source_directory": str(source), "models": models, **more}


def test_an_unreachable_index_is_told_once_with_its_reason(resolver, source):
    """A preview warns and goes on; ``up`` fails with the same words at the property, not with the engine's."""
    resolver(NoIndex())
    (source / "requirements.txt").write_text("tiny==1.0\n")
    heard, handler = Heard(), ImageHandler()
    asked = Call(URN, news=inputs(source, name="price", models=[], requirements_file="requirements.txt"), say=heard)
    checked = handler.check(asked)
    settled = dataclasses.replace(asked, news=checked.inputs)
    _, outputs = handler.create(dataclasses.replace(settled, preview=True))
    why = "the packages cannot be resolved: the package index cannot be reached (dns error); connect"

    assert ((), False) == (tuple(checked.problems), has_unknown(checked.inputs))
    assert [f"warning: the image is not known yet: {why}"] == [line for line in heard.lines if line != "status: "]
    assert {UNKNOWN} == {outputs[name] for name in ("recipe", "lock", "digest", "reference", "base")}
    with pytest.raises(InvalidInputError) as refused:
        handler.create(settled)
    assert [Problem("requirements_file", why)] == list(refused.value.problems)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({}, ""),
        ({"tags": {"a": "b"}}, ""),
        ({"base_image": "python:3.12"}, "base_image"),
        ({"environment_variables": {"A": "1"}}, "environment_variables"),
        ({"models": [{"name": "price", "digest": "sha256:1"}]}, "models"),
        ({"models": [{"name": "price", "digest": UNKNOWN}]}, "models"),
        ({"registry": "x.example"}, "registry"),
        ({"samples": [SAMPLE]}, "samples"),
        ({"upgrade": ["lock"]}, "upgrade"),
        ({"features": None}, "features"),
    ],
)
def test_what_changes_an_image_needs_its_source_directory(tmp_path, changed, words):
    """A machine without the folder tells an unchanged image, and takes no change for none."""
    gone = str(tmp_path / "gone")
    given = {**inputs(gone), "name": "price", "features": ["entra"]}
    before = {**given, "recipe": "sha256:r", "lock": "", "layers": {"code": "sha256:c"}}
    heard, handler = Heard(), ImageHandler()
    news = {name: value for name, value in {**given, **changed}.items() if value is not None}
    asked = Call(URN, news=news, olds=before, state=before, say=heard)
    found = handler.check(asked).inputs

    assert "sha256:r" == found["recipe"]
    assert bool(words) == ("unsettled" in found)
    if words:
        update = dataclasses.replace(asked, news=found)
        assert UNKNOWN is handler.update(dataclasses.replace(update, preview=True))["recipe"]
        assert f"and the image changes by {words}; run pulumi where the folder is" in heard.lines[-2]
        with pytest.raises(InvalidInputError, match=r"source_directory: .* is not on this machine"):
            handler.update(update)


@pytest.mark.parametrize("preview", [True, False])
@pytest.mark.parametrize("committed", [True, False])
def test_a_lock_that_only_the_state_has_is_told_when_the_image_is_made(monkeypatch, tmp_path, preview, committed):
    """Once in a resource's life: neither by a preview nor by later updates."""
    lock = tmp_path / "requirements.txt"
    lock.write_text(f"tiny==1.0{' --hash=sha256:' + '0' * 64 if committed else ''}\n")
    monkeypatch.setattr(image.ImageHandler, "_make", lambda _self, _call: ({}, None))
    heard = Heard()
    call = Call(URN, news={"name": "price", "requirements_file": str(lock)}, preview=preview, say=heard)
    ImageHandler().create(call)
    told = [*heard.lines, "status: "]
    ImageHandler().update(call)

    assert committed == has_committed_lock(call)
    assert told == heard.lines
    assert (not preview and not committed) == any("with `mlserve lock`" in line for line in told)


@pytest.mark.parametrize(
    ("given", "advice"),
    [
        ({}, "give a requirements_file, and keep a lock beside it with `mlserve lock`"),
        ({"conda_file": "env.yml"}, "keep a lock beside the environment file with `mlserve lock`"),
    ],
)
def test_what_keeps_a_lock_is_told_as_the_program_can_do_it(given, advice):
    """Without an environment file there is nothing to keep a lock beside."""
    heard = Heard()
    say_that_the_lock_is_the_stacks(Call(URN, news=given, say=heard))

    assert advice == heard.lines[0].partition("versions: ")[2]


def test_a_kept_runtime_is_told_with_what_takes_the_other_one():
    """By both digests, as nothing else tells runtimes apart."""
    heard = Heard()
    say_what_is_newer(Call(URN, say=heard), "sha256:" + "1" * 64, "sha256:" + "2" * 64)

    (line,) = heard.lines
    assert ["111111111111", "222222222222", "upgrade=['runtime']"] == [
        part for part in ("111111111111", "222222222222", "upgrade=['runtime']") if part in line
    ]


def test_moved_layers_and_packages_are_told():
    """And nothing when the layers are the same."""
    heard = Heard()
    before = {"layers": {"code": "1", "runtime": "1"}, "lock": "numpy==1.0 \\\n"}
    say_what_changes(Call(URN, olds=before, news=before, say=heard))
    assert [] == heard.lines
    say_what_changes(
        Call(URN, olds=before, news={"layers": {"code": "2", "runtime": "1"}, "lock": "numpy==2.0"}, say=heard)
    )

    assert ["info: 1 of 2 layers changes: code; unchanged: runtime", "info: packages: numpy 1.0 → 2.0"] == heard.lines


@pytest.mark.parametrize(
    ("script", "declared"),
    [
        (DECORATED.format("", "@input_schema('data', t)"), True),
        (DECORATED.format(" as declares", "@declares('data', t)"), True),
        ("import inference_schema as s\ndef init(): ...\n@s.input_schema('data', t)\ndef run(data): ...\n", True),
        (DECORATED.format("", "# @input_schema('data', t)"), False),
        ("def init(): 'input_schema'\ndef run(data): ...\n", False),
        ("def run(:  # input_schema\n", False),
        ("", False),
        (None, False),
    ],
)
def test_only_a_decorator_of_run_takes_the_place_of_the_models_sample(source, script, declared):
    """A comment, a text or a broken script that merely names it does not."""
    (source / "score.py").unlink() if script is None else (source / "score.py").write_text(script)

    assert (None if declared else [SAMPLE]) == samples_of(inputs(source))


def test_given_samples_win_and_unknown_ones_stay_unknown(source):
    """Bare inputs are completed; two models have no sample in common."""
    two = [{"name": name, "digest": "d", "sample": SAMPLE} for name in ("a", "b")]

    assert [{"input": [1]}, SAMPLE] == samples_of(inputs(source, samples=[[1], SAMPLE]))
    assert [UNKNOWN] == samples_of(inputs(source, samples=[UNKNOWN]))
    assert samples_of(inputs(source, models=two)) is None
    assert samples_of(inputs(source, models=UNKNOWN)) is None


@pytest.mark.parametrize("standins", [None, True, False])
def test_without_stand_ins_the_real_packages_are_asked_for(resolver, source, standins):
    """They stay in the environment, and the runtime leaves the import path to them."""
    (source / "requirements.txt").write_text("azureml-defaults\n")
    asked = resolver(Remembering())
    heard = Heard()
    given = {} if standins is None else {"standins": standins}
    read_environment(Call(URN, say=heard), inputs(source, requirements_file="requirements.txt", **given))
    real = standins is False

    assert real == any(text.startswith("azureml-defaults") for text in asked.spec.requirements)
    assert ({"MLSERVE_REAL_PACKAGES": "1"} if real else {}) == asked.spec.variables
    assert real != any("stand-ins" in line for line in heard.lines)


@pytest.mark.parametrize(
    ("news", "olds", "expected"),
    [
        ({}, {}, "darwin/arm64"),
        ({"registry": "r.example/ml"}, {}, "linux/amd64"),
        ({"base_image": "python:3.11"}, {}, "linux/amd64"),
        ({"base_image": "scratch"}, {}, "darwin/arm64"),
        ({"platform": "linux/arm64", "registry": "r.example/ml"}, {}, "linux/arm64"),
        (
            {"registry": "r.example/ml"},
            {"lock": "# made for Python 3.11 on linux/arm64 from sha256:" + "0" * 64},
            "linux/arm64",
        ),
    ],
)
def test_a_platform_follows_from_where_an_image_runs(monkeypatch, news, olds, expected):
    """And stays, whatever machine looks at it."""
    monkeypatch.setattr(image_environment, "default_platform", lambda: "darwin/arm64")

    assert platform_of(Call(URN, news=news, olds=olds)) == expected


def test_a_lock_for_another_platform_is_told(resolver, tmp_path):
    """With the command that makes the one for this."""
    resolver(Remembering())
    (tmp_path / "r.txt").write_text("numpy\n")
    (tmp_path / "r.darwin-arm64.lock").write_text("# by mlserve lock r.txt\n")
    heard = Heard()
    news = {"requirements_file": str(tmp_path / "r.txt"), "platform": "linux/amd64"}
    read_environment(Call(URN, news=news, say=heard), news)

    (line,) = heard.lines
    assert line.startswith(
        "info: r.darwin-arm64.lock: is not for linux/amd64, for which this image is made; run `mlserve"
    )


def test_what_the_base_brings_is_not_looked_for_and_not_tried(source):
    """The trial would lack it; what it is said to bring is told."""
    heard = Heard()
    call = Call(URN, news={"name": "price", "base_packages": ["opencv-python-headless", "osgeo"]}, say=heard)
    plan = plan_layers(
        ImageInputs("price", "3.11", None, "sha256:r", base_packages=("opencv-python-headless", "osgeo"))
    )

    assert try_image(call, plan, ImageContent()) is None
    (line,) = heard.lines
    assert line.startswith(
        "warning: the entry script was not tried: its base image brings opencv-python-headless, osgeo"
    )
    assert {"cv2", "osgeo"} < modules_of("opencv-python-headless") | modules_of("osgeo")


def test_a_local_service_refuses_an_image_that_needs_its_base():
    """It has no base: the first preview says so."""
    image = {"name": "price", "digest": UNKNOWN, "reference": UNKNOWN, "base_packages": ["gdal"]}
    (problem,) = surroundings_problems(Call(URN, news={"image": image}), {}, ())

    assert str(problem).startswith(
        "image: needs what only its base image brings, gdal, and a local service runs without"
    )
