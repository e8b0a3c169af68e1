"""A headless Chromium behind chromedriver, asked by the WebDriver protocol; both are installed where they are not."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request

from apt_kit import installed
from scoring_kit import PATIENCE

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"  # the key that names elements: W3C WebDriver, 11
PACKAGES = ("chromium", "chromium-driver")


def chromium_programs():
    """Return the paths of Chromium and chromedriver, installed first where they are missing."""

    def programs():
        names = (("chromium", "chromium-browser", "google-chrome"), ("chromedriver",))
        found = [next(filter(None, map(shutil.which, each)), None) for each in names]
        return found if all(found) else None

    found = installed(programs, *PACKAGES)
    assert found, f"Chromium and chromedriver are needed: apt-get install {' '.join(PACKAGES)}"
    return found


class Browser:
    """One window."""

    def __init__(self, ask):
        self._ask = ask

    def open(self, url):
        """Go to a page."""
        self._ask("POST", "/url", {"url": url})

    def run(self, script, *arguments):
        """Run JavaScript and return what it returns; promises are awaited."""
        return self._ask("POST", "/execute/sync", {"script": script, "args": list(arguments)})

    def until(self, script, *arguments, seconds=PATIENCE):
        """Wait until JavaScript returns something true; return that."""
        end = time.monotonic() + seconds
        while not (value := self.run(script, *arguments)):
            assert time.monotonic() < end, f"still not: {script}\n{self.text('body')}"
            time.sleep(0.05)
        return value

    def text(self, selector):
        """Return the visible text of an element."""
        return self.run("return document.querySelector(arguments[0]).innerText", selector)

    def keys(self, text):
        """Press keys, as W3C WebDriver names them, on what has the focus."""
        element = self._ask("GET", "/element/active")[ELEMENT]
        self._ask("POST", f"/element/{element}/value", {"text": text})

    def size(self, width, height):
        """Set the window's size."""
        self._ask("POST", "/window/rect", {"width": width, "height": height})

    def log(self):
        """Return what the browser complained of since the last time: errors of scripts, of the policy, of loading."""
        return [entry["message"] for entry in self._ask("POST", "/se/log", {"type": "browser"})]


@contextlib.contextmanager
def browsers(folder):
    """Yield a function that opens windows; end them all afterwards."""
    chromium, driver = chromium_programs()
    log = folder / "chromedriver.log"
    process = subprocess.Popen([driver, "--port=0", f"--log-path={log}"], stdout=subprocess.PIPE, text=True)
    opened = []
    try:
        line = next(line for line in process.stdout if "successfully on port" in line)
        base = f"http://127.0.0.1:{line.rstrip('. ' + chr(10)).rsplit(' ', 1)[1]}"

        def begin():
            profile = folder / f"profile{len(opened)}"
            arguments = [
                *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"),
                *("--disable-background-networking", "--disable-component-update", f"--user-data-dir={profile}"),
            ]
            wanted = {
                "goog:chromeOptions": {"binary": chromium, "args": arguments},
                "goog:loggingPrefs": {"browser": "ALL"},
            }
            session = _ask("POST", f"{base}/session", {"capabilities": {"alwaysMatch": wanted}})["sessionId"]
            opened.append(f"{base}/session/{session}")
            url = opened[-1]
            return Browser(lambda method, path, body=None: _ask(method, url + path, body))

        yield begin
    finally:
        for session in opened:
            with contextlib.suppress(OSError):
                _ask("DELETE", session)
        process.terminate()
        process.wait(PATIENCE)
        process.stdout.close()


def _ask(method, url, body=None):
    data = None if method != "POST" else json.dumps(body or {}).encode()
    request = urllib.request.Request(url, data=data, method=method, headers={"Content-Type": "application/json"})
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE) as reply:
            return json.load(reply)["value"]
    except urllib.error.HTTPError as error:
        raise AssertionError(error.read().decode()) from error
