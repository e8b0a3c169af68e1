"""Loads a user's entry script and says which form its ``run()`` has; one message per mistake.

The rules are those of azureml-inference-server-http 1.5, ``server/user_script.py``. Nothing is called but the import.
"""

from __future__ import annotations

import importlib.util
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, cast

from mlserve_scoring.errors import StartError
from mlserve_scoring.scripts.declared import declares_inputs, made_into_arrays, takes_defaults, wants_request
from mlserve_scoring.scripts.places import place_of, text_of

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

Form = Literal["text", "schema", "raw"]


@dataclass(frozen=True)
class Entry:
    """A loaded entry script.

    Attributes:
        file: Path below the app root.
        init: Loads the model.
        run: Answers one request.
        form: ``text`` takes the body as text, ``schema`` JSON parameters, ``raw`` the request itself.
        parameters: Names of ``run()``'s parameters but ``request_headers``; which of them have a default.
        takes_headers: Whether ``run()`` wants ``request_headers``.
        is_async: Whether ``run()`` is to be awaited, or is an asynchronous generator.
        exact: Parameters that are neither arrays nor frames: whole numbers of any size stay whole in them.
        defaults: What ``run()`` is given for parameters that a request leaves out; what it finds itself is not here.
    """

    file: str
    init: Callable[[], object]
    run: Callable[..., object]
    form: Form
    parameters: Mapping[str, bool]
    takes_headers: bool
    is_async: bool = False
    defaults: Mapping[str, object] = field(default_factory=dict)
    exact: tuple[str, ...] = ()


def load_entry(app_root: Path, file: str) -> Entry:
    """Import an entry script and return its functions.

    Raises:
        StartError: It cannot be imported, or ``init`` or ``run`` are missing or of a form that cannot be called.
    """
    module = _import(app_root, file)
    driver = getattr(module, "driver_module", None)  # made by some SDKs around the script that scores
    scoring = driver if inspect.ismodule(driver) and hasattr(driver, "run") else module
    init = _function(module, "init", file, "define init() that loads the model; it is called once at start")
    run = _function(scoring, "run", file, "define run(data) that answers one request")
    form, parameters, takes_headers = _form_of(run, file)
    is_async = _is_async(run)
    if _is_async(init) and not is_async:
        raise StartError(
            "init() is asynchronous, which nobody would await",
            stage="import",
            file=file,
            line=line_of(init),
            todo="define it with def, or run() with async def too",
        )
    defaults = _defaults(run, parameters) if form == "schema" and takes_defaults(run) else {}
    arrays = made_into_arrays(run) if form == "schema" else frozenset()
    exact = tuple(name for name in parameters if name not in arrays) if form == "schema" else ()
    return Entry(file, init, run, form, parameters, takes_headers, is_async, defaults, exact)


def _defaults(run: Callable[..., object], parameters: Mapping[str, bool]) -> dict[str, object]:
    known = inspect.signature(run).parameters
    return {name: known[name].default for name, has_default in parameters.items() if has_default}


def _is_async(function: Callable[..., object]) -> bool:
    """Return whether a function, below its decorators, is defined with ``async def``."""
    inner = inspect.unwrap(function)
    called = inner if inspect.isroutine(inner) else getattr(type(inner), "__call__", inner)  # noqa: B004  # of a class
    return inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called)


def _import(app_root: Path, file: str) -> ModuleType:
    path = app_root / file
    if not path.is_file():
        raise StartError(
            f"there is no entry script {file!r}", stage="import", todo="give a path inside the source directory"
        )
    name = path.stem if path.stem not in sys.modules and path.stem not in sys.stdlib_module_names else "entry_module"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise StartError(f"{file!r} is no Python file", stage="import", todo="name the entry script something.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        sys.modules.pop(name, None)
        place = place_of(error, app_root)
        raise StartError(
            text_of(error), stage="import", file=place.file or file, line=place.line, todo=advice_on(error)
        ) from error
    return module


def advice_on(error: BaseException) -> str:
    """Return what to do about an exception that user code raised while it was loaded."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.partition(".")[0]
        return f"add {_DISTRIBUTIONS.get(name, name)!r} to the environment, or the file to the source directory"
    if isinstance(error, SystemExit):
        return "do not end the process in an entry script; raise an exception instead"
    if isinstance(error, SyntaxError):
        return "correct the syntax"
    if isinstance(error, FileNotFoundError):
        return "read models from Model.get_model_path(NAME) or AZUREML_MODEL_DIR, other files beside the entry script"
    return ""


_DISTRIBUTIONS: Final = {
    "sklearn": "scikit-learn",
    "cv2": "opencv-python-headless",
    "PIL": "pillow",
    "yaml": "pyyaml",
    "bs4": "beautifulsoup4",
    "dateutil": "python-dateutil",
    "skimage": "scikit-image",
    "dotenv": "python-dotenv",
    "attr": "attrs",
}


def _function(module: ModuleType, name: str, file: str, todo: str) -> Callable[..., object]:
    function = getattr(module, name, None)
    if function is None:
        raise StartError(f"has no {name}()", stage="import", file=file, todo=todo)
    if not callable(function):
        raise StartError(f"{name} is no function, got {type(function).__name__}", stage="import", file=file, todo=todo)
    return cast("Callable[..., object]", function)


def _form_of(run: Callable[..., object], file: str) -> tuple[Form, dict[str, bool], bool]:
    def refuse(message: str, todo: str) -> StartError:
        return StartError(message, stage="import", file=file, line=line_of(run), todo=todo)

    parameters = dict(inspect.signature(run).parameters)
    callable_kinds = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    odd = [entry for entry in parameters.values() if entry.kind not in callable_kinds]
    if odd:
        raise refuse(
            f"run() cannot take positional-only parameters, *args or **kwargs, got {odd[0]}", "name its parameters"
        )
    takes_headers = parameters.pop("request_headers", None) is not None
    if not parameters:
        if takes_headers:
            raise refuse("run() takes nothing but request_headers", "add a parameter for the input")
        raise refuse("run() takes no parameter", "add a parameter for the input, as in run(data)")
    defaults = {name: entry.default is not inspect.Parameter.empty for name, entry in parameters.items()}
    raw, schema = wants_request(run), declares_inputs(run)
    if raw and schema:
        raise refuse("run() has both @rawhttp and @input_schema", "keep one of them")
    if schema:
        return "schema", defaults, takes_headers
    needed = [name for name, has_default in list(defaults.items())[1:] if not has_default]
    if needed:
        raise refuse(
            f"run() needs a second argument {needed[0]!r}, and there is one input",
            "give it a default, or declare each parameter with @input_schema",
        )
    return ("raw" if raw else "text"), defaults, takes_headers


def line_of(function: Callable[..., object]) -> int | None:
    """Return where a function begins, its decorators included; nothing when it was not written in Python."""
    code = getattr(inspect.unwrap(function), "__code__", None)
    return None if code is None else int(code.co_firstlineno)
