"""Puts load on a server or on plain onnxruntime for some seconds and says what came of it."""

from __future__ import annotations

import concurrent.futures
import contextlib
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from scoring_parts import processes
from scoring_parts.environments import Environment
from scoring_parts.models import APPS, Model
from scoring_parts.servers import Running, ServerError, post

_CHECKING_THREADS = 8


@dataclass(frozen=True)
class Shot:
    """What one stretch of load showed.

    Attributes:
        per_second: Requests answered, or calls made.
        cpu_us: Processor time of the server for each.
    others: How many cores something else on the machine took meanwhile.
    others: How many cores something else on the machine took meanwhile.
    p50_us, p99_us: Latencies; `None` for plain onnxruntime.
    """

    per_second: float
    cpu_us: float
    others: float
    p50_us: float | None = None
    p99_us: float | None = None


def find_wrk() -> str:
    """Returns the path of `wrk`, installed first where that is possible without asking."""
    if shutil.which("wrk") is None and shutil.which("apt-get"):
        print("  wrk: installing it", file=sys.stderr, flush=True)
        for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-qy", "--no-install-recommends", "wrk"]):
            subprocess.run(command, capture_output=True, check=False)
    found = shutil.which("wrk")
    if found is None:
        sys.exit("wrk is not there and could not be installed; install it (Debian: apt-get install wrk)")
    return found


class Meter:
    """Counts processor time from its making on."""

    def __init__(self, leader: int) -> None:
        self._leader = leader
        self._before = self._now()

    def read(self) -> tuple[float, float]:
        """Returns the seconds that the session took, and how many cores were taken by what is not of this run."""
        wall, own, ours, machine = (now - then for now, then in zip(self._now(), self._before, strict=True))
        return own, max(0.0, machine - own - ours) / wall

    def _now(self) -> tuple[float, float, float, float]:
        times = os.times()
        ours = times.user + times.system + times.children_user + times.children_system
        return time.perf_counter(), processes.cpu_seconds(self._leader), ours, processes.machine_seconds()


class Target(Protocol):
    """What can be loaded.

    Attributes:
        process: The leader of its session.
        start_s: From its start to the first good answer, where it has that.
    """

    process: subprocess.Popen[bytes]
    start_s: float | None

    def shoot(self, seconds: float) -> Shot:
        """Loads it for some seconds."""

    def warm(self, seconds: float) -> None:
        """Loads it for some seconds and compares the answers with those of plain onnxruntime meanwhile."""


class Loaded:
    """A server under the load of some connections."""

    def __init__(self, wrk: str, server: Running, connections: int) -> None:
        self.process = server.process
        self.start_s: float | None = server.start_s
        self._wrk, self._server, self._connections = wrk, server, connections

    def shoot(self, seconds: float) -> Shot:
        """Loads it for a whole number of seconds.

        Raises:
            ServerError: A request failed.
        """
        command = [self._wrk, "-t1", f"-c{self._connections}", f"-d{max(1, round(seconds))}s", "--timeout", "60s"]
        command += ["-s", str(APPS / "requests.lua"), self._server.url, "--", *map(str, self._server.bodies)]
        meter = Meter(self.process.pid)
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        cpu, others = meter.read()
        lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
        if done.returncode != 0 or not lines:
            raise ServerError(f"wrk ended with {done.returncode}: {done.stdout}{done.stderr}")
        count, duration, failed, p50, p99 = map(int, lines[0].split()[1:])
        if failed or not count:
            raise ServerError(f"{failed} requests failed and {count} were answered in {duration / 1e6:.1f} s of load")
        return Shot(count / duration * 1e6, cpu / count * 1e6, others, p50, p99)

    def warm(self, seconds: float) -> None:
        """Sends every request twice, several at a time, while it is under load: batches must not change answers.

        Raises:
            ServerError: An answer is wrong.
        """
        bodies = self._server.bodies * 2
        with concurrent.futures.ThreadPoolExecutor(_CHECKING_THREADS) as pool:
            load = pool.submit(self.shoot, seconds)
            answers = list(pool.map(lambda body: post(self._server.url, body.read_bytes()), bodies))
            load.result()
        for body, answer in zip(bodies, answers, strict=True):
            problem = self._server.model.problem(body, answer)
            if problem:
                raise ServerError(f"wrong answer to {body.name}: {problem}")


class Raw:
    """Plain onnxruntime in a process of its own."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.start_s: float | None = None

    def shoot(self, seconds: float) -> Shot:
        """Calls the model for some seconds.

        Raises:
            ServerError: It ended.
        """
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        meter = Meter(self.process.pid)
        self.process.stdin.write(f"{seconds}\n".encode())
        self.process.stdin.flush()
        told = self.process.stdout.readline().split()
        cpu, others = meter.read()
        if not told:
            raise ServerError("plain onnxruntime ended")
        count, spent = int(told[0]), float(told[1])
        return Shot(count / spent, cpu / count * 1e6, others)

    def warm(self, seconds: float) -> None:
        """Only loads it: it is what others are compared with."""
        self.shoot(seconds)


@contextlib.contextmanager
def raw(environment: Environment, model: Model, threads: int) -> Iterator[Raw]:
    """Starts plain onnxruntime with some threads, each call on one core."""
    command = [environment.program("python"), str(APPS / "raw_loop.py"), str(model.file), str(threads)]
    command += map(str, model.bodies("rows"))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, start_new_session=True) as process:
        yield Raw(process)
