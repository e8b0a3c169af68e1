"""Decides which texts name a model that is not on this machine: objects of a store, files of an MLflow run, a model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from mlserve_scoring.collection.shown_address import shown

OBJECT_SCHEMES: Final = ("az", "azure", "adl", "abfs", "abfss", "s3", "s3a", "gs", "https")

_ADDRESS = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):/.*", re.DOTALL)
_FORMS: Final = "runs:/RUN/PATH, models:/NAME/VERSION or models:/NAME@ALIAS"


@dataclass(frozen=True)
class MlflowAddress:
    """What an address of MLflow names.

    Attributes:
        run: The run that logged the files; empty for a registered model.
        path: The path among the run's artifacts.
        name: The registered model, or the id of a logged one; empty for a run.
        version: The version as text; empty where an alias or an id names it.
        alias: The alias; ``latest`` stands for the newest version.
    """

    run: str = ""
    path: str = ""
    name: str = ""
    version: str = ""
    alias: str = ""

    @property
    def moves(self) -> bool:
        """Return whether the address may name another model tomorrow."""
        return bool(self.alias)


def is_address(path: str) -> bool:
    """Return whether a model's path is the address of something elsewhere."""
    return _ADDRESS.fullmatch(path) is not None


def is_mlflow(path: str) -> bool:
    """Return whether an address is one of MLflow's."""
    return path.startswith(("runs:/", "models:/"))


def moves(path: str) -> bool:
    """Return whether a model's path may name another model tomorrow, by an alias."""
    address = mlflow_address(path)
    return address is not None and address.moves


def address_problem(path: str) -> str | None:
    """Return what is wrong with a path that is an address, or None; nobody is asked."""
    if not is_address(path):
        return None
    if is_mlflow(path):
        return None if mlflow_address(path) else f"not an address of MLflow, got {path!r}; write {_FORMS}"
    return _object_problem(path)


def mlflow_address(path: str) -> MlflowAddress | None:
    """Return what an address of MLflow names, or None when it is none."""
    scheme, _, rest = path.partition(":/")
    parts = rest.strip("/").split("/")
    if any(part in {"", ".", ".."} for part in parts):
        return None
    if scheme == "runs":
        return MlflowAddress(run=parts[0], path="/".join(parts[1:])) if len(parts) > 1 else None
    return _registered(parts) if scheme == "models" else None


def _registered(parts: list[str]) -> MlflowAddress | None:
    if len(parts) == 1:
        name, mark, alias = parts[0].partition("@")
        is_known = bool(name and alias) if mark else re.fullmatch(r"m-[0-9a-f]+", name) is not None
        return MlflowAddress(name=name, alias=alias) if is_known else None
    name, version, *more = parts
    if version.lower() == "latest" and not more:
        return MlflowAddress(name=name, alias="latest")
    return MlflowAddress(name=name, version=version) if version.isdecimal() and not more else None


def store_problem(location: str) -> str | None:
    """Return why no model store can be at an address, None where one can, or where it is a folder's path."""
    scheme, mark, rest = location.partition("://")
    if not mark:
        return None
    if scheme not in OBJECT_SCHEMES or not rest.partition("?")[0].strip("/"):
        return f"not a place for models, got {shown(location)!r}; use a folder or an az://, s3:// or gs:// address"
    address = location.partition("?")[0]
    if shown(address) != address:
        return (
            f"holds a login, got {shown(location)!r}; give it in the environment, or in az:// addresses as a signature"
        )
    return None


def _object_problem(path: str) -> str | None:
    scheme, _, rest = path.partition("://")
    if scheme not in OBJECT_SCHEMES:
        return (
            f"not an address that a model can be taken from, got {shown(path)!r};"
            f" use a file or folder, an az://, s3://, gs:// or https:// address, or {_FORMS}"
        )
    if shown(path) != path.partition("?")[0] or "sig=" in path.lower():
        return "holds credentials, which everyone could see in the state; give them in the environment"
    if "?" in path:
        return f"holds a query, which no object's name has, got {shown(path)!r}; leave out what follows '?'"
    if not rest.strip("/") or (scheme == "https" and not rest.partition("/")[2].strip("/")):
        return f"names no object, got {path!r}; write the container and the path in it"
    return None
