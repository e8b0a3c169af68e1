"""Declares what can be typed after `mlserve`; which function answers is named, not imported, so that help is quick."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from mlserve_scoring.development.options import declare as declare_serve

from pulumi_mlserve.core.images.platforms import PLATFORMS

if TYPE_CHECKING:
    from collections.abc import Sequence

_TEXT = "models, images and services of pulumi_mlserve: what is there, what runs, what is missing"


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns what was typed; `answer` is `module:function` below this package. A usage error exits with 2."""
    parser = argparse.ArgumentParser(prog="mlserve", description=_TEXT)
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    _models(commands)
    _services(commands)
    _images(commands)
    _rest(commands)
    return parser.parse_args(arguments)


class _Commands:
    """Subcommands of one group, all with the options that every command takes."""

    def __init__(self, commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
        self._commands = commands

    def add(self, name: str, answer: str, text: str, *, store: bool = True) -> argparse.ArgumentParser:
        """Returns the parser of a new command."""
        parser = self._commands.add_parser(name, help=text, description=text)
        parser.set_defaults(answer=answer)
        parser.add_argument("--json", action="store_true", help="print JSON for programs instead of a table")
        if store:
            parser.add_argument(
                "--store",
                metavar="LOCATION",
                help="folder or URL of the model store (default: $MLSERVE_STORE, or yours)",
            )
        return parser


def _group(commands: argparse._SubParsersAction[argparse.ArgumentParser], name: str, text: str) -> _Commands:
    parser = commands.add_parser(name, help=text, description=text)
    return _Commands(parser.add_subparsers(metavar="COMMAND", required=True))


def _models(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = _group(commands, "models", "models in the model store")
    listed = group.add("list", "models:list_models", "list model versions")
    listed.add_argument("name", nargs="?", help="only this model")
    listed.add_argument("--name", dest="named", metavar="NAME", help="the same")
    listed.add_argument("--latest", action="store_true", help="of each model only the newest of those")
    _add_pairs(listed, "--tag")
    _add_pairs(listed, "--property")
    shown = group.add("show", "models:show_model", "show one model version and its files")
    shown.add_argument("model", metavar="NAME[:VERSION]", help="the newest version when none is given")
    fetched = group.add("download", "download:download_model", "put a model version's files into a folder")
    fetched.add_argument("model", metavar="NAME[:VERSION]", help="the newest version when none is given")
    fetched.add_argument("folder", type=Path, help="made if need be; nothing in it is replaced")
    registered = group.add("register", "models:register", "register a file or a folder as a model version")
    registered.add_argument("path", help="the model's file or folder, or its address: az://…, runs:/…, models:/…")
    registered.add_argument("name", help="the model's name")
    for option, text in (("--tag", "a tag"), ("--property", "a property, fixed once set")):
        registered.add_argument(
            option, action="append", default=[], metavar="KEY=VALUE", help=f"{text}; can be repeated"
        )
    registered.add_argument("--description", help="what the model is, in words")
    registered.add_argument("--framework", metavar="NAME", help="Onnx, ScikitLearn, TensorFlow, PyTorch, … or Custom")
    registered.add_argument("--framework-version", metavar="VERSION", help="the version of the framework")
    registered.add_argument(
        "--child-path", action="append", default=[], metavar="PATH", help="of a folder, only this; can be repeated"
    )
    released = group.add("release", "models:release", "let go of a version that was registered by hand")
    released.add_argument("name", help="the model's name")
    released.add_argument("version", type=int, help="the version's number")
    _add_yes(released)
    pruned = group.add("prune", "prune:prune_models", "delete model versions that nobody needs")
    pruned.add_argument("name", nargs="?", help="only of this model")
    pruned.add_argument(
        "--revisions",
        type=int,
        default=10,
        metavar="N",
        help="of each service, what its last N revisions ran stays (default: 10)",
    )
    pruned.add_argument("--by-hand", action="store_true", help="also let go of what was registered by hand")
    pruned.add_argument(
        "--claimant",
        action="append",
        default=[],
        metavar="PROJECT/STACK/RESOURCE",
        help="also let go of what this one claims; can be repeated",
    )
    pruned.add_argument("--dry-run", action="store_true", help="only say what would go, and why the rest stays")
    _add_yes(pruned)


def _services(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = _group(commands, "services", "services that run, and where")
    listed = group.add("list", "services:list_services", "list services with their state")
    _add_model(listed)
    listed.add_argument("--image", metavar="DIGEST", help="only those that run this image; its first digits will do")
    _add_pairs(listed, "--tag")
    shown = group.add("show", "services:show_service", "show all that is known of a service")
    shown.add_argument("service", help="the service's name, PROJECT/STACK/NAME where several have it")
    forgotten = group.add("forget", "forgotten:forget_service", "remove what a service left whose stack is gone")
    forgotten.add_argument("service", help="the service's name, or its identity as messages show it")
    _add_yes(forgotten)


def _images(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = _group(commands, "images", "images in the local image store")
    listed = group.add("list", "images:list_images", "list images")
    listed.add_argument("name", nargs="?", help="only images of this name")
    _add_model(listed)
    _add_pairs(listed, "--tag")
    shown = group.add("show", "image_details:show_image", "show one image, its layers and packages")
    exported = group.add("export", "images:export_image", "write an image to a folder or file that other tools read")
    pushed = group.add("push", "image_transfer:push_image", "push an image to a registry", store=False)
    pulled = group.add("pull", "image_transfer:pull_image", "take an image out of a registry", store=False)
    released = group.add("release", "image_transfer:release_image", "let go of an image that was pulled by hand")
    for parser in (shown, exported, pushed, released):
        parser.add_argument(
            "image", metavar="NAME[@DIGEST]", help="the newest of a name, or a digest; its first digits will do"
        )
    exported.add_argument("path", type=Path, help="where nothing is yet, or an earlier export")
    exported.add_argument(
        "--format", choices=("layout", "tar"), default="layout", help="a folder as OCI has it, or one file of the same"
    )
    pushed.add_argument("reference", metavar="REGISTRY/REPOSITORY[:TAG]", help="the tag is the digest's by default")
    pulled.add_argument("reference", metavar="REGISTRY/REPOSITORY[:TAG][@DIGEST]", help="an image that was made by us")
    _add_yes(released)


def _rest(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    group = _Commands(commands)
    history = group.add("history", "history:show_history", "show what a service ran, from when to when")
    history.add_argument("service", help="the service's name, PROJECT/STACK/NAME where several have it")
    _add_model(history)
    logs = group.add("logs", "logs:show_logs", "show a local service's log", store=False)
    logs.add_argument("service", help="the service's name")
    logs.add_argument("-n", "--lines", type=_count, default=100, help="how many lines (default: 100)")
    logs.add_argument("-f", "--follow", action="store_true", help="go on with each new line")
    serve = group.add("serve", "serve:serve_folder", "serve a folder while you write its script", store=False)
    declare_serve(serve)
    serve.add_argument("--python", type=Path, metavar="FILE", help="interpreter (default: of the active environment)")
    call = group.add("call", "call:call_service", "send a file to a service and print its answer")
    call.add_argument("service", help="the service's name")
    call.add_argument("file", help="the request's body; - reads it from standard input")
    call.add_argument("--timeout", type=float, default=60.0, metavar="SECONDS", help="longest wait (default: 60)")
    call.add_argument(
        "--token-file",
        metavar="FILE",
        help="token to show; - reads it from standard input (default: the service's key, else $MLSERVE_TOKEN)",
    )
    lock = group.add("lock", "lock:write_lock", "lock the packages of an environment file, beside it", store=False)
    declare_lock(lock)
    shown = group.add("dockerfile", "dockerfile:show_dockerfile", "show how Docker would make an image", store=False)
    shown.add_argument("image", metavar="NAME[@DIGEST]", help="an image of the local store; first digits will do")
    shown.add_argument("--output", type=Path, metavar="FOLDER", help="write it there with all the files it needs")
    shown.add_argument("--base", metavar="REFERENCE", help="what to stand on (default: what the image stands on)")
    shown.add_argument(
        "--packages",
        choices=("locked", "copied"),
        default="locked",
        help="installed by hash while Docker builds, or copied as they are in the image (default: locked)",
    )
    shown.add_argument("--steps", type=Path, metavar="FILE", help="Dockerfile lines to run on the base as root")
    group.add("doctor", "doctor:examine", "say what is missing on this machine and how to get it")
    install = group.add("install", "install:install", "put the plugin into Pulumi's plugin cache", store=False)
    install.add_argument(
        "--home", type=Path, metavar="FOLDER", help="Pulumi's home (default: $PULUMI_HOME, or ~/.pulumi)"
    )
    group.add("version", "install:show_version", "print the version", store=False)


def declare_lock(parser: argparse.ArgumentParser) -> None:
    """Declares the options of `mlserve lock`."""
    parser.add_argument(
        "path", type=Path, nargs="?", default=Path(), help="conda, requirements or pyproject file, or its folder"
    )
    parser.add_argument("--check", action="store_true", help="write nothing; fail unless the lock is what is asked for")
    parser.add_argument(
        "--upgrade",
        action="append",
        nargs="?",
        const="*",
        default=[],
        metavar="PACKAGE",
        help="let this package move to a newer version, or all; can be repeated",
    )
    parser.add_argument("--python-version", metavar="3.N", help="as the image's python_version")
    parser.add_argument("--platform", choices=PLATFORMS, help="as the image's platform (default: this machine's)")
    parser.add_argument("--extra", action="append", default=[], metavar="NAME", help="as one of the image's extras")
    parser.add_argument(
        "--base-package", action="append", default=[], metavar="NAME", help="as the image's base_packages"
    )
    parser.add_argument("--feature", action="append", default=[], metavar="NAME", help="as one of the image's features")
    parser.add_argument("--real-packages", action="store_true", help="as standins=False of the image")


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", metavar="NAME[:VERSION]", help="only with this model, or this version of it")


def _add_pairs(parser: argparse.ArgumentParser, option: str) -> None:
    parser.add_argument(
        option,
        action="append",
        default=[],
        metavar="KEY[=VALUE]",
        help=f"only with this {option[2:]}; with all of them when repeated",
    )


def _add_yes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--yes", action="store_true", help="remove it without asking")


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise ValueError
    return number
