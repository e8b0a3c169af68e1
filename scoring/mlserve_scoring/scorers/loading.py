"""Makes the scorer of an image: its entry script's, or its one ONNX model's; and puts its samples to it."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Final

from mlserve_scoring.contract import Contract, Sample
from mlserve_scoring.errors import ScoringError
from mlserve_scoring.scorers.lanes import Around, Lanes
from mlserve_scoring.scorers.schemas import schema_from
from mlserve_scoring.scorers.scorer import Replayed, Scorer, replay

if TYPE_CHECKING:
    from pathlib import Path

    from mlserve_scoring.manifest import Manifest

_FOR_LARGE: Final = 2  # threads of a model that answers on the event loop


@dataclass(frozen=True)
class Load:
    """How much may run at a time.

    Attributes:
        concurrent: Calls at a time; ``None``: 1 with a script, else by the processors.
        waiting: How many more may wait.
        timeout_s: Longest run, and longest wait.
        model_threads: Processors that one run of a model without a script may use.
        onnx_providers: What runs ONNX models, best first, each with its options.
        workers: Processes that share the processors.
        strict_v1: Treat a script's requests, results and failures as v1's server did where ours differs on purpose.
    """

    concurrent: int | None = None
    waiting: int = 1000
    timeout_s: float = 60
    model_threads: int = 1
    onnx_providers: Mapping[str, Mapping[str, str]] = field(default_factory=lambda: {"cpu": {}})
    workers: int = 1
    strict_v1: bool = False


async def load_scorer(root: Path, app_root: Path, manifest: Manifest, load: Load) -> Scorer:
    """Return a scorer whose script was initialised, or whose model was loaded.

    Raises:
        StartError: It cannot start; says where and why.
    """
    loop = asyncio.get_running_loop()

    def lanes(count: int, around: Around = nullcontext) -> Lanes:
        threads = load.concurrent or count
        return Lanes(loop, count=threads, max_waiting=load.waiting, timeout_s=load.timeout_s, around=around)

    if manifest.entry_script is not None:
        from mlserve_scoring.scorers.tasks import AT_A_TIME, Tasks  # noqa: PLC0415  # an image has one of the two
        from mlserve_scoring.scripts.own_loop import own_loop  # noqa: PLC0415
        from mlserve_scoring.scripts.starting import start_script  # noqa: PLC0415

        def tasks() -> Tasks:
            count = load.concurrent or AT_A_TIME
            return Tasks(loop, count=count, max_waiting=load.waiting, timeout_s=load.timeout_s)

        return await start_script(
            app_root,
            manifest.entry_script,
            loop,
            lanes=lambda: lanes(1, own_loop),
            tasks=tasks,
            strict_v1=load.strict_v1,
        )
    # Read when numpy is imported, which is a quarter faster without the threads that no run would use.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", str(load.model_threads))
    from mlserve_scoring.models.files import load_model  # noqa: PLC0415
    from mlserve_scoring.models.inputs import read_inputs  # noqa: PLC0415
    from mlserve_scoring.models.model_scorer import ModelScorer  # noqa: PLC0415

    model = await loop.run_in_executor(
        None, partial(load_model, root, manifest, threads=load.model_threads, providers=load.onnx_providers)
    )
    scorer = ModelScorer(model, loop)
    samples = samples_of(scorer, manifest)
    inputs = None
    if samples and load.concurrent is None:
        with contextlib.suppress(ScoringError):  # the replay says what is wrong with the sample
            inputs = read_inputs(samples[0].input, model.inputs)
    if inputs is not None and await loop.run_in_executor(None, scorer.is_short, inputs):
        scorer.use_for_large(lanes(min(processors(), _FOR_LARGE)))
        scorer.find_out_sharing(inputs)
    else:
        scorer.use(lanes(max(processors() // (load.workers * load.model_threads), 1)))
    return scorer


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def samples_of(scorer: Scorer, manifest: Manifest) -> tuple[Sample, ...]:
    """Return the samples to answer: the manifest's, else those the script or the model declares."""
    return scorer.contract.samples if manifest.samples is None else manifest.samples


async def replay_all(scorer: Scorer, samples: tuple[Sample, ...]) -> list[Replayed]:
    """Put samples to a scorer, one after the other."""
    return [await replay(scorer, sample) for sample in samples]


def contract_from(contract: Contract, replayed: list[Replayed]) -> Contract:
    """Return the contract; where neither decorators nor a model say anything, its schemas come from the samples."""
    if contract.source != "none" or not replayed:
        return contract
    outputs = [entry.value for entry in replayed if entry.answer is not None]
    return replace(
        contract,
        input=schema_from([entry.sample.input for entry in replayed], of_a_program=True),
        output=schema_from(outputs) if outputs else {},
        source="samples",
    )
