"""Services as processes of this machine: started, handed over, watched and ended, whatever happens on the way.

The runtime is a stand-in that speaks the same settings and control protocol and misbehaves on request.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import random
import shutil
import signal
import socket
import stat
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mlserve_scoring
import pytest

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.processes import process_control, process_start, service_folder
from pulumi_mlserve.clients.processes.local_process import Keys, LocalProcesses, ProcessSpec
from pulumi_mlserve.clients.processes.ports import listen_anywhere, port_of
from pulumi_mlserve.clients.processes.process_files import ProcessFiles
from pulumi_mlserve.clients.processes.process_identity import Identity, alive, identify, send, with_settings_under
from pulumi_mlserve.clients.processes.service_state import load_state
from pulumi_mlserve.core.problems import OperationError

STANDIN = Path(__file__).parent / "standin_runtime" / "mlserve_scoring"
ID = f"project.stack.diabetes-{os.getpid()}"


@pytest.fixture
def root(tmp_path) -> Path:
    """An image's files, with the stand-in as runtime."""
    runtime = tmp_path / "root" / "opt" / "mlserve" / "runtime" / "mlserve_scoring"
    shutil.copytree(STANDIN, runtime, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(mlserve_scoring.__file__).parent / "settings.py", runtime)
    return tmp_path / "root"


@pytest.fixture
def spec(root) -> ProcessSpec:
    """A first revision of a service, without limits."""
    return ProcessSpec(
        service_id=ID,
        service="diabetes",
        root=root,
        python=Path(sys.executable),
        revision="one",
        drain_seconds=60,  # both on a machine that is busy with other tests
        start_seconds=120,
    )


@pytest.fixture
def services(tmp_path, monkeypatch):
    """The services of this test's own machine; afterwards nothing of them is left anywhere."""
    # A stand-in that gets no processor for a while is none that hangs; where one does, the test says for how long.
    monkeypatch.setattr(process_control, "_ANSWER_SECONDS", 60)
    folder = tmp_path / "services"
    found = LocalProcesses(folder, pycache=tmp_path / "pycache")
    yield found
    for path in folder.glob("[!.]*"):
        found.stop(path.name, 0)
    assert [] == with_settings_under(folder)
    assert [] == list(folder.glob("*"))
    # Not by a glob: that fails where a group of another test goes meanwhile.
    groups = [name for _, names, _ in os.walk("/sys/fs/cgroup") for name in names]
    assert [] == [name for name in groups if name.startswith(f"mlserve-{ID}")]


def changed(spec: ProcessSpec, revision: str, **changes) -> ProcessSpec:
    """Returns another revision; upper-case names are wishes to the stand-in."""
    wishes = {f"STANDIN_{name}": str(value) for name, value in changes.items() if name.isupper()}
    settings = {name: value for name, value in changes.items() if not name.isupper()}
    return dataclasses.replace(spec, revision=revision, variables=wishes, **settings)


def ask(port: int) -> dict:
    """Returns the answer of one request, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/score", "{}", {"Connection": "close"})
    with contextlib.closing(connection):
        return json.loads(connection.getresponse().read())


def identity(pid: int) -> Identity:
    """Returns which process that is."""
    found = identify(pid)
    assert found is not None
    return found


def control_of(folder: Path) -> Path:
    """Returns the control socket of the process that serves."""
    state = load_state(folder)
    assert state is not None
    assert state.current is not None
    return ProcessFiles(folder, state.current.name).control


def listens(port: int) -> bool:
    """Returns whether anybody accepts connections at the port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_started_service_answers(services, spec):
    """A started service answers at its URL, in a session of its own, and says so."""
    said: list[str] = []
    running = services.start(spec, said.append)
    status = services.status(ID)

    assert ("one", running.pid) == (ask(running.port)["revision"], ask(running.port)["pid"])
    assert f"http://127.0.0.1:{running.port}/score" == running.scoring_uri
    assert running.pid == os.getsid(running.pid)
    assert os.getpid() != int(Path(f"/proc/{running.pid}/stat").read_text().rpartition(")")[2].split()[1])
    assert (True, True, True, running.pid, running.port, "one") == (
        status.known, status.alive, status.ready, status.pid, status.port, status.revision,
    )  # fmt: skip
    assert ("diabetes", running.scoring_uri, "serves") == (status.service, status.scoring_uri, status.detail)
    assert f"starting revision one at port {running.port}" == said[0]


