"""The tags of one repository: all of them, and one taken away.

See https://github.com/opencontainers/distribution-spec: "Listing Tags".
"""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable
from typing import Final
from urllib.parse import urlencode

from pulumi_mlserve.clients.registries.challenges import scope
from pulumi_mlserve.clients.registries.pushes import ImagePush
from pulumi_mlserve.clients.registries.refusals import GONE_CODES, RegistryError, codes_of
from pulumi_mlserve.clients.registries.session import Ask, Session, Surroundings
from pulumi_mlserve.clients.registries.transfer import BlobSource
from pulumi_mlserve.core.images.layers import canonical
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE
from pulumi_mlserve.core.images.reference import Reference

_PAGE: Final = 1000
_MOST_PAGES: Final = 100
_MOST_BYTES: Final = 4 * 1024 * 1024
_NEXT: Final = re.compile(r"""<([^>]+)>\s*;\s*rel="?next"?""")
_EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"
_MISSING: Final = 404


class RepositoryTags:
    """What means something in one repository.

    Args:
        session: The registry.
        around: What all sessions share.
        repository: The repository.
    """

    def __init__(self, session: Session, around: Surroundings, repository: Reference) -> None:
        self._session = session
        self._around = around
        self._repository = repository

    def all(self) -> list[str]:
        """Return every tag; none where there is no such repository.

        Raises:
            RegistryError: The registry cannot be asked, or does not list them.
        """
        name = self._repository.repository
        doing = f"listing the tags of {name}"
        path: str | None = f"/v2/{name}/tags/list?{urlencode({'n': _PAGE})}"
        found: list[str] = []
        for _ in range(_MOST_PAGES):
            if path is None:
                return found
            ask = Ask(doing, "GET", path, (scope(name, "pull"),))
            answer = self._session.call(ask, wanted=(200, _MISSING), most=_MOST_BYTES)
            if answer.status == _MISSING:
                if codes_of(answer.body) & GONE_CODES:
                    return found
                raise self._session.refused(ask, answer)
            try:
                tags = json.loads(answer.body)["tags"] or ()
                found += [str(tag) for tag in tags]
            except (ValueError, KeyError, TypeError) as error:
                raise RegistryError(f"{self._session.where(doing)}: gave no list; look into its log") from error
            following = _NEXT.search(answer.headers.get("link", ""))
            path = self._session.address(answer.url, following[1]) if following else None
        raise RegistryError(f"{self._session.where(doing)}: more than {_PAGE * _MOST_PAGES} tags; remove old ones")

    def remove(self, tag: str, delete: Callable[[Reference], bool]) -> None:
        """Take a tag away; what it meant stays.

        Few registries delete a tag, and some delete the image with it. All of them let a tag mean something else, and
        take it away with that.

        Args:
            tag: Which.
            delete: Deletes something by its digest.

        Raises:
            RegistryError: The registry does not allow it.
        """
        empty = BlobSource.of_bytes(b"{}")
        blob = {"digest": empty.digest, "mediaType": _EMPTY_TYPE, "size": empty.size}
        document = {
            "annotations": {"mlserve.released": f"{tag} {secrets.token_hex(8)}"},
            "artifactType": "application/vnd.mlserve.released",
            "config": blob,
            "layers": [blob],
            "mediaType": MANIFEST_TYPE,
            "schemaVersion": 2,
        }
        content = canonical(document).encode()
        target = Reference(self._repository.registry, self._repository.repository)
        # Without the tag first: where nothing may be deleted, the tag keeps its meaning.
        for tags in ((), (tag,)):
            made = ImagePush(self._session, self._around, target, content, MANIFEST_TYPE, tags).run([empty])
            delete(made.reference)
