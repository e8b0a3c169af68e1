"""What a look at an image and its removal do, against a real store in a folder."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from pulumi_mlserve.clients.images.image_build import ImageContent
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.clients.images.source_files import scan_source
from pulumi_mlserve.core.images.image import ImageInputs
from pulumi_mlserve.core.images.layers import plan_layers
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.provider import image_registry, image_release
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers import image
from pulumi_mlserve.provider.handlers.image import ImageHandler

URN = "urn:pulumi:dev::shop::mlserve:index:ScoringImage$mlserve:index:Image::price"
HANDLER = ImageHandler()


@pytest.fixture
def images(tmp_path, monkeypatch):
    """Return the image store that the handler works with; a plan needs neither packages nor a trial."""
    for name in ("packages", "src"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "score.py").write_text("def init(): ...\n")
    code = scan_source(tmp_path / "src")
    inputs = ImageInputs("price", "3.11", "sha256:" + "1" * 64, runtime_files().digest, code.digest, (), "score.py")
    plan, content = plan_layers(inputs), ImageContent(tmp_path / "packages", code)
    place = SimpleNamespace(
        images=ImageStore(tmp_path / "images"), records=SimpleNamespace(users_of_image=lambda _digest: ())
    )
    for module in (image, image_registry, image_release):
        monkeypatch.setattr(module, "workplace", lambda _settings: place)
    monkeypatch.setattr(image, "content_of", lambda _call: (plan, content))
    monkeypatch.setattr(image, "try_image", lambda *_: None)
    return place.images


def made(state=None):
    """Return a call about the image that was just built."""
    call = Call(URN, news={"name": "price", "recipe": "sha256:0", "models": []}, state=state or {})
    outputs = HANDLER.update(call) if state else HANDLER.create(call)[1]
    return Call(URN, id="price", news=call.news, olds=call.news, state=outputs)


def test_the_old_half_of_a_replace_takes_nothing_from_the_new_one(images):
    """``pulumi up --replace`` creates and then deletes under one name."""
    old, new = made(), made()
    HANDLER.delete(old)

    assert old.state["digest"] == new.state["digest"]
    assert "price" == HANDLER.read(new).id
    HANDLER.delete(new)
    assert "" == HANDLER.read(new).id
    assert [] == list(images.list())


def test_an_update_keeps_the_owner(images):
    """What the first image claimed is released with the last one."""
    call = made()

    assert call.state["owner"] == made(call.state).state["owner"]
    assert (call.claimant,) == images.claims("price", call.state["digest"])


@pytest.mark.usefixtures("images")
def test_a_refresh_does_not_forget_an_image_of_a_store_that_is_not_there(tmp_path):
    """A disk that is not mounted holds nothing either."""
    call = made()
    (tmp_path / "images").rename(tmp_path / "elsewhere")

    with pytest.raises(OperationError, match="is empty"):
        HANDLER.read(call)
