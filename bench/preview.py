"""Times previews that find nothing to do, and the first hash of large files, each against a baseline of the same run.

Run with `make bench`, or alone: .venv/bin/python bench/preview.py [--rounds 7]
"""

from __future__ import annotations

import argparse
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
GIGABYTE = 1 << 30
HASHED_FILES, HASHED_BYTES = 8, 256 << 20
LEAST_ROUNDS = 3
COMPONENT = """
import pulumi

pulumi.ComponentResource("bench:index:Nothing", "nothing")
"""
RESOURCE = """
from pulumi_mlserve.components.own_resource import OwnResource

OwnResource("ServiceKeys", "nothing", {"service": "nothing"})
"""
MODEL = 'RegisteredModel("huge", path="huge.bin")\n'


class Bench:
    """A folder with everything a stack needs, and the stacks in it."""

    def __init__(self, folder: Path, engine: str) -> None:
        self.folder = folder
        self.used: defaultdict[str, list[float]] = defaultdict(list)
        self.environment = {
            name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "MLSERVE_"))
        }
        self.environment |= {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), engine, os.environ["PATH"])),
            "VIRTUAL_ENV": sys.prefix,
            "PULUMI_HOME": str(folder / "pulumi"),
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",  # it looks for those of every SDK that is installed
            "XDG_DATA_HOME": str(folder / "data"),
            "XDG_STATE_HOME": str(folder / "state"),
            "XDG_CACHE_HOME": str(folder / "cache"),
        }

    def run(self, program: Path, *command: str) -> float:
        """Runs a command in a program's folder and returns its seconds."""
        begin, used = time.perf_counter(), _used()
        done = subprocess.run(command, cwd=program, env=self.environment, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
        self.used[program.name].append(_used() - used)
        return time.perf_counter() - begin

    def deployed(self, program: Path) -> Callable[[], float]:
        """Deploys a program and returns what times a preview of it."""
        self.run(program, "pulumi", "stack", "init", "bench")
        self.run(program, "pulumi", "up", "--yes", "--skip-preview")
        return lambda: self.run(program, "pulumi", "preview", "--expect-no-changes")


def main() -> None:
    """Prints every ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for package in ("pulumi_mlserve", "scoring/mlserve_scoring"):  # as installed: a changed file compiles at each start
        subprocess.run([sys.executable, "-m", "compileall", "-q", ROOT / package], check=True)
    command = [sys.executable, ROOT / "tools" / "engine.py"]
    engine = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory(prefix="mlserve-bench-") as temporary:
        bench = Bench(Path(temporary), engine)
        bench.run(bench.folder, "mlserve", "install")
        previews(bench, rounds)
        hashing(bench, rounds)


def previews(bench: Bench, rounds: int) -> None:
    """Times previews of two trivial stacks, the quickstart, and the quickstart with a model of 10 GB.

    A component needs no plugin; a resource needs one, and the trivial one has ours do nothing but start.
    """
    component = written(bench.folder / "component", "component", COMPONENT)
    trivial = written(bench.folder / "resource", "resource", RESOURCE)
    quickstart, huge = bench.folder / "quickstart", bench.folder / "huge"
    for folder in (quickstart, huge):
        shutil.copytree(ROOT / "stacks" / "quickstart", folder, ignore=shutil.ignore_patterns("Pulumi.*.yaml"))
        text = (folder / "__main__.py").read_text(encoding="utf-8")
        text = text.replace(", port=8890", "").replace(", port=8891", "")
        (folder / "__main__.py").write_text(text + (MODEL if folder == huge else ""), encoding="utf-8")
    renamed = (huge / "Pulumi.yaml").read_text(encoding="utf-8").replace("name: quickstart", "name: huge")
    (huge / "Pulumi.yaml").write_text(renamed, encoding="utf-8")
    with (huge / "huge.bin").open("wb") as file:
        file.truncate(10 * GIGABYTE)
    deployed = []
    try:
        times = {}
        for program in (component, trivial, quickstart, huge):
            deployed.append(program)
            times[program.name] = bench.deployed(program)
        bare, base, own, large = interleaved(times, rounds)
        used, used_large = (median(bench.used[program.name][-rounds:]) for program in (quickstart, huge))
    finally:
        for program in deployed:
            bench.run(program, "pulumi", "destroy", "--yes", "--skip-preview", "--stack", "bench")
    print("preview that finds nothing to do, medians")
    print(f"  one component         {median(bare):6.2f} s")
    print(f"  one trivial resource  {median(base):6.2f} s")
    print(f"  quickstart            {median(own):6.2f} s   {median(own) / median(base):.2f} x", end="")
    print(f", {more(own, base):+.2f} s   (goal: 1.3 x or less, +0.4 s or less)")
    print(f"  with a 10 GB model    {median(large):6.2f} s   {more(large, own) * 1000:+.0f} ms", end="")
    print("   (goal: +50 ms or less)")
    print(f"    its processor time  {used_large:6.2f} s   {(used_large - used) * 1000:+.0f} ms", end="")
    print("   (of all processes; other work on the machine hardly moves it)")


def hashing(bench: Bench, rounds: int) -> None:
    """Times the first hash of a folder of large files against openssl, one file after the other; starts aside."""
    folder = bench.folder / "files"
    folder.mkdir()
    block = os.urandom(1 << 20)
    for number in range(HASHED_FILES):
        with (folder / f"{number}.bin").open("wb") as file:
            for _ in range(HASHED_BYTES >> 20):
                file.write(block)
    program = """
import sys, time
from pathlib import Path
from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import hash_model
index = HashIndex(Path(sys.argv[2]))
hash_model(Path(sys.argv[3]), index)  # imports what a plugin that runs has imported
begin = time.perf_counter()
hash_model(Path(sys.argv[1]), index)
print(time.perf_counter() - begin)
"""
    small = ROOT / "stacks" / "quickstart" / "model" / "ridge.onnx"
    index = iter(range(10_000))

    def openssl() -> float:
        return sum(bench.run(folder, "openssl", "dgst", "-sha256", file.name) for file in sorted(folder.iterdir()))

    def ours() -> float:
        command = [sys.executable, "-c", program, str(folder), f"{bench.folder}/{next(index)}.sqlite", str(small)]
        return float(subprocess.run(command, env=bench.environment, capture_output=True, check=True).stdout)

    base, own = map(median, interleaved({"openssl": openssl, "ours": ours}, min(rounds, 5)))
    total = HASHED_FILES * HASHED_BYTES / 1e9
    print(f"first hash of {HASHED_FILES} files, {total:.1f} GB together, {os.cpu_count()} cores, medians")
    print(f"  openssl dgst -sha256  {base:6.2f} s   {total / base:.2f} GB/s")
    print(f"  hash_model            {own:6.2f} s   {total / own:.2f} GB/s   {base / own:.2f} x", end="")
    print("   (goal: 1.8 x or more with two cores)")


def interleaved(times: dict[str, Callable[[], float]], rounds: int) -> list[list[float]]:
    """Returns each measurement's seconds; rounds begin with another one each, and the first round warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in times}
    order = list(times)
    for turn in range(rounds + 1):
        for name in order[turn % len(order) :] + order[: turn % len(order)]:
            spent = times[name]()
            if turn:
                seconds[name].append(spent)
    return calmer(list(seconds.values()))


def _used() -> float:
    """Returns the processor seconds of all commands so far and what they started and waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def calmer(seconds: list[list[float]]) -> list[list[float]]:
    """Returns the half of the rounds that took least, all measurements of a round together.

    Other work on the machine makes rounds longer, never shorter; which measurement it hits is chance.
    """
    rounds = sorted(zip(*seconds, strict=True), key=sum)
    return [list(times) for times in zip(*rounds[: max(LEAST_ROUNDS, (len(rounds) + 1) // 2)], strict=True)]


def median(values: Iterable[float]) -> float:
    """Returns the median of what may be an iterator."""
    return statistics.median(list(values))


def more(values: list[float], base: list[float]) -> float:
    """Returns the median of what each round took more than its own baseline."""
    return median(value - other for value, other in zip(values, base, strict=True))


def written(folder: Path, name: str, text: str) -> Path:
    """Writes a program and returns its folder."""
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(f"name: {name}\nruntime:\n  name: python\n", encoding="utf-8")
    (folder / "__main__.py").write_text(text, encoding="utf-8")
    return folder


if __name__ == "__main__":
    main()
