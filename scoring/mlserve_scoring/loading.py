"""Makes the scorer of an image: its entry script's, or its one ONNX model's; and puts its samples to it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from mlserve_scoring.contract import Contract, Sample
from mlserve_scoring.lanes import Lanes
from mlserve_scoring.schemas import schema_from
from mlserve_scoring.scorer import Replayed, Scorer, replay, with_answers

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.manifest import Manifest


_WARMING: Final = 3  # the first run of a session is slow and says nothing of the next


@dataclass(frozen=True)
class Load:
    """How much may run at a time.

    Attributes:
        concurrent: Calls at a time; ``None``: 1 with a script, else by the processors.
        waiting: How many more may wait.
        timeout_s: Longest run, and longest wait.
    """

    concurrent: int | None = None
    waiting: int = 1000
    timeout_s: float = 60


async def load_scorer(root: Path, app_root: Path, manifest: Manifest, load: Load) -> Scorer:
    """Return a scorer whose script was initialised, or whose model was loaded.

    Raises:
        StartError: It cannot start; says where and why.
    """
    loop = asyncio.get_running_loop()

    def lanes(count: int) -> Lanes:
        return Lanes(loop, count=load.concurrent or count, max_waiting=load.waiting, timeout_s=load.timeout_s)

    if manifest.entry_script is not None:
        from mlserve_scoring.script_scorer import start_script  # noqa: PLC0415  # an image has one of the two

        return await start_script(app_root, manifest.entry_script, lanes(1), loop)
    from mlserve_scoring.onnx_scorer import find_model, processors, start_model  # noqa: PLC0415

    path = find_model(root, manifest)
    scorer = await loop.run_in_executor(None, start_model, path)
    threads = lanes(processors())
    scorer.use(threads)
    for sample in samples_of(scorer, manifest)[:1] * _WARMING:
        await replay(scorer, sample)
    if scorer.is_short and load.concurrent is None:
        scorer.use(None)
        threads.close()
    return scorer


def samples_of(scorer: Scorer, manifest: Manifest) -> tuple[Sample, ...]:
    """Return the samples to answer: the manifest's, else those the script or the model declares."""
    return scorer.contract.samples if manifest.samples is None else manifest.samples


async def replay_all(scorer: Scorer, samples: tuple[Sample, ...]) -> list[Replayed]:
    """Put samples to a scorer, one after the other."""
    return [await replay(scorer, sample) for sample in samples]


def contract_from(declared: Contract, replayed: list[Replayed]) -> Contract:
    """Return the contract with answered samples; without decorators or a model, schemas come from the samples."""
    contract = with_answers(declared, replayed)
    if contract.source != "none" or not replayed:
        return contract
    outputs = [entry.value for entry in replayed if entry.answer is not None]
    return replace(
        contract,
        input=schema_from([entry.sample.input for entry in replayed]),
        output=schema_from(outputs) if outputs else {},
        source="samples",
    )
