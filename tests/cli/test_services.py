"""Services as records and processes tell of them."""

from __future__ import annotations

import pytest

from pulumi_mlserve.cli.local_services import matching
from pulumi_mlserve.cli.services import merged, short_reference
from pulumi_mlserve.clients.models.records import ServiceRecord, UsedModel
from pulumi_mlserve.clients.processes.local_process import ProcessStatus
from pulumi_mlserve.core.problems import OperationError

URL = "http://127.0.0.1:8890/score"
DIGEST = "sha256:" + "ab" * 32


def status(service_id="quickstart-dev-diabetes", **given) -> ProcessStatus:
    """A service of this machine."""
    values = {
        "service_id": service_id,
        "known": True,
        "alive": True,
        "ready": True,
        "pid": 42,
        "port": 8890,
        "revision": "r1",
        "detail": "serves",
        "service": "diabetes",
        "scoring_uri": URL,
    }
    return ProcessStatus(**{**values, **given})


def record(**given) -> ServiceRecord:
    """A service as the store records it."""
    values = {
        "project": "quickstart",
        "stack": "dev",
        "service": "diabetes",
        "target": "local",
        "image_name": "diabetes",
        "image_digest": DIGEST,
        "models": (UsedModel("diabetes", 1, DIGEST),),
        "scoring_uri": URL,
        "since": "2026-01-02T03:04:05Z",
        "revision": "r1",
        "status": "serving",
    }
    return ServiceRecord(**{**values, **given})


def test_record_and_process_are_one_row():
    """What the store records and what runs here are the same service."""
    (row,) = merged([record()], [status()])

    assert ("diabetes", "quickstart/dev", "ready", "diabetes:1", URL) == (
        row.service,
        row.stack,
        row.state,
        row.models,
        row.scoring_uri,
    )


@pytest.mark.parametrize(
    ("alive", "ready", "state"), [(True, True, "ready"), (True, False, "starting"), (False, False, "stopped")]
)
def test_state_is_that_of_the_process(alive, ready, state):
    """A recorded service whose process died is stopped."""
    assert [state] == [row.state for row in merged([record()], [status(alive=alive, ready=ready)])]


def test_each_side_alone_is_a_row():
    """A process without a record and a record of another machine are both shown."""
    rows = merged([record(service="remote", target="aks", scoring_uri="http://10.0.0.1/score")], [status()])

    assert [("diabetes", "ready"), ("remote", "recorded")] == [(row.service, row.state) for row in rows]


def test_two_stacks_with_one_name_and_address_are_two_rows():
    """The process is that of the stack whose identity it has."""
    records = [record(stack="prod"), record(stack="dev")]

    assert [("quickstart/dev", "ready"), ("quickstart/prod", "recorded")] == [
        (row.stack, row.state) for row in merged(records, [status("quickstart.dev.diabetes")])
    ]


def test_service_is_found_by_name_or_identity():
    """Both what a person calls it and what the machine calls it will do."""
    there = [status(), status("other-dev-wine", service="wine")]

    assert there[1] == matching(there, "wine") == matching(there, "other-dev-wine")
    assert matching(there, "absent") is None


def test_same_name_in_two_stacks_must_be_said():
    """Two stacks with a service of one name here: the message names both identities."""
    there = [status("quickstart-dev-diabetes"), status("quickstart-test-diabetes")]

    with pytest.raises(OperationError, match="got quickstart-dev-diabetes, quickstart-test-diabetes"):
        matching(there, "diabetes")
    assert there[0] == matching(there, "quickstart-dev-diabetes")


def test_reference_is_shortened():
    """An image is shown by name and the beginning of its digest."""
    assert "diabetes@abababababab" == short_reference(f"diabetes@{DIGEST}")
