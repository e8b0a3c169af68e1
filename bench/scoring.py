"""Loads our scoring server and others with the same models in the same run, and prints ratios to a baseline.

Run with `make bench`, or alone: .venv/bin/python bench/scoring.py [--quick] [--only tabular] [--servers ours]
"""

from __future__ import annotations

import argparse
import contextlib
import datetime as dt
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from scoring_parts import figures, load, processes
from scoring_parts.environments import Environment, available, compiled
from scoring_parts.figures import Row
from scoring_parts.load import Loaded, Shot, Target, raw
from scoring_parts.models import Model, models
from scoring_parts.servers import SERVERS, Running, ServerError, running

ROOT = Path(__file__).resolve().parent.parent
RAW = "raw"
EVERYBODY = ("azureml", "ours", "ours-script", "fastapi", "mlserver", "bentoml")


@dataclass(frozen=True)
class Case:
    """One question.

    Attributes:
        name, title: How it is asked for, and what it is.
        model: What is served.
        connections: How many ask at once; 0 measures starts alone.
        servers: Who is asked, the baseline first.
        raw_threads: Threads of plain onnxruntime where that takes part.
        goals: What each server should reach.
        longer: How many times longer than others it is loaded, for models that answer a few times a second.
    """

    name: str
    title: str
    model: str
    connections: int
    servers: Sequence[str] = EVERYBODY
    raw_threads: int = 0
    goals: dict[str, str] = field(default_factory=dict)
    longer: int = 1


CASES = (
    Case(
        "tabular",
        "linear ONNX model of 64 numbers, 32 connections, one worker",
        "tabular",
        32,
        (*EVERYBODY, RAW),
        1,
        {"ours": ">= 30 x, <= 90 MB", "ours-script": ">= 12 x"},
    ),
    Case("mlp", "three dense layers on 64 numbers, 32 connections", "mlp", 32, (*EVERYBODY, RAW), 1),
    Case("one", "the linear model, one connection", "tabular", 1, goals={"ours": "p50 0.25 ms, p99 0.6 ms"}),
    Case("cnn", "CNN of about 1 ms, 8 connections", "cnn", 8, (RAW, *EVERYBODY), 2, {"ours": ">= 0.85 x"}),
    Case(
        "image",
        "ResNet-18 shape of about 40 ms, body of 1 MB, 4 connections",
        "image",
        4,
        (RAW, *EVERYBODY, "ours-simdjson"),
        2,
        {"ours": ">= 0.9 x", "ours-simdjson": ">= 0.9 x"},
        longer=2,
    ),
    Case(
        "frame", "scikit-learn pipeline on a table, v1 script, 16 connections", "frame", 16, ("azureml", "ours-script")
    ),
    Case("start", "process start to first good answer, linear model", "tabular", 0, goals={"ours": ">= 3 x"}),
)


@dataclass(frozen=True)
class Bench:
    """What every case needs.

    Attributes:
        folder: Where servers get a folder each.
        models: Every model by name.
        environments: The environments that could be made, by name.
        refusals: Why the others could not.
        runtimes: Where copies of our package lie: of the present one, and of another to compare with.
        rounds, seconds: How long each server is loaded.
    wrk: The path of the program that does it.
    """

    folder: Path
    models: dict[str, Model]
    environments: dict[str, Environment]
    refusals: dict[str, str]
    runtimes: dict[str, Path]
    rounds: int
    seconds: float
    wrk: str

    @contextlib.contextmanager
    def target(self, case: Case, name: str) -> Iterator[Target]:
        """Starts what a case loads under a name."""
        if name == RAW:
            with raw(self.environments["models"], self.models[case.model], case.raw_threads) as plain:
                yield plain
        else:
            with self.start(case, name) as server:
                yield Loaded(self.wrk, server, case.connections)

    def start(self, case: Case, server: str, turn: int = 0) -> contextlib.AbstractContextManager[Running]:
        """Starts a server with a case's model; raises `ServerError` where it cannot be had."""
        kind = SERVERS[server]
        if kind.environment in self.refusals:
            raise ServerError(f"not installable: {self.refusals[kind.environment]}")
        folder = self.folder / case.name / f"{server}-{turn}"
        runtime = self.runtimes["other" if server.startswith("other") else "ours"]
        return running(server, self.environments[kind.environment], self.models[case.model], folder, runtime)


def main() -> None:
    """Prints every table."""
    given = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # servers are ended on the way out
    wrk = load.find_wrk()
    cases = [chosen(case, given) for case in CASES if not given.only or case.name in given.only]
    kinds = [SERVERS[name].environment for case in cases for name in case.servers if name != RAW]
    environments, refusals = available(("models", *kinds))
    if "models" in refusals:
        sys.exit(f"the models cannot be made: {refusals['models']}")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory(prefix="mlserve-bench-") as temporary:
        folder = Path(temporary)
        checkouts = {"ours": ROOT / "scoring", "other": (given.other or ROOT / "scoring").resolve()}
        made = environments["models"]  # every environment has the same Python
        bench = Bench(
            folder,
            models(made),
            environments,
            refusals,
            {name: compiled(checkout, folder / "runtimes" / name, made) for name, checkout in checkouts.items()},
            given.rounds or (3 if given.quick else 7),
            1 if given.quick else 2,
            wrk,
        )
        for case in cases:
            found = loaded(bench, case) if case.connections else started(bench, case)
            rows += found
            print(f"{case.name}: {case.title}")
            print(figures.table(found, case.goals), flush=True)
    about: dict[str, object] = {
        "date": dt.datetime.now(dt.timezone.utc).isoformat(timespec="seconds"),
        "machine": machine(),
        "rounds": bench.rounds,
        "seconds": bench.seconds,
        "versions": {name: made.versions for name, made in environments.items()},
    }
    worse = figures.slower(given.compare, rows) if given.compare else []
    if given.save:
        figures.save(given.save, about, rows)
    if given.compare:
        print(f"more than 10 % worse than in {given.compare}: {len(worse) or 'nothing'}")
    for line in worse:
        print(f"  {line}")
    if worse and given.strict:
        sys.exit(1)


