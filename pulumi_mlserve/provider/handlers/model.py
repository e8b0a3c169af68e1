"""``Model``: a named set of files in the model store."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from pulumi_mlserve.clients.models.model_files import HashedModel
from pulumi_mlserve.core.model import (
    CUSTOM,
    ModelMeta,
    check_model,
    code_note,
    framework_of,
    property_problems,
    sample_of,
)
from pulumi_mlserve.core.model_address import is_address
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem
from pulumi_mlserve.provider.call import Call, Checked, Found
from pulumi_mlserve.provider.model_files import hashed_model, identify_remote
from pulumi_mlserve.provider.model_workspace import (
    in_workspace,
    lay_out_for_workspace,
    say_what_it_is,
    workspace_refusals,
)
from pulumi_mlserve.provider.store_change import (
    NEW,
    is_moved,
    is_surely_the_same,
    store_before,
    store_then,
    wanted_store,
)
from pulumi_mlserve.provider.values import UNKNOWN, RefusedAsset, has_unknown, known
from pulumi_mlserve.provider.workplace import workplace


class ModelHandler:
    """Registers new content as new versions; the same content is the version it always was."""

    compared = (
        "name",
        "digest",
        "version",
        "store",
        "claimed",
        "tags",
        "properties",
        "description",
        "model_framework",
        "model_framework_version",
        "sample_input",
        "sample_output",
        "resource_configuration",
        "workspace",
        "workspace_datastore",
    )
    replaced = ("name",)

    def __init__(self) -> None:
        # In the step that imports it a resource must differ in nothing; the next run is another process.
        self._imported: set[str] = set()

    def check(self, call: Call) -> Checked:
        """Hash the files and forecast the version."""
        given = known(call.news)
        problems = [p for p in check_model(given) if p.path not in call.news or p.path in given]
        problems += [
            Problem(name, "holds a secret, which everyone who can read the store could see; leave it out")
            for name in sorted(call.secrets & ModelMeta.model_fields.keys() & call.news.keys())
        ]
        problems += workspace_refusals(call, given)
        inputs = {**call.news, "claimed": True}
        if has_unknown([call.news.get("path"), call.news.get("child_paths"), call.news.get("name")]):
            return Checked(inputs | {"digest": UNKNOWN, "version": UNKNOWN}, problems)
        reachable = self._look_at_the_store(call, inputs)
        try:
            if not any(problem.path == "path" for problem in problems):
                self._identify(call, inputs)
        except InvalidInputError as invalid:
            problems += invalid.problems
        if problems or "digest" not in inputs:
            return Checked(inputs, problems)
        if reachable:
            return Checked(inputs, self._forecast(call, inputs))
        if inputs["digest"] != call.olds.get("digest"):
            inputs.pop("version", None)  # that of another content
        return Checked(inputs)

    def drift(self, call: Call) -> Mapping[str, Any]:
        """Return the store that has the version, and no claim on it if it was imported: the next update claims it.

        Where another run was first, the version is not the one that the last check forecast.
        """
        before = dict(store_before(call, workplace(call.settings).models.identity))
        if call.news.get("version") == call.state.get("version"):
            before["version"] = call.state.get("version")
        return {**before, "claimed": call.news.get("claimed") if self._is_claimed(call) else None}

    def deletes_first(self, call: Call) -> bool:  # noqa: ARG002
        """Both can be at a time."""
        return False

    def create(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Register the content, or say which version it will be."""
        return _identity(call), self._put(call)

    def update(self, call: Call) -> dict[str, Any]:
        """Register new content as the next version; earlier ones stay as the way back."""
        if is_moved(call, call.news.get("store")):
            name, store = call.news["name"], workplace(call.settings).models
            call.info(
                f"mlserve:store is another model store than before, {store.location}: {name} is registered there; what"
                " the former one holds stays as it is, claims included"
            )
        return self._put(call)

    def read(self, call: Call) -> Found:
        """Look the version up; only a definite absence counts as gone."""
        name, version = _name_and_version(call)
        store = workplace(call.settings).models
        found = store.get(name, version)
        here = store.identity.get()
        if is_moved(call, here or NEW):
            call.warn(f"mlserve:store is another model store than that of {name}: nothing was looked up")
            return Found(call.id, dict(call.state), dict(call.news))
        if found is None or found.deleted:
            return Found("", {}, {})
        meta = found.meta.model_dump(exclude_none=True)
        meta = {key: value for key, value in meta.items() if value or key in call.news}
        inputs = {**call.news, "name": name, "digest": found.digest, "version": version, **meta}
        if not call.state:  # imported
            self._imported.add(call.urn)
            inputs |= {} if here is None else {"store": here}
        store_id = here if not call.state else call.state.get("store")  # adopting one is no drift
        outputs = _outputs(inputs, found.version, found.uri, found.size, call.state.get("owner"), store_id)
        outputs |= in_workspace(call, inputs, found.version)
        return Found(f"{found.name}", outputs, inputs)

    def delete(self, call: Call) -> None:
        """Release what this resource claims; the files go with the last claim."""
        place = workplace(call.settings)
        if is_moved(call, place.models.identity.get() or NEW):
            call.warn(
                "mlserve:store is another model store than the one that holds the model; there its files and the claim"
                " on them stay"
            )
        name = str(call.state.get("name") or call.olds.get("name") or call.id)
        place.models.release(
            name, call.claimant, in_use=place.records.users_of_model, owner=call.state.get("owner", "")
        )
        # A build that was killed before its image existed may hold links to the model's files, and no one else would
        # look after them.
        place.images.clear_abandoned()

    def _is_claimed(self, call: Call) -> bool:
        """Return whether this resource holds on to its version; whatever it made itself, it does."""
        version = call.state.get("version")
        if call.state.get("owner") or call.urn in self._imported or not isinstance(version, int):
            return True
        try:
            return call.claimant in workplace(call.settings).models.claims(str(call.state["name"]), version)
        except OperationError:  # check has warned; what cannot be looked at is no change
            return True

    def _look_at_the_store(self, call: Call, inputs: dict[str, Any]) -> bool:
        """Complete the store's id; return whether the store could be asked."""
        try:
            wanted = wanted_store(call, workplace(call.settings).models.identity)
        except OperationError as failure:
            call.warn(f"the model store cannot be asked now; taking it and the version as they were: {failure}")
            inputs |= {name: call.olds[name] for name in ("store", "version") if name in call.olds}
            return False
        inputs |= {} if wanted is None else {"store": wanted}
        if wanted == NEW and call.olds:
            call.warn(
                f"the model store {workplace(call.settings).models.location} holds nothing yet, and the model is in"
                " another one; if it should be there, check mlserve:store and that the store is mounted"
            )
        return True

    def _identify(self, call: Call, inputs: dict[str, Any]) -> None:
        path = inputs.get("path")
        known_digest = call.olds.get("digest")
        if path is None and isinstance(known_digest, str):  # imported: the store has the bytes
            inputs["digest"] = known_digest
            return
        if path is None or isinstance(path, RefusedAsset):
            raise InvalidInputError([Problem("path", "is required: the file or folder that is the model")])
        if is_address(path):
            if hashed := identify_remote(call, inputs):
                self._tell_of_code(call, inputs, hashed)
            say_what_it_is(call, inputs, hashed)
            return
        if not Path(path).exists() and isinstance(known_digest, str) and _means_the_same(call.olds, inputs):
            taken = "taking the model as unchanged"
            if not self._has(call, inputs, known_digest):
                where = workplace(call.settings).models.location
                taken = f"nor does {where} hold the model: {taken}, and an update that needs its bytes will fail"
            call.warn(f"path: {path!r} is not on this machine; {taken}")
            inputs["digest"] = known_digest
            inputs.setdefault("model_framework", call.olds.get("model_framework"))
            say_what_it_is(call, inputs, None)
            return
        hashed = hashed_model(call, inputs)
        inputs["digest"] = hashed.digest
        self._tell_of_code(call, inputs, hashed)
        say_what_it_is(call, inputs, hashed)

    @staticmethod
    def _tell_of_code(call: Call, inputs: dict[str, Any], hashed: HashedModel) -> None:
        framework = framework_of(hashed.base_name) if hashed.is_file else None
        inputs.setdefault("model_framework", framework)
        note = code_note(file.path for file in hashed.files)
        if note and hashed.digest != call.olds.get("digest"):
            call.warn(note)

    def _has(self, call: Call, inputs: Mapping[str, Any], digest: str) -> bool:
        """Return whether the store has the content, which it does unless it is another one than the last run's."""
        if is_surely_the_same(call, inputs.get("store")):
            return True
        try:
            return workplace(call.settings).models.find(inputs["name"], digest) is not None
        except OperationError:  # check has warned
            return True

    def _forecast(self, call: Call, inputs: dict[str, Any]) -> list[Problem]:
        same = call.olds.get("digest") == inputs["digest"] and call.olds.get("name") == inputs["name"]
        kept = same and is_surely_the_same(call, inputs.get("store"))
        if kept and isinstance(call.olds.get("version"), int):
            inputs["version"] = call.olds["version"]
            if call.olds.get("properties") == inputs.get("properties"):
                return []
        store = workplace(call.settings).models
        try:
            inputs["version"] = store.forecast(inputs["name"], inputs["digest"])
            found = store.find(inputs["name"], inputs["digest"])
        except OperationError as failure:
            if same and "version" in call.olds:
                inputs["version"] = call.olds["version"]
            call.warn(f"the model store cannot be asked now, so the version may be another one then: {failure}")
            return []
        if found is None or has_unknown(inputs.get("properties")):
            return []
        return property_problems(found.meta.properties, inputs.get("properties") or {})

    def _put(self, call: Call) -> dict[str, Any]:
        news = call.news
        version, digest = news.get("version", UNKNOWN), news.get("digest", UNKNOWN)
        if call.preview:
            size = call.state.get("size", UNKNOWN) if call.olds.get("digest") == digest else UNKNOWN
            uri = UNKNOWN if version is UNKNOWN else f"models/{news['name']}/versions/{version}"
            forecast = _outputs(news, version, uri, size, call.state.get("owner", UNKNOWN), store_then(call))
            return forecast | in_workspace(call, news, version)
        owner = call.state.get("owner") or secrets.token_hex(8)
        store, meta = workplace(call.settings).models, _meta(news)
        found = None if digest is UNKNOWN else store.find(news["name"], digest)
        if found is not None and not found.deleted and not Path(str(news.get("path"))).exists():
            store.claim(found.name, found.version, call.claimant, owner=owner)
            store.update_meta(found.name, found.version, meta)
            lay_out_for_workspace(call, found.name, found.version)
            outputs = _outputs(news, found.version, found.uri, found.size, owner, store.identity.make())
            return outputs | in_workspace(call, news, found.version)
        hashed = hashed_model(call, news)
        if digest not in {hashed.digest, UNKNOWN}:
            raise OperationError(f"path: {news['path']!r} changed while this ran; run pulumi up again")
        news = {**news, "digest": hashed.digest}
        registered = store.register(
            news["name"], hashed, meta, call.claimant, owner=owner, progress=call.status, cancelled=call.cancelled
        )
        lay_out_for_workspace(call, registered.name, registered.version)
        call.status("")  # else the last step stays beside a finished model
        if registered.existed:
            store.update_meta(registered.name, registered.version, meta)
        outputs = _outputs(news, registered.version, registered.uri, hashed.size, owner, store.identity.make())
        return outputs | in_workspace(call, news, registered.version)


