"""``PulledImage``: an image made elsewhere, by its reference, in the local image store or taken into it."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from pulumi_mlserve.core.image_declarations import PulledImageOutputs
from pulumi_mlserve.core.images.reference import is_local, parse_reference, pulled_problem
from pulumi_mlserve.core.problems import OperationError, Problem
from pulumi_mlserve.provider.call import Call, Checked, Found
from pulumi_mlserve.provider.image_registry import registry_client
from pulumi_mlserve.provider.pulled_images import image_parts, look_at, pull_image, release_pulled
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown
from pulumi_mlserve.provider.workplace import workplace

_OF_THE_CLAIM = frozenset({"owner", "claimant"})
_OUTPUTS = tuple(name for name in PulledImageOutputs.__annotations__ if name not in _OF_THE_CLAIM)


class PulledImageHandler:
    """Says what an image is, and brings one of a registry to this machine."""

    compared = ("reference",)
    replaced = ()

    def check(self, call: Call) -> Checked:
        """Check the reference by itself; whether there is such an image is told where it is looked up."""
        reference = call.news.get("reference")
        wrong = pulled_problem(reference) if isinstance(reference, str) and not is_local(reference) else None
        return Checked(dict(call.news), [Problem("reference", wrong)] if wrong else [])

    def drift(self, call: Call) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: what a digest means cannot change."""
        return {}

    def deletes_first(self, call: Call) -> bool:  # noqa: ARG002
        """Both can be at a time."""
        return False

    def create(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Bring the image here, or say what it is."""
        return "image", self._make(call)

    def update(self, call: Call) -> dict[str, Any]:
        """Bring another image here; the one before stays while a service runs it."""
        return self._make(call)

    def read(self, call: Call) -> Found:
        """Look whether the image is still somewhere: here, else in its registry.

        One of the local store alone may lie in another machine's: whoever wants to run it says what is missing.
        """
        state = call.state
        if is_local(str(state.get("reference"))):
            return Found(call.id, dict(state), dict(call.news))
        if workplace(call.settings).images.get(str(state.get("digest"))) is None:
            with registry_client(call) as client:
                if not client.exists(parse_reference(str(state["reference"]))):
                    return Found("", {}, {})
        return Found(call.id, dict(state), dict(call.news))

    def delete(self, call: Call) -> None:
        """Let go of every image that this resource brought; in its registry nothing changes."""
        release_pulled(call)

    @staticmethod
    def _make(call: Call) -> dict[str, Any]:
        reference = call.news["reference"]
        if has_unknown(reference):
            return dict.fromkeys(_OUTPUTS, UNKNOWN)
        if not call.preview:
            return _taken(call, reference)
        try:
            return image_parts(look_at(call, reference, at="reference"), reference)
        except OperationError as failure:
            call.warn(f"what the image holds is not known yet: {failure}")
            return {**dict.fromkeys(_OUTPUTS, UNKNOWN), **_named(reference)}


def _taken(call: Call, reference: str) -> dict[str, Any]:
    """Return what the image is, once it is here; one of the local store is its maker's, and not claimed."""
    owner = call.state.get("owner")
    if is_local(reference):
        kept = {} if owner is None else {"owner": owner}  # what was pulled before goes with the resource
        return {**image_parts(look_at(call, reference, at="reference"), reference), **kept}
    owner = owner or secrets.token_hex(8)
    return {**image_parts(pull_image(call, reference, owner, at="reference"), reference), "owner": owner}


def _named(reference: str) -> dict[str, Any]:
    """Return what a reference itself tells of an image."""
    name, _, digest = reference.partition("@")
    return {"digest": digest, "reference": reference, **({"name": name} if is_local(reference) else {})}
