"""Loads an entry script, calls its ``init()`` and returns what answers with it."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from mlserve_scoring.contract import Contract, JsonObject, Sample, nullable
from mlserve_scoring.errors import StartError
from mlserve_scoring.scorers.scorer import into
from mlserve_scoring.scorers.tasks import Tasks
from mlserve_scoring.scripts.async_scorer import AsyncScriptScorer
from mlserve_scoring.scripts.declared import declared_by
from mlserve_scoring.scripts.entry import Entry, advice_on, load_entry
from mlserve_scoring.scripts.places import place_of, text_of
from mlserve_scoring.scripts.script_scorer import ScriptScorer

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from pathlib import Path

    from mlserve_scoring.scorers.lanes import Lanes


async def start_script(  # noqa: PLR0913  # all it decides by, in one place
    app_root: Path,
    file: str,
    loop: asyncio.AbstractEventLoop,
    *,
    lanes: Callable[[], Lanes],
    tasks: Callable[[], Tasks],
    strict_v1: bool = False,
) -> ScriptScorer | AsyncScriptScorer:
    """Load a script and call its ``init()``, both on the thread that will run it.

    An asynchronous script is loaded on one thread; its ``init()`` is called on the one that its loop will run on.

    Args:
        app_root: Where the user's code is.
        file: Path of the script below it.
        loop: Of the service.
        lanes: Makes the threads of a script.
        tasks: Makes the loop of an asynchronous one.
        strict_v1: Whether forms, results and failures are treated as in v1.

    Raises:
        StartError: It cannot be loaded, or ``init()`` raised.
    """
    threads = lanes()
    future: asyncio.Future[object] = loop.create_future()
    threads.submit(partial(_start, app_root, file), into(future), limited=False)
    entry = await future
    if isinstance(entry, BaseException):
        raise entry
    if not isinstance(entry, Entry):
        raise TypeError(f"expected an entry, got {entry!r}")
    if not entry.is_async:
        return ScriptScorer(entry, threads, loop, declared_contract(entry, with_example=strict_v1), strict_v1=strict_v1)
    threads.close()
    awaiting = tasks()
    future = loop.create_future()
    awaiting.prepare(entry.init, into(future))
    result = await future
    awaiting.start()
    if isinstance(result, BaseException):
        raise _init_failed(result, app_root, file) from result
    return AsyncScriptScorer(
        entry, awaiting, loop, declared_contract(entry, with_example=strict_v1), strict_v1=strict_v1
    )


def _start(app_root: Path, file: str) -> Entry:
    entry = load_entry(app_root, file)
    if entry.is_async:
        return entry
    try:
        entry.init()
    except BaseException as error:
        raise _init_failed(error, app_root, file) from error
    return entry


def _init_failed(error: BaseException, app_root: Path, file: str) -> StartError:
    place = place_of(error, app_root)
    return StartError(
        f"init() raised {text_of(error)}",
        stage="init",
        file=place.file or file,
        line=place.line,
        todo=advice_on(error),
    )


def declared_contract(entry: Entry, *, with_example: bool = False) -> Contract:
    """Return the contract that a script's decorators declare; an empty one without decorators.

    Args:
        entry: The script.
        with_example: Whether the answer's schema keeps the declared sample, as v1's Swagger document shows it.

    Raises:
        StartError: A declared sample has no schema.
    """
    try:
        declared = declared_by(entry.run)
    except Exception as error:
        raise StartError(
            f"a declared sample has no schema, {text_of(error)}",
            stage="import",
            file=entry.file,
            todo="give @input_schema and @output_schema samples of supported types",
        ) from error
    if declared is None:
        return Contract({}, {})
    output = {key: value for key, value in (declared.output or {}).items() if with_example or key != "example"}
    if not declared.inputs:
        return Contract({}, output, source="decorators")
    example = {
        name: schema.get("example") for name, schema in declared.inputs.items() if name not in declared.only_types
    }
    properties: JsonObject = {name: {} for name in entry.parameters}  # of any type
    for name, schema in declared.inputs.items():
        plain = {key: value for key, value in schema.items() if key != "example"}
        properties[name] = nullable(plain) if name in declared.optional else plain
    required = [name for name, has_default in entry.parameters.items() if not has_default]
    accepted: JsonObject = {"type": "object", "properties": properties, "required": required}
    complete = all(name in example for name in required)
    return Contract(accepted, output, (Sample(example),) if complete else (), "decorators")
