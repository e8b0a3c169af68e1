"""What is said when a store does not do what it should."""

from __future__ import annotations

import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from pulumi_mlserve.clients.models.object_json import Objects, StoreFullError, StoreUnreachableError
from pulumi_mlserve.core.problems import OperationError


@pytest.fixture
def cloud(monkeypatch):
    """A server that answers every request in one way, and the store that asks it."""

    class Answer(BaseHTTPRequestHandler):
        status = 200
        body = b""

        def do_GET(self):
            self.send_response(self.status)
            self.send_header("Content-Length", str(len(self.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(self.body)

        do_PUT = do_HEAD = do_POST = do_GET  # noqa: N815  names of the base class

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    settings = {
        "AZURE_STORAGE_ACCOUNT_NAME": "team",
        "AZURE_STORAGE_ACCOUNT_KEY": "a2V5",
        "AZURE_STORAGE_ENDPOINT": f"http://127.0.0.1:{server.server_port}/team",
        "AZURE_ALLOW_HTTP": "true",
    }
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr("pulumi_mlserve.clients.models.object_json._RETRIES", 0)
    yield Answer, Objects("az://models/place")
    server.shutdown()
    server.server_close()
    thread.join()


def code(name):
    """Return the body of a cloud's error."""
    return f'<?xml version="1.0"?><Error><Code>{name}</Code></Error>'.encode()


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (
            403,
            code("AuthenticationFailed"),
            OperationError,
            "the store refused listing models: .*; check the credentials",
        ),
        (401, b"", OperationError, "the store refused listing models"),
        (404, code("ContainerNotFound"), StoreUnreachableError, "container or bucket does not exist: .*; make it"),
        (500, b"", StoreUnreachableError, "the store cannot be reached for listing models: .*; check the network"),
        (200, b"not XML", StoreUnreachableError, "the store cannot be reached for listing models"),
    ],
)
def test_each_failure_of_a_cloud_is_said_in_its_own_words(cloud, status, body, kind, said):
    """The person who reads it knows what to look at; nothing of the address's secrets is shown."""
    answer, objects = cloud
    answer.status, answer.body = status, body
    with pytest.raises(kind, match=f"az://models/place: .*{said}") as error:
        objects.names("models")

    assert kind is type(error.value)
    assert "comp=list" not in str(error.value)
    assert "<?xml" not in str(error.value)


def test_reading_with_no_rights_is_not_reading_nothing(cloud):
    """None means that there is no such object, and nothing else."""
    answer, objects = cloud
    answer.status = 403
    for use in (objects.read, objects.exists, objects.delete, lambda key: objects.write(key, {})):
        with pytest.raises(OperationError, match=r"the store refused \w+( \w+)? models/x.json"):
            use("models/x.json")


def test_a_store_without_credentials_says_where_they_are_looked_for(monkeypatch):
    """At once, without asking anybody."""
    for name in list(os.environ):
        if name.startswith("AZURE_"):
            monkeypatch.delenv(name)

    with pytest.raises(
        OperationError, match=r"az://models cannot be used: .*; give the account and credentials in the env"
    ):
        Objects("az://models")


def test_an_emulator_must_be_allowed_to_be_asked_in_clear_text(cloud, monkeypatch):
    """Keys do not travel unprotected by accident."""
    monkeypatch.delenv("AZURE_ALLOW_HTTP")

    with pytest.raises(StoreUnreachableError):
        Objects("az://models/place").names("models")


def test_a_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    """With the reason and the way out."""
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OperationError, match=r"store: the folder .*/file/store cannot be used: .*; choose another"):
        Objects(str(tmp_path / "file" / "store")).write("a.json", {})


@pytest.mark.parametrize(("number", "kind"), [(28, StoreFullError), (122, StoreFullError), (5, OperationError)])
def test_a_disk_that_fails_when_it_is_synced_is_a_failure(tmp_path, monkeypatch, number, kind):
    """Some file systems say only then that there is no room."""

    def fail(path):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("pulumi_mlserve.clients.models.object_json.sync", fail)
    with pytest.raises(kind, match=os.strerror(number)) as error:
        Objects(str(tmp_path / "store")).write("a.json", {})

    assert kind is type(error.value)


def test_documents_are_read_in_the_order_of_their_keys(tmp_path):
    """Absent ones keep their place."""
    objects = Objects(str(tmp_path / "store"))
    for number in range(3):
        objects.write(f"a/{number}.json", {"number": number})

    assert [2, None, 0] == [
        document and document["number"] for document in objects.read_all(["a/2.json", "a/9.json", "a/0.json"])
    ]
    assert (["0.json", "1.json", "2.json"], ["a"], []) == (objects.names("a"), objects.folders(""), objects.names("b"))


def test_text_is_kept_as_people_wrote_it(tmp_path):
    """Whoever opens the file can read it."""
    Objects(str(tmp_path / "store")).write("a.json", {"description": "größer"})

    assert '{\n "description": "größer",\n "schema": 1\n}\n' == (tmp_path / "store" / "a.json").read_text("utf-8")
