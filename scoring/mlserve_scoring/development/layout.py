"""Lays out v1's folders around a user's folder, with links: nothing is copied, nothing is written into it."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from mlserve_scoring import manifest as manifests
from mlserve_scoring import settings as settings_files
from mlserve_scoring.manifest import Manifest, ModelEntry
from mlserve_scoring.process.surroundings import MODELS_FOLDER
from mlserve_scoring.process.trial import with_samples
from mlserve_scoring.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.development.folder import Plan
    from mlserve_scoring.development.options import Wish

_NOT_HASHED: Final = "sha256:" + "0" * 64
_LONGEST_RUN_S: Final = 60


def lay_out(root: Path, wish: Wish, plan: Plan, *, revision: str) -> Path:
    """Write the folders of an unpacked image, its manifest and the settings; return the settings' file.

    Args:
        root: Does not exist yet.
        wish: Names the user's folder.
        plan: What is served.
        revision: Named in status and logs.

    Raises:
        ContractError: The samples are none.
        OSError: A link cannot be made.
    """
    manifest = _manifest(wish, plan)
    if wish.samples is not None:
        manifest = with_samples(manifest, wish.samples)
    app = root / manifest.app_root
    app.mkdir(parents=True)
    for path in wish.folder.iterdir():
        if path.name != MODELS_FOLDER or not plan.models:
            (app / path.name).symlink_to(path)
    for model, entry in zip(plan.models, manifest.models, strict=True):
        for folder in (root / entry.path, app / MODELS_FOLDER / model.name / str(model.version)):
            folder.mkdir(parents=True)
            (folder / entry.base).symlink_to(model.path)
    file = root / manifests.MANIFEST_PATH
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(manifests.dump(manifest), encoding="utf-8")
    settings = root / "settings.json"
    settings.write_text(settings_files.dump(_settings(root, wish, revision)), encoding="utf-8")
    return settings


def _manifest(wish: Wish, plan: Plan) -> Manifest:
    models = [
        ModelEntry(model.name, model.version, _NOT_HASHED, f"opt/mlserve/models/{number}", model.path.name)
        for number, model in enumerate(plan.models)
    ]
    return Manifest(
        image=wish.folder.name,
        recipe=_NOT_HASHED,
        python=f"{sys.version_info.major}.{sys.version_info.minor}",
        entry_script=plan.entry_script,
        models=tuple(models),
    )


def _settings(root: Path, wish: Wish, revision: str) -> Settings:
    return Settings(
        root=root,
        service=wish.folder.name,
        revision=revision,
        host=wish.host,
        port=wish.port,
        drain_seconds=_LONGEST_RUN_S,  # what the old files answer may take as long as any run
        variables=wish.variables,
        metrics="open",
        log_format="json" if wish.as_json else "text",
        access_log=True,
    )
