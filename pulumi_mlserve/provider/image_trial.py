"""The trial of an image: its script and samples run once before anything is built or touched."""

from __future__ import annotations

import dataclasses
import re
import tempfile
from pathlib import Path
from typing import Final

from pulumi_mlserve.clients.environments.interpreter import isolated_python
from pulumi_mlserve.clients.environments.resolver import host_platform
from pulumi_mlserve.clients.images.image_build import ImageContent
from pulumi_mlserve.clients.images.trial_root import assemble_trial_root
from pulumi_mlserve.clients.places import cache_folder
from pulumi_mlserve.clients.trials.surroundings import clear_abandoned, remove_all
from pulumi_mlserve.clients.trials.trial import TrialLimits, TrialVerdict
from pulumi_mlserve.core.environments.locks import versions_of
from pulumi_mlserve.core.images.image import MOST_TRIAL_SECONDS
from pulumi_mlserve.core.images.layers import LayerPlan
from pulumi_mlserve.core.problems import InvalidInputError, OperationError, Problem
from pulumi_mlserve.core.scripts.trial_hints import trial_hint
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_environment import read_environment
from pulumi_mlserve.provider.values import has_unknown
from pulumi_mlserve.provider.workplace import workplace

_SHOWN_LINES: Final = 20
_SHOWN_LENGTH: Final = 400
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|[\x00-\x08\x0b-\x1f\x7f]")


def try_image(call: Call, plan: LayerPlan, content: ImageContent) -> TrialVerdict | None:
    """Return what the trial found, or None where none was made.

    Raises:
        InvalidInputError: The script cannot serve; every problem, with file and line.
        OperationError: The trial could not be made although ``trial`` is ``required``.
    """
    wanted = call.news.get("trial", "auto")
    if wanted == "off":
        return None
    try:
        verdict = _run(call, plan, content)
    except InvalidInputError:
        raise
    except OperationError as failure:
        if wanted == "required" or call.cancelled():
            raise
        call.warn(f"the entry script was not tried: {failure}")
        return None
    if not verdict.ok:
        if verdict.output:
            call.info(f"what the script printed, at its end:\n{_end_of(verdict.output)}")
        raise InvalidInputError(
            [_with_hint(problem, plan, str(call.news.get("lock") or "")) for problem in verdict.problems]
        )
    return verdict


def limits_of(call: Call) -> TrialLimits:
    """Return what the trial may use; as long as it is not known how long it may take, that is as long as any may."""
    seconds = call.news.get("trial_seconds", TrialLimits.seconds)
    return TrialLimits(seconds=MOST_TRIAL_SECONDS if has_unknown(seconds) else seconds)


def _with_hint(problem: Problem, plan: LayerPlan, lock: str) -> Problem:
    packages = versions_of(lock)
    models = plan.inputs.models
    files = [
        file.path if len(models) == 1 else f"{model.name}/{model.version}/{file.path}"
        for model in models
        for file in model.files
    ]
    return Problem(problem.path, problem.message + trial_hint(problem.message, packages=packages, files=files))


def _end_of(output: str) -> str:
    """Return the last lines of what a script printed, indented, without the colours and cursors of a terminal."""
    lines = [_CONTROL.sub("", line)[:_SHOWN_LENGTH] for line in output.splitlines() if line.strip()]
    return "\n".join(f"  {line}" for line in lines[-_SHOWN_LINES:])


def _run(call: Call, plan: LayerPlan, content: ImageContent) -> TrialVerdict:
    if plan.inputs.base_packages:
        brought = ", ".join(plan.inputs.base_packages)
        raise OperationError(f"its base image brings {brought}, which this machine does not have")
    place = workplace(call.settings)
    seen = place.trials.known(plan.recipe)
    if seen is not None:
        return seen
    content = _content_here(call, plan, content)
    call.status("trying the image: init and samples")
    clear_abandoned(cache_folder("trials"), "trial-*")
    folder = Path(tempfile.mkdtemp(prefix="trial-", dir=cache_folder("trials")))
    try:
        root = folder / "root"
        root.mkdir()
        models = {}
        for model in plan.inputs.models:
            spare = folder / "models" / model.name
            spare.mkdir(parents=True)
            models[model.name] = place.sources.folder(model, spare)
        assemble_trial_root(root, plan, content, models=models)
        python = isolated_python(plan.inputs.python, cache_folder("interpreters"))
        verdict = place.trials.run(
            root, python, plan.recipe, limits_of(call), progress=call.status, cancelled=call.cancelled
        )
    finally:
        remove_all(folder)
    for note in verdict.notes:
        call.warn(note)
    return verdict


def _content_here(call: Call, plan: LayerPlan, content: ImageContent) -> ImageContent:
    """Return the content with packages that this machine can load: its own wheels of the same versions."""
    here = host_platform()
    if plan.inputs.platform == here:
        return content
    resolver = workplace(call.settings).resolver
    environment = read_environment(dataclasses.replace(call, olds=call.news), {**call.news, "upgrade": ()})
    if environment.lock is None:
        raise OperationError(environment.trouble)
    try:
        own = resolver.lock_like(environment.lock, here, progress=call.status, cancelled=call.cancelled)
    except InvalidInputError as invalid:
        text = "; ".join(problem.message for problem in invalid.problems)
        raise OperationError(
            f"this machine is {here}, the image is for {plan.inputs.platform}, and {text}"
        ) from invalid
    call.info(f"the image is for {plan.inputs.platform}: it is tried with {here} wheels of the same versions")
    packages = resolver.install(own, progress=call.status, cancelled=call.cancelled)
    return dataclasses.replace(content, packages=packages)
