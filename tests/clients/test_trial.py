"""Facts about running trials: the processes are real, the runtime is a small program in its place."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import textwrap
import time
from pathlib import Path

import pytest

from pulumi_mlserve.clients.environments.interpreter import find_python
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.trials import confined, confined_run
from pulumi_mlserve.clients.trials.trial import Trial, TrialLimits
from pulumi_mlserve.core.problems import OperationError

OWN = f"{sys.version_info.major}.{sys.version_info.minor}"
PYTHON = find_python(OWN)
GOOD = {"ok": True, "problems": [], "contract": {"schema": 1}, "samples": [{"input": 1, "output": 2}], "seconds": 0.5}
HEAD = """
import json, os, signal, socket, subprocess, sys, time
from pathlib import Path
arguments = dict(zip(sys.argv[2::2], sys.argv[3::2]))
def write(value):
    Path(arguments["--output"]).write_text(json.dumps(value))
"""


@pytest.fixture
def trial(tmp_path):
    """Trials with an empty cache."""
    return Trial(tmp_path / "cache")


@pytest.fixture
def root(tmp_path):
    """Returns a function that makes a root whose runtime is the given program."""

    def make(program: str) -> Path:
        package = tmp_path / "root" / "opt" / "mlserve" / "runtime" / "mlserve_scoring"
        package.mkdir(parents=True, exist_ok=True)
        (package / "__init__.py").touch()
        (package / "__main__.py").write_text(HEAD + textwrap.dedent(program))
        return tmp_path / "root"

    return make


def telling(root, expression: str) -> Path:
    """Return a root whose runtime puts the value of an expression into the contract."""
    return root(f"write({GOOD!r} | {{'contract': {{'said': {expression}}}}})")


class UntilThere:
    """Time as the watcher of a trial sees it: it stands still until the script has made a file, and then it is over."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def monotonic(self) -> float:
        """Return the time."""
        return 1_000_000 + time.monotonic() if self.file.exists() else 0.0


def left_of(folder: Path) -> list[str]:
    """Return the processes that have a folder in their environment; those that only wait to be collected have none."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if f"={folder}/".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
    return found


def test_a_good_verdict_is_passed_on(trial, root):
    """Contract, samples and time come from the runtime, the output from the script."""
    verdict = trial.run(root(f"print('hello')\nwrite({GOOD!r})"), PYTHON, "k")

    assert verdict.ok
    assert verdict.contract == {"schema": 1}
    assert verdict.samples == ({"input": 1, "output": 2},)
    assert (verdict.seconds, verdict.output) == (0.5, "hello")


def test_problems_name_file_line_and_what_to_do(trial, root):
    """The runtime's places are put in front."""
    problems = [
        {"message": "KeyError: 'age'", "file": "score.py", "line": 7, "stage": "run", "todo": "correct the sample"},
        {"message": "no model", "file": None, "line": None, "stage": "init", "todo": ""},
        {"message": "odd", "file": "score.py", "line": None, "stage": "init", "todo": None},
    ]
    verdict = trial.run(root(f"write({GOOD | {'ok': False, 'problems': problems}!r})\nsys.exit(3)"), PYTHON, "k")

    assert not verdict.ok
    assert [str(problem) for problem in verdict.problems] == [
        "entry_script: score.py:7: KeyError: 'age'; correct the sample",
        "entry_script: init: no model",
        "entry_script: score.py: odd",
    ]


@pytest.mark.parametrize("good", [True, False])
def test_a_verdict_that_would_be_the_same_again_is_kept(tmp_path, trial, root, good):
    """Good ones and the script's own mistakes are cached by key."""
    value = GOOD | {"ok": good, "problems": [] if good else [{"message": "m", "file": "f.py", "line": 1}]}
    program = f"Path({str(tmp_path / 'ran')!r}).open('a').write('x')\nwrite({value!r})"
    first = trial.run(root(program), PYTHON, "k")

    assert trial.run(root(program), PYTHON, "k") == first == trial.known("k") == Trial(tmp_path / "cache").known("k")
    assert (tmp_path / "ran").read_text() == "x"
    trial.run(root(program), PYTHON, "other")
    assert (tmp_path / "ran").read_text() == "xx"


