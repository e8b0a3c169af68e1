"""Who we are to a registry: where logins come from, what they buy, and whom they are shown to."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import time

import pytest
from registry_faults import proxied
from registry_kit import (
    MIB,
    PASSWORD,
    USER,
    Pattern,
    at,
    client,
    htpasswd_auth,
    image_of,
    registry,
    token_server,
)

from pulumi_mlserve.clients.registries.azure_logins import azure_cli_login
from pulumi_mlserve.clients.registries.challenges import Challenge, merged, read_challenges, scope
from pulumi_mlserve.clients.registries.docker_config import docker_login
from pulumi_mlserve.clients.registries.login_kinds import Login
from pulumi_mlserve.clients.registries.logins import Found, Logins
from pulumi_mlserve.clients.registries.refusals import RegistryError
from pulumi_mlserve.clients.registries.transfer import BlobSource
from pulumi_mlserve.core.images.oci import MANIFEST_TYPE
from pulumi_mlserve.core.problems import OperationError

LOGIN = Login.by_password(USER, PASSWORD)
WRONG = Login.by_password(USER, "tell nobody this")


@pytest.fixture(scope="module")
def by_password(tmp_path_factory):
    """A registry that asks for a password."""
    folder = tmp_path_factory.mktemp("password")
    with registry(folder, auth=htpasswd_auth(folder)) as running:
        yield running


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """A token service."""
    with token_server(tmp_path_factory.mktemp("tokens")) as running:
        yield running


@pytest.fixture(scope="module")
def by_token(tmp_path_factory, service):
    """A registry that asks for its tokens."""
    with registry(tmp_path_factory.mktemp("token"), auth=service.auth()) as running:
        yield running


@pytest.fixture(autouse=True)
def as_it_was(service):
    """The token service forgets what a test did to it."""
    service.asked.clear()
    service.denied.clear()
    service.seconds, service.status = 300, 200


def who(login):
    """Return logins that know one everywhere."""
    return Logins((lambda _: login,))


def push(where, layer, *, name="team/app:1", origin=None, **more):
    """Push an image of one layer; returns what was pushed."""
    manifest, blobs = image_of(layer.source(origin=origin))
    with client(**more) as ours:
        return ours.push(at(where, name), manifest, MANIFEST_TYPE, blobs)


@pytest.mark.parametrize(
    ("lines", "read"),
    [
        (['Basic realm="a, \\"b\\", c=d"'], [("basic", {"realm": 'a, "b", c=d'})]),
        (
            ['Bearer realm="https://x/t?a=b",service="x, y",scope="repository:a/b:pull,push"'],
            [("bearer", {"realm": "https://x/t?a=b", "service": "x, y", "scope": "repository:a/b:pull,push"})],
        ),
        (["BEARER Realm = x , X=y, Basic realm=z"], [("bearer", {"realm": "x", "x": "y"}), ("basic", {"realm": "z"})]),
        (["Negotiate", "Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["Negotiate abc==, Basic realm=x"], [("negotiate", {}), ("basic", {"realm": "x"})]),
        (["Bearer realm=x, realm=y"], [("bearer", {"realm": "x"})]),
        (["", ",,", '"', 'Bearer realm="x'], [("bearer", {}), ("realm", {})]),
        ([], []),
    ],
)  # fmt: skip
def test_challenges_are_read_as_the_rfc_writes_them(lines, read):
    """Quoted commas, several schemes in one line or in several, and nonsense."""
    assert [Challenge(*each) for each in read] == read_challenges(lines)


def test_scopes_have_one_form():
    """One entry for each repository, so that equal needs share a token."""
    assert ("repository:a:pull,push", "repository:b:pull") == merged(
        [scope("b", "pull"), scope("a", "push"), scope("a", "pull"), "", "nonsense"]
    )


def test_a_password_opens_a_registry(by_password):
    """Asked for by Basic."""
    layer = Pattern(1000, b"password")

    push(by_password, layer, logins=who(LOGIN))

    assert layer.digest in by_password.blobs()


@pytest.mark.parametrize("login", [WRONG, None])
def test_a_refused_login_is_told_without_its_secret(by_password, login):
    """Who it was, and what to do."""
    with pytest.raises(RegistryError) as told:
        push(by_password, Pattern(10), logins=who(login))

    message = str(told.value)
    assert "refused with 401" in message
    assert ("it knows us as nobody" if login is None else "it knows us as user 'robot'") in message
    assert f"docker login {by_password.host}" in message
    assert not _shows(told.value, "tell nobody this")


def test_secrets_are_in_no_text_of_a_login():
    """Nor in that of what holds one."""
    for login in (WRONG, Login.by_refresh_token("tell nobody this"), Login.by_bearer_token("tell nobody this")):
        for thing in (login, who(login), who(login).find("x"), Logins.usual({"x": login}).find("x")):
            assert "nobody this" not in f"{thing!r}{thing!s}{vars(thing)!r}"


@pytest.mark.parametrize("login", [LOGIN, Login.by_refresh_token("refresh-token")])
def test_tokens_are_bought_for_what_is_needed(by_token, service, login):
    """By password and by refresh token; one for each set of scopes."""
    layer = Pattern(1000, repr(login).encode())

    push(by_token, layer, logins=who(login))

    assert layer.digest in by_token.blobs()
    assert 1 == len(service.asked)
    wanted = json.dumps(service.asked)
    assert "repository:team/app:pull,push" in wanted.replace("%3A", ":").replace("%2C", ",").replace("%2F", "/")


def test_a_bearer_token_is_sent_as_it_is(by_token, service):
    """And nobody is asked for another."""
    with pytest.raises(RegistryError, match="it knows us as a token; check rights"):
        push(by_token, Pattern(10), logins=who(Login.by_bearer_token("made-up")))

    assert [] == service.asked


def test_nobody_may_read_but_not_push(by_token):
    """What is public needs no login."""
    layer = Pattern(1000, b"public")
    reference = push(by_token, layer, logins=who(LOGIN)).reference

    with client(logins=who(None)) as ours:
        assert ours.exists(reference)
    with pytest.raises(RegistryError, match=r"refused with 401 UNAUTHORIZED .*; it knows us as nobody"):
        push(by_token, Pattern(10, b"new"), logins=who(None))


def test_a_token_that_ends_in_the_middle_is_bought_again(by_token, service):
    """An upload may last longer than any token."""
    layer = Pattern(65 * MIB, b"ends")
    with proxied(by_token) as proxy:
        # Without its token the registry answers as it does when that has run out.
        proxy.fault("PATCH", after=2, without=("Authorization",)).fault("PUT", "uploads", without=("Authorization",))
        push(proxy, layer, logins=who(LOGIN))

        assert 1 == proxy.count("PATCH", status=401)
    assert layer.digest in by_token.blobs()
    assert len(service.asked) >= 2


def test_a_token_that_really_ends_is_bought_again(by_token, service):
    """The registry answers before it has read the chunk, and hangs up."""
    service.seconds = -57  # it allows a minute more, so that three seconds are left
    layer = Pattern(65 * MIB, b"really ends")

    def slowly(offset):
        for number, piece in enumerate(layer.open(offset)):
            if not offset and number == 40:
                time.sleep(3.1)
                service.seconds = 300  # the next one does not end before it is used, whatever else the machine does
            yield piece

    manifest, blobs = image_of(BlobSource(layer.digest, layer.size, slowly))
    with client(logins=who(LOGIN)) as ours:
        ours.push(at(by_token), manifest, MANIFEST_TYPE, blobs)

    assert layer.digest in by_token.blobs()
    assert len(service.asked) >= 2


def test_a_token_is_renewed_before_it_ends(by_token, service):
    """By the seconds that its service gave it."""
    service.seconds = 1  # the registry itself allows a minute more
    now = [0.0]
    with client(logins=who(LOGIN)) as ours:
        object.__setattr__(ours._around.clock, "now", lambda: now[0])
        for now[0] in (0.0, 0.5, 0.95, 2.0):
            ours.exists(at(by_token))

    assert 3 == len(service.asked)


def test_a_mount_needs_both_repositories(by_token, service):
    """Where the other may not be read its bytes are sent."""
    layer = Pattern(1000, b"both")
    origin = push(by_token, layer, logins=who(LOGIN), name="base/of").reference
    service.asked.clear()

    mounted = push(by_token, layer, logins=who(LOGIN), name="team/mounts", origin=origin)
    service.denied.add("base/of")
    sent = push(by_token, layer, logins=who(LOGIN), name="team/sends", origin=origin)

    assert ("mounted", "sent") == (mounted.outcomes[layer.digest], sent.outcomes[layer.digest])
    assert any("base%2Fof%3Apull&" in each[1] for each in service.asked)


@pytest.mark.parametrize(
    ("status", "said"), [(401, "refused user 'robot'"), (403, "answered 403"), (503, "answered 503, tried 2 times")]
)
def test_a_token_service_that_refuses_is_told(by_token, service, status, said):
    """By its host; with what it may be."""
    service.status = status

    with pytest.raises(RegistryError) as told:
        push(by_token, Pattern(10), logins=who(WRONG), attempts=2)

    assert said in str(told.value)
    assert service.url.removeprefix("http://") in str(told.value)
    assert not _shows(told.value, "tell nobody this")


@pytest.mark.parametrize(
    ("realm", "said"),
    [
        ("http://tokens.example/t", "names the token service tokens.example without encryption"),
        ("ftp://tokens.example/t", "names no usable token service"),
        ("", "names no usable token service"),
    ],
)
def test_no_login_goes_to_a_token_service_without_encryption(by_token, realm, said):
    """Whatever the registry names."""
    with proxied(by_token) as proxy:
        proxy.fault("HEAD", times=9, status=401, headers={"WWW-Authenticate": f'Bearer realm="{realm}",service="x"'})
        with pytest.raises(RegistryError, match=said):
            push(proxy, Pattern(10), logins=who(LOGIN))


def test_logins_are_shown_to_the_registry_alone(by_password):
    """Not to where it redirects to, nor to where it lets an upload go."""
    layer = Pattern(1000, b"alone")
    reference = push(by_password, layer, logins=who(LOGIN)).reference
    with proxied(by_password) as elsewhere, proxied(by_password) as proxy, client(logins=who(LOGIN)) as ours:
        entry = ours.image(reference).manifest.layers[0]
        there = f"http://{elsewhere.host}/v2/team/app/blobs/{entry.digest}"
        proxy.fault("GET", "/blobs/", status=307, headers={"Location": there})
        with pytest.raises(RegistryError, match="where its bytes lie, refused us"):
            list(ours.blob(at(proxy), entry))
        upload = {"Location": f"http://{elsewhere.host}/v2/team/app/blobs/uploads/x?_state=signed"}
        proxy.fault("POST", "uploads", status=202, headers=upload, times=9)
        with pytest.raises(RegistryError, match="refused us") as told:
            push(proxy, Pattern(10, b"elsewhere"), logins=who(LOGIN))

    assert {"GET", "PUT"} == {method for method, _, _ in elsewhere.headers}
    assert not any("Authorization" in headers for _, _, headers in elsewhere.headers)
    assert any("Authorization" in headers for _, _, headers in proxy.headers)
    assert "signed" not in str(told.value)


def test_nobody_is_sent_to_where_there_is_no_encryption(by_password):
    """Nor in circles, nor to what is no address."""
    entry = image_of(Pattern(10).source())[1][0]
    for location, said in (
        ("http://bytes.example/x", "sent us to bytes.example without encryption"),
        ("file:///etc/passwd", "an address that is none"),
        ("https://user:secret@bytes.example/", "an address that is none"),
        ("?again", "sent on more than 5 times"),
    ):
        with proxied(by_password) as proxy, client() as ours:
            proxy.fault("HEAD", times=9, status=302, headers={"Location": location})
            with pytest.raises(RegistryError, match=said):
                ours.resolve(at(proxy).at(entry.digest))


def test_a_proxy_is_not_asked_for_this_machine(by_password, monkeypatch):
    """Even where everything else goes through one."""
    for variable in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:1")

    push(by_password, Pattern(10, b"no proxy"), logins=who(LOGIN))


# --- where logins come from


def auth(user, password):
    """Return a login as Docker's config writes it."""
    return {"auth": base64.b64encode(f"{user}:{password}".encode()).decode()}


