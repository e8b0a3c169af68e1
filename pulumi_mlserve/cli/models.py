"""Answers `mlserve models …`: what the model store holds, one more version, one less."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pulumi_mlserve.cli.output import (
    end_progress,
    excerpt,
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
from pulumi_mlserve.cli.selection import find_model, pair_problems, pairs_of, refuse
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.places import store_location
from pulumi_mlserve.core.model import check_model, code_note
from pulumi_mlserve.core.problems import OperationError, Problem
from pulumi_mlserve.registration import BY_HAND, register_model

if TYPE_CHECKING:
    from argparse import Namespace

    from pulumi_mlserve.clients.models.model_store import ModelVersion
    from pulumi_mlserve.core.digest import FileEntry


def list_models(options: Namespace) -> int:
    """Lists versions, by name and number."""
    problems = [*pair_problems("--tag", options.tag), *pair_problems("--property", options.property)]
    if options.name and options.named and options.name != options.named:
        problems.append(Problem("--name", f"another name, got {options.name!r} and {options.named!r}; give one"))
    refuse(problems)
    store, name = ModelStore(store_location(options.store)), options.named or options.name
    tags, properties = pairs_of(options.tag), pairs_of(options.property)
    versions = store.list(name, tags, properties=properties, latest=options.latest)
    if options.json:
        return show_json([_plain(version) for version in versions])
    rows = [
        (
            version.id,
            short(version.digest),
            size(version.size),
            version.meta.model_framework or "",
            when(version.created),
            pairs(version.meta.tags),
            pairs(version.meta.properties) if properties else "",
        )
        for version in versions
    ]
    columns = ("model", "digest", "size", "framework", "registered", "tags", "properties")
    empty = f"no models in {store.location}; add one with: mlserve models register PATH NAME"
    if name or tags or properties:
        empty = f"no such model version in {store.location}; see all with: mlserve models list"
    return show_table(columns, rows, empty=empty)


def show_model(options: Namespace) -> int:
    """Shows a version, its files and the services that run it."""
    store = ModelStore(store_location(options.store))
    version = find_model(store, options.model)
    users = Records(store).users_of_model(version.name, version.version)
    claimants = store.claims(version.name, version.version)
    if options.json:
        files = [_file(file) for file in version.files]
        return show_json({**_plain(version), "files": files, "services": users, "claimants": claimants})
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
            "needs": _needs(version),
            "sample": excerpt(meta.sample_input),
            "answer": excerpt(meta.sample_output),
            "store": f"{store.location} ({version.uri})",
            "claims": ", ".join(claimants) or "none",
            "services": ", ".join(users) or "none",
        }
    )
    show_line("")
    rows = [(file.path, size(file.size), short(file.sha256)) for file in version.files]
    return show_table(("file", "size", "sha256"), rows, empty="no files")


def register(options: Namespace) -> int:
    """Registers a file or folder; the same bytes under the same name are the version that is there already."""
    problems = [
        *pair_problems("--tag", options.tag, value=True),
        *pair_problems("--property", options.property, value=True),
    ]
    if problems:  # the rest is checked with the registration, but all mistakes are told at once
        said = {
            "name": options.name,
            "path": options.path,
            "model_framework": options.framework,
            "model_framework_version": options.framework_version,
            "child_paths": options.child_path or None,
        }
        refuse(problems + check_model({key: value for key, value in said.items() if value is not None}))
    try:
        registered = register_model(
            options.path,
            options.name,
            tags=dict(text.split("=", 1) for text in options.tag),
            properties=dict(text.split("=", 1) for text in options.property),
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
    version = find_model(store, f"{options.name}:{options.version}")
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


def _needs(version: ModelVersion) -> str:
    needed = version.meta.resource_configuration
    if needed is None:
        return ""
    parts = ((needed.cpu, "cores"), (needed.memory_in_gb, "GB of memory"), (needed.gpu, "GPUs"))
    return ", ".join(f"{number:g} {what}" for number, what in parts if number is not None)


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
