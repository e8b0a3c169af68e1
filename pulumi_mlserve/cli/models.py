"""Answers `mlserve models …`: what the model store holds, one more version, one less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi_mlserve.cli.output import (
    end_progress,
    pairs,
    progress,
    require_yes,
    short,
    show_fields,
    show_json,
    show_line,
    show_note,
    show_table,
    size,
    when,
)
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import store_location
from pulumi_mlserve.core.model import code_note
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem
from pulumi_mlserve.registration import BY_HAND, register_model

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from pulumi_mlserve.clients.models.model_store import ModelVersion
    from pulumi_mlserve.core.digest import FileEntry


def list_models(options: Namespace) -> int:
    """Lists versions, by name and number."""
    store = ModelStore(store_location(options.store))
    tags = {key: value if mark else None for key, mark, value in (tag.partition("=") for tag in options.tag)}
    versions = store.list(options.name, tags or None, latest=options.latest)
    if options.json:
        return show_json([_plain(version) for version in versions])
    rows = [
        (
            version.name,
            str(version.version),
            short(version.digest),
            size(version.size),
            version.meta.model_framework or "",
            when(version.created),
            pairs(version.meta.tags),
        )
        for version in versions
    ]
    columns = ("model", "version", "digest", "size", "framework", "registered", "tags")
    empty = f"no models in {store.location}; add one with: mlserve models register PATH NAME"
    return show_table(columns, rows, empty=empty)


def show_model(options: Namespace) -> int:
    """Shows a version, its files and the services that run it."""
    store = ModelStore(store_location(options.store))
    version = _find(store, options.model)
    users = Records(store).users_of_model(version.name, version.version)
    if options.json:
        return show_json({**_plain(version), "files": [_file(file) for file in version.files], "services": users})
    meta = version.meta
    show_fields(
        {
            "model": version.id,
            "description": meta.description or "",
            "digest": version.digest,
            "size": f"{size(version.size)} in {len(version.files)} file{'s'[: len(version.files) != 1]}",
            "framework": " ".join(filter(None, (meta.model_framework, meta.model_framework_version))),
            "registered": f"{when(version.created)} ({version.created_by})",
            "tags": pairs(meta.tags),
            "properties": pairs(meta.properties),
            "store": f"{store.location} ({version.uri})",
            "services": ", ".join(users) or "none",
        }
    )
    show_line("")
    rows = [(file.path, size(file.size), short(file.sha256)) for file in version.files]
    return show_table(("file", "size", "sha256"), rows, empty="no files")


def register(options: Namespace) -> int:
    """Registers a file or folder; the same bytes under the same name are the version that is there already."""
    try:
        registered = register_model(
            options.path,
            options.name,
            tags=_given("tag", options.tag),
            properties=_given("property", options.property),
            description=options.description,
            model_framework=options.framework,
            model_framework_version=options.framework_version,
            child_paths=options.child_path or None,
            store=options.store,
            progress=progress,
        )
    finally:
        end_progress()
    if options.json:
        return show_json(
            {
                "name": registered.name,
                "version": registered.version,
                "digest": registered.digest,
                "uri": registered.uri,
                "existed": registered.existed,
            }
        )
    version = ModelStore(store_location(options.store)).get(registered.name, registered.version)
    if version and (note := code_note(file.path for file in version.files)):
        show_note(note)
    done = "is there already with these bytes" if registered.existed else "registered"
    show_line(f"{registered.name}:{registered.version} {done} ({short(registered.digest)})")
    return 0


def release(options: Namespace) -> int:
    """Lets go of a version that was registered by hand; its files go unless a stack or a service needs them."""
    store = ModelStore(store_location(options.store))
    version = _find(store, f"{options.name}:{options.version}")
    others = [claimant for claimant in store.claims(version.name, version.version) if claimant != BY_HAND]
    if len(others) == len(store.claims(version.name, version.version)) > 0:
        raise OperationError(f"model {version.id}: is not held by hand, but by {', '.join(others)}; nothing to release")
    files = f", whose files stay for {', '.join(others)}" if others else f" and delete its files, {size(version.size)}"
    require_yes(f"let go of {version.id}{files}", given=options.yes)
    released = store.release(version.name, BY_HAND, version=version.version, in_use=Records(store).users_of_model)
    deleted = version.version in released.deleted
    if options.json:
        return show_json({"name": version.name, "version": version.version, "deleted": deleted, "claimants": others})
    kept = ", ".join(released.kept.get(version.version, ()))
    show_line(f"{version.id} released; " + ("its files are deleted" if deleted else f"its files stay for {kept}"))
    return 0


def _find(store: ModelStore, text: str) -> ModelVersion:
    name, mark, number = text.partition(":")
    if mark and not number.isdecimal():
        raise InvalidInputError([Problem("model", f"not NAME or NAME:VERSION, got {text!r}; a version is a number")])
    version = store.get(name, int(number)) if mark else store.latest(name)
    if version is None or version.deleted:
        state = "was deleted" if version else "is not there"
        raise OperationError(f"model {text}: {state}; see what is with: mlserve models list")
    return version


def _file(file: FileEntry) -> dict[str, Any]:
    return {"path": file.path, "sha256": file.sha256, "size": file.size}


def _plain(version: ModelVersion) -> dict[str, Any]:
    return {
        "name": version.name,
        "version": version.version,
        "id": version.id,
        "digest": version.digest,
        "uri": version.uri,
        "size": version.size,
        "created": version.created,
        "created_by": version.created_by,
        **version.meta.model_dump(mode="json"),
    }


def _given(what: str, texts: Sequence[str]) -> dict[str, str]:
    wrong = [Problem(f"--{what}", f"not KEY=VALUE, got {text!r}") for text in texts if not text.partition("=")[1]]
    if wrong:
        raise InvalidInputError(wrong)
    return dict(text.split("=", 1) for text in texts)
