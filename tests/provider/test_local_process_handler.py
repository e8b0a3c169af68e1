"""What ``LocalProcess`` decides around a process: whose a name and a port are, and who may stop what."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import mlserve_scoring
import pytest

from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.places import services_folder
from pulumi_mlserve.clients.processes.local_process import LocalProcesses, ProcessSpec
from pulumi_mlserve.clients.processes.ports import listen_anywhere, port_of
from pulumi_mlserve.clients.processes.service_lock import locked
from pulumi_mlserve.components.local_service import LocalServiceArgs
from pulumi_mlserve.core.declarations import LocalProcessInputs
from pulumi_mlserve.core.problems import OperationError, Problem
from pulumi_mlserve.core.service import LocalServiceSpec
from pulumi_mlserve.core.shapes import shape_of
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.handlers import local_process
from pulumi_mlserve.provider.handlers.local_process import LocalProcessHandler
from pulumi_mlserve.provider.values import UNKNOWN

STANDIN = Path(__file__).parents[1] / "clients" / "standin_runtime" / "mlserve_scoring"
URN = "urn:pulumi:dev::shop::mlserve:index:LocalService$mlserve:index:LocalProcess::"
IMAGE = {"name": "price", "digest": "sha256:" + "0" * 64, "reference": "price@sha256:" + "0" * 64}
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
    images = SimpleNamespace(get=lambda _digest: SimpleNamespace(python="3.11"), rootfs=lambda _digest: root)
    place = SimpleNamespace(processes=found, images=images)
    monkeypatch.setattr(local_process, "workplace", lambda _settings: place)
    monkeypatch.setattr(local_process, "isolated_python", lambda _minor, _cache: Path(sys.executable))
    yield found
    for status in found.list():
        found.stop(status.service_id, 0)


@pytest.fixture
def free_port() -> int:
    """A port that nobody has."""
    with listen_anywhere() as listener:
        return port_of(listener)


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
    image_and_identity = {"image", "keys", "name", "port", "running"}
    settings = shape_of(LocalProcessInputs).by_name.keys() - image_and_identity
    known = {field.name for field in dataclasses.fields(ProcessSpec)} | {"environment_variables"}

    assert set() == settings - known
    assert settings | image_and_identity == set(HANDLER.compared)
    assert settings <= LocalServiceSpec.model_fields.keys()
    assert settings <= shape_of(LocalServiceArgs).by_name.keys()


def test_setting_that_is_not_given_moves_no_revision(services):
    """A release with one more setting gives the same revisions as the one before."""
    one, two = (dataclasses.replace(asked(**more), preview=True) for more in ({}, {"memory_gb": None}))

    three = dataclasses.replace(asked(memory_gb=1), preview=True)
    revisions = [HANDLER.create(call)[1]["revision"] for call in (one, two, three)]

    assert revisions[0] == revisions[1] != revisions[2]
