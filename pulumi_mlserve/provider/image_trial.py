"""The trial of an image: its script and samples run once before anything is built or touched."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from pulumi_mlserve.clients.environments.interpreter import isolated_python
from pulumi_mlserve.clients.images.image_build import ImageContent
from pulumi_mlserve.clients.images.trial_root import assemble_trial_root
from pulumi_mlserve.clients.places import cache_folder
from pulumi_mlserve.clients.trials.trial import TrialVerdict
from pulumi_mlserve.core.images.layers import LayerPlan
from pulumi_mlserve.core.problems import InvalidInputError, OperationError
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.workplace import workplace


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
        raise InvalidInputError(verdict.problems)
    return verdict


def _run(call: Call, plan: LayerPlan, content: ImageContent) -> TrialVerdict:
    place = workplace(call.settings)
    seen = place.trials.known(plan.recipe)
    if seen is not None:
        return seen
    call.status("trying the image: init and samples")
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
        verdict = place.trials.run(root, python, plan.recipe, progress=call.status, cancelled=call.cancelled)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for note in verdict.notes:
        call.warn(note)
    return verdict
