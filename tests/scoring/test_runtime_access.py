"""Who may ask: keys in a file or folder, tokens of Entra ID, and what browsers of other origins are told."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from grpc_kit import client
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from mlserve_scoring.access.admission import Refused, UnknownKey
from mlserve_scoring.access.entra import EntraGate, fetch_keys, tokens_for
from mlserve_scoring.access.keys import Keys, KeysError
from mlserve_scoring.access.tokens import Tokens, issuers, keys_from
from mlserve_scoring.errors import StartError
from mlserve_scoring.setting_rules import entra_problems
from mlserve_scoring.settings import Entra

ECHO = "def init(): pass\ndef run(data): return data"
TENANT = "72f988bf-86f1-41af-91ab-2d7cd011db47"
AUDIENCE = "api://diabetes"
FIRST = {"primary": "first-key", "secondary": "second-key"}


class Clock:
    """Time that a test sets."""

    def __init__(self, now=0.0):
        self.now = now

    def __call__(self):
        """Return it."""
        return self.now


def shown(key):
    """The header that shows a key or token."""
    return b"Bearer " + key.encode()


# Keys.


def test_a_folder_of_two_files_holds_the_keys(tmp_path):
    """As Kubernetes mounts a secret; the end of line that editors add is no part of a key."""
    (tmp_path / "primary").write_text("first-key\n")
    (tmp_path / "secondary").write_text("second-key")
    keys = Keys(str(tmp_path))

    assert [True, True, False] == [keys.admit(shown(key)) for key in ("first-key", "second-key", "third-key")]


def test_a_swapped_link_is_noticed(tmp_path):
    """Kubernetes renews a secret by pointing a link to another folder; a new key opens at once."""
    for name, secondary in (("..one", "second-key"), ("..two", "rotated")):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "primary").write_text("first-key")
        (folder / "secondary").write_text(secondary)
    (tmp_path / "..data").symlink_to("..one")
    for name in ("primary", "secondary"):
        (tmp_path / name).symlink_to(f"..data/{name}")
    clock = Clock()
    keys = Keys(str(tmp_path), clock)
    before = keys.admit(shown("rotated"))
    (tmp_path / "..new").symlink_to("..two")
    (tmp_path / "..new").replace(tmp_path / "..data")

    assert not before
    assert [True, True, False] == [keys.admit(shown(key)) for key in ("rotated", "first-key", "second-key")]


def test_a_withdrawn_key_closes_within_a_second(tmp_path):
    """The file is not looked at for every request; a broken one changes nothing."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(FIRST))
    clock = Clock()
    keys = Keys(str(file), clock)
    file.write_text(json.dumps({"primary": "first-key", "secondary": "rotated"}))
    at_once = keys.admit(shown("second-key"))
    clock.now = 1
    later = keys.admit(shown("second-key"))
    file.write_text("{")
    clock.now = 2

    assert (at_once, later) == (True, False)
    assert keys.admit(shown("rotated"))


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no files primary and secondary"),
        ({"primary": "secret-1", "secondary": " \n"}, "the file secondary is empty"),
        ({"primary": "secret-1"}, "holds no files primary and secondary"),
    ],
)
def test_a_folder_without_keys_is_refused(tmp_path, files, message):
    """Before the service starts, and without what is in it."""
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(KeysError, match=message) as caught:
        Keys(str(tmp_path))

    assert "secret" not in str(caught.value)


# Tokens.


@pytest.fixture(scope="module")
def signers():
    """Private keys by their id: two RSA, one of a curve, one RSA that is too short."""
    return {
        "one": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "two": rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "curve": ec.generate_private_key(ec.SECP256R1()),
        "weak": rsa.generate_private_key(public_exponent=65537, key_size=1024),
    }


def key_set(signers, *names):
    """What the tenant publishes."""
    kinds = {name: ECAlgorithm if name == "curve" else RSAAlgorithm for name in names}
    keys = [json.loads(kinds[name].to_jwk(signers[name].public_key())) | {"kid": name, "use": "sig"} for name in names]
    return {"keys": keys}


def settings(authority="https://login.microsoftonline.com", **changes):
    """The settings of a service that tokens open."""
    return Entra(TENANT, (AUDIENCE,), authority=authority, **changes)