def test_a_damaged_cache_counts_as_none(tmp_path, trial, root):
    """The trial is run again."""
    trial.run(root(f"write({GOOD!r})"), PYTHON, "k")
    for text in ("{", "[]", '{"schema": 2}', '{"schema": 1, "problems": [{}]}'):
        next((tmp_path / "cache" / "verdicts").iterdir()).write_text(text)

        assert trial.known("k") is None


def test_a_trial_that_takes_too_long_is_ended_and_not_kept(trial, root):
    """The next run may be luckier."""
    started = time.monotonic()
    verdict = trial.run(root("time.sleep(60)"), PYTHON, "k", TrialLimits(seconds=0.7))

    assert [problem.message for problem in verdict.problems] == [
        (
            "init and the samples took more than 0.7 s; make them faster, raise trial_seconds, or switch the trial"
            " off with trial='off'"
        )
    ]
    assert time.monotonic() - started < 50
    assert trial.known("k") is None


def test_a_time_out_says_how_far_it_came(tmp_path, trial, root, monkeypatch):
    """The runtime writes each stage before it begins."""
    monkeypatch.setattr(confined_run, "time", UntilThere(tmp_path / "there"))
    reached = {"message": "the process ended while answering sample 3", "stage": "run", "todo": "look"}
    program = f"write({GOOD | {'ok': False, 'problems': [reached]}!r})\n"
    program += f"Path({str(tmp_path / 'there')!r}).touch()\ntime.sleep(60)"
    verdict = trial.run(root(program), PYTHON, "k", TrialLimits(seconds=0.7))

    assert verdict.problems[0].message.startswith("init and the samples took more than 0.7 s, answering sample 3; make")


def test_cancelling_ends_everything_at_once(tmp_path, trial, root):
    """The work is not wanted any more; its process is gone when the call returns."""
    program = f"Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))\ntime.sleep(60)"
    started = time.monotonic()
    with pytest.raises(CancelledError, match="trying the entry script"):
        trial.run(root(program), PYTHON, "k", cancelled=(tmp_path / "pid").exists)

    assert time.monotonic() - started < 50
    assert [] == left_of(tmp_path)


FORKS = {
    "same group": "subprocess.Popen(['sleep', '61'])",
    "own session": "subprocess.Popen(['sleep', '61'], start_new_session=True)",
    "orphan": """
        if os.fork() == 0:
            os.setsid()
            subprocess.Popen(['sleep', '61'])
            os._exit(0)
        os.wait()
    """,
}


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc to look at processes")
@pytest.mark.parametrize("ends", ["good", "crash", "time"])
@pytest.mark.parametrize("kind", FORKS)
def test_what_a_script_leaves_behind_is_ended(tmp_path, trial, root, kind, ends):
    """Whatever group, session or parent it has, and however the script ends."""
    last = {"good": f"write({GOOD!r})", "crash": "os.kill(os.getpid(), 9)", "time": "time.sleep(60)"}
    program = f"{textwrap.dedent(FORKS[kind])}\n{last[ends]}"
    trial.run(root(program), PYTHON, "k", TrialLimits(seconds=3.0 if ends == "time" else 60.0))

    assert [] == left_of(tmp_path)


def test_where_no_namespace_can_be_had_a_trial_is_run_and_ended_all_the_same(tmp_path, root):
    """As in a container without rights; what it is not kept from is said."""
    program = f"subprocess.Popen(['sleep', '61'], start_new_session=True)\nwrite({GOOD!r})"
    driver = f"""
from pathlib import Path
from pulumi_mlserve.clients.trials.trial import Trial
verdict = Trial(Path({str(tmp_path / "cache")!r})).run(Path({str(root(program))!r}), Path({str(PYTHON)!r}), "k")
print(verdict.ok, *verdict.notes, sep="|")
"""
    forbidden = 'echo 0 > /proc/sys/user/max_user_namespaces && exec setpriv --bounding-set -sys_admin "$@"'
    command = ["unshare", "-Ur", "sh", "-c", forbidden, "sh", sys.executable, "-c", driver]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)

    assert [
        "True",
        "the trial ran with network: this system does not let it be closed",
        "the trial ran with access to your files and processes: this system does not let it be closed",
    ] == answer.stdout.strip().split("|"), answer.stderr
    assert [] == left_of(tmp_path / "root")


