"""Reads what a pyproject.toml asks for: dependencies, Python, extras, dependency groups, and where packages come from.

The project itself is not installed: its code lies in the source directory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.requirement_files import RequirementFiles
from pulumi_mlserve.core.environments.requirement_lines import Asked, Refused, read_requirement
from pulumi_mlserve.core.environments.toml_text import line_of, read_toml
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.suggest import did_you_mean

# Of uv's settings for a project, those that decide which packages there are; the others concern its own folder.
_UV_OPTIONS: Final = {
    "index-url": "--index-url",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "no-index": "--no-index",
}
_UV_REFUSED: Final = {
    "exclude-newer": "write a lock with `mlserve lock` and keep it, and newer packages change nothing",
    "override-dependencies": "write the version among the dependencies",
    "index-strategy": "take it out, the best version of all indexes is taken",
    "resolution": "take it out, the newest versions that fit are taken",
}


@dataclass
class PyprojectFile:
    """What a pyproject file says, and everything in it that cannot be used.

    Attributes:
        python: The range of Pythons, as ``python>=3.10``.
        refused: What in the file cannot be used.
        problems: What is wrong with the names of extras that the program gives.
    """

    python: Asked | None = None
    refused: list[Refused] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)


def read_pyproject(text: str, files: RequirementFiles, extras: Sequence[str] = ()) -> PyprojectFile:
    """Return what a pyproject file asks for; its packages go to the requirement files.

    Args:
        text: The file.
        files: Takes the packages, and what is said of indexes and constraints.
        extras: Names of extras and dependency groups that go in, too.
    """
    document = read_toml(text)
    if isinstance(document, Refused):
        return PyprojectFile(refused=[document])
    reader = _Reader(text, document, files)
    return reader.read(extras)


class _Reader:
    def __init__(self, text: str, document: Mapping[str, Any], files: RequirementFiles) -> None:
        self._text = text
        self._document = document
        self._project = _table(document.get("project"))
        self._files = files
        self._found = PyprojectFile()
        self._in_progress: list[str] = []

    def read(self, extras: Sequence[str]) -> PyprojectFile:
        if not isinstance(self._document.get("project"), dict):
            self._without_project()
            return self._found
        dynamic = self._project.get("dynamic")
        if isinstance(dynamic, list) and "dependencies" in dynamic:
            message = "the dependencies are dynamic, only building the project tells them; write them under [project]"
            self._refuse(message, "dynamic", "[project]")
        self._python()
        self._packages(self._project.get("dependencies", []), "dependencies", "[project]")
        for index, name in enumerate(extras):
            self._extra(name, index)
        self._uv(_table(_table(self._document.get("tool")).get("uv")))
        return self._found

    def _without_project(self) -> None:
        poetry = _table(_table(self._document.get("tool")).get("poetry"))
        advice = "give a requirements file that `poetry export` wrote" if poetry else "add [project] with dependencies"
        self._refuse(f"there is no table [project]; {advice}", "tool.poetry" if poetry else "")

    def _python(self) -> None:
        wanted = self._project.get("requires-python")
        if wanted is None:
            return
        line = line_of(self._text, "requires-python", "[project]")
        try:
            self._found.python = Asked(Requirement(f"python{SpecifierSet(str(wanted))}"), line)
        except InvalidSpecifier:
            message = f'requires-python is no range of versions, got {str(wanted)!r}; write ">=3.10"'
            self._found.refused.append(Refused(message, line))

    def _packages(self, listed: Any, key: str, table: str) -> None:
        if not isinstance(listed, list):
            self._refuse(f'{key} is not a list; write {key} = ["NAME>=VERSION"]', key, table)
            return
        for item in listed:
            if isinstance(item, str):
                self._package(item, table)
            elif isinstance(item, dict) and set(item) == {"include-group"}:
                self._include(str(item["include-group"]), key, table)
            else:
                self._refuse(f"not a requirement in {key}; write NAME>=VERSION in quotation marks", key, table)

    def _package(self, content: str, table: str) -> None:
        line = line_of(self._text, content, table)
        found = read_requirement(content)
        if isinstance(found, str):
            self._found.refused.append(Refused(found, line))
        elif canonicalize_name(found.name) == canonicalize_name(str(self._project.get("name", ""))):
            for extra in sorted(found.extras):  # the project's own extras; itself it is not installed
                self._include(extra, extra, table)
        else:
            self._files.asked.append(Asked(found, line))

    def _extra(self, name: str, index: int) -> None:
        """Read an extra or a group that the program names."""
        if not self._named(name):
            known = sorted({key for _, keys in self._sources() for key in keys})
            there = f"; there are {', '.join(known)}" if known else "; the file has none"
            message = f"there is no such extra or dependency group, got {name!r}{did_you_mean(name, known) or there}"
            self._found.problems.append(Problem(f"extras[{index}]", message))
        else:
            self._include(name, name, "")

    def _include(self, name: str, key: str, table: str) -> None:
        wanted = canonicalize_name(name)
        if wanted in self._in_progress:
            return
        found = self._named(name)
        if not found:
            self._refuse(f"there is no extra or dependency group {name!r}", key, table)
        self._in_progress.append(wanted)
        for head, listed in found:
            self._packages(listed, name, head)

    def _named(self, name: str) -> list[tuple[str, Any]]:
        """Return the lists that go by a name, each with its table."""
        wanted = canonicalize_name(name)
        return [(head, keys[key]) for head, keys in self._sources() for key in keys if canonicalize_name(key) == wanted]

    def _sources(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        yield "[project.optional-dependencies]", _table(self._project.get("optional-dependencies"))
        yield "[dependency-groups]", _table(self._document.get("dependency-groups"))

    def _uv(self, uv: Mapping[str, Any]) -> None:
        """Read which packages uv would take, where the project says so."""
        for key, advice in _UV_REFUSED.items():
            if key in uv:
                self._refuse(f"uv's {key} cannot be honoured; {advice}", key, "[tool.uv]")
        for name in _table(uv.get("sources")):
            if any(canonicalize_name(name) == canonicalize_name(asked.requirement.name) for asked in self._files.asked):
                message = f"{name} has a source of its own; name its version, and its index without 'explicit'"
                self._refuse(message, name, "[tool.uv.sources]")
        self._uv_indexes(uv)
        if uv.get("prerelease") == "allow":
            self._option("--pre", "", "prerelease")
        elif "prerelease" in uv:
            self._refuse('uv\'s prerelease can only be "allow" here; take it out', "prerelease", "[tool.uv]")
        for limit in uv.get("constraint-dependencies") or ():
            self._files.line(str(limit), line_of(self._text, str(limit), "constraint-dependencies"), limits=True)

    def _uv_indexes(self, uv: Mapping[str, Any]) -> None:
        for index in uv.get("index") or ():
            self._index(_table(index))
        for key, option in _UV_OPTIONS.items():
            values = uv.get(key, [])
            for value in values if isinstance(values, list) else [values]:
                if value is not False:
                    self._option(option, "" if value is True else str(value), key)

    def _index(self, index: Mapping[str, Any]) -> None:
        if index.get("explicit"):
            message = (
                "an explicit index serves only packages that name it, which cannot be honoured; take 'explicit' out"
            )
            self._refuse(message, "explicit", "tool.uv.index")
            return
        option = "--index-url" if index.get("default") else "--extra-index-url"
        self._option("--find-links" if index.get("format") == "flat" else option, str(index.get("url", "")), "url")

    def _option(self, option: str, value: str, key: str) -> None:
        self._files.line(f"{option} {value}".strip(), line_of(self._text, key, "[tool.uv"))

    def _refuse(self, message: str, key: str, table: str = "") -> None:
        self._found.refused.append(Refused(message, line_of(self._text, key, table) if key else 1))


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
