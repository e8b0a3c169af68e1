"""What the runtime can do, by settings of a program: many at once, changed under load, gone without a trace."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from engine import Stack
from leftovers import processes_of
from programs import free_port, program, replaced, tiny
from scoring_client import Load, ask

SETTINGS = """
    workers=2,
    path_prefix="/api/v1/service/first",
    metrics="open",
    access_log=True,
    log_format="json",
    read_timeout_s=20,
    ssl_enabled=True,
    ssl_cert_pem_file="tls/cert.pem",
    ssl_key_pem_file="tls/key.pem",
    ssl_cname="localhost",
    collect_model_data=True,
    data_collection={"flush_seconds": 0.2},
"""
EXPORTS = """
for name in ("scoring_uri", "swagger_uri", "openapi_uri", "docs_uri", "metrics_uri"):
    pulumi.export(name, getattr(first, name))
"""


def certificate(folder: Path, names: str = "DNS:localhost,IP:127.0.0.1") -> Path:
    """Makes a certificate and its key in a folder; returns the certificate's file."""
    folder.mkdir(exist_ok=True)
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    command += ["-keyout", str(folder / "key.new"), "-out", str(folder / "cert.new"), "-days", "2", "-subj", "/CN=x"]
    subprocess.run([*command, "-addext", f"subjectAltName={names}"], check=True, capture_output=True)
    for part in ("key", "cert"):
        (folder / f"{part}.new").replace(folder / f"{part}.pem")
    return folder / "cert.pem"


def texts(*folders: Path) -> str:
    """Returns the text of all files in folders."""
    files = [file for folder in folders for file in folder.rglob("*") if file.is_file()]
    return "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in files)


def until(found, seconds: float = 60.0):
    """Waits until something is found, and returns it."""
    end = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.05)
    return value


@pytest.fixture
def stack(workspace) -> Stack:
    """A deployed service with many settings beside one with none."""
    folder = tiny(workspace.folder / "program", (free_port(), free_port()), service=", " + " ".join(SETTINGS.split()))
    with (folder / "__main__.py").open("a", encoding="utf-8") as file:
        file.write(EXPORTS)
    certificate(folder / "tls")
    made = workspace.stack(folder)
    made.up().ok()
    return made