def test_a_script_cannot_end_its_keeper(trial, root):
    """It does not see it: its parent is the first process there is, which hears no signal from inside."""
    program = f"""
    import contextlib
    for pid in [os.getppid(), *(int(name) for name in os.listdir('/proc') if name.isdigit())]:
        with contextlib.suppress(OSError):
            if pid not in (0, os.getpid()):
                os.kill(pid, 9)
    write({GOOD!r} | {{'contract': os.getppid()}})
    """
    verdict = trial.run(root(program), PYTHON, "k")

    assert (True, 1) == (verdict.ok, verdict.contract)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("print('thinking')\nos._exit(0)", "the process ended before its verdict, exit status 0: thinking"),
        ("os.kill(os.getpid(), 11)", "the process ended before its verdict, ended by SIGSEGV: "),
        ("raise RuntimeError('x')", "the process ended before its verdict, exit status 1: RuntimeError: x"),
    ],
)
def test_a_process_that_ends_without_verdict_is_a_problem(trial, root, program, expected):
    """Status or signal and the last line say what is known."""
    verdict = trial.run(root(program), PYTHON, "k")

    assert not verdict.ok
    assert verdict.problems[0].message.startswith(expected)
    assert trial.known("k") is None


def test_a_crash_after_a_stage_names_the_signal(trial, root):
    """The stage comes from the runtime, the signal from the system."""
    died = {"message": "the process ended while loading score.py", "stage": "init", "file": "score.py", "todo": "look"}
    program = f"write({GOOD | {'ok': False, 'problems': [died]}!r})\nos.kill(os.getpid(), 9)"
    verdict = trial.run(root(program), PYTHON, "k", TrialLimits(memory_bytes=10**9))

    assert verdict.problems[0].message == (
        "score.py: the process ended while loading score.py; look; ended by SIGKILL, with 1.0 GB of memory at most"
    )
    assert trial.known("k") is None


def test_a_verdict_that_cannot_be_read_is_an_error(trial, root):
    """The runtime and this package do not fit."""
    for value in ("'{'", "'[]'", "'{\"ok\": true}'"):
        with pytest.raises(OperationError, match="the trial's verdict cannot be read"):
            trial.run(root(f"Path(arguments['--output']).write_text({value})"), PYTHON, "k")


def test_a_root_without_runtime_is_an_error(trial, tmp_path):
    """It is not the script's fault."""
    with pytest.raises(OperationError, match=r"the trial cannot be run: .*No module named"):
        trial.run(tmp_path, PYTHON, "k")


def test_a_manifest_that_the_runtime_refuses_is_an_error(trial, root):
    """Exit status 2 is the runtime's word for it."""
    with pytest.raises(OperationError, match="the trial cannot be run: manifest: bad"):
        trial.run(root("print('manifest: bad')\nsys.exit(2)"), PYTHON, "k")


def test_a_python_that_does_not_exist_is_an_error(trial, root):
    """The message comes through."""
    verdict = trial.run(root(""), Path("/nowhere/python"), "k")

    assert "the trial cannot be started: [Errno 2]" in verdict.problems[0].message


