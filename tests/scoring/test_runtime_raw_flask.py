"""The request and the response of @rawhttp scripts are Flask's: every member alike, or refused with another way."""

from __future__ import annotations

import contextlib
import copy
import http
import io
import json
import pickle
import re
import subprocess
import sys
import types
from datetime import date, datetime, timedelta, timezone

import flask_members as members
import pytest
from flask_kit import DISPOSITION, FILES, MADE, MULTIPART, SENT, V1Request, V1Response, part, requests_of
from mlserve_scoring.errors import ScoringError
from mlserve_scoring.scripts.raw import accept, caching, conditions, credentials, files, headers, values
from mlserve_scoring.scripts.rawhttp import AMLRequest, AMLResponse, body_of, head_of
from werkzeug import datastructures as theirs
from werkzeug.exceptions import BadRequest
from werkzeug.user_agent import UserAgent


def saved(file):
    """What save() writes to a stream."""
    target = io.BytesIO()
    file.save(target)
    return target.getvalue()


def saved_stream(file):
    """What save() writes after some of it was read."""
    file.read(1)
    return saved(file)


def closed(response):
    """What is called when a response is closed."""
    seen = []
    response.call_on_close(lambda: seen.append(1))
    response.close()
    return seen


NAMES = {
    **{module.__name__: module for module in (copy, json, pickle, http)},
    **{function.__name__: function for function in (saved, saved_stream, closed, timedelta)},
    "WHEN": datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone.utc),
    "ZONED": datetime(2030, 1, 2, 3, 4, 5, tzinfo=timezone(timedelta(hours=2))),
    "NAIVE": datetime(2030, 1, 2, 3, 4, 5),  # noqa: DTZ001
    "DAY": date(2030, 1, 2),
}


def plain(value):
    """A value in a form in which two libraries' can be compared."""
    if isinstance(value, (types.GeneratorType, type({}.values()), type(iter({}.items())), type(iter({}.values())))):
        return list(value)
    if isinstance(value, tuple):
        return tuple(map(plain, value))
    return repr(value)


def outcome(expression, x):
    """What an expression gives, or the kinds of error that it raises."""
    code = compile(expression, expression, "eval")
    try:
        return plain(eval(code, {**NAMES, "x": x}))
    except Exception as error:  # noqa: BLE001
        return {kind.__name__ for kind in type(error).__mro__}


def alike(one, other) -> bool:
    """Whether two outcomes are the same; an error of werkzeug's may be a more special one."""
    if isinstance(one, set) and isinstance(other, set):
        kinds = {"KeyError", "TypeError", "ValueError", "AttributeError", "IndexError", "RuntimeError"}
        return (one & kinds) == (other & kinds) or bool(one & {"HTTPException"} and other & {"ScoringError"})
    return repr(one) == repr(other)


def expressions(text):
    """The expressions in a text."""
    return [each for each in re.split(r";\s|\n", text) if each]


def named(text):
    """The names that stand in expressions as members."""
    return set(re.findall(r"[.'](\w+)", text))


def compared(make_ours, make_theirs, texts, state):
    """What differs, expression by expression, in its outcome or in what is left behind."""
    found = {}
    for text in texts:
        ours, theirs_ = make_ours(), make_theirs()
        pair = (outcome(text, theirs_), outcome(text, ours))
        left = (plain(state(theirs_)), plain(state(ours)))
        if not alike(*pair) or left[0] != left[1]:
            found[text] = (*pair, *(left if left[0] != left[1] else ()))
    return found


def everything(multi):
    """All names with all values, in order."""
    return sorted((name, list(each)) for name, each in multi.lists())


PAIRS = [("n", "3"), ("n", "4"), ("word", "a"), ("empty", "")]


@pytest.mark.parametrize("kind", ["MultiDict", "ImmutableMultiDict"])
def test_parameters_are_read_and_changed_alike(kind):
    """Of one name or several; what a client sent cannot be changed."""
    texts = expressions(members.MULTI_READ + members.MULTI_CHANGE)
    texts = [text for text in texts if kind != "MultiDict" or "setlistdefault" not in text]

    differing = compared(lambda: getattr(values, kind)(PAIRS), lambda: getattr(theirs, kind)(PAIRS), texts, everything)

    assert {} == differing


def test_combined_parameters_are_read_alike():
    """The next one is asked where one's value cannot be converted; werkzeug's has no order, equal or deep copy."""
    given = [[("n", "word"), ("a", "1")], PAIRS]
    texts = [*expressions(members.MULTI_READ + members.MULTI_CHANGE), "len(x.dicts)", "repr(x)"]

    differing = compared(
        lambda: values.CombinedMultiDict(map(values.MultiDict, given)),
        lambda: theirs.CombinedMultiDict(map(theirs.MultiDict, given)),
        [text for text in texts if not re.search(r"next|deepcopy|==|!=", text)],
        everything,
    )

    assert {} == differing


