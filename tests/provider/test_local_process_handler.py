"""What ``LocalProcess`` decides around a process: whose a name and a port are, and who may stop what."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import mlserve_scoring
import pytest
from mlserve_scoring.manifest import MANIFEST_PATH, Manifest, dump
from reserved_ports import reserved

from pulumi_mlserve.clients.environments.resolver import host_platform
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.places import collected_folder, services_folder
from pulumi_mlserve.clients.processes.local_process import LocalProcesses
from pulumi_mlserve.clients.processes.ports import listen_anywhere, port_of
from pulumi_mlserve.clients.processes.process_files import ProcessFiles
from pulumi_mlserve.clients.processes.process_identity import identify, wait_gone
from pulumi_mlserve.clients.processes.process_spec import fingerprint
from pulumi_mlserve.clients.processes.service_lock import locked
from pulumi_mlserve.components.local_service import LocalServiceArgs
from pulumi_mlserve.core.local_process_declarations import LocalProcessInputs
from pulumi_mlserve.core.problems import OperationError, Problem
from pulumi_mlserve.core.service import LocalServiceSpec
from pulumi_mlserve.core.shapes import shape_of
from pulumi_mlserve.provider import service_surroundings
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers import local_process
from pulumi_mlserve.provider.handlers.local_process import LocalProcessHandler
from pulumi_mlserve.provider.service_surroundings import collected_note
from pulumi_mlserve.provider.values import UNKNOWN

STANDIN = Path(__file__).parents[1] / "clients" / "standin_runtime" / "mlserve_scoring"
URN = "urn:pulumi:dev::shop::mlserve:index:LocalService$mlserve:index:LocalProcess::"
DIGEST = "sha256:" + "0" * 64
IMAGE = {"name": "price", "digest": DIGEST, "reference": f"price@{DIGEST}", "variables": {}}
TAKEN = "'same' is the name of LocalService 'aaa' already; give another name, or an alias if the resource was renamed"
HANDLER = LocalProcessHandler()


@pytest.fixture
def services(tmp_path, monkeypatch):
    """The services of this test's machine, which has one image, with a stand-in as runtime."""
    root = tmp_path / "root"
    runtime = root / "opt" / "mlserve" / "runtime" / "mlserve_scoring"
    shutil.copytree(STANDIN, runtime, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(Path(mlserve_scoring.__file__).parent / "settings.py", runtime)
    found = LocalProcesses(services_folder(), pycache=tmp_path / "pycache")
    images = SimpleNamespace(
        get=lambda _digest: SimpleNamespace(python="3.11", platform=host_platform()), rootfs=lambda _digest: root
    )
    place = SimpleNamespace(processes=found, images=images)
    monkeypatch.setattr(local_process, "workplace", lambda _settings: place)
    monkeypatch.setattr(local_process, "isolated_python", lambda _minor, _cache: Path(sys.executable))
    yield found
    for status in found.list():
        found.stop(status.service_id, 0)


@pytest.fixture
def free_port(request) -> int:
    """A port that nobody else has."""
    return reserved(request.node)


@pytest.fixture
def certificate(tmp_path):
    """Makes certificates for names that sign themselves; each with its key."""

    def make(names: str) -> tuple[Path, Path]:
        stem = names.replace(":", "-").replace(",", "-")
        files = tmp_path / f"{stem}.pem", tmp_path / f"{stem}.key"
        command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
        command += ["-keyout", str(files[1]), "-out", str(files[0]), "-days", "2", "-subj", "/CN=test"]
        subprocess.run([*command, "-addext", f"subjectAltName={names}"], check=True, capture_output=True)
        return files

    return make


def asked(resource="aaa", name="same", **news) -> Call:
    """Returns a call about a resource that is to be."""
    return Call(URN + resource, news={"name": name, "image": IMAGE, "drain_seconds": 1, **news})


def created(call: Call) -> Call:
    """Creates it; returns a call about what then is."""
    resource_id, state = HANDLER.create(call)
    return dataclasses.replace(call, id=resource_id, olds=call.news, state=state)


def deleted(call: Call, **changes) -> None:
    """Deletes it as the engine asks for it."""
    HANDLER.delete(dataclasses.replace(call, news={}, **changes))


@pytest.mark.parametrize(
    ("given", "timeout", "counts"),
    [
        ({}, 0, (310, "start_seconds")),
        ({"start_seconds": 20}, 0, (20, "start_seconds")),
        ({}, 600, (600, "customTimeouts")),
        ({"start_seconds": 20}, 600, (20, "start_seconds")),
        ({"start_seconds": 900}, 600, (600, "customTimeouts")),
    ],
)
def test_the_shorter_of_two_limits_of_a_start_counts(services, given, timeout, counts):
    """And is named when it is reached."""
    spec = HANDLER._spec(dataclasses.replace(asked(**given), timeout=timeout))

    assert counts == (spec.start_seconds, spec.start_limit)


def test_replaced_resource_keeps_its_process(services):
    """The old half of a replacement goes after the new half has taken the process over, and leaves it alone."""
    old = created(asked())
    new = created(asked())
    deleted(old)
    kept = services.status("shop.dev.same")
    deleted(new)

    assert old.state["owner"] != new.state["owner"]
    assert (True, new.state["pid"]) == (kept.ready, kept.pid)
    assert not services.status("shop.dev.same").known


def test_update_keeps_the_owner(services):
    """An update is the same resource; one of a release without owners gets one."""
    there = created(asked())
    again = HANDLER.update(there)
    without = {name: value for name, value in there.state.items() if name != "owner"}

    assert there.state["owner"] == again["owner"]
    assert there.state["owner"] == HANDLER.update(dataclasses.replace(there, preview=True))["owner"]
    assert 16 == len(HANDLER.update(dataclasses.replace(there, state=without))["owner"])


@pytest.mark.parametrize("preview", [False, True])
def test_name_of_another_resource_is_refused(services, preview):
    """Two services with one name would take each other's process."""
    created(asked())

    assert [Problem("name", TAKEN)] == HANDLER.check(dataclasses.replace(asked("bbb"), preview=preview)).problems
    assert [] == HANDLER.check(asked()).problems
    assert [] == HANDLER.check(dataclasses.replace(asked("bbb"), olds=asked().news)).problems  # by an alias
    with pytest.raises(OperationError) as caught:
        HANDLER.create(asked("bbb"))
    assert f"name: {TAKEN}" == str(caught.value)


@pytest.mark.parametrize("variables", [{}, {"environment_variables": UNKNOWN}])
def test_secret_variables_may_go_or_be_unknown(services, variables):
    """The engine still calls them secret, as they were."""
    call = dataclasses.replace(asked(**variables), preview=True, secrets=frozenset({"environment_variables"}))
    revision = HANDLER.create(call)[1]["revision"]

    assert (UNKNOWN if variables else HANDLER.create(dataclasses.replace(asked(), preview=True))[1]["revision"]) == (
        revision
    )


@pytest.mark.parametrize(("port", "first"), [(8890, True), (8891, False), (None, False)])
def test_rename_deletes_first_only_at_the_same_port(port, first):
    """Anywhere else both can be, and no request is lost."""
    news = {} if port is None else {"port": port}

    assert first is HANDLER.deletes_first(dataclasses.replace(asked(**news), state={"name": "old", "port": 8890}))


def test_port_that_another_service_keeps_is_named(services, free_port):
    """Check cannot know that it is kept, so the start says whose it is."""
    created(asked("second", "second", port=free_port))

    assert [] == HANDLER.check(asked(port=free_port)).problems
    with pytest.raises(OperationError) as caught:
        HANDLER.create(asked(port=free_port))
    assert (
        f"port: {free_port} is the port of service 'second' of this stack; "
        "free it in one pulumi up, take it in the next" == str(caught.value)
    )


def test_delete_can_be_cancelled(services):
    """It does not wait for another run once the person has asked to stop."""
    there = created(asked())
    stop = threading.Event()
    stop.set()

    def never() -> bool:
        return False

    with locked(services_folder() / there.id, print, never), pytest.raises(CancelledError):
        deleted(there, stop=stop)


def test_port_of_a_service_elsewhere_is_not_looked_for_here(services):
    """What listens on this machine says nothing about the one that it runs on."""
    with listen_anywhere() as listener:
        new = asked(port=port_of(listener))
        elsewhere = dataclasses.replace(new, olds=asked(port=1024).news)

        assert ["port"] == [problem.path for problem in HANDLER.check(new).problems]
        assert [] == HANDLER.check(elsewhere).problems


def test_stacks_whose_names_join_to_one_text_are_kept_apart(services):
    """`a.b` with stack `c` and `a` with stack `b.c` each have a service of their own."""
    one = created(dataclasses.replace(asked(), urn=asked().urn.replace("dev::shop", "c::a.b")))
    two = created(dataclasses.replace(asked(), urn=asked().urn.replace("dev::shop", "b.c::a")))
    deleted(one)

    assert one.id != two.id
    assert services.status(two.id).ready
    deleted(two)


def test_identity_of_an_earlier_release_is_kept(services):
    """A state that holds the joined form goes on with it, in every call: the id is what it was given."""
    urn = asked().urn.replace("dev::shop", "c::a.b")
    new = dataclasses.replace(asked(), urn=urn)
    spec = dataclasses.replace(HANDLER._spec(new), service_id="a.b.c.same")
    pid = services.start(spec).pid
    old = dataclasses.replace(new, id="a.b.c.same", olds=new.news, state={"owner": spec.owner, "name": "same"})

    assert {} == HANDLER.drift(old)
    assert "Healthy" == HANDLER.read(old).state["state"]
    assert [] == HANDLER.check(dataclasses.replace(old, id="")).problems
    assert pid == HANDLER.update(old)["pid"]
    found = created(new)  # its state was lost: it is found by its holder
    assert ("a.b.c.same", pid) == (found.id, found.state["pid"])
    deleted(found)
    assert [] == list(services.list())


def test_renamed_stack_keeps_its_process(services):
    """After `pulumi stack rename` the id in the state still names the process."""
    there = created(asked())
    renamed = dataclasses.replace(there, urn=there.urn.replace("urn:pulumi:dev::", "urn:pulumi:prod::"))

    assert {} == HANDLER.drift(renamed)
    assert there.state["pid"] == HANDLER.update(renamed)["pid"]
    deleted(renamed)
    assert [] == list(services.list())


def test_every_declared_setting_is_one_of_the_process(services):
    """What a program can give is what a process is started with, changes the revision and is compared."""
    image_and_identity = {"image", "keys", "name", "port", "grpc_port", "running"}
    settings = shape_of(LocalProcessInputs).by_name.keys() - image_and_identity
    before = HANDLER._spec(asked(**SWITCHES))
    unmoved = [
        name
        for name in sorted(settings - SWITCHES.keys())
        if before == dataclasses.replace(HANDLER._spec(asked(**SWITCHES, **{name: WHOLE[name]})), owner=before.owner)
    ]

    assert [] == unmoved
    assert settings | image_and_identity == set(HANDLER.compared)
    assert settings <= LocalServiceSpec.model_fields.keys()
    assert settings <= shape_of(LocalServiceArgs).by_name.keys()


SWITCHES = {
    "ssl_enabled": True,
    "ssl_cert_pem_file": "cert.pem",
    "ssl_key_pem_file": "key.pem",
    "collect_model_data": True,
    "enable_app_insights": True,
    "app_insights_connection_string": "InstrumentationKey=11111111-2222-3333-4444-555555555555",
}
WHOLE = {
    "cors_origins": ["*"],
    "cpu_cores": 1,
    "data_collection": {"format": "jsonl"},
    "docs": False,
    "drain_seconds": 2,
    "entra": {"tenant_id": "11111111-2222-3333-4444-555555555555", "audiences": ["api://x"]},
    "environment_variables": {"A": "b"},
    "access_log": True,
    "grpc_enabled": True,
    "health": "protected",
    "idle_timeout_s": 5,
    "log_format": "json",
    "log_level": "DEBUG",
    "max_body_bytes": 1,
    "max_concurrent_requests": 2,
    "max_queue": 1,
    "memory_gb": 1,
    "metrics": "open",
    "model_threads": 2,
    "onnx_provider_options": {"cpu": {"a": "b"}},
    "onnx_providers": ["cuda"],
    "otlp_endpoint": "http://127.0.0.1:4318",
    "path_prefix": "/api",
    "read_timeout_s": 5,
    "scoring_timeout_ms": 1,
    "ssl_cname": "localhost",
    "start_seconds": 1,
    "strict_v1": True,
    "telemetry": {"sample": 0.5},
    "workers": 2,
}
STRING = SWITCHES["app_insights_connection_string"]


def test_setting_that_is_not_given_moves_no_revision(services):
    """A release with one more setting gives the same revisions as the one before."""
    one, two = (dataclasses.replace(asked(**more), preview=True) for more in ({}, {"memory_gb": None}))

    three = dataclasses.replace(asked(memory_gb=1), preview=True)
    revisions = [HANDLER.create(call)[1]["revision"] for call in (one, two, three)]

    assert revisions[0] == revisions[1] != revisions[2]


def test_what_a_later_release_knows_is_not_said_to_an_earlier_runtime(services):
    """The settings file holds what differs from the defaults: an image may hold a runtime that lacks the others."""
    created(asked())
    (file,) = services_folder().glob("*/*/settings.json")
    said = json.loads(file.read_text(encoding="utf-8"))

    assert {"schema", "root", "service", "revision", "port", "fd", "control", "drain_seconds"} == said.keys()


def in_image_with(root: Path, variables: dict[str, str]) -> None:
    """Writes the manifest of the image that has these variables."""
    file = root / MANIFEST_PATH
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(dump(Manifest("price", "r", "3.11", None, variables=variables)), encoding="utf-8")


def test_variables_of_v1_decide_what_is_not_given(services, tmp_path):
    """The image's as the service's; a setting wins over either, and is written though it is as by default."""
    in_image_with(
        tmp_path / "root", {"SCORING_TIMEOUT_MS": "5000", "WORKER_TIMEOUT": "60", "AZUREML_LOG_LEVEL": "debug"}
    )
    own = {"SERVICE_PATH_PREFIX": "own", "AML_CORS_ORIGINS": "*"}
    there = created(asked(environment_variables=own, log_level="INFO"))
    (file,) = services_folder().glob("*/*/settings.json")
    said = json.loads(file.read_text(encoding="utf-8"))

    assert (5000, "/own", ["*"], "INFO") == tuple(
        said[name] for name in ("scoring_timeout_ms", "path_prefix", "cors_origins", "log_level")
    )
    assert there.state["scoring_uri"].endswith("/own/score")


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"scoring_timeout_ms": 60_000},
            ["scoring_timeout_ms: 60000 wins over the environment variable SCORING_TIMEOUT_MS"],
        ),
        ({"scoring_timeout_ms": 5_000}, []),
        ({}, []),
        ({"environment_variables": {"SCORING_TIMEOUT_MS": "7"}}, []),
    ],
)
def test_preview_says_which_setting_wins(services, given, told):
    """A setting and a variable that disagree are told, whosever variable it is; the image's are kept with it."""
    said = []
    image = {**IMAGE, "variables": {"SCORING_TIMEOUT_MS": "5000", "MODE": "fast"}}
    call = dataclasses.replace(
        asked(**{**given, "image": image}), preview=True, say=lambda text, _level: said.append(text)
    )
    checked = HANDLER.check(call)

    assert [] == checked.problems
    assert told == [line.partition(",")[0] for line in said]
    assert {**IMAGE, "variables": {"SCORING_TIMEOUT_MS": "5000"}} == checked.inputs["image"]


