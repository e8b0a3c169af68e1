"""What an image's reference means: ``registry/repository[:tag][@digest]``, as Docker and the OCI write it.

The grammar is https://github.com/distribution/reference. Whether there is such an image is for a registry to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

DOCKER_HUB: Final = "docker.io"
"""What references without a registry mean."""
DEFAULT_TAG: Final = "latest"

_HUB_NAMES: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"})
_HUB_HOST: Final = "registry-1.docker.io"
_HUB_SITE: Final = "hub.docker.com"
_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_REGISTRY: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:]+\])(?::[0-9]{{1,5}})?")
_PART: Final = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")
_MOST_NAME: Final = 255
_MOST_PORT: Final = 65_535
_SHOWN: Final = 100


@dataclass(frozen=True)
class Reference:
    """An image, or where one is to go, complete: nothing is left to a default.

    Attributes:
        registry: The registry's name, with its port where one was given: ``docker.io``, ``localhost:5000``.
        repository: Below it, ``library/python``.
        tag: A name that may move.
        digest: What identifies the content, ``sha256:…``; where there is one the tag only tells people something.
    """

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def host(self) -> str:
        """Where the registry answers: its name, but for Docker Hub."""
        return _HUB_HOST if self.registry == DOCKER_HUB else self.registry

    @property
    def name(self) -> str:
        """Registry and repository."""
        return f"{self.registry}/{self.repository}"

    @property
    def wanted(self) -> str:
        """What to ask the repository for: the digest, else the tag, else ``latest``."""
        return self.digest or self.tag or DEFAULT_TAG

    def at(self, digest: str) -> Reference:
        """Return the reference to one content of the repository, whatever the tag means later."""
        return replace(self, tag=None, digest=digest)

    def tagged(self, tag: str) -> Reference:
        """Return the reference to what a tag of the repository means."""
        return replace(self, tag=tag, digest=None)

    def __str__(self) -> str:
        """Return the reference as it is written."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")


def parse_reference(text: str) -> Reference:
    """Return what a reference means.

    Raises:
        ValueError: It is none; the message says what is wrong, at which place, and what was probably meant.
    """
    if "/" in text.partition("@")[2]:  # what stands before it may be a password, so it is not shown
        raise ValueError(
            "not an image reference: a registry follows an '@'; give registry/repository:tag alone, and log in with "
            "docker login"
        )
    if wrong := _letters_mistake(text) or _habit(text):
        raise ValueError(f"not an image reference, got {_shown(text)}: {wrong}")
    rest, _, digest = text.partition("@")
    head, colon, last = rest.rpartition(":")
    name, tag = (head, last) if colon and "/" not in last else (rest, "")
    registry, repository = _split(name)
    wrong = (
        _registry_mistake(registry)
        or _repository_mistake(repository, begin=text.find(repository))
        or _tag_mistake(tag, given=name != rest, name=name)
        or _digest_mistake(digest, given="@" in text)
    )
    if wrong:
        raise ValueError(f"not an image reference, got {_shown(text)}: {wrong}")
    if registry in _HUB_NAMES:
        registry = DOCKER_HUB
        repository = repository if "/" in repository else f"library/{repository}"
    return Reference(registry, repository, tag or None, digest or None)


def reference_problem(text: str) -> str | None:
    """Return what is wrong with a reference, or None."""
    try:
        parse_reference(text)
    except ValueError as error:
        return str(error)
    return None


def registry_problem(text: str) -> str | None:
    """Return what is wrong with a registry, or a folder of repositories in one, ``HOST[:PORT][/FOLDER]``, or None."""
    if "@" in text:  # what stands before it may be a password, so it is not shown
        return "not a registry: it holds an '@'; give HOST[:PORT][/FOLDER] alone and log in with docker login"
    first, _, folder = text.partition("/")
    wrong = _letters_mistake(text) or _habit(text)
    if not wrong and not _is_host(first):
        wrong = f"{_shown(first)} is no host; did you mean {_shown(f'{DOCKER_HUB}/{text}')}?"
    wrong = wrong or _registry_mistake(first)
    if not wrong and folder:
        wrong = _repository_mistake(folder, begin=len(first) + 1)
    if not wrong and first in _HUB_NAMES and not folder:
        wrong = f"Docker Hub needs a user or an organization; write '{DOCKER_HUB}/NAME'"
    return f"not a registry, got {_shown(text)}: {wrong}" if wrong else None


def repository_problem(text: str) -> str | None:
    """Return what is wrong with a repository's name below its registry, or None."""
    wrong = _letters_mistake(text) or _habit(text) or _repository_mistake(text, begin=0)
    return f"not a repository, got {_shown(text)}: {wrong}" if wrong else None


def tag_problem(text: str) -> str | None:
    """Return what is wrong with a tag, or None."""
    if _TAG.fullmatch(text):
        return None
    return (
        f"not a tag, got {_shown(text)}; use at most 128 letters, digits and '.', '_', '-', neither '.' nor '-' first"
    )


def repository_at(registry: str, repository: str) -> Reference:
    """Return a repository below a registry, or below a folder of one; both are known to be good."""
    host, _, folder = registry.partition("/")
    below = f"{folder}/{repository}" if folder else repository
    return Reference(DOCKER_HUB if host in _HUB_NAMES else host, below)


def has_registry(text: str) -> bool:
    """Tell whether a reference names its registry itself, by the rule by which Docker tells a host from a folder."""
    first, slash, _ = text.partition("/")
    return bool(slash) and _is_host(first)


