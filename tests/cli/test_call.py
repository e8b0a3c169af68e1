"""`mlserve call` and `mlserve logs` against a real HTTP server and real files."""

from __future__ import annotations

import io
import json
import shutil
import ssl
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mlserve_scoring
import pytest
from mlserve_scoring.manifest import Manifest, dump

from pulumi_mlserve.cli import call, logs
from pulumi_mlserve.cli.main import main
from pulumi_mlserve.clients.places import services_folder
from pulumi_mlserve.clients.processes.local_process import Keys, LocalProcesses, ProcessSpec, ProcessStatus

ID = "quickstart.dev.diabetes"
ECHO = """\
import json

def init():
    pass

def run(raw_data):
    return json.loads(raw_data)
"""


class Service(BaseHTTPRequestHandler):
    """Doubles numbers; wants a key when it has one; answers 400 to what is no JSON."""

    def do_POST(self):
        """Answers a request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.server.elsewhere:
            self.send_response(303)
            self.send_header("Location", self.server.elsewhere)
            self.send_header("Content-Length", "0")
            return self.end_headers()
        self.server.seen.append((self.headers["Content-Type"], self.headers["Authorization"]))
        if self.headers["Content-Type"] != "application/json":
            return self.answer(400, b"not JSON")
        return self.answer(200, json.dumps([2 * number for number in json.loads(body)["data"]]).encode())

    def do_GET(self):
        """Answers whoever was sent here."""
        self.server.seen.append(("GET", self.headers["Authorization"]))
        self.answer(401, b"{}")

    def answer(self, status, body):
        """Sends an answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        """Says nothing."""


class Processes:
    """The services of a machine that has the given ones."""

    def __init__(self, *statuses, lines=()):
        self._statuses, self._lines = statuses, lines

    def list(self):
        """Returns them."""
        return list(self._statuses)

    def keys(self, service_id):
        """Returns none."""
        assert service_id == ID

    def logs(self, service_id, lines, *, follow):
        """Yields the end of the log."""
        assert service_id == ID
        yield from self._lines[-lines:] if lines else ()


@pytest.fixture
def server():
    """A service that runs on this machine."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Service)
    server.seen = []
    server.elsewhere = ""
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def status(server, monkeypatch):
    """How that service is; the command finds it."""
    port = server.server_port
    status = ProcessStatus(
        service_id=ID,
        known=True,
        alive=True,
        ready=True,
        pid=1,
        port=port,
        revision="r1",
        detail="",
        service="diabetes",
        scoring_uri=f"http://127.0.0.1:{port}/score",
    )
    monkeypatch.setattr(call, "processes", lambda: Processes(status))
    return status


@pytest.fixture
def request_file(tmp_path):
    """A request."""
    path = tmp_path / "sample.json"
    path.write_text('{"data": [1, 2]}')
    return str(path)


@pytest.fixture
def keyed_service(tmp_path):
    """A service of this machine that wants a key and answers what it is asked."""
    root = tmp_path / "image"
    runtime = root / "opt" / "mlserve" / "runtime" / "mlserve_scoring"
    shutil.copytree(Path(mlserve_scoring.__file__).parent, runtime, ignore=shutil.ignore_patterns("__pycache__"))
    (root / "var" / "azureml-app").mkdir(parents=True)
    (root / "var" / "azureml-app" / "score.py").write_text(ECHO)
    manifest = Manifest(image="diabetes", recipe="sha256:0", python="3.11", entry_script="score.py")
    (root / "opt" / "mlserve" / "manifest.json").write_text(dump(manifest))
    services = LocalProcesses(services_folder(), pycache=tmp_path / "pycache")
    services.start(
        ProcessSpec(
            service_id=ID,
            service="diabetes",
            root=root,
            python=Path(sys.executable),
            revision="one",
            keys=Keys("first-key", "second-key"),
        )
    )
    yield
    services.stop(ID, 0)


def test_answer_is_printed_as_it_came(status, request_file, capfdbinary):
    """The body and nothing else goes to stdout, so it can be piped on."""
    assert 0 == main(["call", "diabetes", request_file])
    assert b"[2, 4]\n" == capfdbinary.readouterr().out


def test_request_can_come_from_stdin(status, monkeypatch, capfdbinary):
    """A dash reads standard input."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"data": [3]}')))

    assert 0 == main(["call", "diabetes", "-"])
    assert b"[6]\n" == capfdbinary.readouterr().out


