"""The trial run of an image: load, initialise, answer the samples, and write down what is wrong or the contract."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

from mlserve_scoring.contract import ContractError, samples_from_json
from mlserve_scoring.errors import StartError
from mlserve_scoring.scorers.checking import problems_of
from mlserve_scoring.scorers.loading import Load, contract_from, load_scorer, replay_all, samples_of
from mlserve_scoring.scorers.scorer import with_answers

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.manifest import Manifest
    from mlserve_scoring.process.verdict import Verdict


async def try_image(root: Path, app_root: Path, manifest: Manifest, verdict: Verdict) -> bool:
    """Run the trial and write the verdict; return whether all is well."""
    entry = manifest.entry_script or "the model"
    verdict.reach("init", f"loading {entry}")
    load = Load(concurrent=1, timeout_s=manifest.limits.scoring_timeout_ms / 1000)
    try:
        scorer = await load_scorer(root, app_root, manifest, load)
    except StartError as error:
        verdict.write([error], None, None)
        return False
    samples = samples_of(scorer, manifest)
    replayed = []
    for number, sample in enumerate(samples):
        verdict.reach("run", f"answering sample {number}")
        replayed += await replay_all(scorer, (sample,))
    problems = problems_of(replayed, app_root, manifest.entry_script, scorer.contract, run_line=scorer.run_line)
    # An image is not to hold what merely came: another processor, or the next second, may have another answer, and an
    # image of the same recipe would be another one.
    asked = replace(scorer.contract, samples=tuple(entry.sample for entry in replayed))
    verdict.write(problems, contract_from(asked, replayed), with_answers(scorer.contract, replayed).samples)
    return not problems


def with_samples(manifest: Manifest, file: Path) -> Manifest:
    """Return the manifest with the samples of a file: a JSON list of samples.

    Raises:
        ContractError: The file is no such list.
    """
    try:
        value = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ContractError(f"{file}: cannot be read as JSON, {error}") from error
    return replace(manifest, samples=samples_from_json(value, str(file)))
