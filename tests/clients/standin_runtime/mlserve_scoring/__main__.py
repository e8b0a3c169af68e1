"""Serves like the real runtime, by the same settings file and control protocol, strictly; the variables say what to do.

STANDIN_LOAD seconds of loading; STANDIN_LOAD_UNTIL a file that ends it; STANDIN_FAIL a message to fail with;
STANDIN_DIE an exit status while loading; STANDIN_HOLD seconds for each answer; STANDIN_GATE a file that lets answers
out, beside which `.asked` is made when one is wanted; STANDIN_DEAF ignores hand-over, drain and SIGTERM; STANDIN_MUTE
answers nothing on the control socket once ready; STANDIN_CHILD leaves a process behind; STANDIN_EAT MiB to take.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from mlserve_scoring.settings import load

if sys.argv[1:3] != ["serve", "--settings"]:
    raise SystemExit(f"not the way we are started: {sys.argv}")

SETTINGS = load(sys.argv[3])
WANT = {name.removeprefix("STANDIN_"): value for name, value in SETTINGS.variables.items()}
LISTENER = socket.socket(fileno=SETTINGS.fd)
STATE = {"state": "starting", "pid": os.getpid(), "revision": SETTINGS.revision, "samples_answered": 0, "error": None}
ASKED = threading.Event()
LOOP = asyncio.new_event_loop()
DRAIN = asyncio.Event()
CONNECTIONS: set[asyncio.Task] = set()


def control() -> None:
    """Answer on the control socket, one line for each connection."""
    with socket.socket(socket.AF_UNIX) as line:
        os.umask(0o177)
        line.bind(SETTINGS.control)
        line.listen()
        while True:
            one, _ = line.accept()
            with one, contextlib.suppress(OSError):  # who asked may have gone
                answer(one, json.loads(one.makefile().readline())["op"])


def answer(one: socket.socket, operation: str) -> None:
    """Answer one request."""
    if STATE["state"] == "ready" and "MUTE" in WANT:
        time.sleep(30)
    if operation == "status":
        one.sendall(json.dumps(STATE).encode() + b"\n")
        if STATE["state"] == "failed":
            ASKED.set()
    elif "DEAF" in WANT:
        one.sendall(b'{"ok": false}\n')
    elif operation == "handover":
        socket.send_fds(one, [b'{"ok": true}\n'], [LISTENER.fileno()])
    elif operation == "drain":
        one.sendall(b'{"ok": true}\n')
        LOOP.call_soon_threadsafe(DRAIN.set)


def start() -> None:
    """Do what loading does, or fails to do."""
    sys.stdout.write(f"loading revision {SETTINGS.revision}\n")
    sys.stdout.flush()
    if "CHILD" in WANT and os.fork() == 0:
        signal.pause()
    eaten = bytearray(int(WANT.get("EAT", 0)) << 20)
    eaten[::4096] = b"x" * len(eaten[::4096])
    time.sleep(float(WANT.get("LOAD", 0)))
    while "LOAD_UNTIL" in WANT and not Path(WANT["LOAD_UNTIL"]).exists():
        time.sleep(0.01)
    if "DIE" in WANT:
        sys.stderr.write("the end is near\n")
        os._exit(int(WANT["DIE"]))
    if "FAIL" in WANT:
        STATE["error"] = {"message": WANT["FAIL"], "file": "score.py", "line": 7, "output": ""}
        STATE["state"] = "failed"
        ASKED.wait(120)
        os._exit(3)


def accept() -> None:
    """Take one waiting connection, if another process has not."""
    try:
        one, _ = LISTENER.accept()
    except BlockingIOError:
        return
    one.setblocking(False)
    task = LOOP.create_task(connection(one))
    CONNECTIONS.add(task)
    task.add_done_callback(CONNECTIONS.discard)


async def serve() -> None:
    """Accept until drained; then give each open connection one more answer."""
    if "DEAF" in WANT:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    else:
        LOOP.add_signal_handler(signal.SIGTERM, DRAIN.set)
    STATE["state"] = "ready"
    LISTENER.setblocking(False)
    # Accepted in the callback itself: a cancelled sock_accept() may have taken a connection that nobody then answers.
    LOOP.add_reader(LISTENER, accept)
    await DRAIN.wait()
    LOOP.remove_reader(LISTENER)
    STATE["state"] = "draining"
    if CONNECTIONS:
        await asyncio.wait(set(CONNECTIONS), timeout=SETTINGS.drain_seconds)


def keys() -> object:
    """Return the keys now in force."""
    return json.loads(Path(SETTINGS.keys_file).read_text()) if SETTINGS.keys_file else None


def wait_at(gate: Path) -> None:
    """Tell that an answer is wanted, and return once it may go out."""
    gate.with_name(f"{gate.name}.asked").touch()
    while not gate.exists():
        time.sleep(0.01)


async def connection(one: socket.socket) -> None:
    """Answer requests with the revision and the keys now in force."""
    reader, writer = await asyncio.open_connection(sock=one)
    try:
        while True:
            ask = asyncio.ensure_future(reader.readuntil(b"\r\n\r\n"))
            drained = asyncio.ensure_future(DRAIN.wait())
            await asyncio.wait({ask, drained}, return_when=asyncio.FIRST_COMPLETED)
            drained.cancel()
            if not ask.done():
                await asyncio.wait({ask}, timeout=SETTINGS.drain_seconds)
            if not ask.done():
                ask.cancel()
                return
            head = ask.result().lower()
            await asyncio.sleep(float(WANT.get("HOLD", 0)))
            if "GATE" in WANT:
                await asyncio.to_thread(wait_at, Path(WANT["GATE"]))
            last = DRAIN.is_set() or b"connection: close" in head
            body = json.dumps({"revision": SETTINGS.revision, "pid": os.getpid(), "keys": keys()}).encode()
            close = b"Connection: close\r\n" if last else b""
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), close, body))
            await writer.drain()
            if last:
                return
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        writer.close()


threading.Thread(target=control, daemon=True).start()
start()
LOOP.run_until_complete(serve())
os._exit(0)
