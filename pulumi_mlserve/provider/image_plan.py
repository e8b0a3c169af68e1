"""The plan of an image's layers, pinned parts kept, and where the bytes that it needs lie on this machine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

from pulumi_mlserve.clients.environments.resolver import Lock
from pulumi_mlserve.clients.images.bytecode import find_compiler
from pulumi_mlserve.clients.images.image_build import ImageContent
from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.clients.images.source_date import origin_here
from pulumi_mlserve.clients.images.source_files import SourceTree, scan_source
from pulumi_mlserve.core.environments.index_options import has_credentials
from pulumi_mlserve.core.images.cuda import CUDA
from pulumi_mlserve.core.images.image import ImageInputs, ImageModel
from pulumi_mlserve.core.images.layers import LayerPlan, plan_layers
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_base import base_content, base_digest, device_of
from pulumi_mlserve.provider.image_changes import say_what_is_newer
from pulumi_mlserve.provider.image_environment import Environment, read_environment
from pulumi_mlserve.provider.workplace import workplace


def plan_image(call: Call, environment: Environment, samples: Any) -> LayerPlan:
    """Return the plan, with the runtime and the compiler of the last run if nothing else changed."""
    if environment.lock is None:
        raise InvalidInputError([Problem("", "the packages are not resolved")])
    now, kept = runtime_files().digest, call.olds.get("runtime")
    code = _code(call)
    if code is not None:
        _refuse_passwords(environment, code)
    inputs = _inputs(call, environment, environment.lock, samples, now, code)
    if kept is not None and "runtime" not in call.news.get("upgrade", ()):
        pinned = dataclasses.replace(inputs, runtime_digest=str(kept), compiler=call.olds.get("compiler") or None)
        before = plan_layers(pinned)
        if before.recipe == call.olds.get("recipe"):
            if kept != now:
                say_what_is_newer(call, str(kept), now)
            return before
    compiler = find_compiler(inputs.python)
    return plan_layers(dataclasses.replace(inputs, compiler=compiler.version if compiler else None))


def _inputs(  # noqa: PLR0913, PLR0917  each is one thing that goes in
    call: Call, environment: Environment, lock: Lock, samples: Any, runtime: str, code: SourceTree | None
) -> ImageInputs:
    news = call.news
    return ImageInputs(
        name=news["name"],
        python=environment.spec.python,
        lock_key=lock.key,
        runtime_digest=runtime,
        code_digest=code.digest if code else None,
        models=tuple(ImageModel(m["name"], 0, m["digest"], (), m.get("framework")) for m in news.get("models") or ()),
        entry_script=news.get("entry_script"),
        platform=lock.platform,
        variables=environment.spec.variables,
        samples=samples,
        features=tuple(sorted({*(news.get("features") or ())})),
        base=base_digest(news),
        device=device_of(news),
        onnx_on_gpu=device_of(news) == CUDA and "onnxruntime-gpu" in dict(lock.packages),
        base_packages=tuple(sorted({*(news.get("base_packages") or ())})),
    )


def _code(call: Call) -> SourceTree | None:
    source = call.news.get("source_directory")
    if not source:
        return None
    index = workplace(call.settings).index
    tree = scan_source(Path(source), index=index, progress=call.status, cancelled=call.cancelled)
    for warning in tree.warnings:
        call.warn(warning)
    return tree


def _refuse_passwords(environment: Environment, code: SourceTree) -> None:
    """Raise where a file of the environment would carry an index's password into the image."""
    inside = {code.root.resolve() / entry.path for entry in code.entries}
    problems = [
        Problem(
            environment.spec.source,
            f"{path.name}: holds a password of a package index, and lies in the source directory, so that everyone who"
            " has the image could read it; write ${NAME} in its place and set that variable, or name the file in"
            " .amlignore",
        )
        for path, text in environment.files.items()
        if has_credentials(text) and path.resolve() in inside
    ]
    if problems:
        raise InvalidInputError(problems)


def content_of(call: Call) -> tuple[LayerPlan, ImageContent]:
    """Return the plan that check made, with everything that its layers are made from.

    Raises:
        OperationError: The packages cannot be had, or files changed since the check.
    """
    place, news = workplace(call.settings), call.news
    settled = dataclasses.replace(call, olds=news)  # what check has resolved is kept as it is
    environment = read_environment(settled, {**news, "upgrade": ()})
    if environment.lock is None:
        raise OperationError(environment.trouble)
    code = _code(call)
    inputs = _inputs(call, environment, environment.lock, news.get("samples"), str(news["runtime"]), code)
    models = tuple(place.sources.image_model(model) for model in news.get("models") or ())
    packages = place.resolver.install(environment.lock, progress=call.status, cancelled=call.cancelled)
    content = ImageContent(
        packages=packages, code=code, origin=origin_here(), lock=environment.lock.text, base=base_content(call)
    )
    plan = plan_layers(dataclasses.replace(inputs, models=models, compiler=news.get("compiler") or None))
    if plan.recipe != news["recipe"]:
        raise OperationError("source_directory: files changed while this ran; run pulumi up again")
    return plan, content
