"""Whether the pickles among an image's models fit the locked libraries, told before the trial; none is loaded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from pulumi_mlserve.clients.models.pickle_files import is_pickle_name, read_needs
from pulumi_mlserve.core.images.code_folder import IgnoreRules
from pulumi_mlserve.core.pickles.library_fit import Libraries, misfits
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_given import files_of

_MOST_FILES: Final = 20


def pickle_problems(call: Call, models: Sequence[Mapping[str, Any]], libraries: Libraries) -> list[Problem]:
    """Return what keeps a model that is one pickle from being loaded; everything less certain is a warning.

    A pickle in a folder may be one that the script never loads, and another version of a library may do: there the
    trial decides. Models whose bytes are not on this machine are left to it altogether.

    Args:
        call: The call; an image that was checked with the same lock and models is not checked again.
        models: The image's models, with names and digests.
        libraries: What the image offers.
    """
    if _is_checked(call, libraries):
        return []
    problems = []
    for index, model in enumerate(models):
        files = files_of(call, model)
        pickles = sorted(path for path in files if is_pickle_name(path))
        for path in pickles[:_MOST_FILES]:
            for misfit in misfits(read_needs(files[path]), libraries):
                text = f"{path} {misfit.message}"
                if misfit.fatal and len(files) == 1:
                    problems.append(Problem(f"models[{index}]", text))
                else:
                    call.warn(f"model {model['name']}: {text}")
    return problems


def importable_names(folder: Path, rules: IgnoreRules) -> Iterator[str]:
    """Yield the names under which what an image gets of a source directory can be imported."""
    for entry in folder.iterdir():
        name = entry.name.split(".")[0]
        if name.isidentifier() and not rules.leaves_out(entry.name, folder=entry.is_dir()):
            yield name


def _is_checked(call: Call, libraries: Libraries) -> bool:
    def content(inputs: Mapping[str, Any]) -> list[Any]:
        models = inputs.get("models") or ()
        return [model.get("digest") if isinstance(model, Mapping) else model for model in models]

    known = call.olds.get("lock") if isinstance(call.olds.get("recipe"), str) else None
    return known == libraries.lock and content(call.olds) == content(call.news)