@pytest.mark.parametrize(
    ("given", "uri"),
    [
        ({}, "/image/score"),
        ({"environment_variables": {"SERVICE_PATH_PREFIX": "own/", "A": UNKNOWN}}, "/own/score"),
        ({"path_prefix": "/set"}, "/set/score"),
        ({"path_prefix": ""}, "8890/score"),
        ({"environment_variables": UNKNOWN}, None),
    ],
)
def test_preview_knows_the_prefix_of_a_variable(services, given, uri):
    """The service's URL is the one that v1's document would have told."""
    image = {**IMAGE, "variables": {"SERVICE_PATH_PREFIX": "image"}}
    call = dataclasses.replace(asked(port=8890, **{**given, "image": image}), preview=True)
    found = HANDLER.create(call)[1]["scoring_uri"]

    assert UNKNOWN is found if uri is None else found.endswith(uri)


def test_revision_names_hold_no_secret(services):
    """Not even hashed: a revision is shown to everyone. What is no secret moves it."""
    options = {"account_key": "one"}
    data = {"target": "az://x", "options": options}
    given = {**SWITCHES, "data_collection": data}
    hidden = frozenset({"data_collection"})
    one, other, third = (
        HANDLER.create(dataclasses.replace(asked(**{**given, **more}), preview=True, secrets=hidden))[1]["revision"]
        for more in (
            {},
            {"data_collection": {**data, "options": {"account_key": "two"}}, "app_insights_connection_string": "other"},
            {"workers": 2},
        )
    )

    assert one == other != third


