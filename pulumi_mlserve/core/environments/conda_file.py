"""Reads a conda environment file: Python version, packages of both kinds, variables, each with its line."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from typing import Final

import yaml
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.conda_names import (
    IGNORED,
    OF_PYTHON,
    CondaSpecError,
    conda_name,
    renamed,
    to_requirement,
)
from pulumi_mlserve.core.environments.masking import masked
from pulumi_mlserve.core.environments.requirement_files import RequirementFiles
from pulumi_mlserve.core.environments.requirement_lines import Asked, Refused, logical_lines
from pulumi_mlserve.core.suggest import did_you_mean
from pulumi_mlserve.core.variables import variable_problem

# The keys that conda's own tools and Azure ML v1 accept.
_KEYS: Final = ("name", "channels", "dependencies", "prefix", "variables")


@dataclass
class CondaFile:
    """What a conda file says, and everything in it that cannot be used.

    Attributes:
        python: The interpreter asked for.
        asked: Packages of both kinds.
        variables: Environment variables.
        notes: What was changed on the way.
        refused: Every line that cannot be used.
        left_out: conda packages that belong to the interpreter.
    """

    python: Asked | None = None
    asked: list[Asked] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


def read_conda(text: str, files: RequirementFiles | None = None, of_base: Collection[str] = ()) -> CondaFile:
    """Return what a conda environment file asks for.

    Args:
        text: The file.
        files: Reads the lines of its pip section, and then knows what they say of indexes and constraints.
        of_base: Packages that the base image brings, by conda's names or pip's; they are passed over.
    """
    found, files = CondaFile(), files or RequirementFiles()
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        found.refused.append(_not_yaml(error))
        return found
    except RecursionError:
        found.refused.append(Refused("not YAML: lists within lists without end; see its brackets", 1))
        return found
    if not isinstance(root, yaml.MappingNode):
        found.refused.append(Refused("not a conda environment file; it needs a key 'dependencies' with a list", 1))
        return found
    sections: dict[str, yaml.Node] = {}
    found.refused += _twice(root)
    for key, value in root.value:
        if key.value not in _KEYS:
            hint = did_you_mean(str(key.value), _KEYS)
            found.refused.append(
                Refused(f"unknown key {key.value!r}{hint or '; keys are ' + ', '.join(_KEYS)}", _line(key))
            )
        sections[str(key.value)] = value
    _read_dependencies(sections.get("dependencies"), found, files, of_base)
    _read_variables(sections.get("variables"), found)
    found.asked += [asked for asked in files.asked if canonicalize_name(asked.requirement.name) not in IGNORED]
    found.refused += files.refused
    if found.left_out:
        names = ", ".join(sorted(set(found.left_out)))
        found.notes.append(f"{names}: left out, the image's Python and its wheels bring their own")
    return found


def _read_dependencies(
    node: yaml.Node | None, found: CondaFile, files: RequirementFiles, of_base: Collection[str]
) -> None:
    """Read the list under ``dependencies``."""
    if node is None or (isinstance(node, yaml.ScalarNode) and not node.value):
        found.refused.append(Refused("no dependencies; add a list with at least python=3.11", 1))
        return
    if not isinstance(node, yaml.SequenceNode):
        found.refused.append(Refused("dependencies is not a list; put a dash before each package", _line(node)))
        return
    for item in node.value:
        if isinstance(item, yaml.MappingNode):
            _read_nested(item, found, files)
        elif isinstance(item, yaml.ScalarNode):
            if conda_name(item.value) not in of_base:
                _read_conda_line(item, found)
        else:
            found.refused.append(Refused("not a package; write NAME=VERSION", _line(item)))


def _read_nested(node: yaml.MappingNode, found: CondaFile, files: RequirementFiles) -> None:
    """Read the list under ``pip:``; conda knows no other nested list."""
    found.refused += _twice(node)
    for key, value in node.value:
        if key.value != "pip":
            message = (
                f"not a package, got {masked(key.value)!r} with a value;"
                " write NAME=VERSION, and pip's packages under 'pip:'"
            )
            found.refused.append(Refused(message, _line(key)))
        elif not isinstance(value, yaml.SequenceNode):
            if not (isinstance(value, yaml.ScalarNode) and not value.value):
                found.refused.append(Refused("pip is not a list; put a dash before each package", _line(value)))
        else:
            for item in value.value:
                _read_pip_line(item, found, files)


def _read_conda_line(node: yaml.ScalarNode, found: CondaFile) -> None:
    """Read one conda package; ``python`` is the interpreter."""
    if conda_name(node.value) in OF_PYTHON:
        found.left_out.append(conda_name(node.value))
        return
    try:
        requirement = to_requirement(node.value)
    except CondaSpecError as error:
        found.refused.append(Refused(str(error), _line(node)))
        return
    name = canonicalize_name(requirement.name)
    if name == "python":
        _read_python(Asked(requirement, _line(node)), found)
    elif name not in IGNORED:
        found.asked.append(Asked(requirement, _line(node)))
        note = renamed(node.value)
        if note is not None:
            found.notes.append(note)


def _read_python(asked: Asked, found: CondaFile) -> None:
    """Take the interpreter asked for; a file asks for one."""
    if found.python is None:
        found.python = asked
        return
    message = f"python is asked for on line {found.python.line} already, got {asked.requirement}; keep one of the two"
    found.refused.append(Refused(message, asked.line))


def _read_pip_line(node: yaml.Node, found: CondaFile, files: RequirementFiles) -> None:
    """Read one line of the pip section."""
    if not isinstance(node, yaml.ScalarNode):
        found.refused.append(Refused("not a package; write NAME==VERSION", _line(node)))
        return
    for _, content in logical_lines(node.value):
        files.line(content, _line(node))


def _read_variables(node: yaml.Node | None, found: CondaFile) -> None:
    """Read the mapping under ``variables``; every value is text, as in a process's environment."""
    if node is None:
        return
    if not isinstance(node, yaml.MappingNode):
        found.refused.append(
            Refused("variables is not a mapping; write NAME: VALUE on lines of their own", _line(node))
        )
        return
    found.refused += _twice(node)
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode):
            found.variables[key.value] = value.value
            if problem := variable_problem(key.value, value.value):
                found.refused.append(Refused(f"variable {key.value!r}: {problem}", _line(key)))
        else:
            found.refused.append(Refused(f"variable {key.value!r} is not a text; write NAME: VALUE", _line(key)))


def _twice(node: yaml.MappingNode) -> Iterator[Refused]:
    """Yield every key that a mapping has already: YAML lets the last one win, and the others are lost."""
    first: dict[str, int] = {}
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            continue
        if key.value in first:
            yield Refused(f"{key.value} stands on line {first[key.value]} already; keep one of the two", _line(key))
        first.setdefault(key.value, _line(key))


def _not_yaml(error: yaml.YAMLError) -> Refused:
    """Return where a file stops being YAML."""
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "unreadable"
    return Refused(f"not YAML: {problem}; check the indentation and the colons", mark.line + 1 if mark else 1)


def _line(node: yaml.Node) -> int:
    """Return the line of a node, from 1."""
    line = node.start_mark.line
    assert isinstance(line, int)
    return line + 1
