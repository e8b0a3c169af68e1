"""Whose credentials an object store is opened with, and that nobody sees them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.parse import quote

import pytest
from azurite_kit import ACCOUNT, KEY

from pulumi_mlserve.clients.models import store_address
from pulumi_mlserve.clients.models.object_json import Objects
from pulumi_mlserve.clients.models.store_address import connected
from pulumi_mlserve.core.problems import OperationError


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """An environment without credentials of anybody's, and a program path without `az`."""
    for name in list(os.environ):
        if name.startswith(("AZURE_", "AWS_", "GOOGLE_", "MSI_", "IDENTITY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))


def signature(services="b", permissions="rwdlac"):
    """Return a shared access signature of the emulator's account, as Azure's portal makes it."""
    fields = ["2021-12-02", services, "sco", permissions, "2099-01-01T00:00:00Z"]
    text = "\n".join([ACCOUNT, permissions, services, "sco", "", fields[4], "", "https,http", fields[0], "", ""])
    signed = base64.b64encode(hmac.digest(base64.b64decode(KEY), text.encode(), hashlib.sha256)).decode()
    names = zip(("sv", "ss", "srt", "sp", "se"), fields, strict=True)
    return "&".join(
        [*(f"{n}={quote(v, safe='')}" for n, v in names), "spr=https,http", f"sig={quote(signed, safe='')}"]
    )


@pytest.mark.parametrize("where", ["address", "connection string", "variable"])
def test_a_signature_opens_a_store(azurite, monkeypatch, where):
    """Wherever it is given; the store is read and written with it."""
    name = f"sas{len(where)}"
    azurite.make_container(name)
    address = f"az://{name}/team"
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", azurite.endpoint)
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    if where == "address":
        address += f"?{signature()}"
    elif where == "variable":
        monkeypatch.setenv("AZURE_STORAGE_SAS_TOKEN", signature())
    else:
        text = f"BlobEndpoint={azurite.endpoint};AccountName={ACCOUNT};SharedAccessSignature={signature()}"
        monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    objects = Objects(address)

    assert objects.create("a.json", {"one": 1})
    assert not objects.create("a.json", {"one": 2})
    assert 1 == objects.read("a.json")["one"]
    assert "sig" not in objects.label


def test_a_signature_that_does_not_fit_is_refused_without_being_shown(azurite, monkeypatch):
    """Nor the key, which stands in the same environment."""
    azurite.make_container("refused")
    text = f"BlobEndpoint={azurite.endpoint};AccountName={ACCOUNT};SharedAccessSignature={signature(permissions='l')}"
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text)
    with pytest.raises(OperationError, match=r"az://refused: the store refused writing a.json") as error:
        Objects("az://refused").write("a.json", {})

    assert "sig=" not in f"{error.value}"


@pytest.mark.parametrize(
    "text", ["", "AccountName=x", "AccountKey=a2V5", "rubbish", "BlobEndpoint=https://x.blob.core.windows.net"]
)
def test_a_connection_string_that_lacks_something_is_told_so(monkeypatch, text):
    """Without what is in it."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", text or "x")

    with pytest.raises(OperationError, match="names no account, or neither a key nor a signature; copy it whole") as e:
        connected("az://models", retries=0)
    assert "a2V5" not in str(e.value)


def test_a_connection_string_gives_all_that_is_needed():
    """As the portal writes it, for any cloud."""
    text = "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=a2V5==;EndpointSuffix=core.chinacloudapi.cn"
    given = {"AZURE_STORAGE_CONNECTION_STRING": text}

    assert {
        "account_name": "a", "account_key": "a2V5==", "endpoint": "https://a.blob.core.chinacloudapi.cn"
    } == store_address._azure(given)  # fmt: skip


@pytest.mark.parametrize(
    ("address", "account", "endpoint", "authority"),
    [
        ("https://team.blob.core.windows.net/m/a", "team", None, None),
        (
            "https://team.blob.core.usgovcloudapi.net/m/a",
            "team",
            "https://team.blob.core.usgovcloudapi.net",
            "https://login.microsoftonline.us",
        ),
        (
            "abfss://m@team.dfs.core.chinacloudapi.cn/a",
            "team",
            "https://team.blob.core.chinacloudapi.cn",
            "https://login.chinacloudapi.cn",
        ),
    ],
)
def test_an_address_says_which_cloud_is_asked(address, account, endpoint, authority):
    """Each has its own Entra ID."""
    store = connected(address, retries=0)
    found = [store.config.get(key) for key in ("account_name", "endpoint", "authority_host", "container_name")]

    assert [account, endpoint, authority, "m"] == found
    assert "a" == store.prefix


def test_what_the_environment_says_of_a_cloud_counts(monkeypatch):
    """A private endpoint, for example."""
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "https://inside.example/team")
    monkeypatch.setenv("AZURE_AUTHORITY_HOST", "https://login.example")
    config = connected("https://team.blob.core.usgovcloudapi.net/m", retries=0).config

    assert {"account_name": "team", "container_name": "m"}.items() <= config.items()
    assert not {"https://team.blob.core.usgovcloudapi.net", "https://login.microsoftonline.us"} & set(config.values())


def test_a_connection_string_of_another_account_is_never_taken_for_the_addressed_one(monkeypatch):
    """Models would else go to where nobody looks for them."""
    monkeypatch.setenv("AZURE_STORAGE_CONNECTION_STRING", "AccountName=other;AccountKey=a2V5")
    with pytest.raises(OperationError, match=r"the address names the account 'team', and AZURE_STORAGE_CONN.* 'other'"):
        connected("https://team.blob.core.windows.net/m", retries=0)
    signed = connected("https://team.blob.core.windows.net/m?sig=x", retries=0).config

    assert {"account_name": "team", "container_name": "m", "sas_key": "sig=x"} == signed
    assert "other" == connected("https://other.blob.core.windows.net/m", retries=0).config["account_name"]


@pytest.mark.parametrize(
    ("address", "variables", "wanted"),
    [
        ("az://m", {"ACCOUNT": "a", "KEY": "a2V5"}, {"account_name": "a", "account_key": "a2V5"}),
        ("az://m", {"ACCOUNT_NAME": "b", "KEY": "a2V5"}, {"account_name": "b", "account_key": "a2V5"}),
        (
            "az://m",
            {"ACCOUNT": "a", "ACCOUNT_KEY": "b3Ro", "KEY": "a2V5"},
            {"account_name": "a", "account_key": "b3Ro"},
        ),
        ("az://m?sig=x", {"ACCOUNT": "a", "KEY": "a2V5"}, {"account_name": "a", "sas_key": "sig=x"}),
        ("https://c.blob.core.windows.net/m", {"KEY": "a2V5"}, {"account_name": "c", "account_key": "a2V5"}),
        (
            "az://m",
            {"CONNECTION_STRING": "AccountName=d;AccountKey=b3Ro", "ACCOUNT": "a", "KEY": "a2V5"},
            {"account_name": "d", "account_key": "b3Ro"},
        ),
    ],
)
def test_the_account_and_its_key_are_named_as_azures_tools_name_them(monkeypatch, address, variables, wanted):
    """By what the Azure CLI reads as by what the library does; what is more exact wins."""
    for name, value in variables.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    config = connected(address, retries=0).config
    said = {name: config.get(name) for name in ("account_name", "account_key", "sas_key") if config.get(name)}

    assert wanted.items() <= (said | _from_variables(said)).items()
    assert not {"account_key", "sas_key"} <= said.keys()


def _from_variables(said) -> dict[str, str]:
    """What the library reads itself where its settings say nothing; it does not tell."""
    names = {"account_name": "AZURE_STORAGE_ACCOUNT_NAME", "account_key": "AZURE_STORAGE_ACCOUNT_KEY"}
    return {key: os.environ[name] for key, name in names.items() if key not in said and name in os.environ}


@pytest.mark.parametrize(
    ("variables", "cli", "wanted"),
    [
        ({}, True, {"use_azure_cli": True}),
        ({}, False, {}),
        ({"AZURE_STORAGE_ACCOUNT_NAME": "a"}, True, {"use_azure_cli": True}),
        ({"AZURE_STORAGE_ACCOUNT_KEY": "a2V5"}, True, {}),
        ({"AZURE_STORAGE_SAS_TOKEN": "sig=x"}, True, {}),
        ({"AZURE_CLIENT_ID": "x", "AZURE_CLIENT_SECRET": "y"}, True, {}),
        ({"AZURE_FEDERATED_TOKEN_FILE": "f"}, True, {}),
        ({"IDENTITY_ENDPOINT": "http://x"}, True, {}),
        ({"AZURE_CREDENTIAL_TYPE": "managed_identity"}, True, {}),
    ],
)
def test_the_cli_is_asked_when_nothing_else_is_given(tmp_path, variables, cli, wanted):
    """A login on a laptop is enough; on a machine of the cloud's its identity is."""
    program = tmp_path / "bin" / "az"
    program.parent.mkdir()
    if cli:
        program.write_text("")
        program.chmod(0o755)

    assert wanted == store_address._azure(variables)


def test_the_login_of_the_azure_cli_is_used(azurite, monkeypatch, tmp_path):
    """The program is run for a token, and what it says is sent; the emulator knows no such tokens over http."""
    program = tmp_path / "bin" / "az"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho $@ > {tmp_path}/asked\necho 'Please run az login' >&2\nexit 1\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT)
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", azurite.endpoint)
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    with pytest.raises(OperationError, match=r"az://team: .*az"):
        Objects("az://team").names("models")

    assert "account get-access-token" in (tmp_path / "asked").read_text()


