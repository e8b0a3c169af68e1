"""Times the previews that refuse what v1 users found out after deploying, each against the preview of its control.

Run with `make bench`, or alone: .venv/bin/python bench/failures.py [--only pickle]. Without network, once the packages
are in the caches; goal: each under five seconds.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "e2e"))

from corpus_kit import cases, environments, program, without_network  # noqa: E402  after the line that finds them
from engine import Stack, Workspace  # noqa: E402

GOAL_SECONDS = 5.0


def main() -> None:
    """Prints every case with both times, and the slowest."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="a part of the names of cases")
    wanted = [case for case in cases() if parser.parse_args().only in case.name]
    command = [sys.executable, ROOT / "tools" / "engine.py"]
    engine = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="mlserve-bench-") as temporary:
        folder = Path(temporary)
        workspace = Workspace(folder / "w", engine=Path(engine), caches=folder / "caches")
        stack = workspace.stack(program(folder / "w" / "program", []))
        program(stack.program, environments(cases(), stack.program / "warm"))
        for made in (stack.program / "warm").glob("environment-*"):
            made.rename(stack.program / made.name)
        stack.preview().ok()
        print(f"{'case':42} {'control':>8} {'failure':>8} {'ratio':>7}")
        slowest = 0.0
        for case in wanted:
            case.copy(folder / "sound" / case.name)
            control = seconds(stack, folder / "sound" / case.name, case.declared, refused=False)
            (folder / "broken" / case.name).mkdir(parents=True)
            failure = seconds(
                stack, folder / "broken" / case.name, case.broken(folder / "broken" / case.name), refused=True
            )
            slowest = max(slowest, failure)
            print(f"{case.name:42} {control:6.2f} s {failure:6.2f} s {failure / control:5.2f} x", flush=True)
    print(f"slowest: {slowest:.2f} s; goal: each under {GOAL_SECONDS:g} s")


def seconds(stack: Stack, folder: Path, declared: dict[str, object], *, refused: bool) -> float:
    """Returns how long the preview of one case takes, which must end as expected."""
    there = dataclasses.replace(stack, program=program(folder, [declared]))
    command = without_network(sys.executable, ("pulumi", "preview", "--stack", stack.name))
    outcome = stack.workspace.start(*command, folder=there.program).finish()
    if (outcome.code != 0) != refused:
        sys.exit(f"{declared['name']}: the preview ended with status {outcome.code}:\n{outcome.output}")
    return outcome.seconds


if __name__ == "__main__":
    main()
