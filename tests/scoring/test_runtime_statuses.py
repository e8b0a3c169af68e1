"""The one table of statuses: the documentation shows it, and nothing is answered that it lacks."""

from __future__ import annotations

import ast
from pathlib import Path

import mlserve_scoring
import pytest
from mlserve_scoring import errors
from mlserve_scoring.routes import openapi
from mlserve_scoring.routes.failures import failed
from mlserve_scoring.routes.statuses import STATUSES, grpc_code, markdown, status_of

SOURCES = Path(mlserve_scoring.__file__).parent
DOCUMENT = Path(__file__).parents[2] / "docs/scoring.md"
REPLIES = {"Reply", "message_reply", "refusal", "error_reply"}


def answered():
    """Yields the place of every reply that is made with a number, and the number."""
    for module in sorted(SOURCES.rglob("*.py")):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in REPLIES:
                for part in ast.walk(node.args[0]):
                    if isinstance(part, ast.Constant) and type(part.value) is int:
                        yield f"{module.relative_to(SOURCES)}:{node.lineno}", part.value


def test_documentation_shows_the_table():
    """The table in docs/scoring.md is the code's, line by line; ``markdown()`` writes it."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    start = lines.index("| status | gRPC | when |")
    end = lines.index("", start)

    assert markdown() == lines[start:end]


def test_nothing_is_answered_that_the_table_lacks():
    """Each status that stands in the code is in the table."""
    known = {row.status for row in STATUSES}
    found = list(answered())

    assert len(found) > 30
    assert [] == [place for place in found if place[1] not in known]


def test_openapi_describes_statuses_of_the_table_alone():
    """What the document calls the errors, the table has."""
    assert set() == set(openapi._MEANINGS) - {row.status for row in STATUSES}


def test_a_status_has_one_code():
    """Rows with the same status have the same code of gRPC."""
    assert len({row.status for row in STATUSES}) == len({(row.status, row.code) for row in STATUSES})


def test_every_failure_has_a_row():
    """Each kind of failure that a scorer may answer with is named by one row, itself or what it is a kind of."""
    kinds = [
        kind
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.ScoringError) and kind is not errors.ScoringError
    ]
    named = [failure for row in STATUSES for failure in row.failures]

    assert len(kinds) > 5
    assert [] == [kind for kind in kinds if sum(issubclass(kind, failure) for failure in named) != 1]


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (errors.InvalidRequestError("x"), 400, 3),
        (errors.SchemaMismatchError("data[0]", "x"), 400, 3),
        (errors.UnsupportedContentError("x"), 415, 12),
        (errors.ScriptFailedError("x"), 500, 13),
        (errors.ResultError("x"), 500, 13),
        (errors.QueueFullError("x"), 503, 14),
        (errors.ScoringTimeoutError("x"), 504, 4),
    ],
)
def test_failure_has_its_status(failure, status, code):
    """The reply to a failure has the status of its row, and gRPC the code beside it."""
    assert status == status_of(failure)
    assert status == failed(failure).status
    assert code == grpc_code(status)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (299, 0), (301, 0), (418, 3), (422, 3), (507, 13), (599, 13)])
def test_status_of_a_script_has_a_code_too(status, code):
    """What only a script answers with is fine, the client's fault or the service's, by its first digit."""
    assert code == grpc_code(status)
