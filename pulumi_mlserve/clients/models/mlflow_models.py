"""Brings files of MLflow's runs and registered models onto this machine, through MLflow's own client."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.interruption import Cancelled, Progress, heard, stop_if
from pulumi_mlserve.core.model_address import MlflowAddress, mlflow_address
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem

_ABSENT: Final = frozenset({"RESOURCE_DOES_NOT_EXIST", "NOT_FOUND", "INVALID_PARAMETER_VALUE"})
_QUIET: Final = {
    "MLFLOW_DISABLE_TELEMETRY": "true",  # nothing calls out unasked
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",  # its own seven take minutes
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
_ADDED: Final = "registered_model_meta"  # MLflow's client writes it beside what it fetched: it holds the version


@dataclass(frozen=True)
class MlflowModel:
    """What an address of MLflow means now.

    Attributes:
        address: The address that will always mean the same: with a version or id in place of an alias.
        run: The run that made it; empty where MLflow does not know.
        name: The name of the file or folder.
        listing: What tells that the files are the same, without reading them; empty where they cannot change.
    """

    address: str
    run: str
    name: str
    listing: str


class MlflowModels:
    """Runs and registered models of the server that ``MLFLOW_TRACKING_URI`` names.

    Args:
        folder: Where copies lie; exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def resolve(self, address: str) -> MlflowModel:
        """Return what an address means now; a run's files are listed, nothing is read.

        Raises:
            InvalidInputError: MLflow knows no such thing, or its client or server is not given.
            OperationError: The server cannot be asked.
        """
        named = mlflow_address(address)
        if named is None:
            raise InvalidInputError([Problem("path", f"not an address of MLflow, got {address!r}")])
        client = mlflow_client()
        with mlflow_errors(address):
            if named.run:
                listing = sorted(_files(client, named))
                if not listing:
                    raise InvalidInputError([Problem("path", f"the run has no such files, got {address!r}")])
                name = named.path.rpartition("/")[2]
                return MlflowModel(f"runs:/{named.run}/{named.path}", named.run, name, json.dumps(listing))
            return _registered(client, named)

    def bring(
        self, model: MlflowModel, *, progress: Progress | None = None, cancelled: Cancelled | None = None
    ) -> Path:
        """Return the copy of a model's file or folder, fetched unless it is here.

        Raises:
            OperationError: The server cannot be asked, or the copy cannot be written.
            CancelledError: It is no longer wanted.
        """
        server = os.environ.get("MLFLOW_TRACKING_URI", "")
        said = json.dumps([server, model.address, model.listing])
        home = self._folder / f"mlflow-{hashlib.sha256(said.encode()).hexdigest()[:32]}"
        final = home / "tree" / model.name
        stop_if(cancelled, f"fetching {model.address}")
        try:
            home.mkdir(exist_ok=True)
            with (home / "lock").open("w") as lock:
                os.utime(lock.fileno())
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not (home / "tree").exists():
                    heard(progress)(f"fetching {model.address} from MLflow")
                    self._fetch(model, home)
        except OSError as error:
            raise OperationError(
                f"{home}: cannot be written: {error.strerror}; {model.address} was not fetched"
            ) from error
        return final

    @staticmethod
    def _fetch(model: MlflowModel, home: Path) -> None:
        for left in home.glob("incoming-*"):
            shutil.rmtree(left, ignore_errors=True)
        incoming = home / f"incoming-{uuid.uuid4().hex}"
        (incoming / "got").mkdir(parents=True)
        with mlflow_errors(model.address):
            from mlflow.artifacts import download_artifacts  # noqa: PLC0415  an extra, and slow to import

            got = Path(download_artifacts(artifact_uri=model.address, dst_path=str(incoming / "got")))
        if got.is_dir():
            (got / _ADDED).unlink(missing_ok=True)
        tree = incoming / "tree"
        tree.mkdir()
        got.rename(tree / model.name)
        tree.rename(home / "tree")
        shutil.rmtree(incoming, ignore_errors=True)


def mlflow_client() -> Any:
    """Return MLflow's own client for the server that ``MLFLOW_TRACKING_URI`` names.

    Raises:
        InvalidInputError: No server is named, or the client is not installed.
    """
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        text = "is an address of MLflow, and MLFLOW_TRACKING_URI is not set; set it to the address of your server"
        raise InvalidInputError([Problem("path", text)])
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)
    try:
        from mlflow.tracking import MlflowClient  # noqa: PLC0415  an extra, and slow to import
    except ImportError as error:
        text = "is an address of MLflow, whose client is not installed; run: pip install 'pulumi-mlserve[mlflow]'"
        raise InvalidInputError([Problem("path", text)]) from error
    return MlflowClient()


def _files(client: Any, named: MlflowAddress) -> Iterator[tuple[str, int]]:
    """Yield the files of a run under a path, with their sizes."""
    folder, _, name = named.path.rpartition("/")
    beside = client.list_artifacts(named.run, folder or None)
    open_entries = [entry for entry in beside if entry.path.rpartition("/")[2] == name]
    while open_entries:
        entry = open_entries.pop()
        if entry.is_dir:
            open_entries += client.list_artifacts(named.run, entry.path)
        else:
            yield entry.path, int(entry.file_size or 0)


def _registered(client: Any, named: MlflowAddress) -> MlflowModel:
    if not named.version and not named.alias:
        found = client.get_logged_model(named.name)
        return MlflowModel(f"models:/{named.name}", str(found.source_run_id or ""), str(found.name), "")
    if named.alias == "latest":
        newest = client.search_model_versions(f"name='{named.name}'", order_by=["version_number DESC"], max_results=1)
        if not newest:
            raise InvalidInputError([Problem("path", f"MLflow has no version of {named.name!r}")])
        found = newest[0]
    elif named.alias:
        found = client.get_model_version_by_alias(named.name, named.alias)
    else:
        found = client.get_model_version(named.name, named.version)
    return MlflowModel(f"models:/{named.name}/{found.version}", str(found.run_id or ""), named.name, "")


@contextlib.contextmanager
def mlflow_errors(address: str) -> Iterator[None]:
    """Turn what MLflow refuses about an address into problems, and everything else into `OperationError`."""
    from mlflow.exceptions import MlflowException  # noqa: PLC0415  an extra

    try:
        yield
    except MlflowException as error:
        text = re.sub(r"//[^/@\s]*@", "//", str(error).partition("\n")[0])
        if error.error_code in _ABSENT:
            raise InvalidInputError([Problem("path", f"MLflow knows no {address!r}: {text}; correct it")]) from error
        raise OperationError(f"MLflow cannot be asked for {address}: {text}; check MLFLOW_TRACKING_URI") from error