@pytest.fixture
def environ(tmp_path):
    """Variables of a user with an empty Docker config and no programs."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "docker").mkdir()
    places = {"DOCKER_CONFIG": str(tmp_path / "docker"), "PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    return {**places, "AZURE_POD_IDENTITY_AUTHORITY_HOST": "http://127.0.0.1:9"}  # this is no machine of Azure


@pytest.fixture
def config(tmp_path, environ):
    """Write Docker's config."""
    return lambda **content: (tmp_path / "docker" / "config.json").write_text(json.dumps(content))


@pytest.fixture
def program(tmp_path, environ):
    """Write a program, in Python, to a place on PATH."""

    def write(name, code):
        path = tmp_path / "bin" / name
        path.write_text(f"#!{sys.executable}\nimport sys, json, time\n{code}\n")
        path.chmod(0o755)

    return write


def told(login):
    """Return all that a login says, its secret included."""
    return login and (login.kind, login.user, login.secret())


@pytest.mark.parametrize(
    ("auths", "registry_name", "found"),
    [
        ({"x.io": auth("u", "p:q")}, "x.io", ("password", "u", "p:q")),
        ({"https://x.io/v1/": auth("u", "p")}, "x.io", ("password", "u", "p")),
        ({"https://index.docker.io/v1/": auth("u", "p")}, "docker.io", ("password", "u", "p")),
        ({"x.io:5000": {"username": "u", "password": "p"}}, "x.io:5000", ("password", "u", "p")),
        ({"x.io": {"identitytoken": "t", **auth("u", "")}}, "x.io", ("refresh", "", "t")),
        ({"x.io": {"registrytoken": "t"}}, "x.io", ("bearer", "", "t")),
        ({"y.io": auth("u", "p"), "x.io": {}}, "x.io", None),
        ({}, "x.io", None),
        ([], "x.io", None),
    ],
)
def test_docker_configs_are_read_as_docker_writes_them(config, environ, auths, registry_name, found):
    """Of every age."""
    config(auths=auths)

    assert found == told(docker_login(registry_name, environ))


