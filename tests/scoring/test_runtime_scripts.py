"""What scripts get and may do: forms and files, and misbehaviour that must not end the service."""

from __future__ import annotations

import base64
import contextlib
import gzip
import json
import os
import re
import time
import urllib.parse
from pathlib import Path

import pytest
from scoring_kit import JSON_HEADERS, PATIENCE, write_image

BAD = """
    import json, os, signal, sys, threading, time, resource

    def init():
        pass

    def run(data):
        asked = json.loads(data)
        kind = asked if isinstance(asked, str) else asked["kind"]
        if kind == "read":
            open(asked["place"], "rb").close()  # a pipe, which returns to Python once somebody opens its other end
        if kind == "loop":
            try:
                while True:
                    pass
            finally:
                open(asked["place"], "wb").close()
        if kind == "swallow":
            while True:
                try:
                    while not os.path.exists(asked["place"]):
                        time.sleep(0.01)
                    return kind
                except BaseException:
                    pass
        if kind == "allocate":
            resource.setrlimit(resource.RLIMIT_AS, (asked["limit"], asked["limit"]))
            kept = []
            while True:
                kept.append(bytearray(10_000_000))
        if kind == "exit":
            sys.exit(4)
        if kind == "interrupt":
            raise KeyboardInterrupt
        if kind == "base":
            class Odd(BaseException):
                pass
            raise Odd("odd")
        if kind == "generator exit":
            raise GeneratorExit
        if kind == "recursion":
            def deeper(): return deeper() + 1
            return deeper()
        if kind == "fork":
            if os.fork() == 0:
                return "from the child"
            return "from the parent"
        if kind == "prints":
            for _ in range(2_000):
                print("x" * 1_000)
            return "printed"
        if kind == "threads":
            for _ in range(20):
                threading.Thread(target=time.sleep, args=(600,), daemon=asked["daemon"]).start()
        if kind == "close":
            for number in (0, 1, 2):
                os.close(number)
        if kind == "signals":
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if kind == "places":
            os.chdir("/")
            os.environ.clear()
            sys.path.clear()
        if kind == "frozen":
            return len(str(10 ** 6)) + (7 ** asked["power"]) % 10
        if kind == "end":
            os._exit(9)
        return kind
"""


@pytest.fixture(scope="module")
def bad(start_shared, tmp_path_factory):
    """A service whose script does everything that it should not."""
    return start_shared(write_image(tmp_path_factory.mktemp("bad") / "root", {"score.py": BAD}))


@pytest.fixture(scope="module")
def hasty(start_shared, tmp_path_factory):
    """The same with little time for each run; on a busy machine any run may take longer."""
    root = write_image(tmp_path_factory.mktemp("hasty") / "root", {"score.py": BAD})
    return start_shared(root, scoring_timeout_ms=500, metrics="open")