def token(signers, name="one", algorithm="RS256", *, now=None, headers=None, **changes):
    """A token that opens, but for the changes; a claim of None is left out."""
    now = time.time() if now is None else now
    claims = {
        "iss": f"https://login.microsoftonline.com/{TENANT}/v2.0",
        "aud": AUDIENCE,
        "exp": now + 600,
        "nbf": now - 10,
        "iat": now - 10,
        **changes,
    }
    claims = {key: value for key, value in claims.items() if value is not None}
    return jwt.encode(claims, signers[name], algorithm=algorithm, headers={"kid": name, **(headers or {})})


def checked(signers, *names, clock=time.time, **changes):
    """What checks tokens, with keys known."""
    tokens = Tokens(settings(**changes), clock)
    tokens.use(keys_from(key_set(signers, *names)))
    return tokens


@pytest.mark.parametrize(("name", "algorithm"), [("one", "RS256"), ("one", "PS256"), ("curve", "ES256")])
def test_good_tokens_open(signers, name, algorithm):
    """Of each of the three signatures, of both versions of issuer, for one of several audiences."""
    tokens = checked(signers, "one", "curve")
    first = token(signers, name, algorithm)
    second = token(signers, name, algorithm, iss=f"https://sts.windows.net/{TENANT}/", aud=["x", AUDIENCE])

    assert (True, True) == (tokens.check(first.encode()), tokens.check(second.encode()))


def unsigned(claims):
    """A token without signature."""
    parts = [json.dumps(part).encode() for part in ({"alg": "none", "kid": "one", "typ": "JWT"}, claims)]
    return b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in parts) + b"."


def forgeries(signers):
    """Tokens that must not open, by what is wrong with them."""
    public = (
        signers["one"]
        .public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    )
    claims = {"iss": f"https://sts.windows.net/{TENANT}/", "aud": AUDIENCE, "exp": time.time() + 600}
    good = token(signers)
    head, body, signature = good.split(".")
    # With the public key as shared secret: PyJWT refuses to make it, so it is made by hand.
    mixed = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "one"}).encode()).rstrip(b"=").decode()
    secret = jwt.algorithms.HMACAlgorithm(jwt.algorithms.HMACAlgorithm.SHA256)
    signed = base64.urlsafe_b64encode(secret.sign(f"{mixed}.{body}".encode(), public)).rstrip(b"=").decode()
    return {
        "none": unsigned(claims),
        "shared secret": f"{mixed}.{body}.{signed}".encode(),
        "other signer": token(signers | {"one": signers["two"]}).encode(),
        "longer hash": token(signers, algorithm="RS512").encode(),
        "changed body": f"{head}.{body[:-4]}AAAA.{signature}".encode(),
        "no signature": f"{head}.{body}.".encode(),
        "other tenant": token(signers, iss="https://sts.windows.net/11111111-86f1-41af-91ab-2d7cd011db47/").encode(),
        "other audience": token(signers, aud="api://other").encode(),
        "no audience": token(signers, aud=None).encode(),
        "no issuer": token(signers, iss=None).encode(),
        "no end": token(signers, exp=None).encode(),
        "end is no number": token(signers, exp="never").encode(),
        "end is not a number": token(signers, exp=float("nan")).encode(),
        "expired": token(signers, exp=time.time() - 600).encode(),
        "too early": token(signers, nbf=time.time() + 600).encode(),
        "critical": token(signers, headers={"crit": ["b64"], "b64": True}).encode(),
        "curve key for RSA": token(signers | {"curve": signers["one"]}, "curve", "RS256").encode(),
        "rubbish": b"a.b.c",
        "no token": b"x" * 100,
        "not ASCII": b"\xff.\xfe.\xfd",
    }


FORGERIES = [
    "none",
    "shared secret",
    "other signer",
    "longer hash",
    "changed body",
    "no signature",
    "other tenant",
    "other audience",
    "no audience",
    "no issuer",
    "no end",
    "end is no number",
    "end is not a number",
    "expired",
    "too early",
    "critical",
    "curve key for RSA",
    "rubbish",
    "no token",
    "not ASCII",
]


@pytest.mark.parametrize("name", FORGERIES)
def test_other_tokens_do_not_open(signers, name):
    """Whatever their head says; the reason leaks nothing."""
    tokens = checked(signers, "one", "curve")
    refusal = tokens.check(forgeries(signers)[name])

    assert isinstance(refusal, Refused)
    assert refusal.kind == "invalid"
    assert TENANT not in refusal.text
    assert AUDIENCE not in refusal.text


