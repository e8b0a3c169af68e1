"""Whether an entry script can work, read from its text alone: nothing is imported or run here."""

from __future__ import annotations

import ast
import keyword
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from pulumi_mlserve.core.environments.standins import STANDIN_MODULES
from pulumi_mlserve.core.images.code_folder import IgnoreRules
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.scripts.entry_functions import Finding, check_functions, has_input_schema
from pulumi_mlserve.core.scripts.lost_names import lost_names
from pulumi_mlserve.core.scripts.model_requests import asked_models
from pulumi_mlserve.core.scripts.module_names import missing_module, removed_in, standard_modules
from pulumi_mlserve.core.scripts.script_imports import Import, certain_imports
from pulumi_mlserve.core.scripts.source_modules import SourceModules
from pulumi_mlserve.core.suggest import did_you_mean

_PATH: Final = "entry_script"
_CALLED: Final = frozenset({"init", "run"})
_MOST_FILES: Final = 200  # of the user's own modules; what lies deeper is left to the trial


def check_entry_script(  # noqa: PLR0913 -- one keyword per thing to check against
    source: Path | Mapping[str, str],
    entry: str,
    *,
    modules: Collection[str] | None = None,
    models: Collection[str] | None = None,
    python: str = "3.11",
    packages_file: str = "",
    standins: bool = True,
    rules: IgnoreRules | None = None,
) -> list[Problem]:
    """Return every problem of an entry script, each with file and line and what to do.

    Args:
        source: The source directory, or its files as POSIX path to text.
        entry: The entry script, relative to the source directory.
        modules: Top-level importable names of the locked environment; None leaves imports unchecked.
        models: Names of the models given to the image; None leaves ``get_model_path`` unchecked.
        python: The minor version of Python that will run the script.
        packages_file: The file in which packages are asked for, for the advice; ``env.yml``.
        standins: Whether the runtime brings the modules of Azure ML v1.
        rules: What of the source directory stays out of the image.
    """
    entry = PurePosixPath(entry.replace("\\", "/")).as_posix()
    wrong = _check_name(entry)
    local = SourceModules(source, entry, rules)
    text = local.text(entry) if wrong is None else None
    if wrong is None and (why := local.why_left_out(entry)):
        wrong = f"{entry}: {why}"
    elif wrong is None and text is None:
        where = str(source) if isinstance(source, Path) else "the source directory"
        wrong = f"{entry}: there is no such file in {where}; give a path inside the source directory"
    if wrong is not None or text is None:
        return [Problem(_PATH, str(wrong))]
    tree = _parse(text, python)
    if not isinstance(tree, ast.Module):
        return [_problem(entry, tree)] if tree is not None else []
    findings = [*check_functions(tree, lines=len(text.splitlines()))]
    findings += [
        (line, f"init() keeps {name!r} to itself, and run() asks for it; add 'global {name}' to init()")
        for name, line in lost_names(text, tree)
    ]
    if models is not None:
        findings += _check_models(tree, models, local)
    problems = [_problem(entry, finding) for finding in findings]
    brought = {*standard_modules(python), *(STANDIN_MODULES if standins else ())}
    imports = _Imports(local, modules, brought, python, packages_file)
    problems += imports.check(entry, tree)
    return sorted(problems, key=lambda problem: _order(problem, entry))


