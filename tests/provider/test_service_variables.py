"""Variables that decide settings: told before the image is made, by its digest afterwards, and never guessed."""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from pushed_kit import Bench

from pulumi_mlserve.clients.environments.resolver import OfflineError
from pulumi_mlserve.provider import image_environment
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers.image import ImageHandler
from pulumi_mlserve.provider.handlers.local_process import LocalProcessHandler
from pulumi_mlserve.provider.image_environment import deciding_variables
from pulumi_mlserve.provider.service_told import revision_of
from pulumi_mlserve.provider.service_variables import deciding, of_image, path_prefix
from pulumi_mlserve.provider.values import UNKNOWN

PREFIX = "SERVICE_PATH_PREFIX"
CONDA = f"dependencies:\n- python=3.11\nvariables:\n  {PREFIX}: /conda\n  WORKER_COUNT: 2\n  PASSWORD: x\n"
DIGEST, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
IMAGE = {"name": "price", "digest": DIGEST, "reference": f"price@{DIGEST}"}
OF_IMAGE = "urn:pulumi:dev::shop::mlserve:index:ScoringImage$mlserve:index:Image::price"
OF_PROCESS = "urn:pulumi:dev::shop::mlserve:index:LocalService$mlserve:index:LocalProcess::price"
IMAGES, PROCESSES = ImageHandler(), LocalProcessHandler()


@pytest.fixture
def source(tmp_path):
    """A source directory with a script and a conda file that decides settings."""
    folder = tmp_path / "src"
    folder.mkdir()
    (folder / "score.py").write_text("def init(): ...\ndef run(data): ...\n", encoding="utf-8")
    (folder / "env.yml").write_text(CONDA, encoding="utf-8")
    return folder


@pytest.fixture
def asked(source, tmp_path, monkeypatch):
    """A preview of an image of that folder on a machine that reaches no package index."""

    def lock(*_arguments, **_keywords):
        raise OfflineError("the package index cannot be reached")

    place = SimpleNamespace(resolver=SimpleNamespace(lock=lock))
    monkeypatch.setattr(image_environment, "workplace", lambda _settings: place)
    news = {"name": "price", "entry_script": "score.py", "source_directory": str(source), "conda_file": "env.yml"}
    return Call(OF_IMAGE, preview=True, news={**news, "trial": "off"}, settings={"store": str(tmp_path / "store")})


def made(call):
    """Returns what a preview says of an image's variables."""
    checked = IMAGES.check(call)

    assert [] == list(checked.problems)
    return IMAGES.create(dataclasses.replace(call, news=checked.inputs))[1]["variables"]


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        (
            {PREFIX: "/a", "WORKER_COUNT": "2", "WORKER_TIMEOUT": "0", "MODE": "fast"},
            {PREFIX: "/a", "WORKER_COUNT": "2"},
        ),
        ({PREFIX: UNKNOWN, "MODE": UNKNOWN}, {PREFIX: UNKNOWN}),
        ({}, {}),
        (UNKNOWN, UNKNOWN),
        (None, None),
    ],
)
def test_what_is_not_known_is_not_none(variables, found):
    """A variable that may decide a setting is kept though nobody knows it yet; no other one is."""
    assert found == deciding(variables)


@pytest.mark.parametrize(
    ("image", "own", "prefix"),
    [
        (UNKNOWN, {}, UNKNOWN),
        (IMAGE, {}, UNKNOWN),
        ({**IMAGE, "variables": UNKNOWN}, {}, UNKNOWN),
        ({**IMAGE, "variables": {PREFIX: UNKNOWN}}, {}, UNKNOWN),
        ({**IMAGE, "variables": {"WORKER_COUNT": UNKNOWN}}, {}, ""),
        ({**IMAGE, "variables": {PREFIX: "api"}}, {}, "/api"),
        ({**IMAGE, "variables": {PREFIX: "api"}}, {PREFIX: ""}, ""),
        ({**IMAGE, "variables": UNKNOWN}, {PREFIX: "own", "A": UNKNOWN}, "/own"),
        ({**IMAGE, "variables": {}}, {PREFIX: UNKNOWN}, UNKNOWN),
        ({**IMAGE, "variables": {}}, UNKNOWN, UNKNOWN),
    ],
)
def test_a_prefix_that_nobody_knows_is_none_that_is_shown(image, own, prefix):
    """A URL without one would be a wrong one."""
    assert prefix == path_prefix({"image": image, "environment_variables": own})


@pytest.mark.parametrize(
    ("given", "found"),
    [
        ({}, {PREFIX: "/conda", "WORKER_COUNT": "2"}),
        ({"environment_variables": {PREFIX: "/own"}}, {PREFIX: "/own", "WORKER_COUNT": "2"}),
        ({"environment_variables": {PREFIX: UNKNOWN}}, {PREFIX: UNKNOWN, "WORKER_COUNT": "2"}),
        ({"samples": [UNKNOWN]}, {PREFIX: "/conda", "WORKER_COUNT": "2"}),
        ({"conda_file": None, "environment_variables": {PREFIX: "/own", "A": "b"}}, {PREFIX: "/own"}),
        ({"conda_file": None}, {}),
        ({"source_directory": UNKNOWN}, UNKNOWN),
        ({"source_directory": UNKNOWN, "conda_file": None}, {}),
    ],
)
def test_the_first_preview_knows_what_follows_from_files(asked, given, found):
    """Though no index can be asked and nothing else of the image is known; the program's win over the file's."""
    news = {name: value for name, value in {**asked.news, **given}.items() if value is not None}

    assert found == made(dataclasses.replace(asked, news=news))


