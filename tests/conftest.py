"""What every area shares: places of its own for each test, the engine, and what a run reports at its end."""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import subprocess
import sys
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings

from pulumi_mlserve.clients.plugin_cache import install_plugin

if TYPE_CHECKING:
    from collections.abc import Iterator

# A machine that is busy with other tests is no slow test.
settings.register_profile("quiet", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("quiet")

# A shell that starts a job in the background has it ignore interrupts, and all that the job starts: the engine then
# waits five seconds for every language host that it asks to end, and takes no interrupt itself.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
END_SECONDS = 30.0  # what was told to end at once does so when it gets a processor


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory) -> Path:
    """A folder that all workers of this run share."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if os.environ.get("PYTEST_XDIST_WORKER") else base


@pytest.fixture(scope="session")
def cache_home(shared_folder) -> Path:
    """An XDG_CACHE_HOME for the whole run: what one test had resolved and installed serves the others."""
    home = shared_folder / "cache"
    home.mkdir(exist_ok=True)
    return home


@pytest.fixture(autouse=True)
def own_places(tmp_path, monkeypatch, cache_home) -> Path:
    """A store, images and services of this test's own, wherever the code looks for the user's; returns their folder."""
    home = tmp_path / "home"
    for variable, folder in (("XDG_DATA_HOME", "data"), ("XDG_STATE_HOME", "state")):
        monkeypatch.setenv(variable, str(home / folder))
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache_home))
    for variable in ("MLSERVE_STORE", "MLSERVE_IMAGES"):
        monkeypatch.delenv(variable, raising=False)
    return home


@pytest.fixture(scope="session")
def engine() -> Path:
    """The folder of a real Pulumi engine with its language hosts."""
    answer = subprocess.run(
        [sys.executable, ROOT / "tools" / "engine.py"], stdout=subprocess.PIPE, text=True, check=True
    )
    return Path(answer.stdout.strip())


@pytest.fixture(scope="session")
def pulumi_home(shared_folder) -> Path:
    """A home for Pulumi with our plugin in its cache, shared by the run."""
    home = shared_folder / "pulumi-home"
    with locked(shared_folder / "pulumi-home.lock"):
        install_plugin(home)
    return home


@pytest.fixture
def pulumi_environment(engine, pulumi_home, own_places, tmp_path) -> dict[str, str]:
    """The environment of a real `pulumi` with a file backend of this test's own."""
    backend = tmp_path / "backend"
    backend.mkdir()
    scripts = Path(sys.executable).parent
    return {
        **os.environ,
        "PATH": os.pathsep.join((str(scripts), str(engine), os.environ["PATH"])),
        "VIRTUAL_ENV": sys.prefix,
        "PULUMI_HOME": str(pulumi_home),
        "PULUMI_BACKEND_URL": f"file://{backend}",
        "PULUMI_CONFIG_PASSPHRASE": "correct horse",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
    }


@pytest.fixture(scope="session")
def in_full() -> bool:
    """Whether soak tests run with their full numbers (`make soak`) or with small ones."""
    return os.environ.get("MLSERVE_SOAK") == "full"


@pytest.fixture(autouse=True, scope="session")
def no_process_is_left(tmp_path_factory) -> Iterator[None]:
    """A run ends the services it starts; what is left is named, and the run fails."""
    yield
    # Another run's folder may begin with the same letters: pytest-1 and pytest-12, popen-gw1 and popen-gw10.
    mark = os.fsencode(f"{tmp_path_factory.getbasetemp()}/")  # with a slash, which pytest's own --basetemp has not
    until = time.monotonic() + END_SECONDS
    while left := [line for line in map(_command_line, Path("/proc").glob("[0-9]*")) if mark in line]:
        assert time.monotonic() < until, f"processes are left behind: {left}"
        time.sleep(0.05)


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Holds a file's lock while several workers make the same thing."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _command_line(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes().replace(b"\0", b" ")
    except OSError:
        return b""


class Areas:
    """Adds up how long the tests of each area took, and makes a skipped test in CI a failure."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.tests: Counter[str] = Counter()
        self.skipped: list[str] = []

    def pytest_runtest_logreport(self, report) -> None:
        """Counts a phase of a test."""
        parts = Path(report.nodeid.partition("::")[0]).parts
        area = parts[1] if len(parts) > 2 else "repository"
        self.seconds[area] += report.duration
        self.tests[area] += report.when == "call"
        if report.skipped and not hasattr(report, "wasxfail"):
            self.skipped.append(report.nodeid)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session, exitstatus) -> None:
        """Fails a run of CI in which something could not run."""
        if self.skipped and exitstatus == 0 and os.environ.get("CI"):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter) -> None:
        """Prints tests and seconds of each area."""
        terminalreporter.section("areas")
        for area in sorted(self.seconds, key=self.seconds.__getitem__, reverse=True):
            terminalreporter.write_line(f"{self.seconds[area]:7.1f} s  {self.tests[area]:4d} tests  {area}")
        if self.skipped:
            failed = ", which is a failure in CI" if os.environ.get("CI") else ""
            terminalreporter.write_line(f"{len(self.skipped)} tests could not run here{failed}")


def pytest_configure(config) -> None:
    """Keeps downloaded wheels from run to run; reports from the process that collects the results of all workers."""
    own = os.environ.get("XDG_CACHE_HOME")
    downloads = (Path(own) if own else Path.home() / ".cache") / "mlserve-dev" / "uv"
    downloads.mkdir(parents=True, exist_ok=True)
    os.environ.setdefault("UV_CACHE_DIR", str(downloads))
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Areas(), "areas")