def test_another_secret_is_another_process(services):
    """The process is started with it, though the revision keeps its name."""
    specs = [HANDLER._spec(asked(**SWITCHES | {"app_insights_connection_string": text})) for text in (STRING, "other")]

    assert fingerprint(specs[0]) != fingerprint(specs[1])
    assert specs[0].revision == specs[1].revision


@pytest.mark.parametrize(
    ("settings", "uri"),
    [
        ({}, "http://127.0.0.1:8890/score"),
        ({"path_prefix": "/api"}, "http://127.0.0.1:8890/api/score"),
        ({"ssl_enabled": True}, "https://127.0.0.1:8890/score"),
        ({"ssl_enabled": True, "ssl_cname": "a.example"}, "https://a.example:8890/score"),
        ({"ssl_enabled": UNKNOWN}, UNKNOWN),
    ],
)
def test_addresses_follow_the_settings(services, settings, uri):
    """Forecast in a preview; unknown while one part of them is."""
    state = HANDLER.create(dataclasses.replace(asked(port=8890, **settings), preview=True))[1]

    assert uri == state["scoring_uri"]
    assert (uri if uri is UNKNOWN else uri.replace("/score", "/swagger.json")) == state["swagger_uri"]


def paths(*, olds=None, **settings) -> dict[str, str]:
    """Returns what check finds, by path."""
    call = asked(**settings) if olds is None else dataclasses.replace(asked(**settings), olds=olds)
    return {problem.path: problem.message for problem in HANDLER.check(call).problems}


