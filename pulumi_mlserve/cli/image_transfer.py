"""Answers `mlserve images push`, `pull` and `release`: images between this machine and registries."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_mlserve.cli.images import find_image
from pulumi_mlserve.cli.output import end_progress, progress, require_yes, short, show_json, show_line, show_note, size
from pulumi_mlserve.cli.selection import refuse
from pulumi_mlserve.clients.environments.resolver import host_platform
from pulumi_mlserve.clients.images.attached_list import attach_list
from pulumi_mlserve.clients.images.image_pull import told_image
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import image_folder, store_location
from pulumi_mlserve.clients.registries.registry_client import RegistryClient
from pulumi_mlserve.core.images.oci_layout import tag_of
from pulumi_mlserve.core.images.our_image import NotOursError
from pulumi_mlserve.core.images.reference import Reference, has_registry, parse_reference, reference_problem
from pulumi_mlserve.core.problems import OperationError, Problem

if TYPE_CHECKING:
    from argparse import Namespace

BY_HAND = "pulled by hand"
"""The claimant of what no stack pulled: it stays until it is released by that name."""


def push_image(options: Namespace) -> int:
    """Pushes an image to a repository; what the registry has already is not sent."""
    target = _reference(options.reference)
    if target.digest is not None:
        refuse([Problem("reference", f"says what a digest must be, got {options.reference!r}; give a tag, or none")])
    store = ImageStore(image_folder())
    image = find_image(store, options.image)
    target = target if target.tag else target.tagged(tag_of(image))
    try:
        with RegistryClient(progress=progress) as client, store.opened(image.digest, progress=progress) as opened:
            pushed = client.push(target, opened.manifest, opened.media_type, opened.sources(client.source))
            unattached = attach_list(client, pushed.reference, opened)
    finally:
        end_progress()
    if unattached:
        show_note(f"the list of what is inside is not attached: {unattached}")
    if options.json:
        sent = sorted(digest for digest, outcome in pushed.outcomes.items() if outcome == "sent")
        plain = {"name": image.name, "digest": image.digest, "reference": str(pushed.reference), "tag": target.tag}
        return show_json({**plain, "sent": sent, "sent_bytes": pushed.sent_bytes})
    show_line(f"{image.name}@{short(image.digest)} is {target}, {size(pushed.sent_bytes)} of {size(image.size)} sent")
    show_line(str(pushed.reference))
    return 0


def pull_image(options: Namespace) -> int:
    """Takes an image out of a registry into the local store, and prints its reference by digest."""
    reference = _reference(options.reference)
    store = ImageStore(image_folder())
    try:
        with RegistryClient(progress=progress) as client:
            found = told_image(client, reference, host_platform())
            image = store.pull(client, found, claimant=BY_HAND, progress=progress)
    except NotOursError as error:
        raise OperationError(
            f"{reference}: was not made by mlserve, {error}; docker pull takes images of every kind"
        ) from error
    finally:
        end_progress()
    if options.json:
        return show_json({"name": image.name, "digest": image.digest, "reference": str(found.reference)})
    show_line(f"{image.name}@{short(image.digest)} is in {image_folder()}, {size(image.size)}")
    show_line(str(found.reference))
    return 0


def release_image(options: Namespace) -> int:
    """Lets go of an image that was pulled by hand; its bytes go unless a stack or a service needs them."""
    store = ImageStore(image_folder())
    image = find_image(store, options.image)
    claims = store.claims(image.name, image.digest)
    others = [claimant for claimant in claims if claimant != BY_HAND]
    if BY_HAND not in claims and others:
        raise OperationError(
            f"image {image.reference}: was not pulled by hand, {', '.join(others)} needs it; nothing to release"
        )
    kept = f", whose bytes stay for {', '.join(others)}" if others else f" and delete its bytes, {size(image.size)}"
    require_yes(f"let go of {image.name}@{short(image.digest)}{kept}", given=options.yes)
    records = Records(ModelStore(store_location(options.store)))
    deleted = store.remove(image.name, image.digest, claimant=BY_HAND, in_use=records.users_of_image)
    if options.json:
        return show_json({"name": image.name, "digest": image.digest, "deleted": deleted, "claimants": others})
    done = "its bytes are deleted" if deleted else f"its bytes stay for {', '.join(others)}"
    show_line(f"{image.name}@{short(image.digest)} released; {done}")
    return 0


def _reference(text: str) -> Reference:
    wrong = reference_problem(text)
    if not wrong and not has_registry(text):
        wrong = f"names no registry, got {text!r}; write REGISTRY/REPOSITORY[:TAG], for Docker Hub docker.io/…"
    refuse([Problem("reference", wrong)] if wrong else [])
    return parse_reference(text)