def test_same_revision_is_left_alone(services, spec):
    """Starting what serves already changes nothing and starts nothing."""
    running = services.start(spec)

    assert running == services.start(spec)
    assert running == services.update(ID, dataclasses.replace(spec, port=running.port, start_seconds=99))


def test_service_that_was_taken_over_is_not_stopped_by_the_one_before(services, spec):
    """Of two owners of one running process the last one alone can stop it; nobody needs another process for that."""
    first = services.start(dataclasses.replace(spec, owner="old", holder="urn::aaa"))
    second = services.start(dataclasses.replace(spec, owner="new", holder="urn::aaa"))
    services.stop(ID, 1, owner="old")
    kept = services.status(ID)
    services.stop(ID, 1, owner="new")

    assert first == second
    assert (first.pid, "urn::aaa") == (kept.pid, kept.holder)
    assert not services.status(ID).known


def test_failed_revision_leaves_the_owner(services, spec):
    """A take-over that fails takes nothing over; one that succeeds with another revision does."""
    services.start(dataclasses.replace(spec, owner="old", holder="urn::aaa"))
    with pytest.raises(OperationError, match="no such model"):
        services.start(changed(spec, "bad", FAIL="no such model", owner="new", holder="urn::aaa"))
    failed = load_state(services._folder / ID)
    services.start(changed(spec, "two", owner="new", holder="urn::aaa"))
    done = load_state(services._folder / ID)

    assert failed is not None
    assert done is not None
    assert ("old", "new") == (failed.owner, done.owner)


def test_state_of_an_older_release_has_no_owner(services, spec):
    """What was written before there were owners is anyone's to take over and to stop."""
    running = services.start(spec)
    file = running.folder / "service.json"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({name: value for name, value in kept.items() if name not in {"owner", "holder"}}))
    found = load_state(running.folder)
    services.stop(ID, 1, owner="any")

    assert found is not None
    assert ("", "", running.pid) == (found.owner, found.holder, found.current.pid if found.current else None)
    assert not services.status(ID).known


def test_live_service_of_another_holder_is_refused(services, spec):
    """Two resources cannot have one service; a resource that has its token may have been renamed."""
    running = services.start(dataclasses.replace(spec, owner="a", holder="urn::aaa"))
    with pytest.raises(OperationError, match="'diabetes' is the name of LocalService 'aaa' already; give another name"):
        services.start(changed(spec, "two", owner="b", holder="urn::bbb"))

    assert running.pid == services.status(ID).pid
    assert running == services.start(dataclasses.replace(spec, owner="a", holder="urn::renamed"))
    assert "urn::renamed" == services.status(ID).holder


def test_keys_of_a_service_are_those_it_was_given(services, spec):
    """They can be asked for; without keys, and for a service that is not here, there are none."""
    services.start(dataclasses.replace(spec, keys=Keys("first", "second")))
    with_keys = services.keys(ID)
    services.start(spec)

    assert (Keys("first", "second"), None, None) == (with_keys, services.keys(ID), services.keys("absent"))


def test_update_hands_the_socket_over(services, spec):
    """A new revision serves at the same port from another process; the old one is gone with its files."""
    old = services.start(spec)
    new = services.update(ID, changed(spec, "two"))

    assert old.port == new.port
    assert "two" == ask(new.port)["revision"]
    assert identify(old.pid) is None
    assert 1 == len([path for path in new.folder.iterdir() if path.is_dir()])


def until(happened: Callable[[], object]) -> None:
    """Waits for something; gives up when it takes longer than any machine needs for it."""
    end = time.monotonic() + 120
    while not happened():
        assert time.monotonic() < end, "it does not happen"
        time.sleep(0.01)


@contextlib.contextmanager
def load(port: int) -> Iterator[set[str]]:
    """Asks from ten clients, half of them with one connection for all; gives the revisions seen, raises any failure."""
    seen: set[str] = set()
    done = threading.Event()

    def once() -> None:
        while not done.is_set():
            seen.add(ask(port)["revision"])

    def kept() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        with contextlib.closing(connection):
            while not done.is_set():
                connection.request("POST", "/score", "{}")
                seen.add(json.loads(connection.getresponse().read())["revision"])

    with ThreadPoolExecutor(10) as pool:
        clients = [pool.submit(client) for client in (once, kept) for _ in range(5)]
        try:
            yield seen
        finally:
            done.set()
    for client in clients:
        client.result()


