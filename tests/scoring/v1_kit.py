"""Images of the samples in ``v1_samples``, with only the packages that a sample's conda file names."""

from __future__ import annotations

import re
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement
from scoring_kit import write_image

from pulumi_mlserve.core.environments.environment import environment_from, runtime_requirements, with_runtime
from pulumi_mlserve.core.scripts.entry_script import check_entry_script

SAMPLES = Path(__file__).parent / "v1_samples"
OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
INSTALLED_AS = {"xgboost": "xgboost-cpu"}  # the same package without the libraries for GPUs


def sample_image(root, name, *, entry="score.py", models=()):
    """Write the image of a sample; return its root and what the checks before a build say of it."""
    folder = SAMPLES / name
    files = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.py")}
    conda = re.sub(r"python=3\.\d+", f"python={OWN}", (folder / "env.yml").read_text(encoding="utf-8"))
    spec = with_runtime(environment_from(conda_text=conda), runtime_requirements(entry_script=True))
    write_image(root, files, entry=entry, models=models)
    packages = root / "opt/mlserve/site-packages"
    packages.mkdir(parents=True)
    link_packages(packages, spec.requirements)
    modules = {path.name.partition(".")[0] for path in packages.iterdir()}
    names = {model for model, _ in models}
    problems = check_entry_script(folder, entry, modules=modules, models=names, python=OWN, packages_file="env.yml")
    return root, problems


def link_packages(folder, requirements):
    """Link the installed packages that requirements name, and those that these need, into a folder."""
    waiting, done = [Requirement(text) for text in requirements], set()
    while waiting:
        requirement = waiting.pop()
        found = distribution(INSTALLED_AS.get(requirement.name, requirement.name))
        if (found.name, frozenset(requirement.extras)) in done:
            continue
        done.add((found.name, frozenset(requirement.extras)))
        for top in {path.parts[0] for path in found.files or ()} - {"..", "__pycache__"}:
            if not (folder / top).exists():
                (folder / top).symlink_to(found.locate_file(top))
        waiting += needed(found, requirement.extras)


def needed(found, extras):
    """Return what a package needs of other packages."""
    asked = [Requirement(text) for text in found.requires or ()]
    return [
        other
        for other in asked
        if other.marker is None or any(other.marker.evaluate({"extra": extra}) for extra in ("", *extras))
    ]
