"""Images of a registry on this machine: what they say of themselves, taken in when they run here, let go of later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pulumi_mlserve.clients.environments.resolver import host_platform
from pulumi_mlserve.clients.images.image_pull import ToldImage, told_image
from pulumi_mlserve.clients.images.image_store import ImageInUseError
from pulumi_mlserve.clients.registries.refusals import NotThereError
from pulumi_mlserve.core.images.image import BuiltImage
from pulumi_mlserve.core.images.our_image import NotOursError
from pulumi_mlserve.core.images.reference import Reference, parse_reference
from pulumi_mlserve.core.problems import InvalidInputError, Problem
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_registry import registry_client
from pulumi_mlserve.provider.workplace import workplace

if TYPE_CHECKING:
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient

_PREVIEW_SECONDS: Final = 5.0


def look_at(call: Call, reference: str, *, at: str) -> ToldImage:
    """Return what an image says of itself; in a preview there is little patience.

    Args:
        call: The call.
        reference: Where the image lies, by digest.
        at: The property that names it.

    Raises:
        InvalidInputError: There is no such image, or it cannot run on this machine.
        OperationError: The registry cannot be asked.
    """
    hurried = {"attempts": 1, "silent_seconds": _PREVIEW_SECONDS} if call.preview else {}
    with registry_client(call, **hurried) as client:
        return _told(client, parse_reference(reference), at)


def pull_image(call: Call, reference: str, owner: str, *, at: str) -> BuiltImage:
    """Take an image into the local store, and claim it there.

    Raises:
        CancelledError: The person has asked to stop; what arrived is kept for the next time.
        InvalidInputError: There is no such image, or it cannot run on this machine.
        OperationError: It cannot be had, or not as its digests say.
    """
    with registry_client(call) as client:
        image = _told(client, parse_reference(reference), at)
        built = workplace(call.settings).images.pull(
            client, image, claimant=call.claimant, owner=owner, progress=call.status, cancelled=call.cancelled
        )
    call.status("")
    return built


def release_pulled(call: Call) -> None:
    """Let go of every image that this resource pulled; one that a service runs stays until that goes."""
    place, owner = workplace(call.settings), str(call.state.get("owner") or "")
    for image in place.images.list():
        if owner and place.images.is_claimed(image.name, image.digest, call.claimant, owner=owner):
            try:
                place.images.remove(
                    image.name, image.digest, claimant=call.claimant, owner=owner, in_use=place.records.users_of_image
                )
            except ImageInUseError as used:
                call.info(f"the image stays on this machine: {used}")


def image_parts(built: BuiltImage, reference: Reference | str) -> dict[str, Any]:
    """Return what a service is told of an image."""
    return {
        "name": built.name,
        "digest": built.digest,
        "reference": str(reference),
        "python": built.python,
        "models": [{"name": name, "version": version, "digest": digest} for name, version, digest in built.models],
        "platform": built.platform,
        "features": list(built.features),
        "device": built.device,
        "contract": built.contract or {"schema": 1, "source": "none"},
        "size": built.size,
    }


def _told(client: RegistryClient, reference: Reference, at: str) -> ToldImage:
    platform = host_platform()
    try:
        told = told_image(client, reference, platform)
    except NotOursError as error:
        text = (
            f"{reference} was not made by mlserve: {error}; a local service runs the images of ScoringImage, "
            "with this machine's Python; any other image needs a target that runs containers"
        )
        raise InvalidInputError([Problem(at, text)]) from error
    except NotThereError as error:
        raise InvalidInputError([Problem(at, f"{reference} is not there; {error}")]) from error
    if packages := ", ".join(told.manifest.base_packages):
        text = (
            f"{reference} needs what only its base image brings, {packages}, and a local service runs without the base;"
            " run it in a container"
        )
        raise InvalidInputError([Problem(at, text)])
    if told.built.platform != platform:
        text = f"{reference} is made for {told.built.platform}, and this machine is {platform}; build it for this one"
        raise InvalidInputError([Problem(at, text)])
    return told