def test_clocks_may_differ_a_little(signers):
    """By the leeway of the settings, on both ends."""
    tokens = checked(signers, "one", clock=Clock(1000.0), leeway_s=30)
    times = [{"exp": 971}, {"exp": 970}, {"nbf": 1030}, {"nbf": 1031}]

    assert [True, False, True, False] == [
        bool(tokens.check(token(signers, now=1000, **change).encode())) for change in times
    ]


def test_a_remembered_token_ends_when_it_expires(signers):
    """A good token is checked once; it is remembered no longer than it lasts, nor than its key."""
    clock = Clock(1000.0)
    tokens = checked(signers, "one", clock=clock, leeway_s=0)
    shown_token = token(signers, now=1000, exp=1100).encode()
    first = tokens.check(shown_token)
    clock.now = 1099
    second = tokens.check(shown_token)
    clock.now = 1100

    assert (first, second, False) == (True, True, bool(tokens.check(shown_token)))
    clock.now = 1000
    assert tokens.check(shown_token)
    tokens.use(keys_from(key_set(signers, "two")))
    with pytest.raises(UnknownKey):
        tokens.check(shown_token)


@pytest.mark.parametrize(
    ("claims", "kind"),
    [
        ({"roles": ["Score.Run"]}, None),
        ({"scp": "User.Read Score.Run"}, None),
        ({"roles": ["Other"]}, "forbidden"),
        ({"roles": "Score.Run"}, "forbidden"),
        ({"scp": "Score.Runs"}, "forbidden"),
        ({}, "forbidden"),
    ],
)
def test_a_role_may_be_asked_for(signers, claims, kind):
    """As role of an application or scope of a user."""
    admission = checked(signers, "one", roles=("Score.Run", "Score.All")).check(token(signers, **claims).encode())

    assert kind == getattr(admission, "kind", None)


def test_issuers_follow_the_cloud():
    """National clouds sign tokens of version 1 with a name of their own."""
    assert [f"https://sts.windows.net/{TENANT}/", f"https://login.microsoftonline.us/{TENANT}/v2.0"] == issuers(
        settings("https://login.microsoftonline.us/")
    )
    assert issuers(settings("https://login.chinacloudapi.cn"))[0].startswith("https://sts.chinacloudapi.cn/")


def test_only_keys_that_can_be_trusted_are_used(signers):
    """Weak ones, others' uses and what cannot be read are left out; a set without any is refused."""
    entries = key_set(signers, "one", "weak", "curve")["keys"]
    entries += [{"kid": "enc", **{k: v for k, v in entries[0].items() if k != "kid"}, "use": "enc"}, {"kty": "oct"}, 7]

    assert {"one", "curve"} == set(keys_from({"keys": entries}))
    for wrong in ({}, {"keys": []}, [], {"keys": [{"kty": "RSA", "kid": "x", "n": "!", "e": "AQAB"}]}):
        with pytest.raises(ValueError, match="it "):
            keys_from(wrong)


def test_settings_of_tokens_are_checked_at_once():
    """All problems together; only loopback may be asked without TLS."""
    wrong = Entra("contoso.com", (), authority="http://login.example.com")
    found = entra_problems(wrong)

    assert ["entra.tenant", "entra.audiences", "entra.authority"] == [text.partition(":")[0] for text in found]
    assert entra_problems(settings("http://127.0.0.1:8080")) == []


class Published:
    """A tenant's keys, and how often they were fetched."""

    def __init__(self, document):
        self.document = document
        self.fetched = 0

    def __call__(self):
        """Return the document, or fail."""
        self.fetched += 1
        if isinstance(self.document, Exception):
            raise self.document
        return self.document


async def settled(admission):
    """What a gate says, also when it has to find out."""
    return await admission if isinstance(admission, asyncio.Future) else admission


@pytest.mark.asyncio
async def test_rolled_keys_are_fetched_once(signers):
    """An unknown key makes the keys be fetched, once for all who wait; then not again for a while."""
    published = Published(key_set(signers, "one"))
    gate = EntraGate(Tokens(settings()), published, pause_s=0)
    first = await settled(gate.admit(shown(token(signers))))
    published.document = key_set(signers, "one", "two")
    waiting = [gate.admit(shown(token(signers, "two"))) for _ in range(5)]
    rolled = [await settled(one) for one in waiting]
    count = published.fetched
    gate._pause_s = 1000
    refused = [await settled(gate.admit(shown(token(signers, "curve", "ES256")))) for _ in range(5)]
    gate.close()

    assert (first, rolled) == (True, [True] * 5)
    assert (2, 2) == (count, published.fetched)
    assert ["invalid"] * 5 == [one.kind for one in refused]


