"""An image and its registry: where it goes, that it is pushed once it is built, whether it is still there."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pulumi_mlserve.clients.images.attached_list import attach_list
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.models.work import size_text
from pulumi_mlserve.clients.registries.refusals import RegistryError
from pulumi_mlserve.core.images.destination import (
    Destination,
    claim_mark,
    claim_tag,
    claims_by,
    destination_of,
    stack_tag,
)
from pulumi_mlserve.core.images.image import BuiltImage
from pulumi_mlserve.core.images.reference import parse_reference
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_base import base_logins
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown
from pulumi_mlserve.provider.workplace import workplace

if TYPE_CHECKING:
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient

_NAMES: Final = ("registry", "repository", "registry_tag", "name")
_GROUP: Final = 8
"""Letters that the marks of one claimant's lives have in common."""
_LOOKS: Final = 3
"""Attempts of a question on which nothing long was spent."""


def with_destination(call: Call) -> dict[str, Any]:
    """Return the inputs with the registry that holds where the program names none, and with what is to be true of it.

    An image without a registry has neither, so that it stays as it was before there were registries.
    """
    inputs = {name: value for name, value in call.news.items() if name != "pushed"}
    inputs.setdefault("registry", call.settings.get("registry") or None)
    if not inputs["registry"]:
        del inputs["registry"]
        return inputs
    return {**inputs, "pushed": True}


def has_destination(inputs: Mapping[str, Any]) -> bool:
    """Return whether it is known where an image goes, nowhere included."""
    return not has_unknown([inputs.get(name) for name in _NAMES])


def reference_of(call: Call, digest: Any) -> Any:
    """Return where an image with a digest lies, or will lie; unknown where that depends on what is not known."""
    if has_unknown(digest) or not has_destination(call.news):
        return UNKNOWN
    destination = destination_of(call.news, call.stack)
    return f"{call.news['name']}@{digest}" if destination is None else destination.reference(digest)


def push_image(call: Call, built: BuiltImage, owner: str) -> dict[str, Any]:
    """Push an image, if it goes anywhere, and return what the outputs say of that.

    Raises:
        CancelledError: The person has asked to stop.
        OperationError: The registry refused, or could not be reached for long.
    """
    destination = destination_of(call.news, call.stack)
    places, tagged = list(call.state.get("pushed_to") or ()), moving_tags(call)
    if destination is None:
        kept = {"pushed_to": places, "tagged": tagged}
        return {"reference": built.reference, **{name: value for name, value in kept.items() if value}}
    name = destination.repository.name
    claim = claim_tag(built.digest, call.stack, call.claimant, owner)
    images = workplace(call.settings).images
    try:
        with (
            _lost_lives(call, owner) as lost,
            registry_client(call) as client,
            images.opened(built.digest, progress=call.status, cancelled=call.cancelled) as opened,
        ):
            sources = opened.sources(client.source)
            pushed = client.push(destination.repository, opened.manifest, opened.media_type, sources, tags=[claim])
            if unattached := attach_list(client, pushed.reference, opened):
                call.warn(f"the image is pushed, and the list of what is inside is not attached to it: {unattached}")
            tagged += _move_tag(call, client, destination, opened.manifest, opened.media_type)
            if lost:
                _take_over(call, client, destination, owner, lost)
    except (RegistryError, CancelledError):
        raise
    except OperationError:
        images.drop_damaged(built.digest)
        raise
    sent = [source for source in sources if pushed.outcomes[source.digest] == "sent"]
    if sent:
        call.info(
            f"pushed {size_text(pushed.sent_bytes)} of {size_text(built.size)} to {name}: "
            f"{', '.join(sorted(source.name for source in sent))}"
        )
    return {
        "reference": str(pushed.reference),
        "pushed_to": sorted({*places, name}),
        "tagged": sorted(set(tagged)),
    }


def moving_tags(call: Call) -> list[str]:
    """Return what the tag that moves was up to now, under every name that it had, in every repository.

    A state of before these were written down knows the name of its last inputs.
    """
    if (known := call.state.get("tagged")) is not None:
        return list(known)
    tag = str(call.olds.get("registry_tag") or stack_tag(call.stack))
    return [str(parse_reference(place).tagged(tag)) for place in call.state.get("pushed_to") or ()]


def not_pushed(call: Call, built: BuiltImage) -> dict[str, Any]:
    """Return what the outputs say of an image whose push failed: where it will lie, and where parts of it may."""
    destination = destination_of(call.news, call.stack)
    places = [] if destination is None else [destination.repository.name]
    return {"reference": reference_of(call, built.digest), "pushed_to": places}


def is_in_registry(call: Call, inputs: Mapping[str, Any], digest: str) -> bool:
    """Return whether the registry that the inputs name has an image; False only when it says itself that it has not.

    Raises:
        OperationError: It cannot be asked.
    """
    destination = destination_of(inputs, call.stack)
    if destination is None:
        return False
    with registry_client(call, attempts=_LOOKS) as client:
        return client.exists(destination.repository.at(digest))


def registry_client(call: Call, **more: Any) -> RegistryClient:
    """Return a client with this user's logins, which tells what it does and stops when asked to.

    What the program says of the base image's registry counts there; where the image goes, only when nothing else does,
    since it may be allowed to read alone.
    """
    destination = destination_of(call.news, call.stack)
    given = base_logins(call.news)
    elsewhere = {
        name: login for name, login in given.items() if destination is None or name != destination.repository.registry
    }
    # Most images go nowhere, and their previews need not wait for all that speaks with registries.
    from pulumi_mlserve.clients.registries.logins import Logins  # noqa: PLC0415
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient  # noqa: PLC0415

    logins = Logins([*Logins.usual(elsewhere).sources, given.get])
    return RegistryClient(logins, progress=call.status, cancelled=call.cancelled, **more)


@contextlib.contextmanager
def _lost_lives(call: Call, owner: str) -> Iterator[list[str]]:
    """Give the marks of earlier lives of this resource that were killed here before any state knew of them.

    Tags alone do not tell: two people may have a project and a stack of one name, each in a backend of their own.
    """
    if call.state.get("owner"):
        yield []
        return
    mark, group = claim_mark(call.claimant, owner), claim_mark(call.claimant, "")[:_GROUP]
    with workplace(call.settings).images.first_push(mark, group, known=call.heard) as killed:
        yield killed


def _take_over(call: Call, client: RegistryClient, destination: Destination, owner: str, lost: Sequence[str]) -> None:
    """Claim what lost lives of this resource pushed, which nobody else would ever remove."""
    place = destination.repository
    try:
        for left in claims_by(client.tags(place), lost):
            found = client.manifest(place.tagged(left))
            claim = claim_tag(str(found.reference.digest), call.stack, call.claimant, owner)
            client.tag(place.tagged(claim), found.content, found.media_type)
            client.untag(place.tagged(left))
    except RegistryError as error:  # an image more than needed stays in the registry, which is no failure
        call.warn(f"{place.name}: what an earlier run pushed there stays there: {error}")


def _move_tag(
    call: Call, client: RegistryClient, destination: Destination, manifest: bytes, media_type: str
) -> list[str]:
    """Let the tag mean an image; return it, or nothing where it may not move."""
    target = destination.repository.tagged(destination.tag)
    try:
        client.tag(target, manifest, media_type)
    except RegistryError as error:
        if not 400 <= error.status < 500:  # noqa: PLR2004  HTTP's numbers: anything else may go well next time
            raise
        # Where tags may not move, the digest and the tag of its own are enough.
        call.warn(f"the image is pushed, and the tag {destination.tag!r} stays where it was: {error}")
        return []
    return [str(target)]