def test_the_environment_is_the_trials_own(trial, root, monkeypatch):
    """No secret of ours is seen; home, temporary and working folders are new and private."""
    monkeypatch.setenv("PULUMI_CONFIG_PASSPHRASE", "hunter2")
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hunter2")
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    said = trial.run(telling(root, "dict(os.environ) | {'cwd': os.getcwd()}"), PYTHON, "k").contract["said"]

    assert "hunter2" not in json.dumps(said)
    assert said["TZ"] == "Asia/Tokyo"
    assert Path(said["HOME"]).parent == Path(said["TMPDIR"]).parent == Path(said["cwd"]).parent
    assert not Path(said["HOME"]).parent.exists()
    assert said["HOME"] != os.environ["HOME"]


def test_nothing_of_ours_is_open(trial, root, tmp_path):
    """Files of this process are not the script's, even those that are inheritable."""
    with (tmp_path / "ours").open("w") as file:
        os.set_inheritable(file.fileno(), True)
        expression = "[n for n in range(3, 200) if os.path.exists(f'/dev/fd/{n}')]"
        said = trial.run(telling(root, expression), PYTHON, "k").contract["said"]

    assert said == []


def test_the_script_is_in_a_session_of_its_own_and_reads_nothing(trial, root):
    """Keys pressed in the terminal do not reach it, and it cannot ask for any."""
    said = trial.run(telling(root, "[os.getsid(0) == os.getpid(), sys.stdin.read()]"), PYTHON, "k").contract["said"]

    assert said == [True, ""]


REACH = "(lambda s: (s.settimeout(3), s.connect_ex(('127.0.0.1', PORT)))[1])(socket.socket())"
LOOPBACK = """(lambda s, c: (s.bind(('127.0.0.1', 0)), s.listen(), c.connect_ex(s.getsockname()))[2])(
    socket.socket(), socket.socket())"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can close the network for one process")
def test_the_network_is_closed_but_for_a_loopback_of_its_own(trial, root):
    """What listens on this machine cannot be reached; servers of the script's own can."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        reach = REACH.replace("PORT", str(server.getsockname()[1]))
        verdict = trial.run(telling(root, f"[{reach}, {LOOPBACK}]"), PYTHON, "k")

    assert verdict.notes == ()
    assert verdict.contract["said"][0] != 0
    assert verdict.contract["said"][1] == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user runs the test above as one")