def is_digest(text: str) -> bool:
    """Tell whether this is a digest as registries use them."""
    return _DIGEST.fullmatch(text) is not None


def is_local(text: str) -> bool:
    """Tell whether a reference names an image of the local image store: ``NAME@sha256:…``."""
    name, _, digest = text.partition("@")
    return "/" not in name and name != "" and is_digest(digest)


def pulled_problem(text: str) -> str | None:
    """Return what is wrong with the reference of an image that a service is to run, or None."""
    if wrong := reference_problem(text):
        return wrong
    if not has_registry(text):
        return f"names no registry, got {text!r}; write REGISTRY/REPOSITORY@sha256:…, for Docker Hub docker.io/…"
    found = parse_reference(text)
    if found.digest is None:
        return (
            f"has no digest, got {text!r}; a tag may mean another image tomorrow, so give "
            f"{found.name}@sha256:…, which mlserve images pull {text} prints"
        )
    return None


def _letters_mistake(text: str) -> str | None:
    if not text.strip():
        return "it is empty; write registry/repository:tag or registry/repository@sha256:…"
    stripped = text.strip()
    if stripped != text:
        return f"it begins or ends with a space; did you mean {_shown(stripped)}?"
    if found := re.search(r"[^!-~]", text):
        what = "a space" if found.group().isspace() else repr(found.group())
        return f"{what} at place {found.start() + 1}; only letters, digits and . _ - / : @ may stand in one"
    return None


def _habit(text: str) -> str | None:
    """Return what is wrong with an address that was copied from a browser or another tool."""
    if found := re.match(r"([a-z][a-z0-9+.-]*)://", text, re.IGNORECASE):
        return f"it begins with {found.group()!r}; did you mean {_shown(text[found.end() :].rstrip('/'))}?"
    if text.endswith("/"):
        return f"it ends with '/'; did you mean {_shown(text.rstrip('/'))}?"
    if text.startswith(f"{_HUB_SITE}/"):
        path = re.sub(r"^(_|r)/", lambda found: "library/" if found[1] == "_" else "", text[len(_HUB_SITE) + 1 :])
        return f"{_HUB_SITE} is a web site, no registry; did you mean {_shown(f'{DOCKER_HUB}/{path}')}?"
    if text.count("@") > 1:
        return f"a second '@' at place {text.index('@', text.index('@') + 1) + 1}; only a digest follows one"
    return None


def _split(name: str) -> tuple[str, str]:
    if has_registry(name):
        first, _, rest = name.partition("/")
        return first, rest
    return DOCKER_HUB, name


def _is_host(first: str) -> bool:
    return "." in first or ":" in first or first == "localhost" or first != first.lower()


def _registry_mistake(registry: str) -> str | None:
    if registry != registry.lower():
        return f"upper-case letters in {registry!r}; did you mean {registry.lower()!r}?"
    if not _REGISTRY.fullmatch(registry):
        return f"{registry!r} is no host name; write one such as 'example.azurecr.io' or 'localhost:5000'"
    port = re.search(r":(\d+)$", registry)
    if port and not 0 < int(port[1]) <= _MOST_PORT:
        return f"{port[1]} is no port; give one from 1 to {_MOST_PORT}"
    return None


def _repository_mistake(repository: str, *, begin: int) -> str | None:
    if not repository:
        return "no repository in it; write registry/repository"
    if repository != repository.lower():
        place = begin + next(index for index, letter in enumerate(repository) if letter.isupper()) + 1
        return f"an upper-case letter at place {place}; did you mean {_shown(repository.lower())}?"
    place = begin + 1
    for part in repository.split("/"):
        if not part:
            return f"'/' twice at place {place}; did you mean {_shown(re.sub('/+', '/', repository))}?"
        if not _PART.fullmatch(part):
            return (
                f"{_shown(part)} at place {place} may not name a part of a repository; "
                "use lower-case letters and digits, with single '.', '_' or '-' between them"
            )
        place += len(part) + 1
    if len(repository) > _MOST_NAME:
        return f"its repository has {len(repository)} letters; at most {_MOST_NAME} may be"
    return None


def _tag_mistake(tag: str, *, given: bool, name: str) -> str | None:
    if not given or _TAG.fullmatch(tag):
        return None
    if not tag:
        return f"no tag after the ':' at place {len(name) + 1}; write one or leave the ':' out"
    if _DIGEST.fullmatch(f"sha256:{tag}"):
        return "a digest follows '@', not ':'"
    return (
        f"{_shown(tag)} at place {len(name) + 2} is no tag; "
        "use at most 128 letters, digits and '.', '_', '-', neither '.' nor '-' first"
    )


def _digest_mistake(digest: str, *, given: bool) -> str | None:
    if not given or _DIGEST.fullmatch(digest):
        return None
    algorithm, _, value = digest.partition(":")
    if re.fullmatch(r"[0-9a-fA-F]{64}", digest):
        return f"its digest names no algorithm; did you mean '@sha256:{digest.lower()}'?"
    if algorithm != "sha256":
        return f"the digest {_shown(digest)} is no sha256; write '@sha256:' and 64 hexadecimal digits"
    if value != value.lower():
        return "upper-case letters in its digest; write it in lower case"
    return f"its digest has {len(value)} digits or others than 0-9 and a-f; it must have 64"


def _shown(text: str) -> str:
    return repr(text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…")
