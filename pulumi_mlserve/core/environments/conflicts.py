"""Turns the resolver's account of a failure into one message in the user's terms: who asks for what, and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.requirement_lines import normalised
from pulumi_mlserve.core.scripts.module_names import package_bringing, removed_in, standard_modules

_MARKER: Final = re.compile(r"\{[^}]*\}")
_ADDRESS: Final = re.compile(r"\w+://[^\s)`'\"]+")
_WANT: Final = r"[A-Za-z0-9][\w.\-]*(?:\[[\w.,\-]+\])?(?:(?:[=<>!~]=?=?)[^\s,]+(?:,[=<>!~]=?=?[^\s,]+)*)?"

# The forms in which uv states a fact (uv 0.8 to 0.13); everything it concludes from them is left out.
_NO_WHEEL: Final = re.compile(rf"(?:all versions of )?({_WANT}) (?:has|have) no (?:usable )?wheels?")
_NO_VERSION: Final = re.compile(rf"there (?:is|are) no versions? of ({_WANT})")
_UNKNOWN: Final = re.compile(rf"({_WANT}) was not found in (?:the package registry|the provided package locations)")
_NOT_CACHED: Final = re.compile(rf"{_WANT} was not found in the cache|network was disabled")
_DEPENDS: Final = re.compile(rf"(?:all versions of )?({_WANT}) depends? on ({_WANT})")
_REQUIRE: Final = re.compile(rf"you require ({_WANT})((?: and (?!{_WANT} (?:depend|has|have|was)|you )(?:{_WANT}))*)")

_KNOWN: Final = re.compile(r"we know from \(\d+\) that .*?(?= and |,|$)")

_UNREACHABLE: Final = ("error sending request", "dns error", "tcp connect error", "timed out", "server error (5")
_REFUSED: Final = ("401 Unauthorized", "403 Forbidden", "status client error (401", "status client error (403")


@dataclass(frozen=True)
class Failure:
    """What the resolver said, sorted.

    Attributes:
        kind: ``no wheel``, ``no version``, ``unknown``, ``offline``, ``denied``, ``conflict`` or ``other``.
        wanted: The requirement that the kind is about, or empty.
        text: What was said, on one line, without any address.
    """

    kind: str
    wanted: str
    text: str


def read_failure(stderr: str) -> Failure:
    """Return what kind of failure the resolver reports."""
    text = _one_line(stderr)
    plain = _MARKER.sub("", text)
    if _NOT_CACHED.search(plain) or any(sign in plain for sign in _UNREACHABLE):
        return Failure("offline", "", text)
    if any(sign in plain for sign in _REFUSED):
        return Failure("denied", "", text)
    if not _DEPENDS.search(plain):
        required = {_name(found.group(1)): found.group(1) for found in _REQUIRE.finditer(plain)}
        for kind, form in (("no wheel", _NO_WHEEL), ("unknown", _UNKNOWN), ("no version", _NO_VERSION)):
            for found in form.finditer(plain):
                if _name(found.group(1)) in required:
                    return Failure(kind, required[_name(found.group(1))], text)
    return Failure("conflict" if "Because" in plain else "other", "", text)


def explain_conflict(stderr: str, origins: Mapping[str, str], python: str) -> str:
    """Return the facts behind a conflict, each side with the place that asks for it."""
    facts = list(dict.fromkeys(_facts(stderr, origins)))
    if not facts:
        return f"the packages cannot be installed together: {_one_line(stderr)}; change one of them"
    if any("needs Python" in fact for fact in facts):
        facts.append(f"the image has Python {python}")
    return f"the packages cannot be installed together: {'; '.join(facts)}; change one of them"


def without_wheels(stderr: str) -> list[str]:
    """Return the packages of which a conflict says that some version has no wheel, by canonical name."""
    plain = _MARKER.sub("", _one_line(stderr))
    return sorted({_name(found.group(1)) for found in _NO_WHEEL.finditer(plain)})


def needed_by(stderr: str, name: str, origins: Mapping[str, str]) -> tuple[str, str]:
    """Return what needs a package, as a conflict says it, and where that is asked for; empty where it does not say."""
    plain = _MARKER.sub("", _one_line(stderr))
    for found in _DEPENDS.finditer(plain):
        if _name(found.group(2)) == name:
            return _asked(origins, found.group(1))
    return "", ""


def place_of(origins: Mapping[str, str], wanted: str) -> str:
    """Return where a requirement is asked for: its own line, else the first line about the same package, else empty."""
    return _asked(origins, wanted)[1]


def module_advice(name: str, python: str) -> str:
    """Return what to write in place of a module's name that was taken for a package's; empty for any other name.

    Args:
        name: What was asked for and is not there or cannot be installed.
        python: The minor version of Python, whose own modules no package brings.
    """
    brought = package_bringing(name)
    if brought:
        return f"write {brought}, which brings the module of that name"
    module = next((module for module in standard_modules(python) if canonicalize_name(module) == name), None)
    if module is not None:
        return f"take the line out: {module} is part of Python"
    gone = removed_in(name, python)
    return "" if gone is None else f"take the line out: {name} was part of Python before {gone}, no package brings it"


def without_addresses(text: str) -> str:
    """Return a text in which every address of a package index is replaced by those words."""
    return _ADDRESS.sub("the package index", text)


def _facts(stderr: str, origins: Mapping[str, str]) -> Iterator[str]:
    """Yield what is given, not what follows from it: first what packages need, then what is asked for beside it."""
    body = _MARKER.sub("", stderr.partition("\nhint:")[0].split("cause:", 1)[-1])
    sentences = (" ".join(part.split()) for part in re.split(r"\n\s*(?=And |Because )", body))
    given = [_KNOWN.sub("", sentence.partition("we can conclude that")[0]) for sentence in sentences]
    said = set()
    for found in (match for sentence in given for match in _DEPENDS.finditer(sentence)):
        asked, place = _asked(origins, found.group(1))
        said.add(asked)
        yield f"{asked}{f' ({place})' if place else ''} needs {found.group(2)}"
    for sentence in given:
        for form, says in ((_NO_WHEEL, "has no wheel"), (_NO_VERSION, "does not exist"), (_UNKNOWN, "is unknown")):
            for found in form.finditer(sentence):
                yield f"{found.group(1)} {says}"
        for found in _REQUIRE.finditer(sentence):
            for wanted in (part.strip() for part in [found.group(1), *found.group(2).split(" and ")]):
                asked, place = _asked(origins, wanted)
                if wanted and asked not in said:
                    yield f"{place or 'the environment'} asks for {wanted}"


def _asked(origins: Mapping[str, str], wanted: str) -> tuple[str, str]:
    """Return the requirement behind uv's spelling of it, and its place; the spelling itself where there is none."""
    try:
        exact = normalised(Requirement(wanted))
    except InvalidRequirement:
        return wanted, ""
    for text, place in origins.items():
        if text == exact:
            return wanted, place
    same = [(text, place) for text, place in origins.items() if _name(text) == _name(wanted)]
    return same[0] if same else (wanted, "")


def _name(requirement: str) -> str:
    """Return a requirement's canonical package name."""
    return canonicalize_name(Requirement(requirement).name)


def _one_line(stderr: str) -> str:
    """Return uv's account on one line, without its hints and addresses."""
    lines = (re.sub(r"^\s*(?:error|cause):\s*", "", line).strip() for line in stderr.splitlines())
    return without_addresses(" ".join(line for line in lines if line and not line.startswith("warning:")))
