"""A server in place of a storage account and of Entra ID, which keeps with what it was asked."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import parse_qs, urlsplit

SECRET = "c2VjcmV0"


class AccountServer:
    """Holds nothing, takes everything, and gives tokens of a service principal.

    Attributes:
        logins: What each request to the storage account brought, as ``SharedKey team``, ``Bearer of-the-principal`` or
            ``signature abc``; empty for one that brought nothing.
        variables: The environment that leads here.
    """

    def __init__(self) -> None:
        self.logins: list[str] = []
        self._server = HTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever)
        address = f"http://127.0.0.1:{self._server.server_port}"
        self.variables = {
            "AZURE_STORAGE_ENDPOINT": address,
            "AZURE_AUTHORITY_HOST": address,
            "AZURE_ALLOW_HTTP": "true",
        }
        self._thread.start()

    def close(self) -> None:
        """End."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        logins = self.logins

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                signed = parse_qs(urlsplit(self.path).query).get("sig")
                login = self.headers.get("Authorization", "").partition(":")[0]
                logins.append(f"signature {signed[0]}" if signed else login)
                self._say(b"<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>")

            def do_PUT(self) -> None:
                self.do_GET()

            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self._say(json.dumps({"access_token": "of-the-principal", "expires_in": 3600}).encode())

            def _say(self, body: bytes) -> None:
                self.send_response(201 if self.command == "PUT" else 200)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("ETag", '"1"')
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        return Answer