def arguments() -> argparse.Namespace:
    """Returns what was asked for on the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="3 rounds of 1 s instead of 7 of 2 s")
    parser.add_argument("--rounds", type=int, help="rounds of each case")
    parser.add_argument("--only", type=names([case.name for case in CASES]), help="cases, such as tabular,cnn")
    parser.add_argument("--servers", type=names([RAW, *SERVERS]), help="servers beside each case's baseline")
    parser.add_argument("--other", type=Path, metavar="FOLDER", help="another checkout's scoring/, as `other`")
    parser.add_argument("--save", type=Path, metavar="FILE", help="write the result as JSON")
    parser.add_argument("--compare", type=Path, metavar="FILE", help="say what is more than 10 %% worse than there")
    parser.add_argument("--strict", action="store_true", help="with --compare: exit with 1 if anything is")
    return parser.parse_args()


def names(known: Sequence[str]) -> Callable[[str], list[str]]:
    """Returns what reads names with commas between them."""

    def read(text: str) -> list[str]:
        wrong = [name for name in text.split(",") if name not in known]
        if wrong:
            raise argparse.ArgumentTypeError(f"no {wrong[0]!r} here; there are {', '.join(known)}")
        return text.split(",")

    return read


def chosen(case: Case, given: argparse.Namespace) -> Case:
    """Returns a case with the servers asked for; its baseline always takes part."""
    servers = [name for name in case.servers if not given.servers or name in {case.servers[0], *given.servers}]
    if given.other:
        servers += [name.replace("ours", "other") for name in servers if name.startswith("ours")]
    return replace(case, servers=servers)


def loaded(bench: Bench, case: Case) -> list[Row]:
    """Starts all servers of a case and loads one after the other, round by round; the first round warms up.

    Answers are checked in the first round, under load. Rounds begin with another server each.
    """
    shots: dict[str, list[Shot]] = {name: [] for name in case.servers}
    problems: dict[str, str] = {}
    targets: dict[str, Target] = {}
    rows: dict[str, Row] = {}
    with contextlib.ExitStack() as stack:
        for name in case.servers:
            progress(f"{case.name}: starting {name}")
            with noted(problems, name):
                targets[name] = stack.enter_context(bench.target(case, name))
        for turn in range(bench.rounds + 1):
            progress(f"{case.name}: round {turn} of {bench.rounds}")
            for name in turned([name for name in targets if name not in problems], turn):
                with noted(problems, name):
                    if turn:
                        shots[name].append(targets[name].shoot(bench.seconds * case.longer))
                    else:
                        targets[name].warm(bench.seconds * case.longer)
        base = [] if case.servers[0] in problems else shots[case.servers[0]]
        for name in [name for name in targets if name not in problems]:
            found = figures.row(case.name, name, shots[name], base)
            rss, pss = processes.memory_mb(targets[name].process.pid)
            rows[name] = replace(found, rss_mb=rss, pss_mb=pss, start_s=targets[name].start_s)
    return [Row(case.name, name, problems[name]) if name in problems else rows[name] for name in case.servers]


def started(bench: Bench, case: Case) -> list[Row]:
    """Starts each server of a case again and again; the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in case.servers}
    problems: dict[str, str] = {}
    for turn in range(bench.rounds + 1):
        progress(f"{case.name}: round {turn} of {bench.rounds}")
        for name in turned([name for name in case.servers if name not in problems], turn):
            with noted(problems, name), bench.start(case, name, turn) as server:
                seconds[name] += [server.start_s][: 1 if turn else 0]
    base = [] if case.servers[0] in problems else seconds[case.servers[0]]
    rows = []
    for name in case.servers:
        ratios = [] if name in problems else [other / own for own, other in zip(seconds[name], base, strict=bool(base))]
        median = figures.median(seconds[name])
        found = Row(case.name, name, ratio=figures.median(ratios), ratios=ratios, start_s=median)
        rows.append(Row(case.name, name, problems[name]) if name in problems else found)
    return rows


@contextlib.contextmanager
def noted(problems: dict[str, str], name: str) -> Iterator[None]:
    """Keeps what went wrong with a server, so that the others go on."""
    try:
        yield
    except (ServerError, OSError) as error:
        problems[name] = str(error)
        print(f"{name}: {error}", file=sys.stderr, flush=True)


def turned(values: list[str], turn: int) -> list[str]:
    """Returns a list that begins with another entry each turn."""
    start = turn % max(1, len(values))
    return values[start:] + values[:start]


def machine() -> dict[str, object]:
    """Returns what decides figures on this machine."""
    processor = platform.processor()
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        processor = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), processor)
    return {
        "system": platform.platform(),
        "python": platform.python_version(),
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)),
    }


def progress(text: str) -> None:
    """Says what is being done, apart from the result."""
    print(f"  {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
