"""The demo: `setup` prepares a Pulumi under .demo, `up` deploys stacks/quickstart and asks it, `stop` takes it away."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DEMO = ROOT / ".demo"
PROGRAM = ROOT / "stacks" / "quickstart"
STACK = "demo"
ANSWER_SECONDS = 60


def main(action: str) -> int:
    """Does what was asked for; the status of the first command that failed, else 0."""
    try:
        settings = prepare()
        {"setup": told, "up": up, "stop": stop}[action](settings)
    except subprocess.CalledProcessError as error:
        print(f"demo: {shlex.join(map(str, error.cmd))} failed with status {error.returncode}", file=sys.stderr)
        return error.returncode
    return 0


def prepare() -> dict[str, str]:
    """Returns the environment of the demo's Pulumi, with our plugin in its cache; .demo/env holds it for a shell."""
    engine = subprocess.run(
        [sys.executable, ROOT / "tools" / "engine.py"], stdout=subprocess.PIPE, text=True, check=True
    )
    settings = {
        "PATH": os.pathsep.join((str(Path(sys.prefix) / "bin"), engine.stdout.strip())),
        "VIRTUAL_ENV": sys.prefix,
        "PULUMI_HOME": str(DEMO / "pulumi"),
        "PULUMI_BACKEND_URL": f"file://{DEMO / 'state'}",
        "PULUMI_CONFIG_PASSPHRASE": "",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }
    (DEMO / "state").mkdir(parents=True, exist_ok=True)
    lines = [f"export {name}={shlex.quote(value)}" for name, value in settings.items()]
    lines[0] += ':"$PATH"'
    (DEMO / "env").write_text("\n".join(lines) + "\n")
    settings["PATH"] += os.pathsep + os.environ["PATH"]
    environment = {**os.environ, **settings}
    run(environment, "mlserve", "install")
    return environment


def told(environment: dict[str, str]) -> None:
    """Says what can be done now."""
    del environment
    print("ready: `make demo` deploys stacks/quickstart; `. .demo/env` gives a shell the same Pulumi and mlserve")


def up(environment: dict[str, str]) -> None:
    """Deploys the stack and prints a request to each service with its answer."""
    start = time.monotonic()
    run(environment, "pulumi", "stack", "select", "--create", STACK)
    run(environment, "pulumi", "up", "--yes")
    outputs = json.loads(run(environment, "pulumi", "stack", "output", "--json", capture=True))
    request = (PROGRAM / "sample.json").read_bytes()
    print(f"\nup in {time.monotonic() - start:.0f} s")
    for title, output in (("with an entry script", "scoring_uri"), ("without", "onnx_scoring_uri")):
        print(f"\n{title}: POST {outputs[output]}")
        print(f"  request  {' '.join(request.decode().split())}")
        print(f"  answer   {asked(outputs[output], request)}")
    run(environment, "mlserve", "services", "list", before="")
    print("\ngo on  . .demo/env; cd stacks/quickstart; pulumi preview; mlserve call diabetes sample.json")
    print("stop   make demo-stop")


def stop(environment: dict[str, str]) -> None:
    """Takes everything away that the demo deployed."""
    if json.loads(run(environment, "pulumi", "stack", "ls", "--json", capture=True)):
        run(environment, "pulumi", "destroy", "--yes", "--stack", STACK)
        run(environment, "pulumi", "stack", "rm", "--yes", "--stack", STACK)


def asked(url: str, body: bytes) -> str:
    """Returns a service's answer to a request."""
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS) as answer:
        return answer.read().decode().strip()


def run(environment: dict[str, str], *command: str, capture: bool = False, before: str | None = None) -> str:
    """Runs a command in the program's folder, shown to the person who waits, or returns what it printed."""
    if before is not None:
        print(before, flush=True)
    if not capture:
        print(f"$ {shlex.join(command)}", flush=True)
    answer = subprocess.run(
        command, cwd=PROGRAM, env=environment, stdout=subprocess.PIPE if capture else None, text=True, check=True
    )
    return answer.stdout or ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
