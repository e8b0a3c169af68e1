"""Lets go of every image that a resource made: first in registries, then in the local image store.

A registry deletes an image for everyone. So it is deleted only where nobody else needs it, as far as its tags tell, and
only where the registry allows it; else it stays, and one line says so.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pulumi_mlserve.clients.images.attached_list import attached_lists
from pulumi_mlserve.clients.registries.refusals import NotThereError, RegistryError
from pulumi_mlserve.core.images.destination import other_claims, own_claims, plain_tags
from pulumi_mlserve.core.images.reference import Reference, parse_reference
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_registry import moving_tags, registry_client
from pulumi_mlserve.provider.workplace import workplace

if TYPE_CHECKING:
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient
    from pulumi_mlserve.clients.registries.tag_meanings import TagMeanings

_ATTEMPTS: Final = 3
_MOST_TAGS: Final = 100
"""How many tags that are no claims are looked up; with more, whose image is whose is not worth so many questions."""


@dataclass(frozen=True)
class _Pushed:
    """An image that this resource pushed.

    Attributes:
        image: Its place.
        claims: The tags that say so; none where it is gone, and what is attached to it may be there still.
        kept: Why it must stay, if it must.
    """

    image: Reference
    claims: tuple[str, ...] = ()
    kept: str = ""


def release_image(call: Call) -> None:
    """Release every image of the resource; bytes go with the last claim.

    Raises:
        OperationError: Services run one, or a registry cannot be asked; nothing was removed.
    """
    place, name = workplace(call.settings), str(call.olds.get("name") or call.state.get("name"))
    owner, images = str(call.state.get("owner", "")), place.images
    mine = [i.digest for i in images.list(name) if images.is_claimed(name, i.digest, call.claimant, owner=owner)]
    alone = [digest for digest in mine if set(images.claims(name, digest)) == {call.claimant}]
    asked = dataclasses.replace(call, news=call.olds)  # what the program said of logins, too
    with registry_client(asked, attempts=_ATTEMPTS) as client:
        known = dict.fromkeys([*mine, *filter(None, [call.state.get("digest")])])
        repositories = call.state.get("pushed_to") or ()
        pushed = [one for repository in repositories for one in _pushed(call, client, repository, known)]
        doomed = {*alone, *(str(one.image.digest) for one in pushed if one.claims and not one.kept)}
        users = sorted({user for digest in doomed for user in place.records.users_of_image(digest)})
        if users:
            raise OperationError(
                f"image {name!r} is in use by {', '.join(users)}; remove or update these services first"
            )
        for one in pushed:
            _let_go(call, client, one)
    for digest in mine:
        images.remove(name, digest, claimant=call.claimant, owner=owner, in_use=place.records.users_of_image)


def _pushed(call: Call, client: RegistryClient, repository: str, known: Iterable[str]) -> list[_Pushed]:
    """Return what this resource pushed to a repository, by the tags that it left there, and what of it is gone."""
    place, owner = parse_reference(repository), str(call.state.get("owner", ""))
    moving = {str(one.tag) for one in map(parse_reference, moving_tags(call)) if one.name == place.name}
    try:
        tags = client.tags(place)
        claims = own_claims(tags, call.claimant, owner)
        found = {claim: digest for claim in claims if (digest := _meant(client, place.tagged(claim)))}
        meant = {tag: _meant(client, place.tagged(tag)) for tag in tags if tag in moving} if found else {}
        ours = {tag: digest for tag, digest in meant.items() if digest in found.values()}
        foreign = [tag for tag in plain_tags(tags) if tag not in ours]
        others = client.meanings(place, foreign) if found and len(foreign) <= _MOST_TAGS else None
        # Who deleted an image and was killed then left no tag that tells of it.
        unclaimed = [place.at(digest) for digest in known if digest not in found.values()]
        pushed = [_Pushed(image) for image in unclaimed if not client.exists(image)]
    except RegistryError as error:
        if not error.status:  # it did not answer, which is no answer
            raise
        call.warn(f"the images in {repository} stay there: {error}")
        return []
    for claim, digest in found.items():
        theirs = other_claims(tags, digest, call.claimant, owner)
        # Another project may have a stack of the same name, and with it the tag that moves.
        alone = [tag for tag in ours if ours[tag] == digest and not any(one.startswith(f"{tag}-") for one in theirs)]
        pushed.append(_Pushed(place.at(digest), (claim, *alone), _why_kept(digest, theirs, others)))
    return pushed


def _meant(client: RegistryClient, reference: Reference) -> str | None:
    try:
        return client.resolve(reference).digest
    except NotThereError:  # somebody removed it since the tags were listed
        return None


def _why_kept(digest: str, claims: Sequence[str], others: TagMeanings | None) -> str:
    if claims:
        return f"it is needed as {', '.join(claims)}"
    if others is None:
        return f"its repository has more than {_MOST_TAGS} other tags"
    if digest in others.tags:
        return f"the tag {others.tags[digest]!r} means it, or an index with it"
    for tag, why in others.unreadable.items():
        return f"the tag {tag!r} may mean it, which cannot be told: {why}"
    return ""


def _let_go(call: Call, client: RegistryClient, one: _Pushed) -> None:
    try:
        if one.kept:
            call.info(f"{one.image} stays: {one.kept}")
            for tag in one.claims:
                client.untag(one.image.tagged(tag))
        else:
            _delete(call, client, one)
    except RegistryError as error:
        if not error.status:
            raise
        call.warn(f"{one.image} stays: {error}")


def _delete(call: Call, client: RegistryClient, one: _Pushed) -> None:
    """Delete an image, and then what is attached to it from here: an image that stays keeps its list."""
    built = workplace(call.settings).images.get(str(one.image.digest))
    lists: list[str] | None = None
    with _telling(call, one.image):
        # Some registries forget them with the image.
        lists = attached_lists(client, one.image, known=built.sbom if built is not None else None)
    if one.claims:
        client.delete(one.image)
    if lists is not None:
        with _telling(call, one.image):
            client.referrers(one.image).remove(lists)


@contextlib.contextmanager
def _telling(call: Call, image: Reference) -> Iterator[None]:
    """Warn of what a registry answers; when it does not answer, the next run finds what is left."""
    try:
        yield
    except RegistryError as error:
        if not error.answered:
            raise
        call.warn(f"what is attached to {image} stays: {error}")