class _Imports:
    """Follows a script's imports through the source directory and finds those that nothing provides."""

    def __init__(
        self,
        local: SourceModules,
        modules: Collection[str] | None,
        brought: Collection[str],
        python: str,
        packages_file: str,
    ) -> None:
        self._local = local
        self._modules = modules
        self._brought = brought
        self._python = python
        self._packages_file = packages_file
        self._standard = standard_modules(python)
        self._seen: set[str] = set()

    def check(self, entry: str, tree: ast.Module) -> Iterator[Problem]:
        """Yield a problem for each module that cannot be imported, once per file and name."""
        pending = [(entry, tree)]
        self._seen.add(entry)
        while pending and len(self._seen) <= _MOST_FILES:
            path, module = pending.pop()
            missing: set[str] = set()
            for found in certain_imports(module, _CALLED if path == entry else frozenset()):
                top = found.module.split(".")[0]
                if found.level:
                    if path == entry:
                        wanted = found.module or found.names[0]
                        message = (
                            f"a relative import needs a package, and an entry script has none; write import {wanted}"
                        )
                        yield _problem(path, (found.line, message))
                elif self._local.is_local(top) and top not in self._standard:
                    for file in self._files(found):
                        inner = _parse(self._local.text(file) or b"", self._python)
                        if isinstance(inner, ast.Module):
                            pending.append((file, inner))
                        elif inner is not None:
                            yield _problem(file, inner)
                elif top not in missing and not self._is_provided(top):
                    missing.add(top)
                    yield _problem(path, (found.line, self._advice(top)))

    def _files(self, found: Import) -> Iterator[str]:
        """Yield the user's own files that an import runs and that were not looked at yet."""
        for dotted in (found.module, *(f"{found.module}.{name}" for name in found.names)):
            for file in self._local.files_of(dotted):
                if file not in self._seen:
                    self._seen.add(file)
                    yield file

    def _is_provided(self, top: str) -> bool:
        """Return whether Python, the runtime or the environment brings a module."""
        if self._modules is None:
            return removed_in(top, self._python) is None
        return top in self._brought or top in self._modules

    def _advice(self, top: str) -> str:
        """Return what is wrong with a missing module and what to do."""
        removed = removed_in(top, self._python)
        if removed is not None:
            return f"module {top!r} left Python in {removed}; replace it, or set an older Python"
        if why := self._local.why_module_left_out(top):
            return f"no module named {top!r} in the image: {why}"
        elsewhere = self._local.elsewhere(top)
        if elsewhere is not None:
            return (
                f"no module named {top!r} in the source directory or the environment, but there is {elsewhere};"
                " move it to where the script can import it"
            )
        return missing_module(top, modules=self._modules or (), packages_file=self._packages_file)


def declares_input(source: Path | Mapping[str, str], entry: str) -> bool:
    """Return whether the script's ``run`` declares its input by a decorator, which holds a sample of it.

    A script that cannot be read declares nothing here; ``check_entry_script`` says what is wrong with it.
    """
    text = SourceModules(source, entry).text(entry)
    tree = _parse(text, f"3.{sys.version_info.minor}") if text is not None else None
    return isinstance(tree, ast.Module) and has_input_schema(tree)


def _check_name(entry: str) -> str | None:
    """Return what is wrong with the name of an entry script (Azure ML v1's rule), or None."""
    path = PurePosixPath(entry)
    if path.is_absolute() or ".." in path.parts:
        return f"not inside the source directory, got {entry!r}; give a path relative to it"
    if path.suffix != ".py":
        return f"not a Python file, got {entry!r}; name it something.py"
    if not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        return f"not a name that Python can import, got {entry!r}; use letters, digits and _, the first no digit"
    return None


def _parse(text: bytes, python: str) -> ast.Module | Finding | None:
    """Return a module's syntax tree, or where it breaks; None where only a newer Python than this one can tell."""
    major, minor = python.split(".")[:2]
    target, own = (int(major), int(minor)), sys.version_info[:2]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return ast.parse(text, feature_version=min(target, own))
    except SyntaxError as error:
        if target > own:
            return None
        shown = f", got {error.text.strip()!r}" if error.text and error.text.strip() else ""
        place = f"column {error.offset}: " if error.offset and error.offset > 0 else ""
        return (
            error.lineno or _line_of(text, b"\0"),
            f"{place}{error.msg[:1].lower()}{error.msg[1:]}{shown}; correct the syntax for Python {python}",
        )
    except ValueError as error:  # Python 3.11.3 and older say so of a null byte
        return _line_of(text, b"\0"), f"{error}; save it as plain text"
    except (RecursionError, MemoryError):
        longest = max(text.splitlines(), key=len, default=b"")
        return _line_of(text, longest), "nested too deeply to be read; simplify it"


def _line_of(text: bytes, part: bytes) -> int:
    """Return the line in which a part of a text begins, the first where there is no such part."""
    return text[: max(text.find(part), 0)].count(b"\n") + 1


def _check_models(tree: ast.Module, models: Collection[str], local: SourceModules) -> Iterator[Finding]:
    """Yield the models that a script asks for by name and that the image does not hold."""
    for name, line in asked_models(tree):
        if name not in models and not local.exists(name):
            given = ", ".join(sorted(models)) or "none"
            hint = did_you_mean(name, models)
            yield line, f"no model named {name!r} in the image, it has {given}{hint or '; add it to models'}"


def _problem(file: str, finding: Finding) -> Problem:
    """Return a finding as the problem of the entry script's property, with file and line in front."""
    line, message = finding
    return Problem(_PATH, f"{file}:{line}: {message}")


def _order(problem: Problem, entry: str) -> tuple[bool, str, int]:
    """Return what sorts problems: the entry script first, then by file and line."""
    file, _, rest = problem.message.partition(":")
    line = rest.partition(":")[0]
    return (file != entry, file, int(line) if line.isdecimal() else 0)
