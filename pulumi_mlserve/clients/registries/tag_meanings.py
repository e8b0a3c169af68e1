"""What the tags of a repository mean: an image each, or an index and with it all that this lists.

Only an index is read. Of anything else the registry tells digest and type, and nothing rests on its bytes.
"""

from __future__ import annotations

import functools
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pulumi_mlserve.clients.interruption import heard
from pulumi_mlserve.clients.registries.refusals import NotThereError, RegistryError
from pulumi_mlserve.clients.registries.session import Surroundings
from pulumi_mlserve.core.images.reference import Reference
from pulumi_mlserve.core.images.remote_image import INDEX_TYPES, Descriptor, ImageIndex, read_manifest

if TYPE_CHECKING:
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient

_LOOKS_AT_ONCE: Final = 8
_NESTED: Final = 3
_SAY_EVERY: Final = 1.0


@dataclass(frozen=True)
class TagMeanings:
    """What goes with the tags that were looked at; a tag that is gone meanwhile means nothing.

    Attributes:
        tags: One of the tags for each digest that goes with any.
        unreadable: Why it cannot be told what a tag means, for each such tag.
    """

    tags: Mapping[str, str] = field(default_factory=dict)
    unreadable: Mapping[str, str] = field(default_factory=dict)


def tag_meanings(
    client: RegistryClient, around: Surroundings, repository: Reference, tags: Sequence[str]
) -> TagMeanings:
    """Return what tags mean, several asked for at a time.

    Raises:
        CancelledError: Nobody wants to know any more.
        RegistryError: The registry does not answer.
    """
    say, lock, said, done = heard(around.progress), threading.Lock(), around.clock.now(), 0

    def look(tag: str) -> frozenset[str] | RegistryError:
        nonlocal said, done
        found: frozenset[str] | RegistryError
        try:
            found = _meant(client, repository.tagged(tag))
        except NotThereError:  # somebody removed it since the tags were listed
            found = frozenset()
        except RegistryError as error:
            if not error.answered:
                raise
            found = error
        with lock:
            done, now = done + 1, around.clock.now()
            if now - said >= _SAY_EVERY:
                said = now
                say(f"looking at the tags of {repository.name}: {done} of {len(tags)}")
        return found

    calls = [functools.partial(look, tag) for tag in tags]
    looks = dict(zip(tags, around.stop.each(calls, _LOOKS_AT_ONCE) if calls else (), strict=True))
    return TagMeanings(
        {digest: tag for tag, found in looks.items() if isinstance(found, frozenset) for digest in found},
        {tag: str(found) for tag, found in looks.items() if isinstance(found, RegistryError)},
    )


def _meant(client: RegistryClient, reference: Reference) -> frozenset[str]:
    first = client.described(reference)
    found = {str(first.reference.digest)}
    asked = [first.reference] if first.media_type in {*INDEX_TYPES, ""} else []
    for _ in range(_NESTED):
        listed = [entry for one in asked for entry in _listed(client, one)]
        found.update(entry.digest for entry in listed)
        asked = [reference.at(entry.digest) for entry in listed if entry.media_type in INDEX_TYPES]
    return frozenset(found)


def _listed(client: RegistryClient, index: Reference) -> tuple[Descriptor, ...]:
    """Return what an index lists; nothing where the registry does not have it, as an index may list such, too."""
    try:
        found = client.manifest(index)
        read = read_manifest(found.content, found.media_type)
    except NotThereError:
        return ()
    except ValueError as error:
        raise RegistryError(f"{index}: {error}", answered=True) from error
    return read.images if isinstance(read, ImageIndex) else ()