def test_json_tells_about_the_answer(status, request_file, capsys):
    """Programs get status, time and the decoded answer."""
    assert 0 == main(["call", "diabetes", request_file, "--json"])

    told = json.loads(capsys.readouterr().out)
    assert (200, [2, 4], status.scoring_uri) == (told["status"], told["answer"], told["url"])
    assert 0 <= told["seconds"] < 60


def test_key_of_a_local_service_is_used(keyed_service, tmp_path, capfdbinary):
    """The key is that of the process that serves, and is never printed."""
    (tmp_path / "request.json").write_text("[1, 2]")

    assert 0 == main(["call", "diabetes", str(tmp_path / "request.json")])

    output = capfdbinary.readouterr()
    assert b"[1,2]\n" == output.out
    assert b"key" not in output.err


TOKEN = "eyJh.bGc_-.x~+/="


def test_token_comes_from_a_file_or_standard_input(server, status, request_file, tmp_path, monkeypatch):
    """Without the end of line that programs print after it."""
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(f"{TOKEN}\r\n".encode())))

    for file in (str(tmp_path / "token"), "-"):
        assert 0 == main(["call", "diabetes", request_file, "--token-file", file])
    assert [f"Bearer {TOKEN}"] * 2 == [shown for _, shown in server.seen]


@pytest.mark.parametrize(("key", "shown"), [(None, f"Bearer {TOKEN}"), ("own-key", "Bearer own-key")])
def test_token_of_the_environment_is_for_services_without_keys(server, status, request_file, monkeypatch, key, shown):
    """A service's own key opens it: no token need leave for it."""
    monkeypatch.setenv("MLSERVE_TOKEN", TOKEN)
    monkeypatch.setattr(Processes, "keys", lambda *_: Keys(key, "second") if key else None)

    assert 0 == main(["call", "diabetes", request_file])
    assert [("application/json", shown)] == server.seen