def test_whatever_writes_dictionaries_writes_first_values():
    """As v1 wrote them: a script may return request.args."""
    assert {"n": "3", "word": "a", "empty": ""} == dict(values.ImmutableMultiDict(PAIRS))
    assert '{"n": "3", "word": "a", "empty": ""}' == json.dumps(values.ImmutableMultiDict(PAIRS))


def test_headers_of_a_response_are_read_and_changed_alike():
    """In their order, with several values of one name; a line end is refused."""
    pairs = [("X-N", "7"), ("X-Word", "a"), ("x-n", "8"), ("B", "")]

    differing = compared(
        lambda: headers.Headers(pairs),
        lambda: theirs.Headers(pairs),
        expressions(members.HEADERS_READ + members.HEADERS_CHANGE),
        list,
    )

    assert {} == differing


@pytest.mark.parametrize("name", SENT)
def test_a_request_is_read_alike(name):
    """Every member, for many kinds of requests."""
    make_ours, make_theirs = requests_of(name)
    of_headers = (text for text in expressions(members.HEADERS_READ) if text.startswith("x."))
    texts = [*expressions(members.REQUEST), *(f"x.headers{text[1:]}" for text in of_headers)]
    texts = [text for text in texts if not (name in {"no headers", "odd host"} and "SERVER_" in text)]

    assert {} == compared(make_ours, make_theirs, texts, lambda _: None)


@pytest.mark.parametrize("name", FILES)
def test_a_file_is_read_alike(name):
    """Its name, its type and its content, as a stream and saved."""
    make_ours, make_theirs = requests_of(name)

    differing = compared(
        lambda: make_ours().files["f"],
        lambda: make_theirs().files["f"],
        expressions(members.FILE),
        lambda file: file.closed,
    )

    assert {} == differing


def test_a_windows_path_keeps_its_backslashes():
    """Where werkzeug takes each for an escape, though browsers escape quotes alone."""
    form = files.read_form(
        part(f'{DISPOSITION}; filename="C:\\dir\\a.png"', b"") + b"--b0--", MULTIPART["Content-Type"]
    )

    assert "C:\\dir\\a.png" == form.files["f"].filename


@pytest.mark.parametrize("name", MADE)
def test_a_response_is_read_and_changed_alike(name):
    """Every member; what is set is in the headers, the status and the body."""

    def state(response):
        words = response.status.replace("-", " ")  # of 203, the one that both write otherwise
        return words, response.status_code, sorted(response.headers), [bytes(part) for part in response.iter_encoded()]

    texts = set(expressions(members.RESPONSE))
    if name == "type":  # v1 has it last
        texts -= {"x.headers", "list(x.headers)"}
    made = (lambda kind=kind: kind(*copy.deepcopy(MADE[name])) for kind in (AMLResponse, V1Response))
    differing = compared(*made, texts, state)

    assert {} == differing


@pytest.mark.parametrize("name", MADE)
def test_what_a_response_says_is_sent(name):
    """Whether or not a script has asked for its headers."""
    untouched, touched = AMLResponse(*MADE[name]), AMLResponse(*MADE[name])
    assert touched.headers
    theirs_ = V1Response(*MADE[name])

    assert head_of(untouched) == head_of(touched) == head_of(theirs_)
    assert body_of(untouched) == body_of(touched) == body_of(theirs_)


def test_a_status_that_was_chosen_is_sent():
    """In whichever way; one that is none is refused, when it is set or when it is sent."""
    response = AMLResponse("x", 200)
    response.status = "202 Accepted"
    assert 202 == head_of(response).status
    response.status_code = 203
    assert 203 == head_of(response).status
    with pytest.raises(ValueError, match="expected a number"):
        response.status = "Accepted"
    response.status = 99

    with pytest.raises(ValueError, match="from 200 to 599, got 99"):
        head_of(response)


def test_several_cookies_may_stand_in_one_header_of_the_constructor():
    """As v1 had it; a date's comma separates none."""
    given = {"Set-Cookie": "a=1; Expires=Wed, 02 Jan 2030 03:04:05 GMT, b=2"}
    response = AMLResponse("x", 200, given)

    assert ["a=1; Expires=Wed, 02 Jan 2030 03:04:05 GMT", "b=2"] == response.headers.getlist("Set-Cookie")
    assert [b"set-cookie"] * 2 == [name for name, _ in head_of(AMLResponse("x", 200, given)).headers]


def test_a_response_is_closed_when_its_body_was_taken():
    """A failure then is told in the log, and the answer is sent."""
    seen, response = [], AMLResponse("x", 200)
    response.call_on_close(lambda: seen.append(1))

    @response.call_on_close
    def fail():
        raise RuntimeError

    assert (b"x", [1]) == (body_of(response), seen)


