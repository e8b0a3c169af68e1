"""``ServiceRecord``: the store's entry saying which service runs which image and models, where, since when."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from pulumi_mlserve.clients.models.records import RecordKey, ServiceRecord, UsedModel
from pulumi_mlserve.provider.call import Call, Checked, Found
from pulumi_mlserve.provider.values import UNKNOWN
from pulumi_mlserve.provider.workplace import workplace


class ServiceRecordHandler:
    """Written last by every service, so that the record says what serves."""

    compared = ("service", "target", "image", "scoring_uri", "revision", "tags", "properties", "description")
    replaced = ("service",)
    deleted_first = False

    def check(self, call: Call) -> Checked:
        """Keep of the image what the record needs."""
        inputs, image = dict(call.news), call.news.get("image")
        if isinstance(image, Mapping):
            inputs["image"] = {name: image[name] for name in ("name", "digest", "reference", "models") if name in image}
        return Checked(inputs)

    def drift(self, call: Call) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: only a refresh reads the store."""
        return {}

    def create(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Write the record."""
        return _path(_key(call)), self._put(call)

    def update(self, call: Call) -> dict[str, Any]:
        """Write the record anew; its history keeps the old one."""
        return self._put(call)

    def read(self, call: Call) -> Found:
        """Look the record up; a record that another hand changed is a difference."""
        record = workplace(call.settings).records.get(_key(call))
        if record is None:
            return Found("", {}, {})
        image = dict(call.news["image"])
        if image.get("digest") != record.image_digest:
            image |= {"digest": record.image_digest, "name": record.image_name}
            image["reference"] = f"{record.image_name}@{record.image_digest}"
        inputs = {**call.news, "image": image, "scoring_uri": record.scoring_uri, "revision": record.revision}
        return Found(call.id, {"key": _path(record.key), "since": record.since}, inputs)

    def delete(self, call: Call) -> None:
        """Remove the record; its history stays."""
        workplace(call.settings).records.remove(_key(call))

    def _put(self, call: Call) -> dict[str, Any]:
        key = _key(call)
        if call.preview:
            return {"key": _path(key), "since": UNKNOWN}
        news, image = call.news, call.news["image"]
        since = datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
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
        workplace(call.settings).records.put(record)
        return {"key": _path(key), "since": since}


def _key(call: Call) -> RecordKey:
    service = str(call.news.get("service") or call.olds.get("service"))
    return RecordKey(call.project, call.stack, service)


def _path(key: RecordKey) -> str:
    return f"records/{key.project}/{key.stack}/{key.service}.json"