def until(condition):
    """Wait until a condition holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.02)


def answers(service):
    """Whether a run is in time."""
    answer = service.score("fine")
    assert answer.status in {200, 503, 504}
    assert service.get("/").status == 200
    return answer.status == 200


def lost_threads(service):
    """How many threads a service has lost and not got back."""
    found = re.search(r"^mlserve_threads_lost (\d+)", service.get("/metrics").body.decode(), re.MULTILINE)
    return int(found[1])


@pytest.mark.parametrize("kind", ["exit", "interrupt", "base", "generator exit", "recursion"])
def test_whatever_run_raises_is_500(bad, kind):
    """The process lives, and the next request is answered."""
    answer = bad.score(kind)

    assert (500, "True") == (answer.status, answer.headers["x-ms-run-function-failed"])
    assert bad.score("fine").json == "fine"


def test_a_run_that_never_returns_is_interrupted(hasty, tmp_path):
    """A loop in Python ends by that."""
    answer = hasty.score({"kind": "loop", "place": str(tmp_path / "ended")})
    until((tmp_path / "ended").exists)
    until(lambda: answers(hasty))

    assert answer.status == 504


@pytest.mark.parametrize("kind", ["read", "swallow"])
def test_a_run_that_cannot_be_interrupted_loses_its_thread(hasty, tmp_path, kind):
    """Another thread answers after a while; the log says so; the thread is counted as back when the call ends."""
    before = hasty.log.count("another thread takes its place")
    place = tmp_path / "place"
    if kind == "read":
        os.mkfifo(place)
    first = hasty.score({"kind": kind, "place": str(place)})
    until(lambda: answers(hasty))
    lost = lost_threads(hasty)
    place.open("wb").close()
    until(lambda: lost_threads(hasty) == 0)

    assert (504, 1) == (first.status, lost)
    assert hasty.log.count("another thread takes its place") == before + 1


def test_too_many_lost_threads_make_a_service_unready(start, image, tmp_path):
    """It lives on, says why on /readyz, and is ready again once the calls end."""
    service = start(image({"score.py": BAD}), scoring_timeout_ms=200)
    os.mkfifo(tmp_path / "pipe")

    def is_unready():
        assert service.score({"kind": "read", "place": str(tmp_path / "pipe")}).status in {503, 504}
        assert service.get("/").status == 200
        return service.get("/readyz").status != 200

    until(is_unready)
    ready = service.get("/readyz")
    with (tmp_path / "pipe").open("wb"):
        until(lambda: service.get("/readyz").status == 200)
    until(lambda: answers(service))

    assert (503, {"state": "stuck"}) == (ready.status, ready.json)


def test_a_run_without_enough_memory_is_500(start, image):
    """The service goes on when the memory is free again."""
    service = start(image({"score.py": BAD}))
    size = int(Path(f"/proc/{service.process.pid}/statm").read_text().split()[0]) * 4096

    answer = service.score({"kind": "allocate", "limit": size + 200_000_000})

    assert answer.status == 500
    assert service.score("fine").json == "fine"


def test_a_forked_copy_does_not_answer_nor_stay(bad):
    """The copy ends when its run() does; it does not keep the port."""
    assert [bad.score("fork").json for _ in range(3)] == ["from the parent"] * 3

    until(lambda: all(state == "Z" for state in children(bad.process.pid)))
    assert bad.score("fine").json == "fine"


def children(pid):
    """The states of a process's children."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):  # the thread has ended meanwhile
            for child in path.read_text().split():
                with contextlib.suppress(OSError):  # so has the child
                    found += [Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0]]
    return found


def test_megabytes_of_output_do_not_stop_answers(bad):
    """They are the log's."""
    assert bad.score("prints").json == "printed"
    assert bad.score("fine").json == "fine"


@pytest.mark.parametrize("daemon", [True, False])
def test_threads_left_running_do_not_keep_the_process(start, image, daemon):
    """It ends when it is told to."""
    service = start(image({"score.py": BAD}), drain_seconds=1)

    assert service.score({"kind": "threads", "daemon": daemon}).status == 200
    assert service.stop() == 0


def test_closed_standard_streams_do_not_leak_into_connections(start, image):
    """What is printed afterwards reaches no client."""
    service = start(image({"score.py": BAD}))

    assert service.score("close").status == 200
    with pytest.raises(ConnectionError):  # it was given the number of a stream
        service.score("prints")
    for _ in range(3):
        answer = service.score("prints")
        assert answer.status in {200, 500}
        assert b"xxxx" not in answer.body
    assert service.score("fine").json == "fine"


def test_signal_handlers_are_not_the_scripts(bad):
    """Its threads may not set them, and the service ends when told to."""
    assert bad.score("signals").status == 500


def test_places_and_variables_that_change_are_the_scripts_own(start, image):
    """The service has read what it needs."""
    service = start(image({"score.py": BAD}))

    assert service.score("places").status == 200
    assert service.score("fine").json == "fine"
    assert service.get("/swagger.json?version=3").status == 200
    assert service.stop() == 0