def test_no_docker_config_is_no_login(environ):
    """Nor is a folder that is not there."""
    assert docker_login("x.io", environ) is None
    assert docker_login("x.io", {"HOME": environ["HOME"]}) is None
    assert docker_login("x.io", {**environ, "DOCKER_CONFIG": "/dev/null"}) is None


@pytest.mark.parametrize("content", ['{"auths": secret}', "[]", '{"auths": {"x.io": {"auth": "c2VjcmV0"}}}', "\udc80"])
def test_a_broken_docker_config_is_told_by_its_path(tmp_path, environ, content):
    """Never by its content."""
    (tmp_path / "docker" / "config.json").write_bytes(content.encode(errors="surrogateescape"))

    with pytest.raises(OperationError, match=r"config\.json: ") as said:
        docker_login("x.io", environ)
    assert not _shows(said.value, "secret")


def test_the_helper_of_the_registry_is_asked_first(config, environ, program):
    """Then the general store, then the file itself."""
    answer = "asked = sys.stdin.read(); print(json.dumps({'ServerURL': asked, 'Username': %r, 'Secret': asked}))"
    program("docker-credential-own", answer % "own")
    program("docker-credential-all", answer % "<token>")
    config(credHelpers={"x.io": "own"}, credsStore="all", auths={"x.io": auth("file", "p")})

    assert ("password", "own", "x.io") == told(docker_login("x.io", environ))
    assert ("refresh", "", "https://index.docker.io/v1/") == told(docker_login("docker.io", environ))
    program("docker-credential-own", "print('credentials not found in native keychain'); sys.exit(1)")
    assert ("password", "file", "p") == told(docker_login("x.io", environ))


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (None, "names the helper 'docker-credential-own', which is not on PATH; install it"),
        ("print('tell nobody this'); sys.exit(2)", "failed with status 2"),
        ("print('tell nobody this')", "gave no login that can be read"),
        ("time.sleep(60)", "gave no login for x.io within 0.5 s"),
    ],
)
def test_a_helper_that_does_not_work_is_told(config, environ, program, code, said):
    """Without what it printed."""
    config(credHelpers={"x.io": "own"})
    if code:
        program("docker-credential-own", code)

    with pytest.raises(OperationError, match=said) as error:
        docker_login("x.io", environ, seconds=0.5 if "sleep" in (code or "") else 30)
    assert not _shows(error.value, "tell nobody this")


