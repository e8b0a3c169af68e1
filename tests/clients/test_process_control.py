"""The control socket: whatever answers there, or does not, is one of the cases that the caller knows."""

from __future__ import annotations

import contextlib
import os
import socket
import threading

import pytest

from pulumi_mlserve.clients.processes import process_control
from pulumi_mlserve.clients.processes.process_control import StartError, ask_drain, ask_listeners, ask_status

READY = b'{"state": "ready", "samples_answered": 2, "error": null}\n'
FAILED = b'{"state": "failed", "error": {"message": "no model", "file": "score.py", "line": 3, "todo": "add it"}}\n'


@pytest.fixture
def answering(tmp_path, monkeypatch):
    """Makes a control socket that gives one answer, with open files attached."""
    monkeypatch.setattr(process_control, "_ANSWER_SECONDS", 60)  # threads of a busy machine are late
    threads = []

    def make(answer: bytes, *attached: int):
        path = tmp_path / "c.sock"
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(os.fspath(path))
        listener.listen()

        def serve() -> None:
            with listener, listener.accept()[0] as line:
                line.makefile().readline()
                socket.send_fds(line, [answer], attached) if attached else line.sendall(answer)

        threads.append(threading.Thread(target=serve))
        threads[-1].start()
        return path

    yield make
    for thread in threads:
        thread.join()


def numbers_of(sock) -> int:
    """Returns how many numbers this process has for a socket."""
    wanted = os.fstat(sock.fileno()).st_ino
    found = 0
    for number in os.listdir("/proc/self/fd"):  # noqa: PTH208
        with contextlib.suppress(OSError):  # of the listing itself, which is closed by now
            found += os.fstat(int(number)).st_ino == wanted
    return found


def test_status_is_read(answering):
    """A ready process is ready, with what it has answered."""
    status = ask_status(answering(READY))

    assert status is not None
    assert ("ready", 2, None) == (status.state, status.samples_answered, status.error)


def test_failure_says_where_and_what_to_do(answering):
    """A failed process says why as one line: place, reason, what to do."""
    status = ask_status(answering(FAILED))

    assert status is not None
    assert "score.py:3: no model; add it" == str(status.error)


@pytest.mark.parametrize(
    ("file", "text"),
    [
        (b"null", "data_collection.target: is read-only"),
        (b'"score.py"', "score.py: collection.target: is read-only"),
    ],
)
def test_failure_names_the_setting_as_the_program_does(answering, file, text):
    """Unless a script says the words: then they are its own."""
    said = b'{"state": "failed", "error": {"message": "collection.target: is read-only", "file": %b}}\n' % file
    status = ask_status(answering(said))

    assert status is not None
    assert text == str(status.error)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (StartError("no model"), "no model"),
        (StartError("no model", file="a.py"), "a.py: no model"),
        (StartError("no model", line=3), "no model"),
    ],
)
def test_failure_without_a_place_is_told_without(error, text):
    """What is not known of the place is left out."""
    assert text == str(error)


@pytest.mark.parametrize("answer", [b"", b"\n", b"no JSON\n", b"[]\n", b"{}\n", b'{"state": 1}\n', b"\xff\n"])
def test_nonsense_is_no_answer(answering, answer):
    """An answer that is not of the protocol counts as none."""
    assert ask_status(answering(answer)) is None


@pytest.mark.parametrize("answer", [b"", b"no JSON\n", b"[]\n", b'{"ok": false}\n'])
def test_refused_drain_is_told(answering, answer):
    """Only a clear yes to a drain is a yes."""
    assert not ask_drain(answering(answer))


def test_nobody_there_is_no_answer(tmp_path):
    """A path that is absent, a file or left by a process that is gone gives no answer."""
    (tmp_path / "file").touch()
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(os.fspath(tmp_path / "left"))
    answers = [ask_status(tmp_path / name) for name in ("absent", "file", "left")]

    assert [None, None, None] == answers
    assert [] == ask_listeners(tmp_path / "left")


def test_silence_has_an_end(tmp_path, monkeypatch):
    """A process that accepts and says nothing is waited for so long and no longer."""
    monkeypatch.setattr(process_control, "_ANSWER_SECONDS", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(os.fspath(tmp_path / "s"))
        silent.listen()

        assert ask_status(tmp_path / "s") is None
        assert ask_listeners(tmp_path / "s") is None


def test_listeners_are_received(answering):
    """The sockets that come are those sent, and no child inherits them."""
    with socket.create_server(("127.0.0.1", 0)) as http, socket.create_server(("127.0.0.1", 0)) as grpc:
        first, second = ask_listeners(answering(b'{"ok": true}\n', http.fileno(), grpc.fileno()))
        with first, second:
            assert [http.getsockname(), grpc.getsockname()] == [first.getsockname(), second.getsockname()]
            assert [False, False] == [first.get_inheritable(), second.get_inheritable()]


@pytest.mark.parametrize("answer", [b'{"ok": false}\n', b"no JSON\n"])
def test_refused_hand_over_leaves_nothing_open(answering, answer):
    """A hand-over that is not clearly one closes whatever came with it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        path = answering(answer, listener.fileno(), listener.fileno())
        received = ask_listeners(path)

        assert [] == received
        assert 1 == numbers_of(listener)


def test_yes_without_a_socket_is_no_hand_over(answering):
    """A yes without a socket is no hand-over."""
    assert [] == ask_listeners(answering(b'{"ok": true}\n'))
