"""Makes the process look like a v1 container to the user's code: folders, environment variables, import path.

Standard library only: it runs before the image's packages can be imported.
"""

from __future__ import annotations

import importlib
import logging
import os
import site
import sys
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

    from mlserve_scoring.manifest import Manifest

STANDINS: Final = Path(__file__).parents[1] / "standins"
REAL_PACKAGES_VARIABLE: Final = "MLSERVE_REAL_PACKAGES"
# onnxruntime's Linux wheels start to report usage while they are imported, before its own switch can be reached (1.31).
NO_REPORTS: Final = {"ORT_DISABLE_TELEMETRY": "1", "ORT_TELEMETRY_DISABLED": "1"}
MODELS_FOLDER: Final = "azureml-models"


def find_packages(root: Path, manifest: Manifest) -> None:
    """Put the image's own packages on the import path; the host's become invisible when the image brings any.

    In a container whose base is to bring packages, those stay, behind the image's own.
    Reports that a package would send home are switched off before the package can be imported.
    """
    for name, value in NO_REPORTS.items():
        os.environ.setdefault(name, value)
    folder = root / manifest.site_packages
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    runtime = str(Path(__file__).parents[2].resolve())
    kept = [
        entry
        for entry in sys.path
        if Path(entry).name not in {"site-packages", "dist-packages"} or str(Path(entry).resolve()) == runtime
    ]
    brought = [entry for entry in sys.path if entry not in kept] if manifest.base_packages and root == Path("/") else []
    sys.path[:] = kept
    site.addsitedir(str(folder))
    sys.path += brought


def enter(root: Path, manifest: Manifest, *, service: str, variables: Mapping[str, str]) -> Path:
    """Set variables, import path and working folder as v1 did; return the app root.

    The stand-ins win over packages of the same name unless ``MLSERVE_REAL_PACKAGES`` is set to ``1``.
    """
    app_root = Path(os.path.abspath(root / manifest.app_root))  # noqa: PTH100  # resolve() would leave the image's links
    os.environ.update(manifest.variables)
    os.environ.update(variables)
    os.environ.setdefault("SERVICE_NAME", service)
    os.environ.update(
        AML_APP_ROOT=str(app_root),
        AZUREML_SOURCE_DIRECTORY=str(app_root),
        AZUREML_MODEL_DIR=model_folder(app_root, manifest),
    )
    places = [str(app_root)]
    if manifest.entry_script is not None:
        os.environ["AZUREML_ENTRY_SCRIPT"] = manifest.entry_script
        places.append(str((app_root / manifest.entry_script).parent))
    standins = [] if os.environ.get(REAL_PACKAGES_VARIABLE) == "1" else [str(STANDINS)]
    sys.path[:0] = [*dict.fromkeys(places), *standins]
    if not any(isinstance(finder, JoblibAlias) for finder in sys.meta_path):
        sys.meta_path.insert(0, JoblibAlias())
    if root != Path("/") and sys.pycache_prefix is None:
        sys.dont_write_bytecode = True  # an unpacked image is shared and must not change
    if app_root.is_dir():
        os.chdir(app_root)
    return app_root


def model_folder(app_root: Path, manifest: Manifest) -> str:
    """Return v1's ``AZUREML_MODEL_DIR``: one model's version folder, the folder of all when several, else empty."""
    if not manifest.models:
        return ""
    folder = app_root / MODELS_FOLDER
    if len(manifest.models) > 1:
        return str(folder)
    return str(folder / manifest.models[0].name / str(manifest.models[0].version))


def start_logging(level: str) -> None:
    """Send log records of the service and of the script to standard error; print at once, also into a pipe."""
    logging.basicConfig(
        level=level, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True
    )
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(line_buffering=True, errors="backslashreplace")


class JoblibAlias:
    """Lets ``from sklearn.externals import joblib`` and old pickles find the ``joblib`` package.

    scikit-learn dropped the submodule in 0.23; a version that still has it wins.
    """

    _alias = "sklearn.externals.joblib"

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a spec for the submodule and what lies below it, else nothing."""
        del target
        if not fullname.startswith(self._alias):
            return None
        if fullname == self._alias:
            if PathFinder.find_spec(fullname, path) is not None:
                return None
        elif not fullname.startswith(self._alias + ".") or sys.modules[self._alias] is not sys.modules.get("joblib"):
            return None
        loader = _AliasLoader("joblib" + fullname.removeprefix(self._alias))
        return ModuleSpec(fullname, loader, is_package=True)  # type: ignore[arg-type]  # it has the methods


class _AliasLoader:  # importlib.abc, whose Loader this could extend, imports twenty modules for it
    def __init__(self, real: str) -> None:
        self._real = real

    def create_module(self, spec: ModuleSpec) -> None:
        """Let the import system make one."""

    def exec_module(self, module: ModuleType) -> None:
        # The import system takes what sys.modules holds afterwards.
        sys.modules[module.__name__] = importlib.import_module(self._real)