@pytest.fixture
def cloud(monkeypatch):
    """A server that gives tokens of a managed identity and holds an empty container; yields what it was asked."""
    asked = []

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append((self.path.partition("?")[0], self.headers.get("Authorization", "")))
            body = b"<EnumerationResults><Blobs/><NextMarker/></EnumerationResults>"
            if self.path.startswith("/token"):
                body = json.dumps({"access_token": "of-the-identity", "expires_in": "3600", "expires_on": "4102444800",
                                   "token_type": "Bearer", "resource": "x"}).encode()  # fmt: skip
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    address = f"http://127.0.0.1:{server.server_port}"
    for name, value in {"ACCOUNT_NAME": "team", "ENDPOINT": f"{address}/team"}.items():
        monkeypatch.setenv(f"AZURE_STORAGE_{name}", value)
    monkeypatch.setenv("AZURE_ALLOW_HTTP", "true")
    yield address, asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_the_managed_identity_of_a_machine_is_used(cloud, monkeypatch):
    """Nothing is given but the account; the token that the machine gives is sent."""
    address, asked = cloud
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{address}/token")
    monkeypatch.setenv("IDENTITY_HEADER", "x")

    assert [] == Objects("az://models").names("a")
    assert "/token" == asked[0][0]
    assert "Bearer of-the-identity" == asked[1][1]