def test_a_call_that_freezes_the_interpreter_is_survived(bad):
    """Nobody is answered while C code holds it; then all are."""
    answer = bad.score({"kind": "frozen", "power": 1_500_000})

    assert answer.status == 200
    assert bad.score("fine").json == "fine"


def test_a_script_that_ends_the_process_ends_it(start, image):
    """Nothing in the process can help then: whoever started it starts it again."""
    service = start(image({"score.py": BAD}))

    with pytest.raises((ConnectionError, OSError)):
        service.score("end")
    assert service.process.wait(PATIENCE) == 9


RAW = """
    import base64, json
    from azureml.contrib.services.aml_request import AMLRequest, rawhttp
    from azureml.contrib.services.aml_response import AMLResponse

    def init():
        pass

    @rawhttp
    def run(request):
        if request.args.get("json"):
            return request.get_json()
        if request.args.get("object"):
            return AMLResponse({"a": 1}, 201)
        return {
            "method": request.method,
            "url": request.url,
            "args": request.args.to_dict(flat=False),
            "form": request.form.to_dict(flat=False),
            "files": {
                name: [[file.filename, file.content_type, base64.b64encode(file.read()).decode()] for file in files]
                for name, files in ((name, request.files.getlist(name)) for name in request.files)
            },
            "values": request.values.to_dict(flat=False),
            "first": request.stream.read(3).decode("latin-1") + request.stream.read(3).decode("latin-1"),
            "address": request.remote_addr,
            "type": [request.mimetype, request.mimetype_params],
        }
"""


@pytest.fixture(scope="module")
def raw(start_shared, tmp_path_factory):
    """A service whose script tells what it sees of a request."""
    root = write_image(tmp_path_factory.mktemp("raw") / "root", {"score.py": RAW})
    return start_shared(root)


def multipart(*parts):
    """A body of the form that browsers send; parts are pairs of headers and content."""
    text = b"".join(b"--b0\r\n" + head.encode() + b"\r\n\r\n" + content + b"\r\n" for head, content in parts)
    return b"preamble\r\n" + text + b"--b0--\r\nepilogue"


def test_an_image_in_a_form_is_a_file(raw):
    """With its name, its type and its bytes, whatever they are; several of one name too."""
    picture = bytes(range(256)) * 50 + b"\r\n--b\r\n\r\n--b01\r\n"
    body = multipart(
        ('Content-Disposition: form-data; name="label"', "grün".encode()),
        (
            'Content-Disposition: form-data; name="image"; filename="a;b \\"c\\".png"\r\nContent-Type: image/png',
            picture,
        ),
        ("Content-Disposition: form-data; name=image; filename*=UTF-8''gr%C3%BCn.jpg", b"2"),
        ('content-disposition:form-data;name="empty";filename=""', b""),
    )
    headers = {"Content-Type": 'multipart/form-data; charset="utf-8"; boundary="b0"'}
    seen = raw.request("POST", "/score?x=1&label=q", body, headers).json
    image, other = seen["files"]["image"]

    assert {"label": ["grün"]} == seen["form"]
    assert ['a;b "c".png', "image/png"] == image[:2]
    assert picture == base64.b64decode(image[2])
    assert ["grün.jpg", None, "Mg=="] == other
    assert [["", None, ""]] == seen["files"]["empty"]
    assert {"x": ["1"], "label": ["q", "grün"]} == seen["values"]
    assert ["multipart/form-data", {"charset": "utf-8", "boundary": "b0"}] == seen["type"]


@pytest.mark.parametrize("content_type", ["multipart/form-data", "multipart/form-data; boundary=other", "text/plain"])
def test_what_is_no_form_has_no_fields(raw, content_type):
    """A broken form is an empty one, as in Flask."""
    seen = raw.request(
        "POST", "/score", multipart(("Content-Disposition: form-data; name=a", b"1")), {"Content-Type": content_type}
    )

    assert ({}, {}) == (seen.json["form"], seen.json["files"])