@pytest.mark.parametrize("cause", [OSError("down"), RecursionError("a key set too deep for any reader")])
@pytest.mark.asyncio
async def test_keys_stay_while_the_network_is_down(signers, cause):
    """And without any, nobody is told that his token is wrong."""
    published = Published(cause)
    gate = EntraGate(Tokens(settings()), published, pause_s=0)
    unknown = await settled(gate.admit(shown(token(signers))))
    published.document = key_set(signers, "one")
    found = await settled(gate.admit(shown(token(signers))))
    published.document = cause
    other = await settled(gate.admit(shown(token(signers, "two"))))
    still = await settled(gate.admit(shown(token(signers))))
    gate.close()

    assert ("unknown", True, "invalid", True) == (unknown.kind, found, other.kind, still)


@pytest.mark.asyncio
async def test_old_keys_are_fetched_again(signers):
    """By their age, without anybody asking."""
    published = Published(key_set(signers, "one"))
    often = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fetch():
        if published.fetched == 2:
            loop.call_soon_threadsafe(often.set)
        return published()

    gate = EntraGate(Tokens(settings()), fetch, fresh_s=0.01, pause_s=0)
    await asyncio.wait_for(often.wait(), 60)
    gate.close()

    assert published.fetched >= 2


@pytest.fixture
def tenant(signers):
    """A server of a tenant's keys on loopback; its answers can be changed."""
    answers = {"status": 200, "body": json.dumps(key_set(signers, "one")).encode(), "paths": []}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            answers["paths"].append(self.path)
            self.send_response(answers["status"])
            self.send_header("Content-Length", str(len(answers["body"])))
            self.send_header("Location", "http://127.0.0.1:9/keys")
            self.end_headers()
            self.wfile.write(answers["body"])

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    answers["authority"] = f"http://127.0.0.1:{server.server_port}"
    yield answers
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize(
    ("status", "body"), [(500, b"{}"), (302, b"{}"), (200, b"<html>"), (200, b" " * ((1 << 20) + 1))]
)
def test_what_is_no_key_set_is_refused(tenant, status, body):
    """Errors, redirects, other documents, and more than anybody would publish."""
    tenant["status"], tenant["body"] = status, body
    with pytest.raises((OSError, ValueError)):
        keys_from(fetch_keys(settings(tenant["authority"])))

    assert [f"/{TENANT}/discovery/v2.0/keys"] == tenant["paths"]


LACKING = "The token lacks a role that this service asks for."


def bearing(key):
    """The metadata that shows a key or token."""
    return [("authorization", f"Bearer {key}")]


