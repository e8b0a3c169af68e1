"""Finds or makes the Pulumi engine and prints the folder that holds it.

Order: `pulumi` on PATH with its language hosts beside it, then the vendor's installer, then a build from the Go modules
next to this file. What it made is kept by version and found again at once. Runs on a bare Python, before anything is
installed; progress goes to stderr.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

VERSION = "3.259.0"
OLDEST = (3, 231)  # the oldest engine that the SDK we require still talks to
VENDOR = "pulumi.com"
PARTS = ("pulumi", "pulumi-language-python", "pulumi-language-python-exec", "pulumi-language-yaml")
VERSION_VARIABLE = "github.com/pulumi/pulumi/sdk/v3/go/common/version.Version"
MODULES = (
    ("engine", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"),
    ("language-python", "github.com/pulumi/pulumi/sdk/v3/python/cmd/pulumi-language-python"),
    ("language-yaml", "github.com/pulumi/pulumi-yaml/cmd/pulumi-language-yaml"),
)
TOOLS = Path(__file__).resolve().parent
EXEC = TOOLS / "language-python" / "pulumi-language-python-exec"
CONNECT_SECONDS = 4
INSTALL_SECONDS = 600


class NotAvailableError(Exception):
    """This way of getting the engine is not open here; the text says why."""


def main() -> int:
    """Prints the folder of a complete engine; 1 with the reasons when no way is open."""
    ways = (("on PATH", on_path), ("kept from before", kept), ("vendor's installer", installed), ("Go modules", built))
    refused = []
    for name, way in ways:
        if way in (installed, built):  # what takes time says why it must
            while refused:
                say(refused.pop(0))
        try:
            folder = way()
        except NotAvailableError as error:
            refused.append(f"{name}: {error}")
            continue
        print(folder)
        return 0
    say(refused.pop())
    say("there is no way to a Pulumi engine; put pulumi on PATH, or Go 1.21 or newer, and try again")
    return 1


def on_path() -> Path:
    """Returns the folder of the `pulumi` on PATH if it is recent and has its language hosts beside it."""
    found = shutil.which("pulumi")
    if found is None:
        raise NotAvailableError("no pulumi there")
    folder = Path(found).parent
    lacking = missing(folder)
    if lacking:
        raise NotAvailableError(f"{found} lacks {', '.join(lacking)} beside it")
    answer = subprocess.run([found, "version"], capture_output=True, text=True, check=False, timeout=30)
    numbers = re.match(r"v?(\d+)\.(\d+)", answer.stdout.strip())
    if numbers is None or (int(numbers[1]), int(numbers[2])) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise NotAvailableError(f"{found} is {answer.stdout.strip() or 'unreadable'}, needed is {oldest} or newer")
    return folder


def kept() -> Path:
    """Returns the folder of an engine that an earlier call made."""
    if missing(cache() / VERSION / "bin"):
        raise NotAvailableError("nothing yet")
    return cache() / VERSION / "bin"


def installed() -> Path:
    """Runs the vendor's installer into the cache; refused within seconds when its host cannot be reached."""
    try:
        with urllib.request.urlopen(f"https://get.{VENDOR}", timeout=CONNECT_SECONDS) as answer:
            script = answer.read()
    except (OSError, ValueError) as error:
        reason = getattr(error, "reason", error)
        raise NotAvailableError(f"its host cannot be reached ({reason})") from error
    return made_once(lambda folder: run_installer(script, folder))


def run_installer(script: bytes, folder: Path) -> None:
    """Lets the vendor's script install the pinned version into a folder."""
    arguments = ["sh", "-s", "--", "--version", VERSION, "--install-root", str(folder), "--no-edit-path"]
    with progress(f"vendor's installer, version {VERSION}"):
        try:
            answer = subprocess.run(arguments, input=script, stdout=2, check=False, timeout=INSTALL_SECONDS)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NotAvailableError(f"it did not finish: {error}") from error
    if answer.returncode != 0:
        raise NotAvailableError(f"it failed with status {answer.returncode}")


def built() -> Path:
    """Builds the engine and its language hosts from the pinned Go modules into the cache."""
    go = shutil.which("go")
    if go is None:
        raise NotAvailableError("no go on PATH")
    return made_once(lambda folder: build(go, folder))


def build(go: str, folder: Path) -> None:
    """Builds every part into a folder."""
    target = folder / "bin"
    target.mkdir()
    flags = ["-ldflags", f"-s -w -X {VERSION_VARIABLE}=v{VERSION}", "-o", f"{target}/"]
    for number, (module, package) in enumerate(MODULES, start=1):
        note = ", about 3 minutes the first time" if number == 1 else ""
        with progress(f"building {package.rpartition('/')[2]} ({number} of {len(MODULES)}{note})"):
            run_go([go, "build", *flags, package], TOOLS / module)
    sdk = run_go([go, "list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi/sdk/v3"], TOOLS / "language-python")
    shutil.copyfile(Path(sdk.strip()) / "python" / "cmd" / EXEC.name, target / EXEC.name)
    quieten(target)


def quieten(folder: Path) -> None:
    """Puts our starter before the Python host's script: after a refusal that one would wait, then print a traceback.

    The host we can build is of an older release than the engine; a vendor's own installation is left as it is.
    """
    starter = folder / EXEC.name
    starter.rename(folder / f"{EXEC.name}.vendor")
    shutil.copyfile(EXEC, starter)
    starter.chmod(0o755)


def run_go(command: list[str], folder: Path) -> str:
    """Returns what `go` printed; refused with the end of its error text when it fails."""
    answer = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if answer.returncode != 0:
        raise NotAvailableError(f"go failed in tools/{folder.name}: {answer.stderr.strip()[-800:]}")
    return answer.stdout


def cache() -> Path:
    """Returns the folder that keeps engines by version."""
    own = os.environ.get("MLSERVE_DEV_CACHE")
    if own:
        return Path(own) / "engine"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mlserve-dev" / "engine"


def made_once(fill: Callable[[Path], None]) -> Path:
    """Lets `fill` make the engine in an empty folder, one process at a time; a half-made engine is never found."""
    final = cache() / VERSION
    final.parent.mkdir(parents=True, exist_ok=True)
    with (final.parent / ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            with progress("waiting for another process that makes the engine"):
                fcntl.flock(lock, fcntl.LOCK_EX)
        if missing(final / "bin"):
            with tempfile.TemporaryDirectory(prefix=".making-", dir=final.parent) as temporary:
                folder = Path(temporary) / VERSION
                folder.mkdir()
                fill(folder)
                if lacking := missing(folder / "bin"):
                    raise NotAvailableError(f"it brought no {', '.join(lacking)}")
                shutil.rmtree(final, ignore_errors=True)
                folder.rename(final)
    return final / "bin"


def missing(folder: Path) -> list[str]:
    """Returns the parts of the engine that a folder lacks."""
    return [part for part in PARTS if not (folder / part).exists()]


@contextlib.contextmanager
def progress(what: str) -> Iterator[None]:
    """Says what is being done, again every fifteen seconds, and how long it took."""
    start = time.monotonic()
    done = threading.Event()

    def tick() -> None:
        while not done.wait(15):
            say(f"{what} … {time.monotonic() - start:.0f} s")

    say(what)
    ticker = threading.Thread(target=tick, daemon=True)
    ticker.start()
    try:
        yield
        say(f"{what}: {time.monotonic() - start:.0f} s")
    finally:
        done.set()
        ticker.join()


def say(text: str) -> None:
    """Shows a line of progress."""
    print(f"engine: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
