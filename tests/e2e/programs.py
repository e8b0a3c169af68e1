"""Stack programs for tests: copies of the samples on free ports, and small ones written for a case."""

from __future__ import annotations

import contextlib
import random
import re
import shutil
import socket
import textwrap
from pathlib import Path

_PORTS = range(10_000, 20_000)  # neither those we choose for services nor those of outgoing connections
_claims: list[socket.socket] = []


def free_port() -> int:
    """Returns a port nobody listens at, and that no other test of this machine is given while this process lives.

    The claim is a name among Linux's abstract sockets: all workers of all runs see it, and it goes with the process.
    """
    while True:
        port, claim = random.choice(_PORTS), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        with contextlib.suppress(OSError), contextlib.closing(socket.socket()) as probe:
            claim.bind(f"\0mlserve-tests-port-{port}")
            probe.bind(("127.0.0.1", port))
            _claims.append(claim)
            return port
        claim.close()


def quickstart(stacks: Path, folder: Path, ports: tuple[int, int], sample: str = "quickstart") -> Path:
    """Returns a copy of a sample, with its neighbours, on ports of its own."""
    for source in sorted(stacks.iterdir()):
        if source.is_dir() and not (folder / source.name).exists():
            shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("Pulumi.*.yaml", "__pycache__"))
    for file in [*folder.glob("*/__main__.py"), *folder.glob("*/Pulumi.yaml")]:
        text = file.read_text(encoding="utf-8")
        # In one go: a port may have the other's digits in it.
        file.write_text(re.sub("889([01])", lambda last: str(ports[int(last[1])]), text), encoding="utf-8")
    return folder / sample


def program(folder: Path, body: str, name: str = "small") -> Path:
    """Writes a program whose text is given, and returns its folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "Pulumi.yaml").write_text(f"name: {name}\nruntime:\n  name: python\n", encoding="utf-8")
    text = "import pulumi\nfrom pulumi_mlserve import LocalService, RegisteredModel, ScoringImage\n\n"
    (folder / "__main__.py").write_text(text + textwrap.dedent(body), encoding="utf-8")
    return folder


SCRIPT = """
import json
from azureml.core.model import Model


def init():
    global factor
    with open(Model.get_model_path("tiny")) as file:
        factor = json.load(file)["factor"]


def run(data):
    return [factor * sum(row) for row in json.loads(data)["data"]]
"""


def tiny(folder: Path, ports: tuple[int, int], *, name: str = "tiny", service: str = "") -> Path:
    """Writes a program with a model of a few bytes and a script that needs no packages, served twice."""
    body = f"""
    model = RegisteredModel("tiny", path="weights.json")
    image = ScoringImage(
        "tiny", models=[model], entry_script="score.py", source_directory="src", samples=[{{"data": [[1.0, 2.0]]}}]
    )
    first = LocalService("first", image=image, port={ports[0]}{service})
    second = LocalService("second", image=image, port={ports[1]})
    """
    program(folder, body, name)
    weights(folder, 2)
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "score.py").write_text(SCRIPT, encoding="utf-8")
    return folder


def weights(folder: Path, factor: float) -> None:
    """Trains the tiny model anew."""
    (folder / "weights.json").write_text(f'{{"factor": {factor}}}', encoding="utf-8")


def replaced(file: Path, old: str, new: str) -> None:
    """Edits a file as a person does."""
    text = file.read_text(encoding="utf-8")
    assert old in text, f"{file} has no {old!r}"
    file.write_text(text.replace(old, new), encoding="utf-8")
