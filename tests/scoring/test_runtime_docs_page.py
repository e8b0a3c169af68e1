"""``/docs`` as a reader sees it, in Chromium: the contract, a request and its answer, with and without a key."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys

import pytest
from chromium_kit import browsers
from served_kinds import KEY, write_kind

TAB, ENTER, CONTROL = "\ue004", "\ue007", "\ue009"
ROWS = (
    "return [...document.querySelectorAll(arguments[0] + ' tbody tr')].map(row => [...row.cells].map(c => c.innerText))"
)


@pytest.fixture(scope="module")
def browse(tmp_path_factory):
    """A function that opens a window."""
    with browsers(tmp_path_factory.mktemp("browser")) as begin:
        yield begin


@pytest.fixture(scope="module")
def window(browse):
    """A window that tests use one after the other."""
    return browse()


@pytest.fixture(scope="module")
def served(start_shared, tmp_path_factory):
    """A function that returns the service of a kind, started once; the model's has a key and a prefix."""
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "keys.json").write_text(json.dumps({"primary": KEY, "secondary": "s" * 32}), encoding="utf-8")
    started = {}

    def service(kind):
        if kind not in started:
            guarded = {"keys_file": str(folder / "keys.json"), "path_prefix": "/api/v1"} if kind == "model" else {}
            started[kind] = start_shared(write_kind(folder, kind), **guarded)
        return started[kind]

    return service


def show(window, service):
    """Open the page of a service and wait for what it shows."""
    window.log()
    window.open(f"http://127.0.0.1:{service.port}{service.settings.get('path_prefix', '')}/docs")
    window.until("return !document.getElementById('open').hidden || !document.getElementById('locked').hidden")


def unlock(window, key):
    """Give a key by the keyboard alone: its field has the focus."""
    window.until("return document.activeElement.id === 'key'")
    window.keys(key + ENTER)


def fill(window, text):
    """Write a body."""
    window.run(
        "const body = document.getElementById('body'); body.value = arguments[0]; "
        "body.dispatchEvent(new Event('input')); body.focus()",
        text,
    )


def test_the_contract_is_a_table(window, served):
    """Parameters with types, nested ones below; and nothing was complained of."""
    show(window, served("declared"))
    rows = {row[0]: row[1:] for row in window.run(ROWS, "#input")}

    assert "diabetes" == window.text("#name")
    assert "revision r" in window.text("#revision")
    window.until("return document.getElementById('state').textContent === 'ready'")
    assert ["array [any, 2] of number (double)", "yes"] == rows["numbers"]
    assert ["array [any] of object", "yes"] == rows["frame"]
    assert ["integer (int64)", "yes"] == rows["age"]
    assert ["string (date)", "yes"] == rows["day"]
    assert ["any value", "no"] == rows["factor"]
    assert [
        ["sums", "array [any] of number or null (double)", "yes"],
        ["count", "integer (int64)", "yes"],
    ] == window.run(ROWS, "#output")
    assert [] == window.log()


@pytest.mark.parametrize("kind", ["model", "declared", "samples", "plain", "encoded"])
def test_the_first_sample_can_be_sent_at_once(window, served, kind):
    """For every kind of contract, by the keyboard; the answer comes with status, time and ids."""
    show(window, served(kind))
    if kind == "model":
        unlock(window, KEY)
        window.until("return !document.getElementById('open').hidden")
    window.run("document.getElementById('body').focus()")
    window.keys(CONTROL + ENTER)
    window.until("return !document.getElementById('result').hidden")
    facts = window.text("#facts")

    assert "Status 200 OK" in facts.replace("\n", " ")
    assert re.search(r"Time\s+[\d.]+ ms", facts)
    assert re.search(r"x-request-id\s+[0-9a-f-]{36}", facts)
    sent = window.run("return document.getElementById('body').value")
    expected = {
        "model": {"y": [[0, 0, 0]]},
        "declared": {"sums": [3.0], "count": 1},
        "samples": {"length": len(sent)},
        "plain": {"greeting": "Hello Ada", "count": 1},
        "encoded": '{"count": 1}',
    }
    assert expected[kind] == json.loads(window.text("#answer"))
    assert [] == [line for line in window.log() if "401" not in line]


def test_an_edited_request_is_sent_as_it_is_written(window, served):
    """Large numbers are not bent by the page; what is refused is shown with its place."""
    show(window, served("plain"))
    fill(window, '{"name": 3, "ages": [9007199254740993]}')
    window.run("document.getElementById('send').click()")
    window.until("return !document.getElementById('result').hidden")

    assert "400 Bad Request" in window.text("#facts")
    assert "name: expected str, got a number" == json.loads(window.text("#answer"))["message"]
    assert "9007199254740993" in window.text("#curl")


def test_a_body_that_is_no_json_is_told_before_it_is_sent(window, served):
    """Beside the field, which gets the focus."""
    show(window, served("plain"))
    fill(window, '{"name": ')
    window.run("document.getElementById('send').click()")

    assert window.text("#body-error").startswith("The body is no JSON")
    assert window.run("return document.getElementById('result').hidden && document.activeElement.id === 'body'")


