"""Images that a handler builds and pushes for tests: a real store in a folder, a real registry, no packages."""

from __future__ import annotations

import dataclasses

from image_kit import Workshop

from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers import image
from pulumi_mlserve.provider.handlers.image import ImageHandler
from pulumi_mlserve.provider.image_registry import with_destination
from pulumi_mlserve.provider.workplace import workplace

HANDLER = ImageHandler()


class Heard:
    """What was said."""

    def __init__(self):
        self.lines = []

    def __call__(self, text, kind):
        """Take one line."""
        self.lines.append(f"{kind}: {text}")

    def told(self, words, kind=""):
        """Return the lines that hold some words."""
        return [line for line in self.lines if words in line and line.startswith(kind)]


class Bench(Workshop):
    """One person's folder of a program, and what their stacks make of it."""

    def __init__(self, folder, monkeypatch):
        super().__init__(folder)
        self.heard = Heard()
        self.settings = {"store": str(self.folder / "store")}
        self.monkeypatch = monkeypatch
        self.place.models.identity.make()
        self.sit_down()

    @property
    def place(self):
        """Return the clients that handlers work with here."""
        return workplace(self.settings)

    def sit_down(self):
        """Let handlers work with what lies here."""
        vars(self.place)["images"] = self.images
        self.monkeypatch.setattr(image, "content_of", lambda _call: (self.plan(), self.content()))
        self.monkeypatch.setattr(image, "try_image", lambda *_: None)

    def call(self, *, stack="dev", before=None, preview=False, **inputs):
        """Return a call about the image of what lies here now, completed as check completes it."""
        plan, model = self.plan(), self.ridge
        news = {"name": "diabetes", "recipe": plan.recipe, "layers": {layer.name: layer.key for layer in plan.layers}}
        news |= {"models": [{"name": model.name, "version": model.version, "digest": model.digest}], **inputs}
        urn = f"urn:pulumi:{stack}::shop::mlserve:index:ScoringImage$mlserve:index:Image::diabetes"
        call = Call(urn, preview=preview, news=news, settings=self.settings, say=self.heard)
        if before is not None:
            call = dataclasses.replace(call, id=before.id, olds=before.olds, state=before.state)
        return dataclasses.replace(call, news=with_destination(call))

    def up(self, **inputs):
        """Create the image, or update it; return the call by which it is known from then on."""
        call = self.call(**inputs)
        return self.after(call, HANDLER.update(call) if call.id else HANDLER.create(call)[1])

    @staticmethod
    def after(call, state):
        """Return the call by which the image is known once there is a state."""
        return dataclasses.replace(call, id="diabetes", olds=call.news, state=state)

    def refreshed(self, call):
        """Look at the image, and return the call by which it is known from then on."""
        found = HANDLER.read(dataclasses.replace(call, news=call.olds))
        return dataclasses.replace(call, id=found.id, state=found.state, olds=found.inputs, news=found.inputs)
