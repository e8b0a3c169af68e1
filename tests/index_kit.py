"""A real package index on loopback that wants a password: pages and wheels over HTTP, from a folder."""

from __future__ import annotations

import base64
import contextlib
import functools
import http.server
import threading
from pathlib import Path

SECRET = "hunter2"
USER = "user"


class Index(http.server.SimpleHTTPRequestHandler):
    """A package index over HTTP that wants a password."""

    def do_GET(self):
        """Answer a project page or a file to those who know the password."""
        wanted = "Basic " + base64.b64encode(f"{USER}:{SECRET}".encode()).decode()
        if self.headers.get("Authorization") != wanted:
            self.send_response(401)
            self.send_header("WWW-Authenticate", "Basic")
            self.end_headers()
            return
        if not self.path.startswith("/simple/"):
            super().do_GET()
            return
        files = sorted(Path(self.directory).glob(f"{self.path.strip('/').removeprefix('simple/')}-*.whl"))
        self.send_response(200 if files else 404)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write("".join(f'<a href="/{file.name}">{file.name}</a>' for file in files).encode())

    def log_message(self, *_):
        """Say nothing."""


@contextlib.contextmanager
def serving(folder):
    """Serve a folder's wheels until the block ends; yields the server."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Index, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