@pytest.mark.parametrize("kind", ["model", "plain"])
def test_the_lines_for_curl_and_python_work(window, served, kind, tmp_path):
    """They give the answer that the page shows; the key is never in them."""
    show(window, served(kind))
    if kind == "model":
        unlock(window, KEY)
        window.until("return !document.getElementById('open').hidden")
    else:
        fill(window, json.dumps({"name": 'O\'Neil \\ "é" 🚲', "ages": [1, 2]}, ensure_ascii=False))
    expected = {"y": [[0, 0, 0]]} if kind == "model" else {"greeting": 'Hello O\'Neil \\ "é" 🚲', "count": 2}
    curl, python = window.text("#curl"), window.text("#python")
    environment = {"KEY": KEY, "PATH": "/usr/bin:/bin"}
    by_curl = subprocess.run(
        ["bash", "-c", curl.replace("curl ", "curl -s ", 1)], capture_output=True, env=environment, check=True
    )
    by_python = subprocess.run([sys.executable, "-c", python], capture_output=True, env=environment, check=True)

    assert KEY not in curl + python
    assert shlex.split(curl)[0] == "curl"
    assert expected == json.loads(by_curl.stdout) == json.loads(by_python.stdout)


def test_a_key_is_asked_for_and_kept_nowhere(browse, served):
    """A wrong one is told; the right one goes to this service alone, and a reload forgets it."""
    window = browse()
    show(window, served("model"))

    assert "Scoring service" == window.text("#name")
    unlock(window, "wrong")
    window.until("return document.getElementById('key-error').textContent")
    unlock(window, KEY)
    window.until("return !document.getElementById('open').hidden")
    assert "diabetes" == window.text("#name")
    assert [0, 0, ""] == window.run("return [localStorage.length, sessionStorage.length, document.cookie]")
    assert not window.run("return document.documentElement.outerHTML.includes(arguments[0])", KEY)
    assert not window.run("return document.getElementById('key').value")
    show(window, served("model"))
    assert window.run("return document.getElementById('open').hidden")


def test_every_route_can_be_tried(window, served):
    """The Open Inference Protocol has an example too."""
    show(window, served("plain"))
    window.run(
        "const route = document.getElementById('route'); route.value = '/v2/models/diabetes/infer'; "
        "route.dispatchEvent(new Event('change')); document.getElementById('send').click()"
    )
    window.until("return !document.getElementById('result').hidden")
    outputs = json.loads(window.text("#answer"))["outputs"]

    assert {"greeting": ["Hello Ada"], "count": [1]} == {output["name"]: output["data"] for output in outputs}


def test_it_fits_a_narrow_screen(window, served):
    """Nothing makes the page itself wider than the window."""
    window.size(500, 900)  # the least that a window of Chromium can be
    try:
        show(window, served("declared"))

        assert window.run("return document.documentElement.scrollWidth <= window.innerWidth")
    finally:
        window.size(1200, 900)


def test_every_control_has_a_name(window, served):
    """And is reached by the keyboard in the order of the page."""
    show(window, served("plain"))

    assert [] == window.run(
        "return [...document.querySelectorAll('input, select, textarea, button')]"
        ".filter(e => !(e.innerText || (e.labels && e.labels.length))).map(e => e.outerHTML)"
    )
    window.run("document.getElementById('route').focus()")
    seen = []
    for _ in range(5):
        seen.append(window.run("return document.activeElement.id || document.activeElement.dataset.copy"))
        window.keys(TAB)
    assert ["route", "body", "send", "curl", "curl"] == seen  # the one sample cannot be chosen


def test_it_lets_nothing_else_in(served):
    """One file, no address of another host, and a policy that allows just its own script and style."""
    answer = served("plain").get("/docs")
    policy = answer.headers["content-security-policy"]

    assert (200, "text/html; charset=utf-8") == (answer.status, answer.headers["content-type"])
    assert not re.findall(rb"(?:https?:)?//[a-z]", answer.body)
    assert "default-src 'none'" in policy
    assert "connect-src 'self'" in policy
    assert "unsafe" not in policy
    assert b"diabetes" not in answer.body


def test_it_can_be_left_out(start, image):
    """Then it is no route, and the document does not name it."""
    service = start(image({"score.py": "def init(): pass\ndef run(data): return 1"}), docs=False)

    assert 404 == service.get("/docs").status
    assert "/docs" not in service.get("/openapi.json").json["paths"]


def test_it_is_part_of_an_image(tmp_path):
    """The page is a file of the package, which images copy whole."""
    from pulumi_mlserve.clients.images.runtime_files import runtime_files  # noqa: PLC0415  # of this test alone

    assert "mlserve_scoring/routes/docs_page.html" in {entry.path for entry in runtime_files().entries}