def test_the_network_is_closed_for_an_ordinary_user_too():
    """A user namespace gives the right to it; the user stays the same."""
    folder = Path(tempfile.mkdtemp())
    try:
        folder.chmod(0o755)
        shutil.copy(confined.__file__, folder)
        reach = "import os, socket; c = socket.socket(); c.settimeout(3); print(os.getuid(), c.connect_ex(ADDRESS))"
        with socket.create_server(("127.0.0.1", 0)) as server:
            code = reach.replace("ADDRESS", repr(server.getsockname()))
            listen, report = os.pipe()
            plan = {"command": ["/usr/bin/python3", "-c", code], "environment": {}, "folder": "/", "limits": {}}
            plan |= {"processes": 256, "memory": 1 << 40, "writable": [], "private": {}, "hidden": []}
            (folder / "plan.json").write_text(json.dumps(plan | {"report": report}))
            answer = subprocess.Popen(
                ["/usr/bin/python3", "-I", "-S", folder / "confined.py", folder / "plan.json"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=(report,),
                user=65534,
                group=65534,
                extra_groups=[],
                text=True,
            )
            os.close(report)
            with os.fdopen(listen) as said, answer:
                reports = {name: value for line in said for name, value in json.loads(line).items()}
                output = answer.stdout.read().split()
    finally:
        shutil.rmtree(folder)

    assert (True, True, 0) == (reports["network"], reports["walls"], reports["status"])
    assert output[0] == "65534"
    assert output[1] != "0"


def test_a_script_that_wants_the_network_is_told_that_there_is_none(trial, root):
    """The hint says what to do."""
    failed = {"message": "gaierror: [Errno -3] Temporary failure in name resolution", "file": "score.py", "line": 3}
    verdict = trial.run(root(f"write({GOOD | {'ok': False, 'problems': [failed]}!r})"), PYTHON, "k")

    hint = "; the trial has no network: put what the script downloads into"
    assert (hint in verdict.problems[0].message) == (not verdict.notes)  # notes say where the network could not be cut


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems do not honour the limit")
def test_memory_is_limited(trial, root):
    """A script that takes more gets a MemoryError, which another machine may not give it."""
    failed = {"ok": False, "problems": [{"message": "MemoryError", "file": "score.py", "line": 3}]}
    program = f"""
    try:
        bytearray(600_000_000)
        write({GOOD!r})
    except MemoryError:
        write({GOOD | failed!r})
    """
    assert trial.run(root(program), PYTHON, "a").ok
    assert not trial.run(root(program), PYTHON, "b", TrialLimits(memory_bytes=400_000_000)).ok
    assert trial.known("b") is None


def test_processor_time_and_files_are_limited(trial, root):
    """A busy loop and an endless file end before the wall clock does."""
    busy = trial.run(root("while True: pass"), PYTHON, "a", TrialLimits(cpu_seconds=1))
    large = f"""
    try:
        Path('large').write_bytes(bytes(2_000_000))
    except OSError as error:
        write({GOOD!r} | {{'contract': str(error)}})
    """
    full = trial.run(root(large), PYTHON, "b", TrialLimits(file_bytes=1_000_000))

    assert "ended by SIG" in busy.problems[0].message
    assert full.contract == "[Errno 27] File too large"


def test_only_the_end_of_a_long_output_is_kept(trial, root):
    """A script that prints without end fills no memory."""
    verdict = trial.run(root(f"print('a' * 5_000_000)\nprint('end')\nwrite({GOOD!r})"), PYTHON, "k")

    assert len(verdict.output) <= 65536
    assert verdict.output.endswith("\nend")


def test_long_trials_say_that_they_go_on(trial, root, monkeypatch):
    """One line every few seconds."""
    monkeypatch.setattr(confined_run, "_SAY_SECONDS", 0.0)
    said: list[str] = []
    trial.run(root(f"time.sleep(0.7)\nwrite({GOOD!r})"), PYTHON, "k", progress=said.append)

    assert said
    assert said[0].startswith("trying the entry script: ")


def test_samples_of_a_file_are_handed_on(tmp_path, trial, root):
    """They take the place of the manifest's."""
    samples = tmp_path / "samples.json"
    samples.write_text("[]")
    said = trial.run(telling(root, "arguments"), PYTHON, "k", samples=samples).contract["said"]

    assert said["--samples"] == str(samples)
    assert said["--root"] == str(tmp_path / "root")


def test_a_folder_without_rights_is_removed_all_the_same(trial, root):
    """The script cannot make the trial leave something behind."""
    program = f"""
    Path('locked').mkdir(); Path('locked/file').touch(); Path('locked').chmod(0)
    write({GOOD!r} | {{'contract': os.getcwd()}})
    """
    verdict = trial.run(root(program), PYTHON, "k")

    assert not Path(verdict.contract).exists()


def test_bytecode_of_packages_serves_the_next_trial_and_that_of_the_root_is_removed(tmp_path, trial, root):
    """Roots differ from trial to trial, the installed packages do not."""
    packages = tmp_path / "packages"
    packages.mkdir()
    (packages / "tiny.py").write_text("x = 1\n")
    program = f"""
    sys.path.insert(0, arguments['--root'] + '/opt/mlserve/site-packages')
    import tiny
    write({GOOD!r} | {{'contract': [tiny.__file__, tiny.run.__code__.co_filename if hasattr(tiny, 'run') else '']}})
    """
    made = root(program)
    (made / "opt/mlserve/site-packages").symlink_to(packages)
    moved = tmp_path / "moved"
    shutil.copytree(made, moved, symlinks=True)
    trial.run(made, PYTHON, "a")
    kept = list((tmp_path / "cache" / "bytecode").rglob("tiny.*.pyc"))
    before = kept[0].stat().st_mtime_ns
    verdict = trial.run(moved, PYTHON, "b")

    assert len(kept) == 1
    assert list((tmp_path / "cache" / "bytecode").rglob("tiny.*.pyc")) == kept
    assert kept[0].stat().st_mtime_ns == before
    assert verdict.contract[0].startswith(str(moved))
    assert not list((tmp_path / "cache" / "bytecode").rglob("mlserve_scoring"))
    assert not list(packages.glob("__pycache__"))


def test_the_launcher_ends_its_command_when_its_caller_dies(tmp_path):
    """A plugin that is killed leaves no trial behind."""
    folder = tmp_path / "trial"
    folder.mkdir()
    code = f"""
import sys
from pathlib import Path
from pulumi_mlserve.clients.trials.confined_run import run_confined
write = "import time; open({str(folder / "work" / "begun")!r}, 'w').close(); time.sleep(61)"
rest = dict(environment={{"FOLDER": {f"{folder}/"!r}}}, limits={{}}, seconds=60, doing="x")
run_confined([sys.executable, "-c", write], folder=Path({str(folder)!r}), **rest)
"""
    caller = subprocess.Popen([sys.executable, "-c", code])
    try:
        deadline = time.monotonic() + 120
        while not (folder / "work" / "begun").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        assert 1 == len(left_of(folder))
    finally:
        caller.kill()
        caller.wait()
    deadline = time.monotonic() + 60
    while (left_of(folder) or launchers(folder)) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert [] == left_of(folder) + launchers(folder)


def launchers(folder: Path) -> list[str]:
    """Return the launchers that work in a folder."""
    listed = subprocess.run(["ps", "-eo", "pid=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(folder) in line and "confined.py" in line]


@pytest.mark.parametrize(
    ("line", "message", "hinted"),
    [
        ("    key = os.environ['ACCOUNT']", "init raised KeyError: 'ACCOUNT'", True),
        ("    key = environ.pop('ACCOUNT')", "KeyError: 'ACCOUNT'", True),
        ("    key = settings['ACCOUNT']", "init raised KeyError: 'ACCOUNT'", False),
        ("    key = os.environ['ACCOUNT']", "init raised ValueError: 'ACCOUNT'", False),
        (None, "KeyError: 'ACCOUNT'", False),
    ],
)
def test_a_variable_that_only_the_service_has_is_told_as_such(trial, root, line, message, hinted):
    """The error alone would send the reader to look for a mistake in the script."""
    problem = {"message": message, "file": "score.py", "line": 2, "stage": "init", "todo": "look"}
    folder = root(f"write({GOOD | {'ok': False, 'problems': [problem]}!r})\nsys.exit(3)")
    if line is not None:
        (folder / "var" / "azureml-app").mkdir(parents=True)
        (folder / "var" / "azureml-app" / "score.py").write_text(f"def init():\n{line}\n")
    (found,) = trial.run(folder, PYTHON, "k").problems

    assert found.message.startswith(f"score.py:2: {message}; look")
    assert hinted == found.message.endswith(
        "; the trial has the image's variables alone: give ACCOUNT in environment_variables of the image, read it with"
        " a default, or set trial='off' when only the service can give it"
    )


def test_a_time_out_names_the_place_where_the_script_hangs(tmp_path, trial, root, monkeypatch):
    """Python says where each thread is before it is ended; what it prints for that is not shown as the script's."""
    monkeypatch.setattr(confined_run, "time", UntilThere(tmp_path / "there"))
    monkeypatch.setattr(confined_run, "_SAY_WHERE_SECONDS", 60)
    hangs = f"os.close(os.open({str(tmp_path / 'there')!r}, os.O_CREAT)); time.sleep(60)"
    folder = root("""
    sys.path.insert(0, arguments['--root'] + '/var/azureml-app')
    print('waiting', flush=True)
    import score
    score.init()
    """)
    (folder / "var" / "azureml-app").mkdir(parents=True)
    (folder / "var" / "azureml-app" / "score.py").write_text(f"import os, time\n\ndef init():\n    {hangs}\n")
    verdict = trial.run(folder, PYTHON, "k", TrialLimits(seconds=1.5))

    assert verdict.problems[0].message.startswith("init and the samples took more than 1.5 s, in init at score.py:4; ")
    assert "waiting" == verdict.output


def test_a_script_that_ignores_every_signal_is_ended(trial, root):
    """Asked where it is, it does not answer, and does not have to."""
    started = time.monotonic()
    program = """
    for number in range(1, 65):
        try:
            signal.signal(number, signal.SIG_IGN)
        except (OSError, ValueError):
            pass
    while True:
        time.sleep(60)
    """
    verdict = trial.run(root(program), PYTHON, "k", TrialLimits(seconds=0.7))

    assert "took more than 0.7 s; make them" in verdict.problems[0].message
    assert time.monotonic() - started < 50


LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux can wall a process off")


@LINUX
def test_a_script_that_starts_processes_without_end_is_ended(trial, root):
    """Long before its time is over, and all of them with it."""
    started = time.monotonic()
    verdict = trial.run(root("while True:\n    if os.fork() == 0:\n        time.sleep(60)"), PYTHON, "k")

    assert verdict.problems[0].message.startswith("init and the samples started more processes than a trial may")
    assert time.monotonic() - started < TrialLimits().seconds
    assert trial.known("k") is None


@LINUX
def test_memory_is_limited_for_all_processes_together(trial, root):
    """Each of them alone stays below."""
    program = """
    for _ in range(3):
        if os.fork() == 0:
            held = b'x' * 200_000_000
            time.sleep(60)
    time.sleep(60)
    """
    verdict = trial.run(root(program), PYTHON, "k", TrialLimits(memory_bytes=400_000_000))

    assert verdict.problems[0].message.startswith(
        "init and the samples took more than 0.4 GB of memory in all their processes; take less"
    )


@LINUX
def test_memory_that_processes_share_is_counted_once(trial, root):
    """As workers do that are forked after the model was loaded."""
    program = f"""
    held = b'x' * 200_000_000
    for _ in range(3):
        if os.fork() == 0:
            time.sleep(1)
            os._exit(0)
    for _ in range(3):
        os.wait()
    write({GOOD!r})
    """
    assert trial.run(root(program), PYTHON, "k", TrialLimits(memory_bytes=400_000_000)).ok


@LINUX
def test_a_script_sees_no_process_but_its_own(trial, root, monkeypatch):
    """Nor the variables of ours, which the system shows to the same user."""
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "hunter2")
    program = f"""
    import contextlib
    processes, variables = [], []
    for folder in Path('/proc').glob('[0-9]*'):
        processes.append((folder / 'cmdline').read_text())
        with contextlib.suppress(OSError):
            variables.append((folder / 'environ').read_text())
    write({GOOD!r} | {{'contract': [processes, variables]}})
    """
    verdict = trial.run(root(program), PYTHON, "k")
    processes, variables = verdict.contract

    assert 2 == len(processes)
    assert "hunter2" not in "".join(variables)


@LINUX
def test_a_script_writes_only_where_it_may(tmp_path, trial, root, monkeypatch):
    """Beside itself, at home and in temporary folders; not into the models' own files, nor anywhere else."""
    for module in ("trial", "surroundings"):
        monkeypatch.setattr(f"pulumi_mlserve.clients.trials.{module}.SHARED_TEMPORARY", (Path("/dev/shm"),))
    (tmp_path / "mine").write_text("kept")
    program = f"""
    import multiprocessing
    said = []
    root = Path(arguments['--root'])
    for file in ({str(tmp_path / "mine")!r}, root / 'model', root / 'new', 'here', Path(os.environ['HOME'], 'x')):
        try:
            Path(file).write_text('changed')
            said.append('written')
        except OSError as error:
            said.append(error.strerror)
    multiprocessing.Lock()
    write({GOOD!r} | {{'contract': said}})
    """
    folder = root(program)
    (folder / "model").symlink_to(tmp_path / "mine")
    verdict = trial.run(folder, PYTHON, "k")

    assert ["Read-only file system"] * 2 + ["written"] * 3 == verdict.contract
    assert "kept" == (tmp_path / "mine").read_text()


@LINUX
def test_a_script_has_temporary_folders_of_its_own(tmp_path, trial, root, monkeypatch):
    """It reads nothing that others left there, and leaves nothing; one that holds its own files is the shared one."""
    shared, holding = tmp_path / "shared", tmp_path
    shared.mkdir()
    (shared / "others").write_text("hunter2")
    for module in ("trial", "surroundings"):
        monkeypatch.setattr(f"pulumi_mlserve.clients.trials.{module}.SHARED_TEMPORARY", (shared, holding))
    program = f"""
    seen = os.listdir({str(shared)!r})
    Path({str(shared / "mine")!r}).write_text('x')
    Path({str(holding / "mine")!r}).write_text('x')
    write({GOOD!r} | {{'contract': seen}})
    """
    verdict = trial.run(root(program), PYTHON, "k")

    assert [] == verdict.contract
    assert ["others"] == [path.name for path in shared.iterdir()]
    assert (holding / "mine").exists()


def test_what_a_killed_trial_left_goes_a_day_later(tmp_path, trial, root):
    """Nobody else would look after it."""
    old, new = tmp_path / "cache" / "runs" / "run-old", tmp_path / "cache" / "runs" / "run-new"
    for folder in (old, new):
        (folder / "home").mkdir(parents=True)
    os.utime(old, (0, 0))
    trial.run(root(f"write({GOOD!r})"), PYTHON, "k")

    assert [new] == [*(tmp_path / "cache" / "runs").iterdir()]


@LINUX
def test_a_script_cannot_read_the_logins_of_its_user(tmp_path, trial, root, monkeypatch):
    """The folders and files of the usual tools are empty, also where a variable of ours says they lie."""
    home = tmp_path / "me"
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("KUBECONFIG", str(home / "cluster.yaml"))
    for name in (".azure/msal_token_cache.json", ".aws/credentials", ".ssh/id_ed25519", ".netrc", "cluster.yaml"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("hunter2")
    (home / "notes.txt").write_text("plain")
    expression = f"[p.read_text() for p in sorted(Path({str(home)!r}).rglob('*')) if p.is_file() or p.is_char_device()]"
    said = trial.run(telling(root, f"[{expression}, os.listdir('/run')]"), PYTHON, "k").contract["said"]

    assert [["", "", "plain"], []] == said


@LINUX
def test_what_a_script_needs_is_never_hidden(tmp_path, trial, root, monkeypatch):
    """Whoever keeps models below such a folder can try them all the same."""
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".azure").mkdir()
    (tmp_path / ".azure" / "weights").write_text("2")
    folder = root(f"write({GOOD!r} | {{'contract': Path(arguments['--root'], 'model').read_text()}})")
    (folder / "model").symlink_to(tmp_path / ".azure" / "weights")

    assert "2" == trial.run(folder, PYTHON, "k").contract


@LINUX
def test_a_script_gets_no_rights_back(trial, root):
    """Root has none over the system, and setuid programs give none."""
    expression = "{k: v.strip() for k, v in (l.split(':', 1) for l in open('/proc/self/status'))}"
    said = trial.run(telling(root, expression), PYTHON, "k").contract["said"]

    assert "1" == said["NoNewPrivs"]
    assert int(said["CapEff"], 16) in {0, 0b1111}


@pytest.mark.parametrize(
    "make",
    ["os.symlink('/etc/hostname', file)", "os.mkfifo(file)", "os.mkdir(file)", "os.symlink('/dev/zero', file)"],
)
def test_a_verdict_that_is_no_file_is_not_read(trial, root, make):
    """Links would lead to files of the user's, and a pipe would be waited for without end."""
    with pytest.raises(OperationError, match="the trial's verdict cannot be read"):
        trial.run(root(f"file = arguments['--output']\n{make}"), PYTHON, "k")