def test_update_loses_no_request(services, spec):
    """While revisions change under load, every request of every client is answered, by the old one or the new."""
    port = services.start(spec).port
    with load(port) as seen:
        for number in range(3):
            services.update(ID, changed(spec, f"update {number}", HOLD=0.005, LOAD=0.1))
            until(lambda number=number: f"update {number}" in seen)

    assert {"one", "update 0", "update 1", "update 2"} == seen | {"one"}


def test_failed_candidate_leaves_the_old_one(services, spec):
    """A revision that fails ends; the error has its reason, its line and what it printed, and the old one serves on."""
    old = services.start(spec)
    with pytest.raises(OperationError) as caught:
        services.update(ID, changed(spec, "bad", FAIL="no such model"))

    assert "service diabetes: the process for revision bad did not start: score.py:7: no such model" in str(
        caught.value
    )
    assert "loading revision bad" in str(caught.value)
    assert "revision one serves on" in str(caught.value)
    assert ("one", old.pid) == (ask(old.port)["revision"], services.status(ID).pid)
    assert 1 == len(with_settings_under(old.folder))
    assert old == services.start(spec)


def test_candidate_that_dies_is_noticed(services, spec):
    """A process that ends while it starts is an error with its last words, long before the time is up."""
    services.start(spec)
    begin = time.monotonic()
    with pytest.raises(OperationError, match=r"its process ended; its last lines:\n(.*\n)*  the end is near"):
        services.update(ID, changed(spec, "bad", DIE=3))

    assert time.monotonic() - begin < spec.start_seconds / 2


class LoadingClock:
    """Time as the wait for a process sees it: it begins to pass, by the waiter's own pauses, once the process loads."""

    def __init__(self):
        self.now = 0.0
        self.loads = False

    def ask_status(self, control: Path):
        """Asks the process, and remembers that it answered."""
        status = process_control.ask_status(control)
        self.loads |= status is not None
        return status

    def monotonic(self) -> float:
        """Returns the time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Lets time pass."""
        time.sleep(0.01)
        self.now += seconds if self.loads else 0

    def time(self) -> float:
        """Returns the time of day."""
        return time.time()


def test_slow_candidate_is_given_up(services, spec, monkeypatch):
    """A process that is not ready in time is ended, and the progress has told how long it took."""
    old = services.start(spec)
    clock = LoadingClock()
    monkeypatch.setattr(process_start, "time", clock)
    monkeypatch.setattr(process_start, "ask_status", clock.ask_status)
    said: list[str] = []
    with pytest.raises(OperationError, match=r"not ready after 1\.2 s, still loading the model; make"):
        services.update(ID, changed(spec, "slow", LOAD=60, start_seconds=1.2), said.append)

    assert "starting: 1 s, loading the model" in said
    assert 1 == len(with_settings_under(old.folder))


def test_first_start_that_fails_leaves_nothing(services, spec, tmp_path):
    """When nothing ever served, a failure leaves no folder, no process and no listening socket."""
    taken = []
    for _ in range(3):  # another test may take the port the moment it is free, but not three times
        with listen_anywhere() as listener:
            port = port_of(listener)
        with pytest.raises(OperationError, match="no such model"):
            services.start(changed(spec, "bad", FAIL="no such model", port=port))
        taken.append(listens(port))

    assert [] == list((tmp_path / "services").iterdir())
    assert not all(taken)
    assert not services.status(ID).known


def test_cancelled_update_leaves_the_old_one(services, spec):
    """Cancelling an update ends the candidate; the old revision serves on."""
    old = services.start(spec)
    begin = time.monotonic()
    with pytest.raises(CancelledError, match="revision one serves on"):
        services.update(ID, changed(spec, "slow", LOAD=60), cancelled=lambda: time.monotonic() - begin > 0.3)

    assert "one" == ask(old.port)["revision"]
    assert 1 == len(with_settings_under(old.folder))


def test_requests_in_flight_are_answered(services, spec, tmp_path):
    """A request that the old process is working on is answered by it, although the new one serves already."""
    gate = tmp_path / "gate"
    port = services.start(changed(spec, "slow", GATE=gate, drain_seconds=120)).port
    answers: list[dict] = []
    client = threading.Thread(target=lambda: answers.append(ask(port)))
    client.start()
    until((tmp_path / "gate.asked").exists)
    update = threading.Thread(target=services.update, args=(ID, changed(spec, "two", drain_seconds=120)))
    update.start()
    until(lambda: services.status(ID).revision == "two")
    before = list(answers)
    gate.touch()
    update.join()
    client.join()

    assert [] == before
    assert ["slow"] == [answer["revision"] for answer in answers]