def test_a_service_admits_tokens_and_keys(start, image, tmp_path, signers, tenant):
    """Both at once; a refusal says why in the words of RFC 6750, and the log holds neither."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(FIRST))
    entra = {"tenant": TENANT, "audiences": [AUDIENCE], "roles": ["Run"], "authority": tenant["authority"]}
    service = start(image({"score.py": ECHO}), entra=entra, keys_file=str(file), access_log=True, grpc_port=0)
    good = token(signers, roles=["Run"], iss=f"https://sts.windows.net/{TENANT}/")
    own = token(signers, roles=["Run"], iss=f"{tenant['authority']}/{TENANT}/v2.0")
    late = token(signers, roles=["Run"], exp=1, iss=f"https://sts.windows.net/{TENANT}/")
    lacking = token(signers, iss=f"https://sts.windows.net/{TENANT}/")
    asked = [service.score(1, headers={"Authorization": f"Bearer {key}"}) for key in (good, good, own, "second-key")]
    refused = [service.score(1, headers={"Authorization": f"Bearer {key}"}) for key in (late, lacking, "third", "")]
    with client(service.ask("status")["grpc_port"]) as called:
        names = [called.call("ServerMetadata", metadata=bearing(key)).name for key in (own, "second-key")]
        errors = [called.failure("ServerMetadata", metadata=bearing(key)) for key in (late, lacking)]

    assert ["mlserve", "mlserve"] == names
    assert [("UNAUTHENTICATED", "The token has expired."), ("PERMISSION_DENIED", LACKING)] == [
        (error.code().name, error.details()) for error in errors
    ]
    assert [200] * 4 == [answer.status for answer in asked]
    assert [401, 403, 401, 401] == [answer.status for answer in refused]
    assert [
        'Bearer error="invalid_token", error_description="The token has expired."',
        'Bearer error="insufficient_scope", error_description="The token lacks a role that this service asks for."',
        'Bearer error="invalid_token", error_description="The token is not valid."',
        'Bearer error="invalid_token", error_description="The key or token is not valid."',
    ] == [answer.headers["www-authenticate"] for answer in refused]
    nothing = service.score(1)
    assert "Bearer" == nothing.headers["www-authenticate"]
    assert "A valid key or token is required: send the header 'Authorization: Bearer KEY_OR_TOKEN'." == nothing.message
    assert service.get("/healthz").status == 200
    assert 1 == len(tenant["paths"])
    assert not any(secret in service.log for secret in (good, own, late, "second-key", "third"))


def test_a_service_starts_while_the_tenant_cannot_be_reached(start, image, signers):
    """Health answers; who shows a token is told to come again."""
    entra = {"tenant": TENANT, "audiences": [AUDIENCE], "authority": "http://127.0.0.1:9"}
    service = start(image({"score.py": ECHO}), entra=entra)
    answer = service.score(1, headers={"Authorization": f"Bearer {token(signers)}"})

    assert (503, "30") == (answer.status, answer.headers["retry-after"])
    assert "A valid token is required: send the header 'Authorization: Bearer TOKEN'." in service.score(1).message
    assert f" or http://127.0.0.1:9/{TENANT}/v2.0" in service.log
    assert service.get("/").status == 200


def test_wrong_settings_of_tokens_stop_the_start(start, image):
    """With every problem at its setting."""
    service = start(image({"score.py": ECHO}), wait=False, entra={"tenant": "common", "audiences": []})
    with pytest.raises(AssertionError) as caught:
        service.wait("ready")

    assert "entra.tenant: must be the tenant's id, a GUID, got 'common'" in str(caught.value)
    assert "entra.audiences: must name at least one audience" in str(caught.value)


# Browsers.


ASKING = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}


@pytest.fixture
def browsed(start, image, tmp_path):
    """A function that starts a service with keys that some origins may call."""
    file = tmp_path / "keys.json"
    file.write_text(json.dumps(FIRST))
    return lambda *origins: start(image({"score.py": ECHO}), keys_file=str(file), cors_origins=list(origins))


def test_preflights_need_no_key(browsed):
    """Browsers send none; what they ask for is allowed to the origins of the settings."""
    service = browsed("https://app.example.com")
    assert "A valid key is required: send the header 'Authorization: Bearer KEY'." in service.score(1).message
    answer = service.request("OPTIONS", "/score", headers=ASKING | {"Access-Control-Request-Headers": "authorization"})
    other = service.request("OPTIONS", "/score", headers=ASKING | {"Origin": "https://evil.example.com"})

    assert (200, "https://app.example.com") == (answer.status, answer.headers["access-control-allow-origin"])
    assert ("GET, POST", "authorization") == tuple(
        answer.headers[f"access-control-allow-{name}"] for name in ("methods", "headers")
    )
    assert "Origin" in answer.headers["vary"]
    assert (200, None) == (other.status, other.headers["access-control-allow-origin"])


def test_browsers_read_errors_and_ids_too(browsed):
    """Refusals, failures and unknown paths carry the same headers, also when every origin may read."""
    service = browsed("*")
    answers = [service.request("POST", path, "1", {"Origin": "https://x.example"}) for path in ("/score", "/nowhere")]

    assert [401, 404] == [answer.status for answer in answers]
    for answer in answers:
        assert answer.headers["access-control-allow-origin"] == "https://x.example"
        assert "x-request-id" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers


def test_tokens_need_their_feature(monkeypatch):
    """An image without it does not start, and says which feature is missing."""
    monkeypatch.setitem(sys.modules, "jwt", None)
    monkeypatch.delitem(sys.modules, "mlserve_scoring.access.tokens")
    with pytest.raises(StartError, match="build the image with the feature 'entra'"):
        tokens_for(settings())