def test_programs_that_cannot_run_are_told(config, environ, tmp_path):
    """Whoever wrote them over."""
    config(credsStore="own")
    for name in ("docker-credential-own", "az"):
        (tmp_path / "bin" / name).write_bytes(b"\x7fnothing that runs")
        (tmp_path / "bin" / name).chmod(0o755)

    with pytest.raises(OperationError, match="docker-credential-own: cannot be run, "):
        docker_login("x.io", environ)
    with pytest.raises(OperationError, match="az acr login --name x: cannot be run, "):
        azure_cli_login("x.azurecr.io", environ)


def test_a_docker_config_that_cannot_be_read_is_told(environ, tmp_path):
    """Here it is a folder."""
    (tmp_path / "docker" / "config.json").mkdir()

    with pytest.raises(OperationError, match=r"config\.json: cannot be read, "):
        docker_login("x.io", environ)


def test_a_helper_may_know_an_empty_secret(config, environ, program):
    """Which is no login."""
    program("docker-credential-own", "print(json.dumps({'Username': '', 'Secret': ''}))")
    config(credsStore="own")

    assert docker_login("x.io", environ) is None


def test_a_helper_is_a_name_and_no_path(config, environ):
    """A config cannot let any program run."""
    config(credsStore="../../evil")

    with pytest.raises(OperationError, match="not on PATH"):
        docker_login("x.io", environ)