def test_drain_has_an_end(services, spec):
    """A process that ignores every wish to end is ended by force when its time is up."""
    old = services.start(changed(spec, "deaf", DEAF=1))
    said: list[str] = []
    new = services.update(ID, changed(spec, "two", drain_seconds=1.1), said.append)

    assert "two" == ask(new.port)["revision"]
    assert identify(old.pid) is None
    assert f"process {old.pid} does not answer, so it ends before the new one starts" in said


def test_a_busy_process_hands_over_when_it_can(services, spec, monkeypatch):
    """It answers nothing for longer than one question waits; to end it instead would lose requests."""
    monkeypatch.setattr("pulumi_mlserve.clients.processes.process_control._ANSWER_SECONDS", 0.2)
    old = services.start(changed(spec, "one", drain_seconds=120))
    os.kill(old.pid, signal.SIGSTOP)
    said: list[str] = []

    def hear(text: str) -> None:
        said.append(text)
        if "to hand over: 1 s of at most 120 s" in text:
            os.kill(old.pid, signal.SIGCONT)

    new = services.update(ID, changed(spec, "two", drain_seconds=120), hear)

    assert (old.port, "two") == (new.port, ask(new.port)["revision"])
    assert f"process {old.pid} does not answer, so it ends before the new one starts" not in said


def test_a_cancelled_update_ends_no_service(services, spec, monkeypatch):
    """Neither one that answers, whatever comes of the rest, nor one that is busy."""
    monkeypatch.setattr("pulumi_mlserve.clients.processes.process_control._ANSWER_SECONDS", 0.2)
    old = services.start(changed(spec, "one", drain_seconds=120))
    with pytest.raises(CancelledError):
        services.update(ID, changed(spec, "two", LOAD=600, drain_seconds=120), cancelled=lambda: True)
    answered = ask(old.port)["revision"]
    os.kill(old.pid, signal.SIGSTOP)
    try:
        with pytest.raises(CancelledError, match="hand over"):
            services.update(ID, changed(spec, "two", drain_seconds=120), cancelled=lambda: True)
    finally:
        os.kill(old.pid, signal.SIGCONT)

    assert ("one", "one", old.pid) == (answered, ask(old.port)["revision"], services.status(ID).pid)