def test_a_certificate_is_looked_at_in_preview(services, certificate):
    """Its files, whether they belong together, and whether clients will take it for the name in the URLs."""
    cert, key = certificate("DNS:diabetes.example,IP:127.0.0.1")
    other, other_key = certificate("DNS:other.example")
    tls = {"ssl_enabled": True, "ssl_cert_pem_file": str(cert), "ssl_key_pem_file": str(key)}

    assert {} == paths(**tls)
    assert {} == paths(**tls, ssl_cname="diabetes.example")
    assert {"ssl_cname"} == set(paths(**tls, ssl_cname="wrong.example"))
    assert {"ssl_cname"} == set(paths(**tls | {"ssl_cert_pem_file": str(other), "ssl_key_pem_file": str(other_key)}))
    assert "does not belong to" in paths(**tls | {"ssl_key_pem_file": str(other_key)})["ssl_key_pem_file"]
    swapped = {"ssl_enabled": True, "ssl_cert_pem_file": str(key), "ssl_key_pem_file": str(cert)}
    assert {"ssl_cert_pem_file", "ssl_key_pem_file"} == set(paths(**swapped))
    assert "No such file" in paths(**tls | {"ssl_key_pem_file": "nowhere.pem"})["ssl_key_pem_file"]


def test_a_certificate_that_another_machine_has_is_taken_as_it_was(services, certificate):
    """A reviewer need not have the key: one warning. Named anew, it has to be there."""
    cert, _ = certificate("IP:127.0.0.1")
    tls = {"ssl_enabled": True, "ssl_cert_pem_file": str(cert), "ssl_key_pem_file": "/run/secrets/key.pem"}
    said = []
    call = dataclasses.replace(asked(**tls), olds=asked(**tls).news, say=lambda text, kind: said.append((kind, text)))

    assert [] == HANDLER.check(call).problems
    warning = "/run/secrets/key.pem: not on this machine; taking the certificate as unchanged"
    assert [("warning", warning)] == said
    assert {"ssl_key_pem_file"} == set(paths(**tls))


