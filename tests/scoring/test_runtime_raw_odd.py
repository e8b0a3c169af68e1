"""What clients can send that is odd: a @rawhttp script reads it or is told so, at no other request's cost."""

from __future__ import annotations

import codecs
import encodings
import sys
from encodings.aliases import aliases

import pytest
from flask_kit import DISPOSITION, MULTIPART, V1Response, part
from mlserve_scoring.errors import SchemaMismatchError
from mlserve_scoring.scripts.raw import accept, conditions, fields, files
from mlserve_scoring.scripts.rawhttp import AMLRequest, AMLResponse, head_of
from mlserve_scoring.transport.message import Request
from werkzeug.http import parse_options_header

DIGITS = "1" * 5000  # more than int() reads
BEYOND = "Mon, 01 Jan 99999999999 00:00:00 GMT"
DATES = [BEYOND, "Mon, 01 Jan 2020 00:00:00 +9999999999999999999", "Fri, 31 Dec 9999 23:59:59 -2300"]


def request_of(headers=None, body=b""):
    """A request with some headers."""
    wire = {name.lower().encode(): value.encode() for name, value in (headers or {}).items()}
    return AMLRequest(Request("POST", "/score", "", wire, body, 0.0, "10.1.1.1"))


def form_of(*parts):
    """The form that parts make."""
    return files.read_form(b"".join(parts) + b"--b0--\r\n", MULTIPART["Content-Type"])


def test_what_one_request_changes_no_other_sees():
    """Flask's dictionary and list of a request are its own, and the same each time."""
    one = request_of()
    one.view_args["user"] = "secret"
    one.blueprints.append("secret")
    one.view_args = one.view_args

    assert ({"user": "secret"}, ["main", "secret"]) == (one.view_args, one.blueprints)
    assert ({}, ["main"]) == (request_of().view_args, request_of().blueprints)
    with pytest.raises(AttributeError, match="cannot be set"):
        one.view_args = {}


def test_a_class_gives_no_way_to_what_requests_share():
    """Neither does a change of what the class shows reach a request."""
    AMLRequest.view_args["user"] = "secret"

    assert {} == request_of().view_args


def test_json_nested_too_deep_is_none():
    """The client is told so with 400; silently it is nothing."""
    request = request_of({"Content-Type": "application/json"}, b"[" * 100_000)

    assert request.get_json(silent=True) is None
    with pytest.raises(SchemaMismatchError, match="could not be decoded as JSON: it is nested too deep"):
        request.get_json()
    assert AMLResponse(b"[" * 100_000, 200).get_json(force=True, silent=True) is None


@pytest.mark.parametrize("value", DATES)
def test_a_date_beyond_the_calendar_is_none(value):
    """In every header that has dates; a tag of If-Range can be written again."""
    request = request_of(dict.fromkeys(("If-Modified-Since", "If-Unmodified-Since", "If-Range", "Date"), value))

    assert (None,) * 4 == (
        request.if_modified_since,
        request.if_unmodified_since,
        request.if_range.date,
        request.date,
    )
    assert f'"{value}"' == str(request.if_range)


@pytest.mark.parametrize(
    "value", [f"text/plain; a*{DIGITS}=b", "text/plain; a*00=b; a*1=c", "text/plain; a*1=b; a*2=c"]
)
def test_numbered_parameters_are_joined_as_werkzeug_joins_them(value):
    """Whatever their numbers."""
    params = request_of({"Content-Type": value}).mimetype_params

    assert parse_options_header(value)[1] == params
    assert ["text/plain; " + "; ".join(f"{name}={text}" for name, text in params.items())] == list(
        request_of({"Accept": value}).accept_mimetypes.values()
    )


class Unlengthened(str):
    """A text that cannot be lengthened."""

    __slots__ = ()

    def __add__(self, other):
        """Refuse."""
        raise AssertionError(f"{other!r} added to a text, at the cost of all before it")


