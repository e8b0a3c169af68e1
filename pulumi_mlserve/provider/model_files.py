"""Finds the files of the model that a program declares, wherever its path leads, and what is known of them there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.models.model_files import HashedModel, hash_model
from pulumi_mlserve.clients.models.remote_model import Brought
from pulumi_mlserve.core.model import ModelMeta
from pulumi_mlserve.core.model_address import is_address
from pulumi_mlserve.core.problems import OperationError
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.workplace import workplace


def hashed_model(call: Call, inputs: Mapping[str, Any]) -> HashedModel:
    """Return the declared model with its digest; one at an address is on this machine then.

    Raises:
        InvalidInputError: It cannot be a model; every reason.
        OperationError: It cannot be read or asked for.
    """
    path = str(inputs["path"])
    return _hashed(call, inputs, bring(call, inputs).path if is_address(path) else Path(path))


def bring(call: Call, inputs: Mapping[str, Any]) -> Brought:
    """Return the model at an address, copied here; an alias is taken for what it named when it was first resolved."""
    path = str(inputs["path"])
    before = call.olds if call.olds.get("path") == path else {}
    kept = inputs.get("source") or (None if "alias" in inputs.get("upgrade", ()) else before.get("source"))
    return workplace(call.settings).remote.bring(
        path, inputs.get("child_paths"), kept=kept, progress=call.status, cancelled=call.cancelled
    )


def identify_remote(call: Call, inputs: dict[str, Any]) -> HashedModel | None:
    """Complete the digest and what is known of a model at an address.

    Return its files; None when nobody could be asked. Then the model is taken as it was, or its digest is left out.
    """
    path = inputs["path"]
    try:
        found = bring(call, inputs)
    except CancelledError:
        raise
    except OperationError as failure:
        kept = {name: call.olds[name] for name in ("digest", "source") if name in call.olds}
        same = call.olds.get("path") == path and call.olds.get("child_paths") == inputs.get("child_paths")
        if same and "digest" in kept:
            call.warn(f"path: {path} cannot be asked now; taking the model as unchanged: {failure}")
            inputs |= kept
            known = ("model_framework", "model_framework_version", "properties")
            inputs |= {name: call.olds[name] for name in known if name not in inputs and name in call.olds}
        else:
            call.warn(f"path: {path} cannot be asked now, so the model is not known yet: {failure}")
        return None
    if found.newer is not None:
        call.info(
            f"path: {path} is {found.newer} now; {found.source} is kept as it was resolved first:"
            " to follow, set upgrade=['alias']"
        )
    hashed = _hashed(call, inputs, found.path)
    inputs |= {"digest": hashed.digest, "source": found.source}
    _complete(call, inputs, found)
    return hashed


def _hashed(call: Call, inputs: Mapping[str, Any], path: Path) -> HashedModel:
    index = workplace(call.settings).index
    return hash_model(
        path, index, child_paths=inputs.get("child_paths"), progress=call.status, cancelled=call.cancelled
    )


def _complete(call: Call, inputs: dict[str, Any], found: Brought) -> None:
    given = inputs.get("properties")
    if given is not None and not isinstance(given, Mapping):
        return  # not known before `up`
    try:
        stored = workplace(call.settings).models.find(inputs["name"], inputs["digest"])
    except OperationError:  # told by whoever asks for the version
        stored = None
    recorded = stored.meta.properties if stored is not None else {}
    said = found.completed(ModelMeta(properties=dict(given or {})), recorded)
    if said.properties:
        inputs["properties"] = dict(said.properties)
    if inputs.get("model_framework") is None:
        made_with = {"model_framework": said.model_framework, "model_framework_version": said.model_framework_version}
        inputs |= {name: value for name, value in made_with.items() if value is not None}