@pytest.mark.parametrize("named", [UNKNOWN, "none.yml"])
def test_a_file_that_cannot_be_read_tells_nothing(named):
    """What is wrong with it is told where all of it is read."""
    assert UNKNOWN is deciding_variables({"conda_file": named, "environment_variables": {PREFIX: "/own"}})
    assert UNKNOWN is deciding_variables({"conda_file": named, "environment_variables": UNKNOWN})


@pytest.mark.parametrize(
    ("before", "changed", "found"),
    [
        ({"variables": {PREFIX: "/conda"}}, {"tags": {"a": "b"}}, {PREFIX: "/conda"}),
        ({"variables": {PREFIX: "/conda"}}, {"environment_variables": {PREFIX: "/new"}}, UNKNOWN),
        ({}, {"tags": {"a": "b"}}, UNKNOWN),
    ],
)
def test_an_image_whose_folder_is_elsewhere_keeps_its_variables(asked, source, before, changed, found):
    """Unless they may be among what changes, or an earlier release has not written them down."""
    olds = {**asked.news, "recipe": "sha256:r", "lock": "", "layers": {}, **before}
    source.rename(source.with_name("elsewhere"))
    call = dataclasses.replace(asked, news={**asked.news, **changed}, olds=olds, state={"digest": DIGEST})
    checked = IMAGES.check(call)
    again = dataclasses.replace(call, news=checked.inputs)

    assert found == IMAGES.update(again)["variables"]


def test_a_state_of_an_earlier_release_gets_the_variables_with_the_next_update(tmp_path, monkeypatch):
    """By the files; where these are elsewhere nothing is written down, as the engine takes no unknown value."""
    bench = Bench(tmp_path / "one", monkeypatch)
    told, untold = {"variables": {PREFIX: "/conda"}}, {}
    states = []
    for inputs in (told, untold):
        there = bench.up(tags={"a": "b"})
        there = dataclasses.replace(there, state={k: v for k, v in there.state.items() if k != "variables"})
        states.append(bench.up(before=there, tags={"a": "c"}, **inputs).state)

    assert {PREFIX: "/conda"} == states[0]["variables"]
    assert states[1].get("variables") is None


def test_variables_that_nobody_tells_follow_from_the_digest(tmp_path, monkeypatch):
    """The last run's count before this machine's image store; what somebody tells before either."""
    here = Bench(tmp_path / "here", monkeypatch)
    image = here.build(variables={PREFIX: "/here", "PASSWORD": "x"})
    named = {"name": image.name, "digest": image.digest, "reference": image.reference}
    call = Call(OF_PROCESS, settings=here.settings)
    before = dataclasses.replace(call, olds={"image": {**named, "variables": {PREFIX: "/before"}}})
    other = dataclasses.replace(call, olds={"image": {**IMAGE, "variables": {PREFIX: "/before"}}})
    unsaid = dataclasses.replace(call, olds={"image": named})

    for told in ({}, {"variables": UNKNOWN}):
        assert {PREFIX: "/before"} == of_image(before, {**named, **told})
        for asked in (call, other, unsaid):
            assert {PREFIX: "/here"} == of_image(asked, {**named, **told})
        assert told.get("variables") is of_image(call, {**IMAGE, **told})
        assert told.get("variables") is of_image(call, {**named, **told, "digest": UNKNOWN})
    assert {} == of_image(before, {**named, "variables": {"PASSWORD": "x"}})


def test_a_damaged_image_tells_no_variables(tmp_path, monkeypatch):
    """Whoever runs it says what is wrong."""
    here = Bench(tmp_path / "here", monkeypatch)
    image = here.build(variables={PREFIX: "/here"})
    (blob,) = tmp_path.glob(f"here/images/**/{image.layers[-1].digest.partition(':')[2]}")
    blob.chmod(0o600)
    blob.write_bytes(b"torn")

    assert of_image(Call(OF_PROCESS, settings=here.settings), {"digest": image.digest}) is None


@pytest.mark.parametrize("variables", [UNKNOWN, {PREFIX: "/conda"}, {}, None])
def test_what_is_told_of_an_image_is_no_difference_to_a_service(tmp_path, variables):
    """An earlier release wrote down less; the revision keeps its name, too."""
    new = {**IMAGE, "variables": variables} if variables is not None else {**IMAGE, "name": UNKNOWN}
    olds = {"name": "price", "image": IMAGE}
    settings = {"store": str(tmp_path)}
    call = Call(OF_PROCESS, id="shop.dev.price", settings=settings, news={"name": "price", "image": new}, olds=olds)
    call = dataclasses.replace(call, state={"host": "another"})
    other = dataclasses.replace(call, news={"name": "price", "image": {**new, "digest": OTHER}})

    assert {"image": new} == PROCESSES.drift(call)
    assert {} == PROCESSES.drift(other)
    if variables is not None:
        assert revision_of(dataclasses.replace(call, news=olds), ()) == revision_of(call, ()) != revision_of(other, ())
    assert UNKNOWN is revision_of(dataclasses.replace(call, news={"image": UNKNOWN}), ())