@pytest.mark.parametrize("arguments", [["--token-file", TOKEN], ["--token", TOKEN], ["--token-file", "two"]])
def test_what_is_no_token_is_never_shown(server, status, request_file, tmp_path, monkeypatch, capsys, arguments):
    """Neither a token in the place of its file, nor what is in a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "two").write_text("first eyJh")

    assert 1 == main(["call", "diabetes", request_file, *arguments])
    told = capsys.readouterr().err
    assert "mlserve: token-file: " in told
    assert "eyJh" not in told
    assert [] == server.seen


def test_body_and_token_cannot_both_come_from_standard_input(status, capsys):
    """One of them would be empty."""
    assert 1 == main(["call", "diabetes", "-", "--token-file", "-"])
    assert "token-file: standard input holds the request's body already" in capsys.readouterr().err


def test_token_does_not_follow_to_another_place(server, request_file, tmp_path, monkeypatch, capsys):
    """Of a service that the store records; and its refusal says how a token is shown."""
    url = f"http://127.0.0.1:{server.server_port}/score"
    monkeypatch.setattr(call, "_find", lambda *_: call.Found(url))
    (tmp_path / "token").write_text(TOKEN)
    server.elsewhere = f"http://127.0.0.1:{server.server_port}/elsewhere"

    assert 1 == main(["call", "wine", request_file, "--token-file", str(tmp_path / "token")])
    assert 1 == main(["call", "wine", request_file])
    assert [("GET", None)] * 2 == server.seen
    assert "status 401; show it a token with --token-file, or MLSERVE_TOKEN\n" in capsys.readouterr().err


def test_token_is_not_sent_in_clear(request_file, tmp_path, monkeypatch, capsys):
    """Beyond this machine it needs TLS."""
    monkeypatch.setattr(call, "_find", lambda *_: call.Found("http://diabetes.example/score"))
    (tmp_path / "token").write_text(TOKEN)

    assert 1 == main(["call", "wine", request_file, "--token-file", str(tmp_path / "token")])
    assert "http://diabetes.example/score: a token is not sent in clear" in capsys.readouterr().err


def test_error_answer_is_shown_and_fails(status, tmp_path, capfdbinary):
    """What the service said is printed, and the status is 1."""
    (tmp_path / "broken").write_bytes(b"\xff\x00")

    assert 1 == main(["call", "diabetes", str(tmp_path / "broken")])

    output = capfdbinary.readouterr()
    assert b"not JSON\n" == output.out
    assert b"mlserve: service diabetes: answered with status 400\n" == output.err


@pytest.mark.parametrize(
    ("alive", "name", "file", "text"),
    [
        (True, "diabetes", "/absent.json", "file: cannot be read, got '/absent.json' (No such file or directory)"),
        (False, "diabetes", None, "service diabetes: its process does not run; `pulumi up` brings it back"),
        (True, "wine", None, "service wine: neither here nor in the store's records"),
    ],
)
def test_call_that_cannot_work_says_why(status, request_file, monkeypatch, capsys, alive, name, file, text):
    """One line with what is wrong and what to do."""
    changed = ProcessStatus(**{**vars(status), "alive": alive})
    monkeypatch.setattr(call, "processes", lambda: Processes(changed))

    assert 1 == main(["call", name, file or request_file])
    assert text in capsys.readouterr().err


def test_service_that_does_not_answer(status, request_file, monkeypatch, capsys):
    """A closed port is one line with the URL."""
    closed = ProcessStatus(**{**vars(status), "scoring_uri": "http://127.0.0.1:1/score"})
    monkeypatch.setattr(call, "processes", lambda: Processes(closed))

    assert 1 == main(["call", "diabetes", request_file])
    assert "http://127.0.0.1:1/score: no answer, got " in capsys.readouterr().err


def certificate(folder, name: str) -> tuple[Path, Path]:
    """Returns a certificate for a name, and its key."""
    files = folder / f"{name}.pem", folder / f"{name}.key"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(files[1]), "-out", str(files[0]), "-days", "2", "-subj", "/CN=x"]
    subprocess.run([*command, "-addext", f"subjectAltName=DNS:{name}"], check=True, capture_output=True)
    return files


def test_certificate_of_a_local_service_is_verified(server, status, request_file, tmp_path, monkeypatch, capsys):
    """Under the name of its URL, which need lead nowhere; another certificate, or none, is no answer."""
    own, key = certificate(tmp_path, "diabetes.example")
    other, _ = certificate(tmp_path, "other.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own, key)
    server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)

    def asked(name: str, file: Path) -> int:
        url = f"https://{name}:{server.server_port}/score"
        told = ProcessStatus(**{**vars(status), "scoring_uri": url, "certificate": str(file)})
        monkeypatch.setattr(call, "processes", lambda: Processes(told))
        return main(["call", "diabetes", request_file])

    assert [0, 1, 1] == [
        asked("diabetes.example", own),
        asked("diabetes.example", other),
        asked("wrong.example", own),
    ]
    assert 2 == capsys.readouterr().err.count("certificate verify failed")


def test_logs_end_with_the_newest_lines(status, monkeypatch, capsys):
    """As many lines as asked for, each once."""
    monkeypatch.setattr(logs, "processes", lambda: Processes(status, lines=["one\n", "two\n", "three\n"]))

    assert 0 == main(["logs", "diabetes", "-n", "2"])
    assert "two\nthree\n" == capsys.readouterr().out

    assert 0 == main(["logs", ID, "--json"])
    assert ["one", "two", "three"] == json.loads(capsys.readouterr().out)


def test_logs_of_an_absent_service(monkeypatch, capsys):
    """The name is repeated, and what to do."""
    monkeypatch.setattr(logs, "processes", Processes)

    assert 1 == main(["logs", "wine"])
    assert "mlserve: service wine: not on this machine; " in capsys.readouterr().err
