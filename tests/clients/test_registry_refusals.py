"""What registries refuse, or answer as no registry should: each is told in words, and nothing is guessed."""

from __future__ import annotations

import json

import pytest
from registry_faults import proxied
from registry_kit import MIB, Pattern, Waits, at, client, image_of, registry, token_server

from pulumi_mlserve.clients.registries.login_kinds import Login
from pulumi_mlserve.clients.registries.logins import Logins
from pulumi_mlserve.clients.registries.patience import passing
from pulumi_mlserve.clients.registries.refusals import NotThereError, RegistryError, codes_of, refusal
from pulumi_mlserve.core.images.oci import CONFIG_TYPE, MANIFEST_TYPE
from pulumi_mlserve.core.images.remote_image import INDEX_TYPE

OCI_JSON = {"Content-Type": MANIFEST_TYPE}


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A registry that takes anything from anybody."""
    with registry(tmp_path_factory.mktemp("registry")) as running:
        yield running


@pytest.fixture
def proxy(real):
    """A proxy before it."""
    with proxied(real) as made:
        yield made


def errors(code, message=""):
    """Return a refusal as registries write it."""
    return json.dumps({"errors": [{"code": code, "message": message}]}).encode()


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (errors("DENIED"), {"DENIED"}),
        (b'{"errors": [{"code": "a b\\u0000c"}, {"code": "TWO"}]}', {"ABC", "TWO"}),
        (b"<html>", set()),
        (b"[]", set()),
        (b'{"errors": []}', set()),
        (b'{"errors": [1]}', set()),
        (b'{"errors": {"a": 1}}', set()),
        (b"[" * 100_000, set()),
    ],
)
def test_reasons_are_read_where_there_are_any(body, codes):
    """Other answers have none."""
    assert codes == codes_of(body)


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (
            404,
            errors("NAME_UNKNOWN"),
            "x: refused with 404 NAME_UNKNOWN; check the registry's",
        ),
        (
            413,
            b"",
            "x: refused with 413 without a reason that registries give; the registry, or a proxy",
        ),
        (418, errors("TEAPOT", "I am\n\x1b[31ma teapot." * 30), "418 TEAPOT (I am [31ma teapot."),
        (507, b"", "the registry's disk is full"),
    ],
)
def test_a_refusal_is_one_line(status, body, said):
    """With what to do, and no more of the answer than fits."""
    message = str(refusal("x", status, body))

    assert said in message
    assert len(message) < 400
    assert message.isprintable()


def test_only_a_registry_says_that_something_is_not_there():
    """By its code; the status alone is said by any server."""
    assert isinstance(refusal("x", 404, errors("MANIFEST_UNKNOWN")), NotThereError)
    assert not isinstance(refusal("x", 404, b""), NotThereError)
    assert not isinstance(refusal("x", 403, errors("MANIFEST_UNKNOWN")), NotThereError)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("", None), ("5", 5.0), ("Thu, 01 Jan 1970 00:17:00 GMT", 20.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0),
     ("soon", None), ("-5", None)],
)  # fmt: skip
def test_pauses_are_read_in_both_forms(text, seconds):
    """Seconds, or a date; nonsense is none."""
    assert seconds == passing(429, {"retry-after": text}, Waits().clock()).retry_after


def test_bytes_that_are_not_the_digests_are_told(proxy):
    """After the last of them; who reads only a part checks for himself."""
    layer = Pattern(2 * MIB, b"other bytes")
    manifest, blobs = image_of(layer.source())
    with client() as ours:
        reference = ours.push(at(proxy), manifest, MANIFEST_TYPE, blobs).reference
        entry = ours.image(reference).manifest.layers[0]
        proxy.fault("GET", entry.digest, flip_answer=True)
        with pytest.raises(RegistryError, match="gave other bytes than the digest says"):
            list(ours.blob(reference, entry))
        proxy.fault("GET", entry.digest, headers={"Content-Range": "bytes 9-99/100"})
        with pytest.raises(RegistryError, match="gave another part than was asked for"):
            list(ours.blob(reference, entry, 5))
        proxy.fault("GET", entry.digest, headers={"Content-Range": "nonsense"})
        with pytest.raises(RegistryError, match="gave another part than was asked for"):
            list(ours.blob(reference, entry, 5))
        assert [] == list(ours.blob(reference, entry, entry.size))


def test_an_answer_that_is_too_short_is_asked_for_again(proxy):
    """The rest of it."""
    layer = Pattern(2 * MIB, b"too short")
    manifest, blobs = image_of(layer.source())
    with client() as ours:
        reference = ours.push(at(proxy), manifest, MANIFEST_TYPE, blobs).reference
        entry = ours.image(reference).manifest.layers[0]
        begin = b"".join(layer.pieces(0))[:1000]
        proxy.fault("GET", entry.digest, status=200, body=begin)

        assert b"".join(layer.pieces(0)) == b"".join(ours.blob(reference, entry))


def test_indexes_in_indexes_end(proxy):
    """They could be endless."""
    platform = {"os": "linux", "architecture": "amd64"}
    entry = {"digest": "sha256:" + "0" * 64, "mediaType": INDEX_TYPE, "size": 9, "platform": platform}
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}).encode()
    with client() as ours:
        proxy.fault("GET", "/manifests/", status=200, body=index, headers={"Content-Type": INDEX_TYPE}, times=9)
        with pytest.raises(RegistryError, match="gave sha256:"):  # no digest names itself
            ours.image(at(proxy))
        ours.manifest = lambda reference: type(ours).manifest(ours, at(proxy))
        with pytest.raises(RegistryError, match="an index in an index in an index"):
            ours.image(at(proxy))


def test_a_config_that_is_too_long_is_not_read(proxy):
    """Nothing that large describes an image."""
    config = {"digest": "sha256:" + "0" * 64, "mediaType": CONFIG_TYPE, "size": 9 * MIB}
    document = json.dumps({"schemaVersion": 2, "config": config, "layers": []}).encode()
    proxy.fault("GET", "/manifests/", status=200, body=document, headers=OCI_JSON)

    with client() as ours, pytest.raises(RegistryError, match="its config has 9437184 bytes, more than 8 MiB"):
        ours.image(at(proxy))


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (403, errors("DENIED"), "refused with 403 DENIED"),
        (404, b"", "refused with 404 without"),
        (400, errors("UNSUPPORTED"), "does not allow to delete images"),
    ],
)
def test_a_deletion_that_was_refused_is_no_deletion(proxy, status, body, said):
    """Only the registry can say that the image was gone before."""
    proxy.fault("DELETE", status=status, body=body)

    with client() as ours, pytest.raises(RegistryError, match=said):
        ours.delete(at(proxy).at("sha256:" + "0" * 64))


def test_a_blob_of_another_length_is_no_blob_of_ours(proxy):
    """A digest stands for one length."""
    manifest, blobs = image_of(Pattern(10).source())
    proxy.fault("HEAD", "/blobs/", status=200, headers={"Content-Length": "7"}, times=9)

    with client() as ours, pytest.raises(RegistryError, match=r"has 7 bytes under sha256:\w+ instead of"):
        ours.push(at(proxy), manifest, MANIFEST_TYPE, blobs)


def test_a_place_for_the_upload_must_be_said(proxy):
    """Without one nothing can be sent."""
    manifest, blobs = image_of(Pattern(10, b"no place").source())
    proxy.fault("POST", headers={"Location": None}, times=9)

    with client() as ours, pytest.raises(RegistryError, match="says no place to send it to"):
        ours.push(at(proxy), manifest, MANIFEST_TYPE, blobs)


@pytest.mark.parametrize("status", [400, 403, 404, 405])
def test_a_mount_that_is_refused_is_not_needed(real, proxy, status):
    """The bytes are sent instead."""
    layer = Pattern(1000, f"mount {status}".encode())
    manifest, blobs = image_of(layer.source(origin=at(proxy, "base/of")))
    proxy.fault("POST", "mount=", status=status)

    with client() as ours:
        pushed = ours.push(at(proxy), manifest, MANIFEST_TYPE, blobs)

    assert "sent" == pushed.outcomes[layer.digest]


def test_a_push_to_another_digest_is_a_mistake(real):
    """Nothing is sent."""
    manifest, blobs = image_of(Pattern(10).source())
    with client() as ours, pytest.raises(ValueError, match="the manifest's digest is sha256:"):
        ours.push(at(real).at("sha256:" + "0" * 64), manifest, MANIFEST_TYPE, blobs)


@pytest.mark.parametrize("lines", [None, "Negotiate"])
def test_a_login_of_no_known_kind_is_told(proxy, lines):
    """It cannot be done."""
    proxy.fault("HEAD", status=401, headers={"WWW-Authenticate": lines} if lines else {})

    with client() as ours, pytest.raises(RegistryError, match="refused with 401"):
        ours.resolve(at(proxy))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"token": 5}', b'{"token": "a\\nb"}'])
def test_a_token_service_that_gives_no_token_is_told(proxy, body):
    """Whatever it gives instead."""
    challenge = f'Bearer realm="http://{proxy.host}/token?a=b",service="x"'
    proxy.fault("HEAD", status=401, headers={"WWW-Authenticate": challenge})
    proxy.fault("GET", r"/token\?a=b&service=x&scope=", status=200, body=body)

    with client() as ours, pytest.raises(RegistryError, match="its token service gave no token"):
        ours.resolve(at(proxy))


def test_a_refresh_token_of_azure_that_ended_is_changed_again(tmp_path):
    """It lasts three hours, an upload may last longer."""
    with token_server(tmp_path / "tokens") as service, registry(tmp_path, auth=service.auth()) as real:
        old, new = (json.dumps({"refresh_token": text}).encode() for text in ("old", "refresh-token"))
        login = Login.by_entra(lambda: "entra")
        with proxied(real) as proxy, client(logins=Logins((lambda _: login,))) as ours:
            proxy.fault("POST", "/oauth2/exchange", status=200, body=new)
            proxy.fault("POST", "/oauth2/exchange", status=200, body=old)
            proxy.fault("POST", "/oauth2/exchange", status=200, body=b"{}")
            assert not ours.exists(at(proxy, "team/app"))
            service.refresh = "changed"
            # It changes the old one for one that is wrong still, which is told.
            with pytest.raises(RegistryError, match="refused an Entra ID token, it answered 401"):
                ours.exists(at(proxy, "team/other"))
            with pytest.raises(RegistryError, match="gave no token for that of Entra ID"):
                ours.exists(at(proxy, "team/third"))
            service.refresh = "again"
            proxy.fault("POST", "/oauth2/exchange", status=200, body=json.dumps({"refresh_token": "again"}).encode())
            assert not ours.exists(at(proxy, "team/fourth"))
