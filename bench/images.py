"""Times images written and pushed, against `docker build` and `docker push` of the same content.

Run with `make bench`, or alone: .venv/bin/python bench/images.py [--rounds 3] [--megabytes 1024]
It needs Debian's docker.io, debootstrap and docker-registry, as root, and installs them where it can.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from container_kit import Docker, base_image, install_engines  # noqa: E402  after the line that finds it
from image_parts.content import prepare  # noqa: E402  as above
from registry_kit import registry  # noqa: E402  as above

GOALS = {"code": "≥ 5 x", "model": "≥ 2 x", "cold": ""}
WHAT = {"cold": "everything, for the first time", "code": "one line of the script", "model": "the model"}


@dataclass(frozen=True)
class Bench:
    """One folder with the content, a registry and a Docker daemon; both sides read the same files."""

    folder: Path
    where: str
    docker: Callable[..., str]

    def change_code(self, number: int) -> None:
        """Change one line of the script."""
        text = f"def init(): ...\n\n\ndef run(data):\n    return {number}\n"
        (self.folder / "context" / "code" / "score.py").write_text(text)

    def change_model(self, number: int) -> None:
        """Change one byte of the model, in its middle."""
        path = self.folder / "context" / "model" / "weights.bin"
        with path.open("r+b") as file:
            file.seek(path.stat().st_size // 2)
            file.write(bytes([number % 256]))

    def ours(self) -> float:
        """Write and push the image with a process of our own; returns its seconds."""
        command = [sys.executable, str(ROOT / "bench" / "image_parts" / "once.py"), str(self.folder), self.where]
        return _timed(lambda: subprocess.run(command, check=True, stdout=subprocess.DEVNULL))

    def theirs(self) -> float:
        """Build and push the image with Docker; returns the seconds."""
        name = f"{self.where}/theirs:now"

        def run() -> None:
            self.docker("build", "--quiet", "--network", "none", "--tag", name, str(self.folder / "context"))
            self.docker("push", "--quiet", name)

        return _timed(run)


def main() -> None:
    """Print every ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=1024)
    options = parser.parse_args()
    install_engines()
    base = base_image()
    with tempfile.TemporaryDirectory(prefix="mlserve-bench-") as temporary:
        folder = Path(temporary)
        prepare(folder, options.megabytes, base)
        (folder / "docker").mkdir()
        with registry(folder / "registry") as there, Docker(folder / "docker").running() as docker:
            blob = base.blobs / str(base.base.layers[0]["digest"]).partition(":")[2]
            docker("import", str(blob), "bench-base")
            measure(Bench(folder, there.host, docker), options.rounds, options.megabytes)


def measure(bench: Bench, rounds: int, megabytes: int) -> None:
    """Time the first build of both sides, then changes, both sides in turn."""
    print(f"{'what changed':34} {'docker':>9} {'ours':>9} {'ratio':>8}  goal")
    _show("cold", [(bench.theirs(), bench.ours())], megabytes)
    for kind, change in (("code", bench.change_code), ("model", bench.change_model)):
        seen = []
        for number in range(1, rounds + 1):
            change(number)
            sides = [bench.theirs, bench.ours]
            seconds = {side: side() for side in (sides if number % 2 else reversed(sides))}
            seen.append((seconds[bench.theirs], seconds[bench.ours]))
        _show(kind, seen, megabytes)


def _timed(work: Callable[[], object]) -> float:
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def _show(kind: str, seen: list[tuple[float, float]], megabytes: int) -> None:
    theirs, ours = (statistics.median(side) for side in zip(*seen, strict=True))
    ratio = statistics.median(docker / own for docker, own in seen)
    what = f"{WHAT[kind]} ({megabytes} MB)" if kind == "model" else WHAT[kind]
    print(f"{what:34} {theirs:7.2f} s {ours:7.2f} s {ratio:6.1f} x  {GOALS[kind]}", flush=True)


if __name__ == "__main__":
    main()
