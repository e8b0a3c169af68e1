"""A folder served while it is written: what is found in it, how changes take over, what is said, how it ends."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from argparse import ArgumentParser

import joblib
import pytest
from collection_kit import until
from mlserve_scoring.development import options
from mlserve_scoring.development.folder import plan
from mlserve_scoring.development.ignored import Ignored
from mlserve_scoring.development.watching import Watch
from mlserve_scoring.settings import SettingsError
from scoring_kit import PATIENCE, Service, runtime_environment
from sklearn.linear_model import LinearRegression

PLAIN = "def init(): pass\ndef run(data): return {answer!r}\n"


class Development(Service):
    """A development server and how to talk to it."""

    def says(self, text, *, times=1, seconds=PATIENCE):
        """Wait until the terminal shows a text so many times."""
        end = time.monotonic() + seconds
        while len(re.findall(text, self.log)) < times:
            if self.process.poll() is not None and len(re.findall(text, self.log)) < times:
                raise AssertionError(f"ended with {self.process.returncode}: {self.log}")
            assert time.monotonic() < end, f"never said {text!r}: {self.log}"
            time.sleep(0.02)

    def ready(self):
        """Wait until it serves."""
        self.says("mlserve:   end it ")
        self.port = int(re.search(r"at http://127\.0\.0\.1:(\d+)/score", self.log)[1])
        return self

    def interrupt(self):
        """Press Ctrl-C: every process of the terminal gets the signal."""
        os.killpg(self.process.pid, signal.SIGINT)


@pytest.fixture
def develop(tmp_path):
    """A function that starts a development server."""
    started = []
    (tmp_path / "temporary").mkdir()

    def begin(folder, *arguments, ready=True, variables=None, command=("mlserve_scoring", "develop")):
        log = tmp_path / f"terminal{len(started)}.txt"
        environment = {**runtime_environment(), "TMPDIR": str(tmp_path / "temporary"), **(variables or {})}
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", *command, str(folder), "--port", "0", *arguments],
                stdout=output,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
                cwd=tmp_path,
            )
        started.append(process)
        server = Development(process, {}, log)
        return server.ready() if ready else server

    yield begin
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture
def folder(tmp_path):
    """A folder of the user."""
    (tmp_path / "user").mkdir()
    return tmp_path / "user"


def write(path, text):
    """Write a file as editors do: another one takes its place."""
    new = path.with_name(path.name + "~")
    new.write_text(text, encoding="utf-8")
    new.replace(path)


def read(*arguments):
    """What the arguments mean."""
    parser = ArgumentParser()
    options.declare(parser)
    parser.add_argument("--json", action="store_true")
    return options.read(parser.parse_args([str(argument) for argument in arguments]))


def wished(folder, *arguments):
    """What is planned with the arguments."""
    return plan(read(folder, *arguments))


def test_a_folder_serves_as_an_image_would(develop, folder, tmp_path):
    """Script, model, variables and samples are found where v1 had them; nothing is written into the folder."""
    (folder / "score.py").write_text(
        "import os\nimport steps\nfrom azureml.core.model import Model\n"
        "def init():\n    print('from init')\n"
        "def run(data):\n"
        "    path = Model.get_model_path('ridge', version=2)\n"
        "    there = os.environ['AZUREML_MODEL_DIR'] == os.path.dirname(path)\n"
        "    return [steps.two(), open(path).read(), there, os.environ['GREETING'], os.environ['SERVICE_NAME']]\n"
    )
    (folder / "steps.py").write_text("def two(): return 2\n")
    (tmp_path / "ridge.bin").write_text("weights")
    (folder / "samples.json").write_text('[{"input": {"data": 1}}]')
    before = sorted(path.name for path in folder.rglob("*"))
    model = f"ridge:2={tmp_path / 'ridge.bin'}"

    server = develop(folder, "--model", model, "--env", "GREETING=a=b", "--samples", folder / "samples.json")

    assert [2, "weights", True, "a=b", "user"] == server.score({"data": 1}).json
    assert 200 == server.get("/docs").status
    assert "from init\n" in server.log
    assert "ready on" in server.log
    assert "after 1 samples" in server.log
    assert f"curl http://127.0.0.1:{server.port}/score" in server.log
    assert """-d '{"data": 1}'""" in server.log
    assert before == sorted(path.name for path in folder.rglob("*"))


def test_a_model_alone_is_served(develop, folder):
    """Without a script, the one model answers."""
    joblib.dump(LinearRegression().fit([[0.0], [1.0]], [0.0, 2.0]), folder / "line.joblib")

    server = develop(folder)

    assert [pytest.approx(6.0)] == next(iter(server.score({"data": [[3.0]]}).json.values()))
    assert "serving line (line.joblib) at" in server.log


def test_changes_take_over_without_a_lost_request(develop, folder):
    """Clients that never pause get the old or the new answer, whatever is changed: the script, a module, a model."""
    (folder / "model.pkl").write_text("model 0")
    (folder / "words.py").write_text("WORD = 'word 0'\n")
    script = "import os, words\ndef init(): pass\ndef run(data):\n    return ['script {}', words.WORD, MODEL]\n"
    script += "MODEL = open(os.environ['AZUREML_MODEL_DIR'] + '/model.pkl').read()\n"
    (folder / "score.py").write_text(script.format(0))
    server = develop(folder)
    wrong, seen, done = [], set(), []

    def ask():
        while not done:
            with collected(wrong):
                seen.add(tuple(server.score({}).json))

    def ask_on_one_connection():
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE)) as connection:
            while not done:
                with collected(wrong):
                    connection.request("POST", "/score", "{}")
                    seen.add(tuple(json.loads(connection.getresponse().read())))

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        asking = [pool.submit(work) for work in (ask, ask, ask_on_one_connection, ask_on_one_connection)]
        try:
            until(lambda: seen)
            write(folder / "score.py", script.format(1))
            server.says("anew", times=1)
            write(folder / "words.py", "WORD = 'word 1'\n")
            server.says("anew", times=2)
            write(folder / "model.pkl", "model 1")
            server.says("anew", times=3)
        finally:
            done.append(True)
        for future in asking:
            future.result()

    assert [] == wrong
    assert ["script 1", "word 1", "model 1"] == server.score({}).json
    assert ("script 0", "word 0", "model 0") in seen
    assert seen <= {
        ("script 0", "word 0", "model 0"),
        ("script 1", "word 0", "model 0"),
        ("script 1", "word 1", "model 0"),
        ("script 1", "word 1", "model 1"),
    }
    assert "score.py changed, loading" in server.log
    assert "model.pkl changed, loading" in server.log


def test_a_request_that_is_answered_keeps_its_process(develop, folder):
    """What the old files began to answer they finish, although new ones serve already."""
    slow = "import os, time\ndef init(): pass\ndef run(data):\n"
    slow += f"    open({str(folder / 'begun')!r}, 'w').close()\n"
    slow += f"    while not os.path.exists({str(folder / 'go')!r}): time.sleep(0.02)\n    return 'old'\n"
    (folder / "score.py").write_text(slow)
    server = develop(folder)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.score, {})
        until((folder / "begun").exists)
        write(folder / "score.py", PLAIN.format(answer="new"))
        server.says("anew")

        assert "new" == server.score({}).json
        (folder / "go").touch()
        assert "old" == asked.result().json


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        ("def init(): pass\ndef run(data) return 1\n", "score.py:2: SyntaxError.*; correct the syntax"),
        ("def init():\n    1 / 0\ndef run(data): return 1\n", r"score.py:2: init\(\) raised ZeroDivisionError"),
        ("import nothing_like_it\n", "score.py:1: ModuleNotFoundError.*; add 'nothing_like_it' to the environment"),
        ("import os\nos._exit(4)\n", "ended with status 4 before it was ready"),
        (None, "score.py"),
    ],
    ids=["syntax", "init", "import", "exit", "gone"],
)
def test_a_broken_change_leaves_the_old_one_alone(develop, folder, broken, said):
    """The error names file, line and what to do; the version before serves on until a change works."""
    (folder / "score.py").write_text(PLAIN.format(answer="first"))
    server = develop(folder)

    if broken is None:
        (folder / "score.py").unlink()
    else:
        write(folder / "score.py", broken)
    server.says("mlserve: the version before serves on; change a file to try again")

    assert re.search(f"mlserve: .*{said}", server.log)
    assert "first" == server.score({}).json

    write(folder / "score.py", PLAIN.format(answer="second"))
    server.says("anew")

    assert "second" == server.score({}).json


def test_nothing_is_said_to_serve_while_the_one_before_may_answer(develop, folder):
    """Who asks once the change is said to serve gets it, however late the process before hears that it must leave."""
    (folder / "score.py").write_text("import os\ndef init(): pass\ndef run(data): return os.getpid()\n")
    server = develop(folder)
    before = server.score({}).json
    os.kill(before, signal.SIGSTOP)
    try:
        begun = time.monotonic()
        write(folder / "score.py", PLAIN.format(answer="second"))
        server.says("ready on", times=2)
        time.sleep(0.3)
        said = "anew" in server.log
        assert not said or time.monotonic() - begun > 5  # nobody waits longer for a process that hears nothing
    finally:
        os.kill(before, signal.SIGCONT)
    server.says("anew")
    answers = {server.score({}).json for _ in range(20)}

    assert {"second"} == answers - ({before} if said else set())


def test_a_newer_change_takes_the_place_of_one_that_still_loads(develop, folder):
    """Nobody waits for an init() whose script is not the newest any more."""
    (folder / "score.py").write_text(PLAIN.format(answer="first"))
    server = develop(folder)
    loading = f"import os, time\nopen({str(folder / 'pid')!r}, 'w').write(str(os.getpid()))\ntime.sleep(60)\n"
    write(folder / "score.py", loading)
    until(lambda: (folder / "pid").exists() and (folder / "pid").read_text())
    write(folder / "score.py", PLAIN.format(answer="third"))
    server.says("anew")

    assert "third" == server.score({}).json
    with pytest.raises(ProcessLookupError):
        until(lambda: os.kill(int((folder / "pid").read_text()), 0))


def test_a_folder_that_is_broken_at_first_waits(develop, folder):
    """Requests wait for the change that makes it work."""
    (folder / "score.py").write_text("import os\n1 / 0\n")
    server = develop(folder, ready=False)
    server.says("mlserve: nothing serves, requests wait; change a file to try again")
    write(folder / "score.py", PLAIN.format(answer="well"))

    assert "well" == server.ready().score({}).json


def test_a_process_that_dies_is_told(develop, folder):
    """A script that ends its process soon after the start is served again after a change."""
    (folder / "score.py").write_text("import os\ndef init(): pass\ndef run(data): os._exit(7)\n")
    server = develop(folder)
    with pytest.raises((ConnectionError, OSError)):
        server.score({})
    # On a machine so busy that it has served for five seconds by now, another is started at once.
    server.says("the process that served ended with status 7(\n.*nothing serves, requests wait|, starting another)")
    write(folder / "score.py", PLAIN.format(answer="well"))
    server.says("anew")

    assert "well" == server.score({}).json


def test_without_reload_a_failure_is_the_end(develop, folder):
    """Nobody looks for changes, so nothing is waited for."""
    (folder / "score.py").write_text("1 / 0\n")
    server = develop(folder, "--no-reload", ready=False)

    assert 3 == server.process.wait(PATIENCE)
    assert "score.py:1: ZeroDivisionError" in server.log


@pytest.mark.parametrize("presses", [1, 2])
def test_ctrl_c_ends_everything(develop, folder, tmp_path, presses):
    """Processes and the temporary folder are gone, without a traceback, also in the middle of a request."""
    busy = f"import os, time\ndef init(): pass\ndef run(data):\n    open({str(tmp_path / 'pid')!r}, 'w').write("
    busy += "str(os.getpid()))\n    time.sleep(30)\n"
    (folder / "score.py").write_text(busy if presses > 1 else PLAIN.format(answer=1))
    server = develop(folder)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        asked = pool.submit(server.score, {})
        if presses > 1:
            until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
        else:
            asked.result()
        for _ in range(presses):
            server.interrupt()

        assert 0 == server.process.wait(PATIENCE)
        with contextlib.suppress(OSError):
            asked.result()

    with pytest.raises(ProcessLookupError):
        os.killpg(server.process.pid, 0)
    assert [] == list((tmp_path / "temporary").iterdir())
    assert "Traceback" not in server.log


def test_a_port_that_is_taken_is_named(develop, folder):
    """The message says which port, and another to write."""
    (folder / "score.py").write_text(PLAIN.format(answer=1))
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        server = develop(folder, "--port", str(port), ready=False)

        assert 2 == server.process.wait(PATIENCE)
    assert f"--port: is in use, got {port}; end the program that has it, or write --port {port + 1}\n" == server.log


REFUSED = ("--env", "A", "--env=", "--env", "PYTHONPATH=x")


def test_wrong_arguments_are_told_together(folder):
    """Every argument that cannot work is named, with what to write."""
    with pytest.raises(SettingsError) as refused:
        read(folder / "none", "--port", 70_000, "--workers", 4, "--samples", folder / "s.json", *REFUSED)

    assert [
        f"FOLDER: there is no such folder, got {folder / 'none'}",
        "--port: must be a number from 0 to 65535, got 70000",
        "--workers: one process is served while you change it, got 4; set workers on the service that you deploy",
        f"--samples: there is no such file, got {folder / 's.json'}",
        "--env: must be NAME=VALUE, got 'A'",
        "--env: must be NAME=VALUE, got ''",
        (
            "--env: PYTHONPATH does nothing here; the runtime sets it; "
            "put modules into source_directory, or packages into the environment"
        ),
    ] == str(refused.value).splitlines()


@pytest.mark.parametrize(("file", "option"), [("my.py", "--entry-script my.py"), ("m.onnx", "--model ")])
def test_a_file_for_a_folder_is_told_what_to_write(folder, file, option):
    """A script or a model in place of the folder is a frequent slip."""
    (folder / file).touch()

    with pytest.raises(SettingsError, match=f"FOLDER: is a file.*{option}"):
        read(folder / file)


def test_what_was_typed_is_the_same_from_anywhere(folder, monkeypatch):
    """The words for the other process say with absolute paths what was meant."""
    monkeypatch.chdir(folder)
    (folder / "m.pkl").touch()
    (folder / "s.json").touch()
    words = [".", "--model", "a=m.pkl", "--model", "m.pkl", "--samples", "s.json", "--no-reload", "--json"]
    words += ["--entry-script", "x.py", "--env", "A=b=c", "--host", "::1", "--port", "0"]
    parser = ArgumentParser()
    options.declare(parser)
    parser.add_argument("--json", action="store_true")

    again = options.typed(parser.parse_args(words))
    wanted = read(*words)
    monkeypatch.chdir("/")

    assert wanted == read(*again)
    assert (f"a={folder / 'm.pkl'}", str(folder / "m.pkl")) == wanted.models


@pytest.mark.parametrize(
    ("files", "arguments", "script", "models"),
    [
        (["score.py"], [], "score.py", []),
        (["score.py", "m.pkl"], [], "score.py", ["m:1"]),
        (["score.py", "outputs/my net.pt"], [], "score.py", ["my-net:1"]),
        (["score.py", ".venv/m.pkl", "a.txt", "b.json"], [], "score.py", []),
        (["score.py", "flow/MLmodel", "flow/model.pkl"], [], "score.py", ["flow:1"]),
        (["score.py", "net/saved_model.pb", "net/variables/variables.h5"], [], "score.py", ["net:1"]),
        (["score.py", "a.pkl", "b.pkl"], ["--model", "x=a.pkl", "--model", "b.pkl"], "score.py", ["x:1", "b:1"]),
        (["score.py", "a.pkl"], ["--model", "x:7=a.pkl"], "score.py", ["x:7"]),
        (
            ["score.py", "azureml-models/a/2/m.pkl", "azureml-models/b/1/n/w", "c.pkl"],
            [],
            "score.py",
            ["a:2", "b:1"],
        ),
        (["m.onnx", "readme.txt", "train.py"], [], None, ["m:1"]),
        (["m.onnx", "checkpoint.pt"], [], None, ["m:1"]),
        (["src/s.py", "m.onnx"], ["--entry-script", "src/s.py"], "src/s.py", ["m:1"]),
    ],
)
def test_a_folder_says_what_it_serves(folder, monkeypatch, files, arguments, script, models):
    """The usual script and the one model are found, at most three folders deep; what is named comes first."""
    monkeypatch.chdir(folder)
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()

    found = wished(folder, *arguments)

    assert script == found.entry_script
    assert models == [f"{model.name}:{model.version}" for model in found.models]


@pytest.mark.parametrize(
    ("files", "arguments", "said"),
    [
        ([], [], "has neither score.py nor a model that answers by itself; write --entry-script FILE or --model PATH"),
        (["score.py", "a.pkl", "b.pt"], [], "has several models, got a.pkl, b.pt; .*--model a=.*a.pkl --model b="),
        (["a.onnx", "b.onnx"], [], "has several models, got a.onnx, b.onnx; write the one to serve"),
        (["predict.py"], [], "has no score.py, but predict.py with init.. and run..; write --entry-script predict.py"),
        (["score.py"], ["--entry-script", "x.py"], "--entry-script: there is no such file, got .*x.py"),
        (["score.py"], ["--entry-script", "../x.py"], "--entry-script: must lie below"),
        (["score.py"], ["--model", "x=none"], "--model: there is no such file or folder, got .*none; write NAME=PATH"),
        (["score.py", "m"], ["--model", "a b=m"], "--model: a name has letters, digits"),
        (["score.py", "m"], ["--model", "m=m", "--model", "m"], "--model: m is given twice"),
    ],
)
def test_a_folder_that_could_mean_anything_is_refused(folder, monkeypatch, files, arguments, said):
    """The message holds what to write."""
    monkeypatch.chdir(folder)
    (folder.parent / "x.py").touch()
    for file in files:
        (folder / file).write_text(PLAIN if file == "predict.py" else "")

    with pytest.raises(SettingsError, match=said):
        wished(folder, *arguments)


def test_only_code_models_and_samples_are_looked_at(folder):
    """Tools' folders, ignored ones and files that cannot be imported change as they like."""
    (folder / ".gitignore").write_text("build/\n/generated.py\n*_tmp.py\n!keep_tmp.py\n# a comment\n")
    looked = ["score.py", "pkg/a.py", "pkg/generated.py", "keep_tmp.py", "fast.so", "weights/a", "s.json"]
    left = ["notes.txt", "x.log", ".git/a.py", ".venv/a.py", "env/a.py", "pkg/__pycache__/a.py", "build/a.py"]
    left += ["generated.py", "a_tmp.py", "node_modules/a.py"]
    (folder.parent / "elsewhere").mkdir()
    (folder.parent / "elsewhere" / "linked.py").touch()
    (folder / "package").symlink_to(folder.parent / "elsewhere")
    (folder / "circle").symlink_to(folder)
    looked.append("package/linked.py")
    for file in [*looked, *left, "env/pyvenv.cfg"]:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    watch = Watch(folder)
    watch.begin([folder / "weights", folder / "s.json"])
    for file in left:
        (folder / file).write_text("changed")

    async def changed():
        waiting = asyncio.ensure_future(watch.change())
        for file in looked:
            (folder / file).write_text("changed")
        return await asyncio.wait_for(waiting, PATIENCE)

    assert sorted(str(folder / file) for file in looked) == asyncio.run(changed())


def test_gone_and_new_files_are_changes(folder):
    """Also a change that keeps the size."""
    (folder / "a.py").write_text("1")
    (folder / "b.py").write_text("1")
    watch = Watch(folder)
    watch.begin([])
    write(folder / "a.py", "2")
    (folder / "b.py").unlink()
    (folder / "c.py").touch()

    assert [str(folder / name) for name in ("a.py", "b.py", "c.py")] == asyncio.run(watch.change())


def test_the_last_rule_decides_what_is_ignored(tmp_path):
    """As git reads its file, nearly."""
    (tmp_path / ".gitignore").write_text("**/deep\nsrc/*.py\n!src/a.py\n")
    ignored = Ignored(tmp_path)

    assert ("x/y/deep", True) in ignored
    assert ("src/b.py", False) in ignored
    assert ("src/a.py", False) not in ignored
    assert ("b.py", False) not in ignored
    assert ("anything", False) not in Ignored(tmp_path / "none")


@contextlib.contextmanager
def collected(errors):
    """Keep what is raised."""
    try:
        yield
    except Exception as error:  # noqa: BLE001  # every kind counts
        errors.append(error)
