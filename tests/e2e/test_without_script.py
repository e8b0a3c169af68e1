"""Models that need no script, and images with features: refused in preview while something lacks, then served."""

from __future__ import annotations

import json
import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import pytest
from engine import Stack
from leftovers import processes_of
from programs import free_port, program, replaced
from scoring_client import ask
from sklearn.linear_model import LinearRegression

KEY = "5f0c6a3e-2b1d-4c8e-9a77-0d1e2f3a4b5c"


@pytest.fixture
def collector():
    """An OpenTelemetry collector: which paths were sent to."""

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self):
            self.rfile.read(int(self.headers["Content-Length"]))
            self.server.seen.put(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    server.seen = queue.Queue()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_joblib_model_is_served_without_a_script_and_sends_what_its_image_can(workspace, collector):
    """The first preview names the package that lacks, the second the feature; then all is there."""
    port, endpoint = free_port(), f"http://127.0.0.1:{collector.server_port}"
    string = f"InstrumentationKey={KEY};IngestionEndpoint={endpoint}/"
    body = f"""
    model = RegisteredModel("plain", path="plain.joblib", sample_input={{"data": [[1, 2]]}})
    image = ScoringImage("plain", models=[model], requirements_file="requirements.txt", tags=dict(area="plain"))
    insights = dict(enable_app_insights=True, app_insights_connection_string="{string}")
    LocalService("plain", image=image, port={port}, otlp_endpoint="{endpoint}", **insights)
    pulumi.export("ref", image.ref)
    """
    folder = program(workspace.folder / "program", body)
    x = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    joblib.dump(LinearRegression().fit(x, x @ np.array([2.0, 3.0])), folder / "plain.joblib")
    requirements = folder / "requirements.txt"
    requirements.write_text(f"joblib\nnumpy=={version('numpy')}\n", encoding="utf-8")
    stack: Stack = workspace.stack(folder)

    lacking = stack.preview().failed().text
    assert "plain.joblib is a scikit-learn model, and the environment lacks scikit-learn" in lacking, lacking
    requirements.write_text(f"scikit-learn=={version('scikit-learn')}\nnumpy=={version('numpy')}\n", encoding="utf-8")
    lacking = stack.preview().failed().text
    assert "enableAppInsights" in lacking, lacking
    assert "add features=['telemetry'] to the image" in lacking
    file = folder / "__main__.py"
    replaced(
        file, 'requirements_file="requirements.txt"', 'requirements_file="requirements.txt", features=["telemetri"]'
    )
    assert "did you mean 'telemetry'?" in stack.preview().failed().text
    replaced(file, '"telemetri"', '"telemetry"')
    stack.up().ok()

    answer = ask(f"http://127.0.0.1:{port}/score", {"data": [[1, 2]]})
    assert 200 == answer.status, answer
    assert 8 == pytest.approx(answer.body[0] if isinstance(answer.body, list) else next(iter(answer.body.values()))[0])
    awaited = {"/v1/traces", "/v2.1/track"}
    while awaited:
        awaited.discard(collector.seen.get(timeout=60))
    assert ["telemetry"] == stack.outputs()["ref"]["features"]
    found = json.loads(workspace.run("mlserve", "images", "list", "--tag", "area=plain", "--json").ok().output)
    assert [stack.outputs()["ref"]["digest"]] == [image["digest"] for image in found]
    preview = stack.preview().ok()
    assert {} == preview.changes
    kept = key_files(workspace.backend, workspace.home / "state")
    assert ["settings.json"] == [path.name for path in kept]
    assert 0o600 == kept[0].stat().st_mode & 0o777
    assert (
        KEY
        not in preview.plan
        + stack.preview_text("--show-sames").output
        + workspace.run("mlserve", "logs", "plain").output
    )
    assert [] == [command for command in processes_of(workspace.folder).values() if KEY in command]


def key_files(*folders: Path) -> list[Path]:
    """Returns the files in which the key can be read."""
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if KEY.encode() in path.read_bytes()]
