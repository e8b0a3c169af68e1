"""Tokens of Entra ID for Azure's registries, against stand-ins of the documented endpoints."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

import pytest
from registry_kit import served

from pulumi_mlserve.clients.registries import entra_tokens
from pulumi_mlserve.clients.registries.entra_tokens import entra_login
from pulumi_mlserve.clients.registries.logins import Logins
from pulumi_mlserve.core.problems import OperationError

NAME = "x.azurecr.io"
NOWHERE = "http://127.0.0.1:9"
PRINCIPAL = {"AZURE_TENANT_ID": "tenant", "AZURE_CLIENT_ID": "client", "AZURE_POD_IDENTITY_AUTHORITY_HOST": NOWHERE}


class Azure:
    """What was asked, and what is answered."""

    def __init__(self):
        self.asked = []
        self.status = 200
        self.answer = {"access_token": "entra-token", "expires_in": "3600"}
        self.url = ""


@pytest.fixture
def azure(monkeypatch):
    """A service that answers as Entra ID and as a machine of Azure do."""
    monkeypatch.setattr(entra_tokens, "_MACHINE_SECONDS", 60)  # threads of a busy machine are late
    known = Azure()

    class Answers(BaseHTTPRequestHandler):
        def log_message(self, *_):
            pass

        def do_GET(self):
            parts = urlsplit(self.path)
            known.asked.append((parts.path, parse_qs(parts.query), self.headers))
            asked_rightly = self.headers.get("Metadata") == "true" or "X-IDENTITY-HEADER" in self.headers
            self.tell(known.status if asked_rightly else 400)

        def do_POST(self):
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            known.asked.append((self.path, form, self.headers))
            self.tell(known.status)

        def tell(self, status):
            body = json.dumps(known.answer if status == known.status else {}).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with served(Answers) as port:
        known.url = f"http://127.0.0.1:{port}"
        yield known


def test_a_service_principal_shows_its_secret_to_entra_alone(azure):
    """By the variables of Azure's own libraries."""
    environ = {**PRINCIPAL, "AZURE_CLIENT_SECRET": "hush", "AZURE_AUTHORITY_HOST": azure.url}
    login = entra_login(NAME, environ)

    assert ("entra", "entra-token") == (login.kind, login.secret())
    path, form, _ = azure.asked[-1]
    assert "/tenant/oauth2/v2.0/token" == path
    assert (["client"], ["hush"]) == (form["client_id"], form["client_secret"])
    assert ["https://management.azure.com/.default"] == form["scope"]
    assert "hush" not in repr(login) + str(login)


def test_a_token_is_made_out_for_the_cloud_of_the_registry(azure):
    """Another cloud's registry takes none for this one's resource manager."""
    environ = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": azure.url}
    for name in ("x.azurecr.us", "x.azurecr.cn"):
        entra_login(name, environ)
    asked = [query["resource"] for _, query, headers in azure.asked if headers.get("Metadata")]

    assert [["https://management.usgovcloudapi.net/"], ["https://management.chinacloudapi.cn/"]] == asked


def test_a_principal_is_known_to_the_entra_of_the_cloud(monkeypatch):
    """Where no variable names another one."""
    asked = []

    class Opener:
        def open(self, request, timeout):
            asked.append((request.full_url, parse_qs(request.data.decode())["scope"]))
            raise OSError(timeout)

    monkeypatch.setattr(entra_tokens, "_opener", lambda **_: Opener())
    for name in ("x.azurecr.io", "x.azurecr.us"):
        with pytest.raises(OperationError, match="cannot be reached"):
            entra_login(name, {**PRINCIPAL, "AZURE_CLIENT_SECRET": "hush"})

    assert [
        ("https://login.microsoftonline.com/tenant/oauth2/v2.0/token", ["https://management.azure.com/.default"]),
        (
            "https://login.microsoftonline.us/tenant/oauth2/v2.0/token",
            ["https://management.usgovcloudapi.net/.default"],
        ),
    ] == asked


def test_a_workload_shows_what_its_platform_vouches_for(azure, tmp_path):
    """The file is read anew for each token, since the platform renews it."""
    file = tmp_path / "token"
    environ = {**PRINCIPAL, "AZURE_FEDERATED_TOKEN_FILE": str(file), "AZURE_AUTHORITY_HOST": azure.url}
    with pytest.raises(OperationError, match="cannot be read"):
        entra_login(NAME, environ)
    file.write_text("federated\n")

    assert "entra-token" == entra_login(NAME, environ).secret()
    assert ["federated"] == azure.asked[0][1]["client_assertion"]


def test_a_hosted_app_asks_its_own_endpoint(azure):
    """With the header that Azure gave it, past every proxy."""
    environ = {"IDENTITY_ENDPOINT": f"{azure.url}/msi/token", "IDENTITY_HEADER": "head", "AZURE_CLIENT_ID": "mine"}

    assert "entra-token" == entra_login(NAME, environ).secret()
    path, query, headers = azure.asked[-1]
    assert ("/msi/token", ["mine"], "head") == (path, query["client_id"], headers["X-IDENTITY-HEADER"])


def test_a_machine_of_azure_is_asked_who_it_is(azure, monkeypatch):
    """Only where somebody answers; a proxy is never told."""
    monkeypatch.setenv("http_proxy", NOWHERE)
    environ = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": azure.url}

    assert "entra-token" == entra_login(NAME, environ).secret()
    assert "true" == azure.asked[-1][2]["Metadata"]
    assert entra_login(NAME, {"AZURE_POD_IDENTITY_AUTHORITY_HOST": NOWHERE}) is None


def test_a_machine_without_an_identity_leaves_the_question_to_the_next(azure):
    """What it said is told only if a registry then refuses us."""
    azure.status, azure.answer = 400, {"error_description": "Identity not found"}
    found = Logins.usual(environ={"AZURE_POD_IDENTITY_AUTHORITY_HOST": azure.url, "PATH": "", "HOME": "/"}).find(NAME)

    assert found.login is None
    assert ("the managed identity: gave no token (status 400): Identity not found",) == found.notes


def test_only_azures_registries_make_anybody_ask(azure):
    """Nobody is called for another registry."""
    environ = {"AZURE_POD_IDENTITY_AUTHORITY_HOST": azure.url}

    assert entra_login("x.io", environ) is None
    assert Logins.usual(environ=environ).find("localhost:5000").login is None
    assert [] == azure.asked


def test_what_entra_refuses_is_told_without_what_was_sent(azure):
    """The first line of its reason; never a secret."""
    azure.status, azure.answer = 401, {"error_description": "AADSTS7000215: invalid client secret\nTrace: x"}
    environ = {**PRINCIPAL, "AZURE_CLIENT_SECRET": "hush", "AZURE_AUTHORITY_HOST": azure.url}
    with pytest.raises(OperationError, match=r"status 401\): AADSTS7000215: invalid client secret$") as refused:
        entra_login(NAME, environ)

    assert "hush" not in str(refused.value)
    azure.status, azure.answer = 200, {"nothing": 1}
    with pytest.raises(OperationError, match="no token that can be read"):
        entra_login(NAME, environ)
    with pytest.raises(OperationError, match="must begin with https"):
        entra_login(NAME, {**environ, "AZURE_AUTHORITY_HOST": "http://login.example"})
