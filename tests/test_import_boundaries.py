"""Imports go one way: scoring, core, clients, provider, with components beside; no part imports what comes after it."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import packages_distributions, requires
from pathlib import Path

import mlserve_scoring
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import pulumi_mlserve

OURS = Path(pulumi_mlserve.__file__).parent
OUTSIDE = {
    "socket",
    "ssl",
    "http",
    "urllib",
    "httpx",
    "requests",
    "aiohttp",
    "grpc",
    "obstore",
    "subprocess",
    "asyncio",
}
CLOCK = {"time", "datetime"}
ABOVE_CLIENTS = {f"pulumi_mlserve.{part}" for part in ("provider", "components", "cli")}
FORBIDDEN = {
    Path(mlserve_scoring.__file__).parent: {"pulumi", "pulumi_mlserve"},
    OURS / "core": {"pulumi", "pulumi_mlserve.clients", *ABOVE_CLIENTS, *OUTSIDE, *CLOCK},
    OURS / "clients": {"pulumi", *ABOVE_CLIENTS},
    OURS / "provider": {"pulumi_mlserve.components", "pulumi_mlserve.cli"},
    OURS / "components": {"pulumi_mlserve.provider", "pulumi_mlserve.clients", "pulumi_mlserve.cli"},
    OURS / "cli": {"pulumi", "pulumi_mlserve.provider", "pulumi_mlserve.components"},
}
CONSTRUCTS = OURS / "provider" / "construct.py"  # serves components to other languages, so it imports both sides
PARTS = {"pydantic_core": ["pydantic"]}  # pydantic requires the one release that fits
OPTIONAL = {  # the image's environment brings them
    "mlserve_scoring": {"numpy", "onnxruntime", "pandas", "sklearn", "joblib", "skops", "lightgbm", "xgboost", "mlflow"}
}
TYPES = {"_typeshed"}  # known to type checkers alone
HEAVY = {
    "httpx",
    "numpy",
    "pandas",
    "onnxruntime",
    "sklearn",
    "azure",
    "kubernetes",
    "pulumi_azure_native",
    "pulumi_kubernetes",
}


def imported(module: Path) -> set[str]:
    """Returns the full names that a module imports, wherever in it."""
    names = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            names |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


@pytest.mark.parametrize("folder", FORBIDDEN, ids=lambda folder: folder.name)
def test_part_imports_nothing_above_it(folder):
    """No module of a part imports what is above it or outside its business."""
    modules = [module for module in folder.rglob("*.py") if module != CONSTRUCTS]

    wrong = [
        f"{module.relative_to(folder.parent)} imports {name}"
        for module in modules
        for name in imported(module)
        for forbidden in FORBIDDEN[folder]
        if f"{name}.".startswith(f"{forbidden}.")
    ]

    assert modules
    assert [] == wrong


@pytest.mark.parametrize("module", ["pulumi_mlserve.provider.main", "pulumi_mlserve.cli.main", "pulumi_mlserve"])
def test_start_imports_nothing_heavy(module, tmp_path):
    """The plugin, the command and the package start without the libraries that only some of their work needs."""
    code = f"import sys, {module}; print(*sorted({{name.partition('.')[0] for name in sys.modules}}))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert set() == HEAVY & set(answer.stdout.split())


def test_components_check_without_what_the_plugin_checks_with(tmp_path):
    """A program's preview waits for its imports: the specs and their library are the plugin's."""
    names = "LocalService, RegisteredModel, ScoringImage"
    code = f"import sys; from pulumi_mlserve import {names}; print(*sys.modules)"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)

    assert set() == {"pydantic", "pulumi_mlserve.core.images.image"} & set(answer.stdout.split())


@pytest.mark.parametrize("package", [pulumi_mlserve, mlserve_scoring], ids=lambda package: package.__name__)
def test_every_import_is_a_declared_dependency(package):
    """What a package imports it declares; what came along with something else may go with it."""
    folder = Path(package.__file__).parent
    modules = [module for module in folder.rglob("*.py") if "standins" not in module.relative_to(folder).parts]
    names = {name.partition(".")[0] for module in modules for name in imported(module)}
    outside = names - set(sys.stdlib_module_names) - {package.__name__} - TYPES - OPTIONAL.get(package.__name__, set())
    declared = {canonicalize_name(Requirement(text).name) for text in requires(package.__name__) or ()}
    brought = {**packages_distributions(), **PARTS}

    undeclared = [name for name in outside if not declared & set(map(canonicalize_name, brought.get(name, [name])))]
    assert [] == undeclared