def test_many_settings_at_once_are_honoured_updated_under_load_and_destroyed(stack, workspace):
    """Workers, prefix, TLS, metrics, logs and collected data; no request is lost; only the collected data stays."""
    outputs, trust = stack.outputs(), stack.program / "tls" / "cert.pem"
    url = outputs["scoring_uri"]
    data = workspace.home / "data" / "mlserve" / "collected" / "tiny.dev.first"
    served = [command for command in processes_of(workspace.folder).values() if "--worker" in command]

    assert 2 == len(served), served
    assert url.startswith("https://localhost:")
    assert url.endswith("/api/v1/service/first/score")
    assert 200 == ask(url, trust=trust).status
    assert [200] * 4 == [
        ask(outputs[f"{name}_uri"], trust=trust, method="GET").status
        for name in ("swagger", "openapi", "docs", "metrics")
    ]
    assert "mlserve_requests" in ask(outputs["metrics_uri"], trust=trust, method="GET").body
    assert {} == stack.preview().ok().changes
    (workspace.folder / "row.json").write_text('{"data": [[1, 2]]}', encoding="utf-8")
    assert "[6]" in workspace.run("mlserve", "call", "first", str(workspace.folder / "row.json")).ok().output
    until(lambda: list(data.rglob("*.csv")))

    replaced(stack.program / "__main__.py", "workers=2", "workers=1")
    replaced(stack.program / "__main__.py", '"flush_seconds": 0.2', '"flush_seconds": 0.3, "format": "jsonl"')
    with Load(url, trust=trust) as load:
        stack.up().ok()
    assert [] == load.failures
    assert {} == stack.preview().ok().changes
    assert [] == [command for command in processes_of(workspace.folder).values() if "--worker" in command]
    until(lambda: list(data.rglob("*.jsonl")))

    trust = certificate(stack.program / "tls")
    until(lambda: answers(url, trust))  # read again by the process itself
    assert {} == stack.preview().ok().changes

    key = (stack.program / "tls" / "key.pem").read_text(encoding="utf-8").splitlines()[1]
    assert key not in texts(workspace.backend, workspace.services)
    said = stack.destroy().ok().output
    assert f"the data that it collected stays in {data}" in said
    assert list(data.rglob("*.csv"))
    for path in sorted(data.parent.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()


def answers(url: str, trust: Path) -> bool:
    """Says whether a service answers that shows this certificate."""
    try:
        return ask(url, trust=trust).status == 200
    except OSError:
        return False


REFUSED = """
image = {"name": "any", "digest": "sha256:" + "0" * 64, "reference": "any@sha256:" + "0" * 64, "features": []}
string = "InstrumentationKey=11111111-2222-3333-4444-555555555555;IngestionEndpoint=x.example"
LocalService(
    "wrong",
    image=image,
    ssl_enabled=True,
    ssl_cert_pem_file="nowhere.pem",
    collect_model_data=True,
    data_collection={"target": "az://collected", "options": {"account_key": "hunter2-hunter2"}},
    enable_app_insights=True,
    app_insights_connection_string=string,
    otlp_endpoint="http://127.0.0.1:4318",
    entra={"tenant_id": "contoso", "audiences": ["api://x"]},
    workers=0,
)
"""


def test_all_that_is_wrong_is_told_in_one_preview_and_no_secret_with_it(workspace):
    """Each at its property, spelled as the engine knows it."""
    stack = workspace.stack(program(workspace.folder / "program", REFUSED))
    failed = stack.preview().failed()

    for path in ("sslKeyPemFile", "entra.tenantId", "workers", "dataCollection", "appInsightsConnectionString"):
        assert path in failed.text, failed.text
    assert "add features=['collection'] to the image" in failed.text
    assert "add features=['telemetry'] to the image" in failed.text
    assert "hunter2" not in failed.output
    assert "11111111" not in failed.output


YAML = """
name: other
runtime: yaml
variables:
  image:
    name: any
    digest: sha256:0000000000000000000000000000000000000000000000000000000000000000
    reference: any@sha256:0000000000000000000000000000000000000000000000000000000000000000
    features: [collection, entra, grpc]
resources:
  service:
    type: mlserve:LocalService
    name: other
    properties:
      image: ${image}
      workers: 2
      pathPrefix: /api
      grpcEnabled: true
      grpcPort: 8001
      readTimeoutS: 1.5
      sslEnabled: false
      collectModelData: true
      dataCollection:
        target: az://collected
        flushSeconds: 1
        options:
          account_key: hunter2-hunter2
      entra:
        tenantId: 11111111-2222-3333-4444-555555555555
        audiences: [api://x]
"""


def test_other_languages_give_the_same_settings(workspace):
    """Objects among them too; what is declared a secret is one, though the program wrote it in clear."""
    folder = workspace.folder / "yaml"
    folder.mkdir()
    (folder / "Pulumi.yaml").write_text(YAML, encoding="utf-8")
    stack = workspace.stack(folder)
    preview = stack.preview().ok()
    given = preview.step("LocalProcess other").new

    plain = {"workers": 2, "pathPrefix": "/api", "readTimeoutS": 1.5, "sslEnabled": False}
    plain |= {"grpcEnabled": True, "grpcPort": 8001}
    assert plain == {name: given[name] for name in plain}
    assert {"tenantId": "11111111-2222-3333-4444-555555555555", "audiences": ["api://x"]} == given["entra"]
    assert "hunter2" not in preview.plan
    assert "hunter2" not in stack.preview_text().output


def test_a_variable_of_a_conda_file_decides_in_preview_as_in_up(workspace):
    """Before the image is there, at a change of something else, and where a setting wins over it."""
    folder = tiny(workspace.folder / "program", (free_port(), free_port()))
    main, uri = folder / "__main__.py", "scoringUri"
    (folder / "env.yml").write_text(
        "dependencies:\n- python=3.11\nvariables:\n  SERVICE_PATH_PREFIX: /api\n", encoding="utf-8"
    )
    replaced(main, 'source_directory="src"', 'source_directory="src", conda_file="env.yml"')
    replaced(main, 'LocalService("second", image=image', 'LocalService("second", path_prefix="/set", image=image.ref')
    stack = workspace.stack(folder)
    first = stack.preview().ok()
    planned = [first.step(f"ServiceRecord {name}").new[uri] for name in ("first", "second")]
    stack.up().ok()
    there = [stack.resources()[f"LocalProcess {name}"]["outputs"][uri] for name in ("first", "second")]

    assert ["/api/score", "/set/score"] == ["/" + known.split("/", 3)[3] for known in there]
    assert there[0] == planned[0]
    assert {} == stack.preview().ok().changes

    replaced(main, 'LocalService("first",', 'LocalService("first", max_queue=7,')
    replaced(main, 'LocalService("second",', 'LocalService("second", max_queue=7,')
    second = stack.preview().ok()
    assert there == [second.step(f"ServiceRecord {name}").new[uri] for name in ("first", "second")]
    wins = "path_prefix: '/set' wins over the environment variable SERVICE_PATH_PREFIX, which says otherwise"
    assert 1 == second.text.count(wins), second.text