def test_mute_process_is_replaced(services, spec, monkeypatch):
    """A process that serves but answers nothing on its control socket is seen as not ready, and can be replaced."""
    monkeypatch.setattr("pulumi_mlserve.clients.processes.process_control._ANSWER_SECONDS", 0.2)
    monkeypatch.setattr("pulumi_mlserve.clients.processes.service_change._PATIENCE_SECONDS", 0.2)
    old = services.start(changed(spec, "one"))
    os.kill(old.pid, signal.SIGSTOP)
    while Path(f"/proc/{old.pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
        time.sleep(0.01)
    status = services.status(ID)
    new = services.update(ID, changed(spec, "two", drain_seconds=0))

    assert (True, False) == (status.alive, status.ready)
    assert f"process {old.pid} does not answer" == status.detail
    assert (old.port, "two") == (new.port, ask(new.port)["revision"])


def test_dead_process_is_drift(services, spec):
    """A process that died is known, with its port and revision; the next start uses the same port."""
    running = services.start(spec)
    gone = identity(running.pid)
    send(gone, signal.SIGKILL)
    while alive(gone):
        time.sleep(0.01)
    status = services.status(ID)
    again = services.start(spec)

    assert (True, False, False, None, running.port, "one") == (
        status.known, status.alive, status.ready, status.pid, status.port, status.revision,
    )  # fmt: skip
    assert f"process {running.pid} is gone" == status.detail
    assert running.port == again.port
    assert running.pid != again.pid


def test_port_can_change(services, spec):
    """With another port the new revision listens there, and nobody at the old one."""
    old = services.start(spec)
    with listen_anywhere() as listener:
        port = port_of(listener)
    new = services.update(ID, dataclasses.replace(spec, port=port))

    assert port == new.port
    assert "one" == ask(port)["revision"]
    assert not listens(old.port)


def test_taken_port_is_an_error(services, spec):
    """A port that somebody else has is refused by name of who has it; what served before serves on."""
    old = services.start(spec)
    with listen_anywhere() as listener:
        taken = port_of(listener)
        problem = services.port_problem(ID, taken)
        with pytest.raises(OperationError, match=rf"port: {taken} is taken by process {os.getpid()} ") as caught:
            services.update(ID, dataclasses.replace(spec, port=taken))

    assert str(caught.value) == problem
    assert services.port_problem(ID, old.port) is None
    assert services.port_problem("another", old.port) is not None
    assert "one" == ask(old.port)["revision"]


def test_dead_service_without_a_port_takes_another(services, spec):
    """A port that was chosen for a service and meanwhile taken is replaced by another, and that is said."""
    running = services.start(spec)
    gone = identity(running.pid)
    send(gone, signal.SIGKILL)
    while alive(gone):
        time.sleep(0.01)
    said: list[str] = []
    with socket.create_server(("127.0.0.1", running.port)):
        again = services.start(spec, said.append)

    assert running.port != again.port
    assert any("taking another one" in line for line in said)


def test_keys_are_replaced_without_a_restart(services, spec):
    """When only the keys change, the process goes on and reads the new ones."""
    old = services.start(dataclasses.replace(spec, keys=Keys("first", "second")))
    before = ask(old.port)["keys"]
    new = services.update(ID, dataclasses.replace(spec, keys=Keys("third", "second")))

    assert {"primary": "first", "secondary": "second"} == before
    assert old.pid == new.pid
    assert {"primary": "third", "secondary": "second"} == ask(new.port)["keys"]


def test_switching_keys_on_needs_another_process(services, spec):
    """Authentication switched on or off is another revision's process."""
    old = services.start(spec)
    new = services.update(ID, dataclasses.replace(spec, keys=Keys("first", "second")))

    assert old.pid != new.pid
    assert "first" == ask(new.port)["keys"]["primary"]


def test_keys_are_nowhere_but_in_their_file(services, spec):
    """Keys are in one file that its owner alone can read: not in arguments, environment, state, settings or log."""
    secret = "do-not-tell-anybody"
    running = services.start(dataclasses.replace(spec, keys=Keys(secret, secret)))
    proc = Path(f"/proc/{running.pid}")
    files = [path for path in running.folder.rglob("*") if path.is_file()]

    assert secret.encode() not in (proc / "cmdline").read_bytes() + (proc / "environ").read_bytes()
    assert ["keys.json"] == [path.name for path in files if secret in path.read_text()]
    assert {0o600} == {stat.S_IMODE(path.stat().st_mode) for path in files}
    assert secret not in repr(spec) + repr(Keys(secret, secret))


def test_environment_is_scrubbed(services, spec, monkeypatch):
    """The process gets what it needs and what its settings say, none of our other variables."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hidden")
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "hidden")
    running = services.start(changed(spec, "one", LOAD=0, cpu_cores=1.5))
    environment = dict(
        entry.split("=", 1) for entry in Path(f"/proc/{running.pid}/environ").read_text().split("\0") if entry
    )

    assert "hidden" not in environment.values()
    assert (os.environ["PATH"], "2", "0") == tuple(
        environment[name] for name in ("PATH", "OMP_NUM_THREADS", "STANDIN_LOAD")
    )


def test_limits_are_applied_and_told(services, spec):
    """Limits are applied before the process begins, told with the result, and leave no control group."""
    running = services.start(changed(spec, "one", cpu_cores=1, memory_gb=0.5))
    groups = [Path(line) for line in next(running.folder.glob("*/groups"), Path(os.devnull)).read_text().splitlines()]

    assert ["cpu_cores", "memory_gb"] == [line.removeprefix("not exact: ").partition(":")[0] for line in running.limits]
    services.stop(ID, 1)
    assert not [group for group in groups if group.exists()]


def test_memory_limit_is_named_as_the_reason(services, spec):
    """A process that needs more memory than it may have fails, and where the system tells, the error says why."""
    with pytest.raises(OperationError) as caught:
        services.start(changed(spec, "big", EAT=300, memory_gb=0.1))

    assert "raise memory_gb" in str(caught.value) or "MemoryError" in str(caught.value)


def test_stop_leaves_nothing(services, spec, tmp_path):
    """Stopping ends the process and removes its port and all its files; again is fine, and so is never started."""
    running = services.start(changed(spec, "one", CHILD=1))
    children = [int(path.name) for path in Path("/proc").glob("[0-9]*") if session(int(path.name)) == running.pid]
    services.stop(ID, 1)

    assert 2 == len(children)
    assert [] == [pid for pid in children if identify(pid)]
    assert not listens(running.port)
    assert [] == list((tmp_path / "services").iterdir())
    services.stop(ID)
    assert [] == list((tmp_path / "services").iterdir())


def session(pid: int) -> int:
    """Returns the session that a process is in."""
    with contextlib.suppress(OSError):
        return os.getsid(pid)
    return 0


def test_stop_that_is_cut_off_is_continued(services, spec, monkeypatch, tmp_path):
    """What a stop leaves when it is cut off while removing files is removed by the next call, of any service."""
    services.start(spec)
    with monkeypatch.context() as patched:
        patched.setattr(service_folder.shutil, "rmtree", lambda *_, **__: None)
        services.stop(ID, 1)
    left = list((tmp_path / "services").iterdir())
    services.start(dataclasses.replace(spec, service_id="other"))

    assert [service_folder.GONE] == [path.name[: len(service_folder.GONE)] for path in left]
    assert ["other"] == [path.name for path in (tmp_path / "services").iterdir()]


def test_stop_and_start_take_turns(services, spec, tmp_path):
    """Stops and starts of one service at once never mix: in the end it serves with all it needs, or is gone."""
    services.start(spec)
    runs = [
        threading.Thread(target=run, args=arguments)
        for run, arguments in ((services.stop, (ID, 1)), (services.start, (spec,))) * 3
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    status = services.status(ID)
    serving = [found.pid for found, _ in with_settings_under(tmp_path / "services")]

    assert ([status.pid] if status.ready else []) == serving
    assert status.ready == (tmp_path / "services" / ID).exists()


def test_stop_finds_a_process_without_its_state(services, spec):
    """A process whose folder was deleted is found by its arguments and ended."""
    running = services.start(changed(spec, "one", cpu_cores=1))
    control = control_of(running.folder)
    shutil.rmtree(running.folder)
    services.stop(ID, 0)

    assert not control.exists()
    assert identify(running.pid) is None


def test_start_without_its_state_replaces_the_process(services, spec):
    """A process whose state cannot be read is ended and started anew; no orphan is left."""
    running = services.start(spec)
    (running.folder / "service.json").write_text("{")
    again = services.start(spec)

    assert [again.pid] == [found.pid for found, _ in with_settings_under(again.folder)]


def test_state_of_a_newer_release_is_refused(services, spec):
    """A state that a newer release wrote is not guessed at."""
    running = services.start(spec)
    path = running.folder / "service.json"
    kept = path.read_text()
    path.write_text(json.dumps({**json.loads(kept), "schema": 2}))
    with pytest.raises(OperationError, match="newer release \\(schema 2\\); upgrade pulumi_mlserve"):
        services.start(spec)
    path.write_text(kept)


def test_recycled_number_is_never_signalled(services, spec):
    """A process that has the number of ours, but started at another time, is left alone."""
    running = services.start(spec)
    stranger = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"], start_new_session=True)
    path = running.folder / "service.json"
    state = json.loads(path.read_text())
    send(identity(running.pid), signal.SIGKILL)
    state["current"]["pid"] = stranger.pid
    path.write_text(json.dumps(state))
    status = services.status(ID)
    services.stop(ID, 0)

    assert not status.alive
    assert stranger.poll() is None
    assert not send(dataclasses.replace(identity(stranger.pid), start=1), signal.SIGKILL)
    stranger.kill()
    stranger.wait()


def test_source_folder_is_not_needed(services, spec, tmp_path):
    """A dead service starts again when only its image is left: what it was made from is not asked for."""
    running = services.start(spec)
    send(identity(running.pid), signal.SIGKILL)
    shutil.rmtree(tmp_path / "pycache")

    assert "one" == ask(services.start(spec).port)["revision"]


def test_image_that_is_gone_is_an_error(services, spec, root):
    """Without the image's files nothing starts, and the error says what to do."""
    shutil.rmtree(root)
    with pytest.raises(OperationError, match=r"no image at .*root; build the image again"):
        services.start(spec)


def test_interpreter_that_is_gone_is_an_error(services, spec, tmp_path):
    """Without the interpreter nothing starts."""
    with pytest.raises(OperationError, match=r"no Python at .*; install that version"):
        services.start(dataclasses.replace(spec, python=tmp_path / "python"))


def test_interpreter_that_cannot_run_is_an_error(services, spec, tmp_path):
    """An interpreter that the system refuses to run is named, and nothing is left."""
    python = tmp_path / "python"
    python.write_text("no program")
    python.chmod(0o700)
    with pytest.raises(OperationError, match="python: cannot be run: Exec format error"):
        services.start(dataclasses.replace(spec, python=python))

    assert [] == list((tmp_path / "services").iterdir())


@pytest.mark.parametrize("service_id", ["", "../x", "a/b", ".hidden", "a" * 200])
def test_bad_identity_is_refused(services, service_id):
    """An identity that is no plain name never becomes a path."""
    with pytest.raises(OperationError, match="not a name for a folder"):
        services.status(service_id)


def test_long_folder_gets_a_short_socket(spec, tmp_path):
    """Where the service's folder is too deep for a socket's path, a short private folder is used and cleaned."""
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    services = LocalProcesses(deep, pycache=tmp_path / "pycache")
    running = services.start(spec)
    control = control_of(running.folder)
    new = services.update(ID, changed(spec, "two"))
    after = control_of(running.folder)

    assert not control.is_relative_to(deep)
    assert 0o700 == stat.S_IMODE(control.parent.stat().st_mode)
    assert not control.exists()
    assert running.port == new.port
    services.stop(ID, 1)
    assert not after.exists()


def test_log_follows_the_service(services, spec):
    """The log shows what the process prints, that of the one before first."""
    services.start(spec)
    services.update(ID, changed(spec, "two"))

    assert ["loading revision one", "loading revision two"] == list(services.logs(ID))
    assert ["loading revision two"] == list(services.logs(ID, 1))


def test_log_names_settings_as_the_program_does(services, spec, tmp_path):
    """Where the runtime tells of them; the file stays as it is."""
    services.start(spec)
    (log,) = (tmp_path / "services").glob("*/service.log")
    before = "2026-01-31 23:59:59,123 ERROR mlserve.tls: "
    log.write_text(f"{before}tls_key: /k is damaged\ntls_key: mine\n")

    assert [f"{before}ssl_key_pem_file: /k is damaged", "tls_key: mine"] == list(services.logs(ID))


def test_log_can_be_followed(services, spec):
    """Following goes on over an update and ends when the service is gone."""
    services.start(spec)
    lines: list[str] = []
    reader = threading.Thread(target=lambda: [lines.append(line) for line in services.logs(ID, follow=True)])
    reader.start()
    until(lambda: lines)
    services.update(ID, changed(spec, "two"))
    until(lambda: len(lines) > 1)
    services.stop(ID, 1)
    reader.join(120)

    assert ["loading revision one", "loading revision two"] == lines


def test_services_are_listed(services, spec):
    """The list names every service, the dead ones too."""
    first = services.start(spec)
    other = services.start(dataclasses.replace(spec, service_id="other", service="churn"))
    gone = identity(other.pid)
    send(gone, signal.SIGKILL)
    while alive(gone):
        time.sleep(0.01)

    assert [("other", "churn", False), (ID, "diabetes", True)] == [
        (status.service_id, status.service, status.alive) for status in services.list()
    ]
    assert first.port != other.port


def test_status_is_cheap(services, spec, monkeypatch):
    """Asking how a service is takes a few milliseconds at most: of our own time, since the machine may be busy."""
    services.start(spec)
    took = []
    with monkeypatch.context() as patched:
        patched.setattr(time, "sleep", lambda _: pytest.fail("nobody waits for anything"))
        for _ in range(20):
            begin = time.thread_time()
            services.status(ID)
            took.append(time.thread_time() - begin)

    assert sorted(took)[5] < 0.005


def test_two_runs_take_turns(services, spec, tmp_path):
    """Two runs at once end with one process that serves what the last of them wanted, and nothing else."""
    gate = tmp_path / "gate"  # whoever is first loads until the other one waits for it
    said: list[str] = []

    def hear(line: str) -> None:
        said.append(line)
        if "which is changing the service" in line:
            gate.touch()

    runs = [
        threading.Thread(target=services.start, args=(changed(spec, revision, LOAD_UNTIL=gate), hear))
        for revision in ("one", "two")
    ]
    for run in runs:
        run.start()
    for run in runs:
        run.join()
    status = services.status(ID)

    assert [status.pid] == [found.pid for found, _ in with_settings_under(services._folder / ID)]
    assert ask(status.port)["revision"] == status.revision
    assert any("which is changing the service" in line for line in said)


CUT_OFF = """
    import os, sys
    from pathlib import Path
    sys.path[:0] = sys.argv[4].split(":")
    from pulumi_mlserve.clients.processes import {module}
    from pulumi_mlserve.clients.processes.local_process import LocalProcesses, ProcessSpec

    def die(*arguments, **named):
        os.kill(os.getpid(), 9)

    {cut}
    LocalProcesses(Path(sys.argv[1]), pycache=Path(sys.argv[1]).parent / "pycache").start(
        ProcessSpec(service_id="{service_id}", service="diabetes", root=Path(sys.argv[2]),
                    python=Path(sys.executable), revision=sys.argv[3], drain_seconds=60, cpu_cores=1))
"""
CUTS = {
    "before the process is written down": ("service_change", "service_change.save_state = die"),
    "while the process waits for its word": ("process_launch", "process_launch.Launched.go = die"),
    "while it loads": ("service_change", "service_change.wait_until_ready = die"),
    "when it is ready": ("service_folder", "service_folder.ServiceFolder.promote = die"),
    "when the state is written": ("process_files", "process_files.ProcessFiles.become_service_log = die"),
    "before the old one is drained": ("service_folder", "service_folder.ServiceFolder.end = die"),
    "while files are removed": ("process_files", "process_files.shutil.rmtree = die"),
}


@pytest.mark.parametrize("revision", ["one", "two"])
@pytest.mark.parametrize("cut", CUTS)
def test_run_that_is_killed_is_continued(services, spec, root, cut, revision):
    """A run killed at any point loses no service; the next run ends what is left over and serves what it should."""
    port = services.start(spec).port
    module, code = CUTS[cut]
    text = textwrap.dedent(CUT_OFF).format(module=module, cut=code, service_id=ID)
    arguments = (str(services._folder), str(root), "two", os.pathsep.join(filter(None, sys.path)))
    killed = subprocess.run([sys.executable, "-c", text, *arguments], check=False)
    between = ask(port)["revision"]
    running = services.start(dataclasses.replace(spec, revision=revision, cpu_cores=1))

    assert -signal.SIGKILL == killed.returncode
    assert between in {"one", "two"}
    assert (port, revision) == (running.port, ask(port)["revision"])
    assert [running.pid] == [found.pid for found, _ in with_settings_under(running.folder)]
    assert 1 == len([path for path in running.folder.iterdir() if path.is_dir()])
    state = load_state(running.folder)
    assert state is not None
    assert (None, ()) == (state.pending, state.leaving)


def test_ready_candidate_of_a_killed_run_is_adopted(services, spec, root):
    """A first start that was killed when the process was ready is continued with that very process."""
    text = textwrap.dedent(CUT_OFF).format(module="service_folder", cut=CUTS["when it is ready"][1], service_id=ID)
    arguments = (str(services._folder), str(root), "one", os.pathsep.join(filter(None, sys.path)))
    subprocess.run([sys.executable, "-c", text, *arguments], check=False)
    left = [found.pid for found, _ in with_settings_under(services._folder / ID)]
    said: list[str] = []
    running = services.start(dataclasses.replace(spec, cpu_cores=1), said.append)

    assert left == [running.pid]
    assert [f"found process {running.pid} of an interrupted run, which serves already"] == said


def test_full_disk_leaves_the_old_one(services, spec, monkeypatch):
    """When the state cannot be written at the switch, the new process ends and the old one serves on."""
    old = services.start(spec)

    def full(folder, state) -> None:
        if state.pending is None:
            raise OSError(28, "No space left on device", str(folder / "service.json"))

    monkeypatch.setattr(service_folder, "save_state", full)
    with pytest.raises(OperationError, match=r"service diabetes: .*service\.json: No space left on device"):
        services.start(changed(spec, "two"))
    monkeypatch.undo()

    assert [old.pid] == [found.pid for found, _ in with_settings_under(old.folder)]
    assert "one" == ask(old.port)["revision"]


def test_update_of_another_service_is_refused(services, spec):
    """A service cannot be updated into another one."""
    with pytest.raises(OperationError, match="cannot become"):
        services.update("another", spec)


@pytest.mark.soak
def test_kills_at_any_moment_lose_nothing(services, spec, root, in_full):
    """Runs killed at any moment, one after the other and under load, lose no request, port or process."""
    chance = random.Random(7)
    port = services.start(spec).port
    text = textwrap.dedent(CUT_OFF).format(module="ports", cut="", service_id=ID)
    path = os.pathsep.join(filter(None, sys.path))
    with load(port) as seen:
        for number in range(100 if in_full else 4):
            arguments = (str(services._folder), str(root), f"run {number}", path)
            with subprocess.Popen([sys.executable, "-c", text, *arguments], start_new_session=True) as run:
                time.sleep(0.25 + chance.random() * 1.2)
                run.kill()
        running = services.start(changed(spec, "last"))
        until(lambda: "last" in seen)

    assert port == running.port
    assert [running.pid] == [found.pid for found, _ in with_settings_under(running.folder)]
    assert 1 == len([path for path in running.folder.iterdir() if path.is_dir()])
