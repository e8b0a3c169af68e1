"""Reads what a pyproject.toml asks for: dependencies, Python, extras, dependency groups, and where packages come from.

The project itself is not installed: its code lies in the source directory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.masking import masked
from pulumi_mlserve.core.environments.requirement_files import RequirementFiles
from pulumi_mlserve.core.environments.requirement_lines import Asked, Refused, option_of, read_requirement
from pulumi_mlserve.core.environments.toml_text import in_words, line_of, read_toml
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.suggest import did_you_mean

# Of uv's settings for a project, those that decide which packages there are; the others concern its own folder.
_UV_OPTIONS: Final = {
    "index-url": "--index-url",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
}
_UV: Final = "[tool.uv]"
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
        self._files = files
        self._found = PyprojectFile()
        self._in_progress: list[str] = []
        self._has_project = isinstance(document.get("project"), dict)
        self._project = self._table(document, "project") if self._has_project else {}
        self._name = self._string(self._project, "name", "[project]")
        tool = self._table(document, "tool")
        self._poetry = isinstance(tool.get("poetry"), dict)
        self._uv = self._table(tool, "uv", "[tool") if self._has_project else {}
        self._lists = (
            ("[project.optional-dependencies]", self._table(self._project, "optional-dependencies", "[project")),
            ("[dependency-groups]", self._table(document, "dependency-groups") if self._has_project else {}),
        )

    def read(self, extras: Sequence[str]) -> PyprojectFile:
        if not self._has_project:
            self._without_project()
            return self._found
        dynamic = self._strings(self._project, "dynamic", "[project]")
        if "dependencies" in dynamic:
            message = "the dependencies are dynamic, only building the project tells them; write them under [project]"
            self._refuse(message, "dynamic", "[project]")
        self._python()
        self._packages(self._project.get("dependencies", []), "dependencies", "[project]")
        for index, name in enumerate(extras):
            self._extra(name, index)
        self._decided_by_uv()
        return self._found

    def _without_project(self) -> None:
        advice = (
            "give a requirements file that `poetry export` wrote" if self._poetry else "add [project] with dependencies"
        )
        self._refuse(f"there is no table [project]; {advice}", "tool.poetry" if self._poetry else "")

    def _python(self) -> None:
        wanted = self._string(self._project, "requires-python", "[project]")
        if not wanted:
            return
        line = line_of(self._text, "requires-python", "[project]")
        try:
            self._found.python = Asked(Requirement(f"python{SpecifierSet(wanted)}"), line)
        except InvalidSpecifier:
            message = f'requires-python is no range of versions, got {masked(wanted)!r}; write ">=3.10"'
            self._found.refused.append(Refused(message, line))

    def _packages(self, listed: Any, key: str, table: str) -> None:
        if not isinstance(listed, list):
            self._refuse(f'{key} is not a list; write {key} = ["NAME>=VERSION"]', key, table)
            return
        for item in listed:
            if isinstance(item, str):
                self._package(item, table)
            elif isinstance(item, dict) and set(item) == {"include-group"} and isinstance(item["include-group"], str):
                self._include(item["include-group"], key, table)
            else:
                self._refuse(f"not a requirement in {key}; write NAME>=VERSION in quotation marks", key, table)

    def _package(self, content: str, table: str) -> None:
        line = line_of(self._text, content, table)
        found = read_requirement(content)
        if isinstance(found, str):
            self._found.refused.append(Refused(found, line))
        elif canonicalize_name(found.name) == canonicalize_name(self._name):
            for extra in sorted(found.extras):  # the project's own extras; itself it is not installed
                self._include(extra, extra, table)
        else:
            self._files.asked.append(Asked(found, line))

    def _extra(self, name: str, index: int) -> None:
        """Read an extra or a group that the program names."""
        if not self._named(name):
            known = sorted({key for _, keys in self._lists for key in keys})
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
        return [(head, keys[key]) for head, keys in self._lists for key in keys if canonicalize_name(key) == wanted]

    def _decided_by_uv(self) -> None:
        """Read which packages uv would take, where the project says so."""
        uv = self._uv
        for key, advice in _UV_REFUSED.items():
            if key in uv:
                self._refuse(f"uv's {key} cannot be honoured; {advice}", key, _UV)
        for name in self._table(uv, "sources", "[tool.uv"):
            if any(canonicalize_name(name) == canonicalize_name(asked.requirement.name) for asked in self._files.asked):
                message = f"{name} has a source of its own; name its version, and its index without 'explicit'"
                self._refuse(message, name, "[tool.uv.sources]")
        self._uv_indexes()
        if uv.get("prerelease") == "allow":
            self._option("--pre", "", "prerelease")
        elif "prerelease" in uv:
            self._refuse('uv\'s prerelease can only be "allow" here; take it out', "prerelease", _UV)
        for limit in self._strings(uv, "constraint-dependencies", _UV):
            self._limit(limit, line_of(self._text, limit, "constraint-dependencies"))

    def _limit(self, limit: str, line: int) -> None:
        """Read a constraint; it is a requirement, never an option of pip's."""
        if option_of(limit) is None:
            self._files.line(limit, line, limits=True)
        else:
            self._found.refused.append(Refused(f"not a requirement, got {masked(limit)}; write NAME<VERSION", line))

    def _uv_indexes(self) -> None:
        indexes = self._uv.get("index", [])
        if not isinstance(indexes, list) or not all(isinstance(index, dict) for index in indexes):
            self._wrong("index", "a list of tables", indexes, _UV, "write [[tool.uv.index]] with a url")
            indexes = []
        for index in indexes:
            self._index(index)
        for key, option in _UV_OPTIONS.items():
            value = self._uv.get(key, [])
            one = isinstance(value, str)
            for address in [value] if one else self._strings(self._uv, key, _UV):
                self._option(option, address, key)
        if self._flag(self._uv, "no-index", _UV):
            self._option("--no-index", "", "no-index")

    def _index(self, index: Mapping[str, Any]) -> None:
        table = "tool.uv.index"
        if self._flag(index, "explicit", table):
            message = (
                "an explicit index serves only packages that name it, which cannot be honoured; take 'explicit' out"
            )
            self._refuse(message, "explicit", table)
            return
        option = "--index-url" if self._flag(index, "default", table) else "--extra-index-url"
        url = self._string(index, "url", table)
        self._option("--find-links" if index.get("format") == "flat" else option, url, "url")

    def _option(self, option: str, value: str, key: str) -> None:
        self._files.line(f"{option} {value}".strip(), line_of(self._text, key, "[tool.uv"))

    def _table(self, parent: Mapping[str, Any], key: str, head: str = "") -> Mapping[str, Any]:
        """Return a table of a table, empty where there is none; anything else in its place is refused."""
        value = parent.get(key, {})
        if isinstance(value, dict):
            return value
        self._wrong(key, "a table", value, head, "write its keys under a head of its own, or take it out")
        return {}

    def _strings(self, parent: Mapping[str, Any], key: str, head: str) -> list[str]:
        value = parent.get(key, [])
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
        self._wrong(key, "a list of texts", value, head, f'write {key} = ["…"]')
        return []

    def _string(self, parent: Mapping[str, Any], key: str, head: str) -> str:
        value = parent.get(key, "")
        if isinstance(value, str):
            return value
        self._wrong(key, "a text", value, head, "put it in quotation marks")
        return ""

    def _flag(self, parent: Mapping[str, Any], key: str, head: str) -> bool:
        value = parent.get(key, False)
        if isinstance(value, bool):
            return value
        self._wrong(key, "true or false", value, head, "write one of them")
        return False

    def _wrong(self, key: str, wanted: str, value: Any, head: str, advice: str) -> None:
        self._refuse(f"{key} is not {wanted}, got {in_words(value)}; {advice}", key, head)

    def _refuse(self, message: str, key: str, table: str = "") -> None:
        self._found.refused.append(Refused(message, line_of(self._text, key, table) if key else 1))