def _means_the_same(olds: Mapping[str, Any], inputs: Mapping[str, Any]) -> bool:
    """Return whether the program asks for the file that it asked for before, though maybe in another clone."""
    before, now = (Path(str(one.get("path"))) for one in (olds, inputs))
    return _is_same_place(before, now) and olds.get("child_paths") == inputs.get("child_paths")


def _is_same_place(before: Path, now: Path) -> bool:
    """Return whether two paths are one as a program sees them, wherever its folder lies."""
    if not before.is_absolute() and not now.is_absolute():
        return os.path.normpath(before) == os.path.normpath(now)
    here = Path.cwd()
    if now.is_absolute() and not now.is_relative_to(here):
        return before.name == now.name  # the folders above may be called otherwise on each machine
    inside = [part for part in PurePath(os.path.relpath(now, here)).parts if part != os.pardir]
    return list(before.parts[-len(inside) :]) == inside


def _identity(call: Call) -> str:
    # The id stays while versions come and go: it names the model, as the resource does.
    return str(call.news["name"])


def _name_and_version(call: Call) -> tuple[str, int]:
    name, _, version = call.id.partition(":")
    if version:  # as `pulumi import` gives it
        if not version.isdigit():
            raise OperationError(f"{call.id!r} names no version; give NAME:VERSION")
        return name, int(version)
    if "version" not in call.state:
        raise OperationError(f"{call.id!r} names no version; give NAME:VERSION")
    return name, int(call.state["version"])


def _meta(inputs: Mapping[str, Any]) -> ModelMeta:
    return ModelMeta.model_validate({key: inputs[key] for key in ModelMeta.model_fields if inputs.get(key) is not None})


def _outputs(  # noqa: PLR0913, PLR0917  one argument per thing the store says
    inputs: Mapping[str, Any], version: Any, uri: Any, size: Any, owner: Any, store: Any
) -> dict[str, Any]:
    name, digest = inputs["name"], inputs.get("digest", UNKNOWN)
    return {
        "name": name,
        "version": version,
        "model_id": UNKNOWN if has_unknown([name, version]) else f"{name}:{version}",
        "digest": digest,
        "uri": uri,
        "size": size,
        "framework": inputs.get("model_framework") or CUSTOM,
        "sample": sample_of(inputs.get("sample_input"), inputs.get("sample_output")),
        **({} if owner is None else {"owner": owner}),
        **({} if store is None else {"store": store}),
    }
