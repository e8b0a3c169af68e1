"""Answers what programs ask for: models and services of the store, whichever stack made them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from pulumi_mlserve.clients.models.model_versions import ModelVersion
from pulumi_mlserve.clients.models.records import ServiceRecord
from pulumi_mlserve.core.declarations import token
from pulumi_mlserve.core.function_declarations import FUNCTIONS, FunctionDeclaration
from pulumi_mlserve.core.model import CUSTOM, sample_of
from pulumi_mlserve.core.problems import InvalidInputError, Problem
from pulumi_mlserve.core.service_address import beside
from pulumi_mlserve.core.suggest import did_you_mean
from pulumi_mlserve.provider.workplace import workplace

Answer = Callable[[Mapping[str, Any], Mapping[str, str]], dict[str, Any]]
"""Takes a function's arguments and the provider's settings, and returns the outputs, all under Python names."""

_SHOWN: Final = 10


def get_model(given: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """Return the newest version of a model that fits what is given.

    Raises:
        InvalidInputError: There is none; why, at the argument that rules all of them out.
        OperationError: The store could not be asked.
    """
    store, name = workplace(settings).models, str(given["name"])
    numbers = store.numbers(name)
    if not numbers:
        raise _refused("name", f"there is no model named {name!r} in {store.location}{_near(name, store.names())}")
    tags, properties = given.get("tags") or {}, given.get("properties") or {}
    found: ModelVersion | None
    if "digest" in given:
        found = store.find(name, given["digest"])
        if found is None:
            raise _refused("digest", f"no version of {name} has this content, got {given['digest']}")
    elif "version" in given:
        found = store.get(name, given["version"]) if given["version"] > 0 else None
        if found is None or found.deleted:
            what = "was deleted" if found is not None else "was never given"
            raise _refused("version", f"{what}, got {given['version']}; {name} has {_numbers(numbers)}")
    else:
        found = next(iter(store.page(name, limit=1, tags=tags, properties=properties).versions), None)
    if found is None or not _carries(found, tags, properties):
        verb = f"no version of {name} carries" if found is None else f"version {found.version} of {name} lacks"
        wanted = {f"tags.{k}": v for k, v in tags.items()} | {f"properties.{k}": v for k, v in properties.items()}
        texts = " and ".join(f"{path.partition('.')[2]}={value!r}" for path, value in wanted.items())
        raise _refused("tags" if tags else "properties", f"{verb} {texts}")
    if given.get("version", found.version) != found.version:
        raise _refused("version", f"the content is that of version {found.version}, got {given['version']}")
    return _model(found)


def get_service(given: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """Return what the record of a service says.

    Raises:
        InvalidInputError: There is none, or there are several; why, at the argument that is wrong or missing.
        OperationError: The store could not be asked.
    """
    place, name = workplace(settings), str(given["name"])
    records = place.records.list()
    found = [record for record in records if record.service == name]
    if not found:
        near = _near(name, {record.service for record in records})
        raise _refused("name", f"there is no service named {name!r} in {place.models.location}{near}")
    for part in ("project", "stack"):
        before = found
        found = [record for record in before if given.get(part, getattr(record, part)) == getattr(record, part)]
        if not found:
            raise _refused(part, f"has no service {name}, got {given[part]!r}; it is declared by {_declarers(before)}")
    if len(found) > 1:
        part = "project" if len({record.project for record in found}) > 1 else "stack"
        raise _refused(part, f"is needed: {name} is declared by {_declarers(found)}")
    return _service(found[0])


def list_models(given: Mapping[str, Any], settings: Mapping[str, str]) -> dict[str, Any]:
    """Return all versions of models that fit what is given.

    Raises:
        OperationError: The store could not be asked.
    """
    found = workplace(settings).models.list(
        given.get("name"),
        given.get("tags"),
        properties=given.get("properties"),
        latest=bool(given.get("latest")),
    )
    return {"models": [_model(version) for version in found]}


ANSWERS: Final[Mapping[str, tuple[FunctionDeclaration, Answer]]] = {
    token(declaration.name): (declaration, answer)
    for declaration, answer in zip(FUNCTIONS, (get_model, get_service, list_models), strict=True)
}


def _model(found: ModelVersion) -> dict[str, Any]:
    framework = found.meta.model_framework or CUSTOM
    ref = {"name": found.name, "version": found.version, "digest": found.digest, "uri": found.uri}
    sample = sample_of(found.meta.sample_input, found.meta.sample_output)
    return {
        **ref,
        "model_id": found.id,
        "size": found.size,
        "framework": framework,
        "tags": dict(found.meta.tags),
        "properties": dict(found.meta.properties),
        "description": found.meta.description or "",
        "created": found.created,
        "ref": {**ref, "framework": framework, "sample": sample},
    }


def _service(record: ServiceRecord) -> dict[str, Any]:
    return {
        "name": record.service,
        "project": record.project,
        "stack": record.stack,
        "target": record.target,
        "scoring_uri": record.scoring_uri,
        "swagger_uri": beside(record.scoring_uri, "swagger.json") if record.scoring_uri else "",
        "revision": record.revision,
        "state": record.status,
        "since": record.since,
        "image_name": record.image_name,
        "image_digest": record.image_digest,
        "models": [{"name": m.name, "version": m.version, "digest": m.digest} for m in record.models],
        "tags": dict(record.tags),
        "properties": dict(record.properties),
        "description": record.description,
    }


def _carries(found: ModelVersion, tags: Mapping[str, str], properties: Mapping[str, str]) -> bool:
    return tags.items() <= found.meta.tags.items() and properties.items() <= found.meta.properties.items()


def _near(name: str, known: Iterable[str]) -> str:
    names = sorted(known)
    if hint := did_you_mean(name, names):
        return hint
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"; it has {', '.join(names[:_SHOWN])}{more}" if names else "; it has none"


def _numbers(numbers: list[int]) -> str:
    more = "… " if len(numbers) > _SHOWN else ""
    return more + ", ".join(map(str, numbers[-_SHOWN:]))


def _declarers(records: Iterable[ServiceRecord]) -> str:
    return ", ".join(f"{record.project}/{record.stack}" for record in records)


def _refused(path: str, message: str) -> InvalidInputError:
    return InvalidInputError([Problem(path, message)])
