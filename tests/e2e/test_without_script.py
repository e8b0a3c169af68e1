"""Models that need no script, and images with features: refused in preview while something lacks, then served."""

from __future__ import annotations

import queue
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import version

import joblib
import numpy as np
import pytest
from engine import Stack
from programs import free_port, program, replaced
from scoring_client import ask
from sklearn.linear_model import LinearRegression


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
    body = f"""
    model = RegisteredModel("plain", path="plain.joblib", sample_input={{"data": [[1, 2]]}})
    image = ScoringImage("plain", models=[model], requirements_file="requirements.txt")
    LocalService("plain", image=image, port={port}, otlp_endpoint="{endpoint}")
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
    assert "otlpEndpoint" in lacking, lacking
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
    assert "/v1/traces" in iter(lambda: collector.seen.get(timeout=20), None)
    assert ["telemetry"] == stack.outputs()["ref"]["features"]
    assert {} == stack.preview().ok().changes