def test_the_azure_command_line_gives_a_token(environ, program):
    """For the registry's short name."""
    assert azure_cli_login("x.azurecr.io", environ) is None
    program("az", "print(json.dumps({'accessToken': ' '.join(sys.argv[1:])}))")

    kind, user, token = told(azure_cli_login("x.azurecr.io", environ))
    assert ("refresh", "") == (kind, user)
    assert "acr login --name x --expose-token --output json --only-show-errors" == token


@pytest.mark.parametrize("code", ["sys.exit(1)", "print('tell nobody this')", "print('{}')", "time.sleep(60)"])
def test_an_azure_command_line_that_gives_none_is_told(environ, program, code):
    """With the command to try by hand."""
    program("az", code)

    with pytest.raises(OperationError, match="az acr login --name x: gave no token") as said:
        azure_cli_login("x.azurecr.io", environ, seconds=0.5 if "sleep" in code else 60)
    assert not _shows(said.value, "tell nobody this")


def test_logins_are_looked_for_in_their_order(config, environ, program):
    """Given, Docker's, Entra, the Azure command line, nobody; each registry is looked up once."""
    name = "x.azurecr.io"
    everything = Logins.usual({name: LOGIN}, entra_token=lambda: "entra", environ=environ)
    assert LOGIN is everything.find(name).login
    config(auths={name: auth("file", "p")})
    assert "file" == Logins.usual(entra_token=lambda: "e", environ=environ).find(name).login.user
    config()
    assert "entra" == Logins.usual(entra_token=lambda: "e", environ=environ).find(name).login.kind
    assert Found(None) == Logins.usual(entra_token=lambda: "e", environ=environ).find("x.io")
    program("az", "print(json.dumps({'accessToken': 'cli'}))")
    assert "cli" == Logins.usual(environ=environ).find(name).login.secret()
    assert Found(None) == Logins.usual(environ=environ).find("x.io")
    assert LOGIN is everything.find(name).login


def test_why_a_source_failed_is_told_when_nobody_is_refused(by_password, config, environ):
    """A helper of another machine keeps nobody from public images, but explains a refusal."""
    config(credsStore="desktop")

    with pytest.raises(RegistryError, match=r"as nobody \(.*'docker-credential-desktop', which is not on PATH"):
        push(by_password, Pattern(10), logins=Logins.usual(environ=environ))


def test_an_entra_token_is_changed_for_the_registrys_own(by_token, service):
    """Once, however many tokens are bought with it."""
    layer = Pattern(1000, b"entra")
    with proxied(by_token) as proxy:
        _exchanged_by(proxy, service)
        manifest, blobs = image_of(layer.source())
        with client(logins=who(Login.by_entra(lambda: "entra-token"))) as ours:
            pushed = ours.push(at(proxy), manifest, MANIFEST_TYPE, blobs)
            assert ours.delete(pushed.reference)

        assert 1 == proxy.count("POST", "/oauth2/exchange")
    forms = [each[2] for each in service.asked]
    assert ["refresh-token"] * len(forms) == [form["refresh_token"][0] for form in forms]
    assert layer.digest in by_token.blobs()


def test_an_entra_token_that_is_refused_is_told(by_token):
    """Without the token."""
    with proxied(by_token) as proxy:
        proxy.fault("POST", "/oauth2/exchange", status=401)
        with pytest.raises(RegistryError, match="refused an Entra ID token, it answered 401; log in again") as said:
            push(proxy, Pattern(10), logins=who(Login.by_entra(lambda: "tell nobody this")))
    assert not _shows(said.value, "tell nobody this")


def test_nothing_of_a_question_is_logged(by_token, tmp_path):
    """Even where everything is."""
    code = (
        "import logging, sys; logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)\n"
        "from registry_kit import *\n"
        "from pulumi_mlserve.clients.registries.login_kinds import Login\n"
        f"with client(logins=Logins((lambda _: Login.by_password({USER!r}, {PASSWORD!r}),))) as ours:\n"
        f"    print(ours.exists(parse_reference('{by_token.host}/team/none:1')))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        cwd=tmp_path,
    )

    assert "False" == done.stdout.strip()


def _exchanged_by(proxy, service):
    body = json.dumps({"refresh_token": service.refresh}).encode()
    proxy.fault("POST", "/oauth2/exchange", status=200, body=body)


def _shows(error, secret):
    """Tell whether an error, or one it came from, shows a secret."""
    while error is not None:
        if secret in f"{error!s}{error!r}":
            return True
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return False
