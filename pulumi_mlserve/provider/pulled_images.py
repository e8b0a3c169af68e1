"""Images made elsewhere: what they say of themselves, here or in a registry, taken in to run here, let go of later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from pulumi_mlserve.clients.environments.resolver import host_platform
from pulumi_mlserve.clients.images.image_pull import ToldImage, told_image
from pulumi_mlserve.clients.images.image_store import ImageInUseError
from pulumi_mlserve.clients.registries.refusals import NotThereError
from pulumi_mlserve.core.images.image import BuiltImage
from pulumi_mlserve.core.images.our_image import NotOursError
from pulumi_mlserve.core.images.reference import Reference, is_local, parse_reference
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_registry import registry_client
from pulumi_mlserve.provider.service_variables import deciding
from pulumi_mlserve.provider.workplace import workplace

if TYPE_CHECKING:
    from mlserve_scoring.manifest import Manifest

    from pulumi_mlserve.clients.registries.registry_client import RegistryClient

_PREVIEW_SECONDS: Final = 5.0


@dataclass(frozen=True)
class KnownImage:
    """An image, wherever it lies.

    Attributes:
        built: What is written down of it.
        manifest: What it tells the runtime.
    """

    built: BuiltImage
    manifest: Manifest


def look_at(call: Call, reference: str, *, at: str) -> KnownImage:
    """Return what an image says of itself; in a preview there is little patience.

    Args:
        call: The call.
        reference: Where the image lies, by digest.
        at: The property that names it.

    Raises:
        InvalidInputError: There is no such image, or it cannot run on this machine.
        OperationError: The registry cannot be asked, or this machine's image store has not what it should have.
    """
    if is_local(reference):
        return _told_here(call, reference, at)
    hurried = {"attempts": 1, "silent_seconds": _PREVIEW_SECONDS} if call.preview else {}
    with registry_client(call, **hurried) as client:
        told = _told(client, parse_reference(reference), at)
    return KnownImage(told.built, told.manifest)


def pull_image(call: Call, reference: str, owner: str, *, at: str) -> KnownImage:
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
    return KnownImage(built, image.manifest)


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


def not_here(reference: str) -> OperationError:
    """Return what to say of an image that only a local image store could have, and this machine's has not."""
    return OperationError(
        f"{reference} is not in the local image store of this machine; "
        "run pulumi up with the image in the same program, or push it to a registry (mlserve:registry)"
    )


def image_parts(image: KnownImage, reference: str) -> dict[str, Any]:
    """Return what a service is told of an image."""
    built = image.built
    return {
        "name": built.name,
        "digest": built.digest,
        "reference": reference,
        "python": built.python,
        "models": [{"name": name, "version": version, "digest": digest} for name, version, digest in built.models],
        "platform": built.platform,
        "features": list(built.features),
        "device": built.device,
        "entry_script": image.manifest.entry_script or "",
        # No more of them than a service's settings follow from: a variable may hold what no other state should.
        "variables": deciding(image.manifest.variables),
        "contract": built.contract or {"schema": 1, "source": "none"},
        "size": built.size,
    }


def _told_here(call: Call, reference: str, at: str) -> KnownImage:
    images, digest = workplace(call.settings).images, reference.partition("@")[2]
    built = images.get(digest)
    if built is None:
        raise not_here(reference)
    return _fitting(KnownImage(built, images.own_manifest(digest)), reference, at)


def _told(client: RegistryClient, reference: Reference, at: str) -> ToldImage:
    try:
        told = told_image(client, reference, host_platform())
    except NotOursError as error:
        text = (
            f"{reference} was not made by mlserve: {error}; a local service runs the images of ScoringImage, "
            "with this machine's Python; any other image needs a target that runs containers"
        )
        raise InvalidInputError([Problem(at, text)]) from error
    except NotThereError as error:
        raise InvalidInputError([Problem(at, f"{reference} is not there; {error}")]) from error
    _fitting(KnownImage(told.built, told.manifest), str(reference), at)
    return told


def _fitting(image: KnownImage, reference: str, at: str) -> KnownImage:
    """Return the image if a process of this machine can run it.

    Raises:
        InvalidInputError: It cannot.
    """
    if packages := ", ".join(image.manifest.base_packages):
        text = (
            f"{reference} needs what only its base image brings, {packages}, and a local service runs without the base;"
            " run it in a container"
        )
        raise InvalidInputError([Problem(at, text)])
    platform, here = image.built.platform, host_platform()
    if platform != here:
        text = f"{reference} is made for {platform}, and this machine is {here}; build it for this one"
        raise InvalidInputError([Problem(at, text)])
    return image