def test_the_parts_of_a_value_are_joined_once(monkeypatch):
    """Added one by one, each would cost a copy of all before it."""
    monkeypatch.setattr(fields, "_extended", lambda text, charset: (Unlengthened(text), charset))

    assert {"a": "xyz"} == fields.parameters_of("; a*0*=x; a*1*=y; a*2*=z")


def test_a_part_of_a_form_may_not_have_an_endless_head():
    """A form with one is a broken one, as without an end."""
    long = DISPOSITION + ";a=b" * 20_000

    assert {"f": "v"} == dict(form_of(part(f"{DISPOSITION}; a={'b' * 60_000}", b"v")).fields)
    assert {} == dict(form_of(part(DISPOSITION, b"v"), part(long, b"v")).fields)


@pytest.mark.parametrize(("sent", "strong", "weak"), [('""', {""}, set()), ('W/"", "a"', {"a"}, {""})])
def test_an_empty_tag_is_a_tag(sent, strong, weak):
    """It is found, and written as it was sent."""
    tags = conditions.tags_of(sent)

    assert (strong, strong | weak) == (tags.as_set(), tags.as_set(include_weak=True))
    assert set(sent.split(", ")) == set(str(tags).split(", "))


@pytest.mark.parametrize(
    "address",
    [
        "/b",
        "/a€b?q=ü",
        "/ü#ü",
        "/a b?c=d e",
        "/%41%e4?x=%zz",
        "https://grün.example:8443/ü?ü=1#ü",
        "http://user:pö@h.example/a?b=[1]",
        "http://[::1]:80/ü",
        "//grün/ü",
        "mailto:ü",
        "",
    ],
)
@pytest.mark.parametrize("name", ["Location", "Content-Location"])
def test_an_address_is_sent_as_werkzeug_sends_it(name, address):
    """Escaped as UTF-8, the host by IDNA; what is a URI stays."""
    ours = head_of(AMLResponse("x", 200, {name: address}))
    theirs = V1Response("x", 200, {name: address}).get_wsgi_headers({})

    assert ((name.lower().encode(), theirs[name].encode("latin-1")),) == ours.headers
    assert fields.uri_of(address) == fields.uri_of(fields.uri_of(address))


@pytest.mark.parametrize(
    ("address", "sent"), [("http://h..ü/", b"http://h..%C3%BC/"), ("/\ud800", b"/%ED%A0%80"), (" /a ", b"/a")]
)
def test_an_address_that_is_none_is_sent_all_the_same(address, sent):
    """Where werkzeug fails; none of it becomes a question mark, which would begin a query."""
    assert ((b"location", sent),) == head_of(AMLResponse("x", 200, {"Location": address})).headers


def test_charsets_are_told_apart_as_python_does():
    """All that it knows, by each of their names."""
    by_python, by_us = {}, {}
    for name in {*aliases, *aliases.values(), "UTF-8", "Latin-1", "ISO-8859-1", "iso8859.1", "us-ascii", "koi8-u"}:
        try:
            known = codecs.lookup(name).name
        except LookupError:  # another system's
            continue
        by_python.setdefault(known, set()).add(name)
        by_us.setdefault(accept._charset(name), set()).add(name)

    assert sorted(map(sorted, by_python.values())) == sorted(map(sorted, by_us.values()))


def test_charsets_that_clients_make_up_are_not_kept():
    """Python would keep every name that it was ever asked for."""
    kept = set(encodings._cache)
    charsets = request_of({"Accept-Charset": "made-up-1, Made-Up-2;q=0.5, utf8"}).accept_charsets

    assert "UTF-8" in charsets
    assert "made-up-2" in charsets
    assert "other" not in charsets
    assert kept == set(encodings._cache)


def test_an_answer_without_an_address_looks_at_none(monkeypatch):
    """Nor imports what escapes them."""
    monkeypatch.setitem(sys.modules, "mlserve_scoring.scripts.raw.fields", None)

    assert ((b"x-a", b"1"),) == head_of(AMLResponse("x", 200, {"X-A": "1"})).headers
