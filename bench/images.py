"""Times images written and pushed, against `docker build` and `docker push` of the same content.

Run with `make bench`, or alone: .venv/bin/python bench/images.py [--rounds 3] [--megabytes 1024]
It needs Debian's docker.io, debootstrap and docker-registry, as root, and installs them where it can.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "tests" / "clients")]
PYTHON = "3.11"
REQUIREMENTS = "numpy\nonnxruntime\nscikit-learn\n"
DOCKERFILE = """\
FROM bench-base
COPY packages /opt/mlserve/site-packages
COPY runtime /opt/mlserve/runtime
COPY model /opt/mlserve/models/ridge
COPY code /var/azureml-app
ENTRYPOINT ["python3", "-m", "mlserve_scoring", "serve"]
"""
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
        command = [sys.executable, __file__, "--once", str(self.folder), self.where]
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
    parser.add_argument("--once", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.once:
        once(Path(options.once[0]), options.once[1])
        return
    from container_kit import Docker, base_image, install_engines  # noqa: PLC0415  what --once does without
    from registry_kit import registry  # noqa: PLC0415  as above

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


def prepare(folder: Path, megabytes: int, base: Any) -> None:
    """Make the content: packages installed once, a runtime, a model of random weights, a script."""
    import numpy as np  # noqa: PLC0415  as above

    from pulumi_mlserve.clients.environments.resolver import Resolver  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.images.runtime_files import runtime_files  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.places import cache_folder  # noqa: PLC0415  as above
    from pulumi_mlserve.core.environments.environment import (  # noqa: PLC0415  as above
        environment_from,
        runtime_requirements,
        with_runtime,
    )

    context = folder / "context"
    for name in ("code", "model", "runtime"):
        (context / name).mkdir(parents=True)
    spec = environment_from(requirements_text=REQUIREMENTS, python=PYTHON)
    spec = with_runtime(spec, runtime_requirements(entry_script=True))
    resolver = Resolver(cache_folder("packages"))
    lock = resolver.lock(spec, "linux/amd64")
    shutil.copytree(resolver.install(lock), context / "packages", symlinks=True)
    for entry in runtime_files().below("runtime"):
        target = context / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        content = entry.content
        target.write_bytes(content if isinstance(content, bytes) else content.read_bytes())
    with (context / "model" / "weights.bin").open("wb") as file:
        chance = np.random.default_rng(1)
        for _ in range(megabytes):
            file.write(chance.standard_normal(1 << 18, dtype=np.float32).tobytes())
    (context / "code" / "score.py").write_text("def init(): ...\n\n\ndef run(data):\n    return 0\n")
    (context / "Dockerfile").write_text(DOCKERFILE)
    said = {"lock": lock.key, "base": {**vars(base.base)}, "blobs": str(base.blobs)}
    (folder / "bench.json").write_text(json.dumps(said))


def once(folder: Path, where: str) -> None:
    """Register the model, write the image, push it: all that an update does for it, trial and engine aside."""
    from pulumi_mlserve import register_model  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.images.base_blobs import BaseImage  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.images.bytecode import find_compiler  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.images.image_store import ImageContent, ImageStore  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.images.runtime_files import runtime_files  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.images.source_files import scan_source  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.models.hash_index import HashIndex  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.models.model_source import ModelSource  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.models.model_store import ModelStore  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.places import index_file  # noqa: PLC0415  as above
    from pulumi_mlserve.clients.registries.registry_client import RegistryClient  # noqa: PLC0415  as above
    from pulumi_mlserve.core.images.image import ImageInputs  # noqa: PLC0415  as above
    from pulumi_mlserve.core.images.layers import plan_layers  # noqa: PLC0415  as above
    from pulumi_mlserve.core.images.oci import Base  # noqa: PLC0415  as above
    from pulumi_mlserve.core.images.reference import parse_reference  # noqa: PLC0415  as above

    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    said, context, store = json.loads((folder / "bench.json").read_text()), folder / "context", str(folder / "store")
    registered = register_model(context / "model" / "weights.bin", "ridge", store=store)
    index = HashIndex(index_file())
    source = ModelSource(ModelStore(store), index)
    model = source.image_model({"name": "ridge", "digest": registered.digest, "version": registered.version})
    base = Base(
        **{**said["base"], "layers": tuple(said["base"]["layers"]), "diff_ids": tuple(said["base"]["diff_ids"])}
    )
    code, compiler = scan_source(context / "code", index=index), find_compiler(PYTHON)
    inputs = ImageInputs(
        name="ours",
        python=PYTHON,
        lock_key=said["lock"],
        runtime_digest=runtime_files().digest,
        code_digest=code.digest,
        models=(model,),
        entry_script="score.py",
        base=base.digest,
        compiler=compiler.version if compiler else None,
    )
    content = ImageContent(context / "packages", code, base=BaseImage(base, Path(said["blobs"])))
    images = ImageStore(folder / "images", source)
    built = images.build(plan_layers(inputs), content, claimant="bench")
    with RegistryClient() as client, images.opened(built.digest) as opened:
        target = parse_reference(f"{where}/ours:now")
        client.push(target, opened.manifest, opened.media_type, opened.sources(client.source))


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
