"""Where the parts of an image lie in it."""

from __future__ import annotations

from typing import Final

APP_ROOT: Final = "var/azureml-app"
"""Where the source directory lies in an image, as in Azure ML v1."""
MODEL_LINKS: Final = f"{APP_ROOT}/azureml-models"
"""Where v1 scripts look for models: ``<name>/<version>/<base name>``."""
MODELS: Final = "opt/mlserve/models"
RUNTIME: Final = "opt/mlserve/runtime"
SITE_PACKAGES: Final = "opt/mlserve/site-packages"
SETTINGS: Final = "opt/mlserve/settings.json"