def test_a_url_encoded_form_has_fields(raw):
    """As HTML forms and plain curl -d send them."""
    body = urllib.parse.urlencode([("a", "1"), ("a", "2"), ("b", "ü&"), ("c", "")])
    seen = raw.request(
        "POST", "/score", body, {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
    ).json

    assert {"a": ["1", "2"], "b": ["ü&"], "c": [""]} == seen["form"]
    assert "a=1&a=" == seen["first"]


@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_a_raw_script_gets_every_method(raw, method):
    """With query, address and URL."""
    seen = raw.request(method, "/score?a=1&a=2&b=", headers={"Host": "h.example"}).json

    assert (method, "http://h.example/score?a=1&a=2&b=") == (seen["method"], seen["url"])
    assert {"a": ["1", "2"], "b": [""]} == seen["args"]
    assert seen["address"] == "127.0.0.1"


def test_an_object_in_a_response_is_json(raw):
    """Where v1 sent its keys one after the other."""
    answer = raw.get("/score?object=1")

    assert (201, "application/json", {"a": 1}) == (answer.status, answer.headers["content-type"], answer.json)


def test_a_raw_script_that_asks_for_json_and_gets_none_answers_400(raw):
    """The client is told what is wrong with its body."""
    answer = raw.request("POST", "/score?json=1", b"{", JSON_HEADERS)

    assert (400, "False") == (answer.status, answer.headers["x-ms-run-function-failed"])
    assert "could not be decoded as JSON" in answer.message


TEXT = (
    "import json\ndef init(): pass\ndef run(data, request_headers): return [data, request_headers.get('Content-Type')]"
)


@pytest.mark.parametrize(("strict", "expected"), [(False, "a=1&b=2"), (True, "")])
def test_a_form_to_a_plain_run_arrives_as_text(start, image, strict, expected):
    """v1's server had read it away; strict_v1 does so too."""
    service = start(image({"score.py": TEXT}), strict_v1=strict)
    kind = "application/x-www-form-urlencoded"

    assert [expected, kind] == service.request("POST", "/score", "a=1&b=2", {"Content-Type": kind}).json
    assert service.request("POST", "/score", "a=1", {"Content-Type": "text/plain"}).json[0] == "a=1"


def test_a_compressed_body_reaches_a_plain_run_as_text(start, image):
    """Decoding is the server's."""
    service = start(image({"score.py": TEXT}))
    answer = service.request("POST", "/score", gzip.compress("grün".encode()), {"Content-Encoding": "gzip"})

    assert "grün" == answer.json[0]


def test_a_get_reaches_a_plain_run_as_json(start, image):
    """Values are read as JSON where they are, repeated names are lists."""
    service = start(image({"score.py": TEXT}))

    assert {"a": [1, "x"], "b": {"c": None}} == json.loads(service.get("/score?a=1&a=x&b=%7B%22c%22:null%7D").json[0])


def test_a_flask_response_in_parts_is_streamed(start, image):
    """And closed at the end; werkzeug's own class serves as the example."""
    script = """
        import pathlib
        from werkzeug.wrappers import Response
        from azureml.contrib.services.aml_request import rawhttp
        def init(): pass
        @rawhttp
        def run(request):
            response = Response((word for word in ("a", "b")), 203, {"X-Own": "1"}, mimetype="text/event-stream")
            response.call_on_close(lambda: pathlib.Path(request.args["file"]).touch())
            return response if request.args["how"] == "parts" else Response("whole", 203)
    """
    root = image({"score.py": script})
    service, file = start(root), root / "closed"
    parts, whole = (service.get(f"/score?how={how}&file={file}") for how in ("parts", "whole"))

    assert (203, "1", b"ab") == (parts.status, parts.headers["x-own"], parts.body)
    assert parts.headers["transfer-encoding"] == "chunked"
    assert (203, b"whole") == (whole.status, whole.body)
    assert file.exists()
