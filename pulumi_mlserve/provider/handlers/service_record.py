"""``ServiceRecord``: the store's entry saying which service runs which image and models, where, since when."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, Final

from pulumi_mlserve.clients.models.records import RecordKey, ServiceRecord, UsedModel
from pulumi_mlserve.core.problems import OperationError, Problem
from pulumi_mlserve.provider.call import Call, Checked, Found
from pulumi_mlserve.provider.store_change import NEW, is_moved, store_before, store_then, wanted_store
from pulumi_mlserve.provider.values import UNKNOWN, has_unknown
from pulumi_mlserve.provider.workplace import workplace

_IN_THE_STORE: Final = frozenset({"tags", "properties", "description"})


class ServiceRecordHandler:
    """Written last by every service, so that the record says what serves."""

    compared = ("service", "target", "image", "scoring_uri", "revision", "tags", "properties", "description", "store")
    replaced = ("service",)

    def check(self, call: Call) -> Checked:
        """Keep of the image what the record needs."""
        inputs, image = dict(call.news), call.news.get("image")
        if isinstance(image, Mapping):
            inputs["image"] = {name: image[name] for name in ("name", "digest", "reference", "models") if name in image}
        problems = [
            Problem(name, "holds a secret, which everyone who can read the store could see; leave it out")
            for name in sorted(call.secrets & _IN_THE_STORE & call.news.keys())
        ]
        try:
            wanted = wanted_store(call, workplace(call.settings).models.identity)
        except OperationError as failure:
            call.warn(f"the model store cannot be asked now; taking it as it was: {failure}")
            wanted = call.olds.get("store")
        return Checked(inputs if wanted is None else {**inputs, "store": wanted}, problems)

    def drift(self, call: Call) -> Mapping[str, Any]:
        """Return the store that has the record, and no revision if the record is lost: it is then written anew."""
        before = store_before(call, workplace(call.settings).models.identity)
        if is_moved(call, call.news.get("store")):
            return before
        try:
            lost = workplace(call.settings).records.get(_key(call, call.olds)) is None
        except OperationError:  # what cannot be looked at is taken as it was; writing says what is wrong
            return before
        return {**before, "revision": ""} if lost else before

    def deletes_first(self, call: Call) -> bool:  # noqa: ARG002
        """Both can be at a time."""
        return False

    def create(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Write the record."""
        return str(_place(call)), self._put(call)

    def update(self, call: Call) -> dict[str, Any]:
        """Write the record anew; its history keeps the old one."""
        return self._put(call)

    def read(self, call: Call) -> Found:
        """Look the record up; a record that another hand changed is a difference."""
        place = workplace(call.settings)
        record, here = place.records.get(_key(call, call.news)), place.models.identity.get()
        if is_moved(call, here or NEW):
            call.warn("mlserve:store is another model store than that of the record: nothing was looked up")
            return Found(call.id, dict(call.state), dict(call.news))
        if record is None:
            return Found("", {}, {})
        image = dict(call.news["image"])
        if image.get("digest") != record.image_digest:
            image |= {"digest": record.image_digest, "name": record.image_name}
            image["reference"] = f"{record.image_name}@{record.image_digest}"
        inputs = {**call.news, "image": image, "scoring_uri": record.scoring_uri, "revision": record.revision}
        state = {**call.state, "key": _path(record.key), "since": record.since}
        return Found(call.id, state, inputs)

    def delete(self, call: Call) -> None:
        """Remove the record; its history stays."""
        place = workplace(call.settings)
        if is_moved(call, place.models.identity.get() or NEW):
            call.warn("mlserve:store is another model store than the one that has the record; there it stays")
        place.records.remove(_key(call, call.olds), owner=call.state.get("owner", ""))

    def _put(self, call: Call) -> dict[str, Any]:
        kept = call.state.get("since") if _serves_the_same(call) else None
        if call.preview:
            owner = call.state.get("owner", UNKNOWN)
            return {"key": _place(call), "since": kept or UNKNOWN, "owner": owner, "store": store_then(call)}
        key, news, image = _key(call, call.news), call.news, call.news["image"]
        owner = call.state.get("owner") or secrets.token_hex(8)
        since = kept or datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
        models = tuple(UsedModel(m["name"], m["version"], m["digest"]) for m in image.get("models") or ())
        record = ServiceRecord(
            project=key.project,
            stack=key.stack,
            service=key.service,
            target=news["target"],
            image_name=image["name"],
            image_digest=image["digest"],
            models=models,
            scoring_uri=news.get("scoring_uri", ""),
            since=since,
            revision=news.get("revision", ""),
            status="Healthy",
            tags=dict(news.get("tags") or {}),
            properties=dict(news.get("properties") or {}),
            description=news.get("description", ""),
        )
        place = workplace(call.settings)
        place.records.put(record, owner=owner)
        return {"key": _path(key), "since": since, "owner": owner, "store": place.models.identity.make()}


def _key(call: Call, inputs: Mapping[str, Any]) -> RecordKey:
    return RecordKey(call.project, call.stack, str(inputs["service"]))


def _place(call: Call) -> Any:
    return UNKNOWN if has_unknown(call.news["service"]) else _path(_key(call, call.news))


def _serves_the_same(call: Call) -> bool:
    def served(inputs: Mapping[str, Any]) -> tuple[Any, Any]:
        image = inputs.get("image")
        return inputs.get("revision"), image.get("digest") if isinstance(image, Mapping) else image

    return bool(call.olds) and served(call.olds) == served(call.news)


def _path(key: RecordKey) -> str:
    return f"records/{key.project}/{key.stack}/{key.service}.json"
