"""What kind of model a file or folder is: by the framework it was registered with, its name, and its first bytes."""

from __future__ import annotations

from pathlib import Path
from typing import Final

ONNX: Final = "ONNX"
SKLEARN: Final = "scikit-learn"
SKOPS: Final = "skops"
LIGHTGBM: Final = "LightGBM"
XGBOOST: Final = "XGBoost"
MLFLOW: Final = "MLflow"

MLFLOW_FILE: Final = "MLmodel"
_BY_ENDING: Final = {
    ".onnx": ONNX,
    ".pkl": SKLEARN,
    ".pickle": SKLEARN,
    ".joblib": SKLEARN,
    ".skops": SKOPS,
    ".lgb": LIGHTGBM,
    ".lgbm": LIGHTGBM,
    ".ubj": XGBOOST,
    ".xgb": XGBOOST,
}
_BY_CONTENT: Final = (".txt", ".json", ".model", ".bst", ".bin", "")
_BY_FRAMEWORK: Final = {
    "onnx": ONNX,
    "scikitlearn": SKLEARN,
    "lightgbm": LIGHTGBM,
    "xgboost": XGBOOST,
    "mlflow": MLFLOW,
}
_SCRIPTED_FRAMEWORKS: Final = {"pytorch": "PyTorch", "tensorflow": "TensorFlow", "tfkeras": "Keras"}
# What nothing here can run without a script.
_SCRIPTED: Final = {
    ".pt": "PyTorch",
    ".pth": "PyTorch",
    ".ckpt": "PyTorch",
    ".safetensors": "PyTorch",
    ".h5": "Keras",
    ".hdf5": "Keras",
    ".keras": "Keras",
    ".pb": "TensorFlow",
    ".tflite": "TensorFlow Lite",
    ".cbm": "CatBoost",
    ".pmml": "PMML",
}
_START: Final = 64


def kind_of(path: Path, content: Path | None = None) -> str | None:
    """Return what a file is, one of this module's words; nothing for what is no model that answers by itself.

    Args:
        path: Its name.
        content: Where its bytes lie if not there.
    """
    ending = path.suffix.lower()
    if ending in _BY_ENDING:
        return _BY_ENDING[ending]
    return _kind_in(content or path) if ending in _BY_CONTENT else None


def kind_named(framework: str | None) -> str | None:
    """Return what a model is by the framework it was registered with; nothing when that does not decide it."""
    return _BY_FRAMEWORK.get(_folded(framework))


def needs_script(path: Path, framework: str | None = None) -> str | None:
    """Return the framework of a file that only an entry script can run; nothing for other files.

    Args:
        path: The file.
        framework: What the one file of a model was registered with; a pickle of PyTorch is one of these too.
    """
    return _SCRIPTED.get(path.suffix.lower()) or _SCRIPTED_FRAMEWORKS.get(_folded(framework))


def _folded(framework: str | None) -> str:
    return "".join(filter(str.isalnum, framework or "")).lower()


def _kind_in(path: Path) -> str | None:
    with path.open("rb") as file:
        start = file.read(_START)
    if start.split(b"\n", 1)[0].strip() == b"tree":
        return LIGHTGBM
    if start.startswith(b"{") and b"learner" in start:  # JSON, and UBJSON with its lengths between
        return XGBOOST
    return XGBOOST if start.startswith((b"binf", b"bs64")) else None