@pytest.mark.parametrize(
    ("told", "built", "refused"),
    [
        ([], None, True),
        (["telemetry"], None, False),
        (None, (), True),
        (None, ("telemetry",), False),
        (UNKNOWN, (), False),
    ],
)
def test_a_feature_that_the_image_lacks_is_refused(services, told, built, refused, monkeypatch):
    """As the image's resource says, known in the first preview, else as the image lies in the store."""
    image = IMAGE if told is None else {**IMAGE, "features": told}
    place = SimpleNamespace(processes=services, images=SimpleNamespace(get=lambda _: SimpleNamespace(features=built)))
    monkeypatch.setattr(service_surroundings, "workplace", lambda _settings: place)
    call = asked(image=image, otlp_endpoint="http://127.0.0.1:4318")
    problem = Problem("otlp_endpoint", "needs what the image lacks; add features=['telemetry'] to the image")

    assert ([problem] if refused else []) == HANDLER.check(call).problems


@pytest.mark.parametrize("preview", [True, False])
def test_a_dead_process_is_told_with_its_cause(services, monkeypatch, preview):
    """Once, at the resource, as `mlserve services show` has it; a process that lives is no news."""
    heard = []
    there = created(asked())
    alive = dataclasses.replace(there, preview=preview, say=lambda text, kind: heard.append((kind, text)))
    HANDLER.update(alive)
    assert {} == HANDLER.drift(alive)
    assert [] == [text for kind, text in heard if kind == "warning"]

    process = identify(services.status(there.id).pid)
    assert process is not None
    os.kill(process.pid, signal.SIGKILL)
    assert wait_gone(process, 10)
    monkeypatch.setattr(ProcessFiles, "end_reason", lambda _files: "it needed more memory")
    assert {"running": False} == HANDLER.drift(alive)
    HANDLER.update(alive)

    told = [text for kind, text in heard if kind == "warning"]
    assert [f"starts again: process {process.pid} is gone: it needed more memory"] == told


