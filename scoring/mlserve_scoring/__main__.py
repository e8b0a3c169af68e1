"""The command line: ``serve --settings FILE``, ``trial --root DIR --output FILE [--samples FILE]``, ``develop FOLDER``.

Only the standard library is imported before the image's own packages are on the import path.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import logging
import os
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlserve_scoring import manifest as manifests
from mlserve_scoring import settings as settings_files
from mlserve_scoring import v1_variables
from mlserve_scoring.contract import ContractError
from mlserve_scoring.development import options as development_options
from mlserve_scoring.errors import StartError
from mlserve_scoring.observing import logs
from mlserve_scoring.process import surroundings
from mlserve_scoring.process.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

EXIT_MISUSED: Final = 2
EXIT_FAILED: Final = 3
_EXIT_PATIENCE_S: Final = 3.0
_COLLECT_AFTER: Final = 50_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit status: 0, 2 for wrong files, 3 for what cannot start."""
    parser = argparse.ArgumentParser(prog="mlserve_scoring", description="Serve an image, or try one.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="serve until told to stop")
    serve.add_argument("--settings", type=Path, required=True)
    serve.add_argument("--worker", type=Worker.from_argument, help=argparse.SUPPRESS)
    trial = commands.add_parser("trial", help="load, answer the samples, write a verdict")
    trial.add_argument("--root", type=Path, required=True)
    trial.add_argument("--output", type=Path, required=True)
    trial.add_argument("--samples", type=Path)
    develop = commands.add_parser("develop", help="serve a folder, and its changes")
    development_options.declare(develop)
    develop.add_argument("--json", action="store_true", help="log lines as JSON objects")
    given = parser.parse_args(arguments)
    # A request of a million numbers makes thousands of lists, and each look for garbage goes through all of them.
    gc.set_threshold(_COLLECT_AFTER, *gc.get_threshold()[1:])
    try:
        status = _COMMANDS[given.command](given)
    except (settings_files.SettingsError, manifests.ManifestError, ContractError) as error:
        sys.stderr.write(f"{error}\n")
        status = EXIT_MISUSED
    _leave(status, at_once=given.command == "trial")
    return status


def _serve(given: argparse.Namespace) -> int:
    file: Path = given.settings
    worker: Worker | None = given.worker
    given_settings = settings_files.given(file)
    manifest = manifests.load(Path(str(given_settings["root"])))
    settings = settings_files.made(given_settings)
    variables = {**manifest.variables, **settings.variables}
    settings = settings_files.made(v1_variables.completed(given_settings, variables, str(file)))
    logs.start(settings.log_level, settings.log_format)
    if worker is None:
        for name, why in v1_variables.without_effect(variables).items():
            logging.getLogger("mlserve").warning("the environment variable %s %s", name, why)
    surroundings.find_packages(settings.root, manifest)
    try:
        from mlserve_scoring.process.serving import Service  # noqa: PLC0415  # needs the image's packages
    except ImportError as error:
        logging.getLogger("mlserve").critical("the runtime's own packages are missing from the image, %s", error)
        return EXIT_FAILED
    if settings.workers > 1 and worker is None:
        return _in_loop(_supervise(settings, file.absolute()))
    if worker is not None:
        settings = replace(settings, fd=worker.listener, grpc_fd=worker.grpc_listener)
    app_root = surroundings.enter(settings.root, manifest, service=settings.service, variables=settings.variables)

    async def run() -> int:
        return await Service(settings, manifest, app_root, worker).run()

    return _in_loop(run())


def _develop(given: argparse.Namespace) -> int:
    wish = development_options.read(given)
    try:
        from mlserve_scoring.development.server import DevelopmentServer  # noqa: PLC0415  # needs the runtime's packages
    except ImportError as error:
        sys.stderr.write(f"{sys.executable}: lacks packages of the runtime, {error}; install mlserve-scoring there\n")
        return EXIT_FAILED

    async def run() -> int:
        return await DevelopmentServer(wish).run()

    return _in_loop(run())


async def _supervise(settings: settings_files.Settings, file: Path) -> int:
    from mlserve_scoring.process.supervisor import Supervisor  # noqa: PLC0415  # most services have one process

    return await Supervisor(settings, file).run()


def _trial(given: argparse.Namespace) -> int:
    from mlserve_scoring.process import verdict as verdicts  # noqa: PLC0415

    manifest = manifests.load(given.root)
    root, output = given.root.absolute(), given.output.absolute()
    surroundings.start_logging("INFO")
    surroundings.find_packages(root, manifest)
    verdict = verdicts.Verdict(output, manifest.entry_script)
    try:
        from mlserve_scoring.process import trial  # noqa: PLC0415  # needs the image's packages
    except ImportError as error:
        verdict.write(
            [
                StartError(
                    f"the runtime's own packages are missing from the image, {error}",
                    stage="import",
                    todo="build the image again with the runtime's requirements in its environment",
                )
            ],
            None,
            None,
        )
        return EXIT_FAILED
    if given.samples is not None:
        manifest = trial.with_samples(manifest, given.samples)
    app_root = surroundings.enter(root, manifest, service=manifest.image, variables={})

    async def run() -> int:
        return 0 if await trial.try_image(root, app_root, manifest, verdict) else EXIT_FAILED

    try:
        return _in_loop(run())
    except Exception as error:
        logging.getLogger("mlserve").exception("the trial itself failed")
        verdict.write([StartError(f"the trial itself failed, {error}", stage="init", todo="report it")], None, None)
        return EXIT_FAILED


def _in_loop(work: Coroutine[object, object, int]) -> int:
    import uvloop  # noqa: PLC0415  # one of the image's packages

    loop = uvloop.new_event_loop()
    try:
        status = loop.run_until_complete(work)
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
    return int(status)


def _leave(status: int, *, at_once: bool) -> None:
    """Make sure that threads of user code cannot keep the process alive."""
    if at_once:
        _end(status)
    timer = threading.Timer(_EXIT_PATIENCE_S, _end, (status,))
    timer.daemon = True
    timer.start()


def _end(status: int) -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):  # closed, or nobody reads it any more
            stream.flush()
    os._exit(status)


_COMMANDS: Final[dict[str, Callable[[argparse.Namespace], int]]] = {
    "serve": _serve,
    "trial": _trial,
    "develop": _develop,
}


if __name__ == "__main__":
    sys.exit(main())