def test_the_token_of_the_azure_cli_is_sent(cloud, monkeypatch, tmp_path):
    """What the program prints."""
    _, asked = cloud
    token = {"accessToken": "of-the-person", "expiresOn": "2099-01-01 00:00:00.000000", "expires_on": 4070908800,
             "subscription": "s", "tenant": "t", "tokenType": "Bearer"}  # fmt: skip
    program = tmp_path / "bin" / "az"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\necho '{json.dumps(token)}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")

    assert [] == Objects("az://models").names("a")
    assert ["Bearer of-the-person"] == [authorization for _, authorization in asked]


def test_keys_of_a_profile_are_found(tmp_path):
    """The library itself reads no files."""
    folder = tmp_path / ".aws"
    folder.mkdir()
    (folder / "credentials").write_text(
        "[default]\naws_access_key_id = A\naws_secret_access_key = B\n[work]\naws_access_key_id = C\n"
        "aws_secret_access_key = D\naws_session_token = E\n"
    )
    (folder / "config").write_text("[default]\nregion = eu-west-1\n[profile work]\nregion = eu-central-1\n")

    first = {"access_key_id": "A", "secret_access_key": "B", "region": "eu-west-1"}
    assert first == store_address._s3({}) == store_address._s3({"AWS_PROFILE": "default"})
    assert {
        "access_key_id": "C", "secret_access_key": "D", "session_token": "E", "region": "us-east-2"
    } == store_address._s3({"AWS_PROFILE": "work", "AWS_REGION": "us-east-2"})  # fmt: skip
    assert {} == store_address._s3({"AWS_ACCESS_KEY_ID": "X"})
    with pytest.raises(OperationError, match="the profile AWS_PROFILE=absent holds no keys; put them into the env"):
        store_address._s3({"AWS_PROFILE": "absent"})


def test_a_profile_file_that_is_damaged_is_named_without_its_lines(tmp_path):
    """They may be keys."""
    (tmp_path / "credentials").write_text("geheim")
    with pytest.raises(OperationError, match="credentials cannot be read; correct it or set") as error:
        store_address._s3({"AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials")})

    assert "geheim" not in str(error.value)


def test_google_credentials_that_are_no_file_are_told(monkeypatch, tmp_path):
    """When the store is opened, with the address."""
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "absent.json"))

    with pytest.raises(OperationError, match=r"gs://models cannot be used: .*; give the account and credentials"):
        connected("gs://models", retries=0)


@pytest.mark.parametrize("address", ["az://", "s3:///", "ftp://x/y", "gs://?x"])
def test_what_names_no_place_is_refused(address):
    """At once."""
    with pytest.raises(OperationError, match="store: not a place for models"):
        connected(address, retries=0)


@pytest.mark.parametrize(
    "address", ["s3://AKIA:gehe/im@bucket/x", "https://user:ge#heim@host/x", "abfss://u:geheim@c/x"]
)
def test_an_address_that_cannot_be_used_is_told_without_its_password(address):
    """Nobody would use it."""
    with pytest.raises(OperationError, match="store: holds a login, got ") as error:
        connected(address, retries=0)

    assert "heim" not in str(error.value)
    assert "gehe" not in str(error.value)
