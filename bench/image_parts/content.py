"""The content of the measured image: installed packages, the runtime, a model of random weights, a script."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np

from pulumi_mlserve.clients.environments.resolver import Resolver
from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.clients.places import cache_folder
from pulumi_mlserve.core.environments.environment import environment_from, runtime_requirements, with_runtime

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


def prepare(folder: Path, megabytes: int, base: Any) -> None:
    """Make the content: packages installed once, a runtime, a model of random weights, a script."""
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