@pytest.mark.parametrize("form", ["{}", "file://{}"])
def test_data_in_a_folder_that_was_given_is_named_at_the_end(services, tmp_path, form):
    """The folder is the user's: it stays with all that lies in it, and an empty one is not spoken of."""
    said, folder = [], tmp_path / "data"
    folder.mkdir()
    collecting = {"collect_model_data": True, "data_collection": {"target": form.format(folder)}}
    empty = created(asked("bbb", "other", **collecting))
    deleted(dataclasses.replace(empty, say=lambda text, kind: said.append((kind, text))))
    assert [] == [line for line in said if line[0] == "info"]

    there = created(asked(**collecting))
    (folder / "inputs.csv").write_text("x")
    deleted(dataclasses.replace(there, say=lambda text, kind: said.append((kind, text))))
    assert [("info", f"the data that it collected stays in {folder}")] == [line for line in said if line[0] == "info"]
    assert (folder / "inputs.csv").is_file()


def test_data_in_an_object_store_is_named_at_the_end(services):
    """Nobody asks the store, and no option of it is said."""
    said = []
    target = {"target": "az://collected", "options": {"account_key": "hunter2"}}
    there = created(asked(collect_model_data=True, data_collection=target))
    deleted(dataclasses.replace(there, say=lambda text, kind: said.append((kind, text))))

    assert ("info", "the data that it collected stays in az://collected") in said


def test_data_of_before_another_target_is_named_too(services, tmp_path):
    """What lies in the service's own folder stays there when it collects elsewhere."""
    own, other = collected_folder("shop.dev.same"), tmp_path / "data"
    for folder in (own, other):
        folder.mkdir(parents=True)
        (folder / "inputs.csv").write_text("x")

    assert f"the data that it collected stays in {own} and {other}" == collected_note("shop.dev.same", str(other))


def test_collected_data_outlives_the_service(services):
    """The end of a service says where its data lies; a folder that nothing was written to goes with it."""
    said = []
    there = created(asked(collect_model_data=True))
    folder = collected_folder(there.id)
    folder.mkdir(parents=True)
    (folder / "data.csv").write_text("x")
    deleted(dataclasses.replace(there, say=lambda text, kind: said.append((kind, text))))
    (folder / "data.csv").unlink()

    assert ("info", f"the data that it collected stays in {folder}") in said
    assert "" == collected_note(there.id, str(folder))
    assert not folder.parent.exists()