BY_DICT = {"fromkeys", "get", "items", "keys", "values", "on_update"}
PLACES = {
    "Request": (AMLRequest, V1Request, members.REQUEST),
    "Response": (AMLResponse, V1Response, members.RESPONSE),
    "Headers": (headers.Headers, theirs.Headers, members.HEADERS_READ + members.HEADERS_CHANGE),
    "MultiDict": (values.MultiDict, theirs.MultiDict, members.MULTI_READ + members.MULTI_CHANGE),
    "CombinedMultiDict": (
        values.CombinedMultiDict,
        theirs.CombinedMultiDict,
        members.MULTI_READ + members.MULTI_CHANGE,
    ),
    "FileStorage": (files.FileStorage, theirs.FileStorage, members.FILE + "x.save()"),
    "UserAgent": (credentials.UserAgent, UserAgent, members.REQUEST),
    "Authorization": (credentials.Authorization, theirs.Authorization, members.REQUEST + "x.from_header()"),
    "MIMEAccept": (accept.MIMEAccept, theirs.MIMEAccept, members.REQUEST),
    "ETags": (conditions.ETags, theirs.ETags, members.REQUEST),
    "Range": (conditions.Range, theirs.Range, members.REQUEST),
    "IfRange": (conditions.IfRange, theirs.IfRange, members.REQUEST),
    "RequestCacheControl": (caching.RequestCacheControl, theirs.RequestCacheControl, members.REQUEST),
    "ResponseCacheControl": (caching.ResponseCacheControl, theirs.ResponseCacheControl, members.RESPONSE),
    "HeaderSet": (caching.HeaderSet, theirs.HeaderSet, members.RESPONSE + "x.isdisjoint(); x.pop()"),
}


@pytest.mark.parametrize("place", PLACES)
def test_every_public_member_is_compared_or_refused(place):
    """None is forgotten, whatever the release of werkzeug; refused ones say what to do instead."""
    ours, other, texts = PLACES[place]
    refused = members.REFUSED.get(place, set())
    fixed = set(members.FIXED.get(place, {}))
    public = {name for name in dir(other) if not name.startswith("_")}
    public |= members.FLASK_REQUEST if place == "Request" else set()
    here = {name for name in dir(ours) if hasattr(ours, name)}
    inherited = set(dir(list) if issubclass(other, list) else ()) | (BY_DICT if issubclass(other, dict) else set())

    assert set() == public - here - refused
    assert set() == public - named(texts) - refused - fixed - inherited
    assert set() == refused & here


@pytest.mark.parametrize("place", members.REFUSED)
def test_what_is_refused_names_another_way(place):
    """Read or set: nothing is stored that is not looked at."""
    made = {
        "Request": requests_of("get")[0](),
        "Response": AMLResponse("x", 200),
        "MultiDict": values.MultiDict(),
        "Range": conditions.Range("bytes", []),
        "ResponseCacheControl": caching.ResponseCacheControl(),
        "RequestCacheControl": caching.RequestCacheControl(),
    }[place]
    for name in members.REFUSED[place]:
        with pytest.raises(AttributeError, match=rf"{name}: there is none here; \w+"):
            getattr(made, name)
        with pytest.raises(AttributeError, match=rf"{name}: there is none here; \w+"):
            setattr(made, name, 1)


@pytest.mark.parametrize("place", members.FIXED)
def test_what_cannot_be_chosen_is_refused_when_it_is_set(place):
    """To what it is already it may be set."""
    made = requests_of("get")[0]() if place == "Request" else AMLResponse("x", 200)
    for name, value in members.FIXED[place].items():
        setattr(made, name, getattr(made, name))
        with pytest.raises(AttributeError, match=rf"{name}: is .* here and cannot be set, got .*; \w+"):
            setattr(made, name, value)


def test_an_error_of_the_request_is_werkzeugs_too_where_that_is_imported():
    """A script may catch it by that name; unless it does, the client is told with v1's status."""
    request = requests_of("bad json")[0]()

    with pytest.raises(BadRequest) as caught:
        request.get_json()
    assert isinstance(caught.value, ScoringError)
    assert "could not be decoded as JSON" in str(caught.value)
    with contextlib.suppress(ScoringError):
        requests_of("text")[0]().get_json()


def test_a_script_that_is_not_raw_imports_none_of_it():
    """The request and the response are imported by scripts that ask for them."""
    code = (
        "import sys, mlserve_scoring.scripts.arguments, mlserve_scoring.scripts.answers as answers\n"
        "answers.whole({1, 2}, 0.0)\n"
        "print([name for name in sys.modules if name.startswith('mlserve_scoring.scripts.raw.')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert "[]\n" == done.stdout
