"""The real Azure ML inference server and ours are asked the same; what differs is listed with its reason."""

from __future__ import annotations

import json
import os
import re
import subprocess
import textwrap
import uuid
from pathlib import Path

import pytest
from beside_v1.cases import SCRIPTS
from beside_v1.differences import ARGUMENTS, DIFFERENCES
from beside_v1.real_server import real_python, real_server
from mlserve_scoring.process.surroundings import STANDINS
from scoring_kit import RUNTIME, Answer, Service, write_image

CASES = [(script, case) for script, (_, cases) in SCRIPTS.items() for case in cases]
IDS = ("x-request-id", "x-ms-request-id", "x-ms-client-request-id", "traceid")


@pytest.fixture(scope="module")
def both(start_shared, tmp_path_factory):
    """A function that asks both servers of a script; they are started when they are first needed."""
    folder = tmp_path_factory.mktemp("beside")
    python = real_python()
    running, open_servers = {}, []

    def ask(script, case):
        if script not in running:
            text = SCRIPTS[script][0]
            ours = start_shared(write_image(folder / f"ours-{script}", {"score.py": text}))
            context = real_server(python, folder / f"real-{script}", textwrap.dedent(text))
            open_servers.append(context)
            running[script] = ours, Service(None, {}, None)
            running[script][1].port = context.__enter__()
        return tuple(server.request(case.method, case.path, case.data, case.headers) for server in running[script])

    yield ask
    for context in open_servers:
        context.__exit__(None, None, None)


def ids_of(answer: Answer, case) -> dict[str, str]:
    """The ids of a reply; made-up ones as such."""
    sent = {name.lower(): value for name, value in case.headers.items()}
    found = {}
    for name in IDS:
        value = answer.headers.get(name)
        if value is not None and value not in sent.values():
            uuid.UUID(value)
            value = "made up"
        found[name] = value
    return found


def body_of(answer: Answer) -> object:
    """A body, read where it is JSON."""
    try:
        return json.loads(answer.body)
    except ValueError:
        return answer.body


def differing(real: Answer, ours: Answer, case) -> set[str]:
    """What differs in two replies."""
    parts = {
        "status": (real.status, ours.status),
        "body": (body_of(real), body_of(ours)),
        "type": (real.headers.get("Content-Type"), ours.headers.get("Content-Type")),
        "failed": (real.headers.get("x-ms-run-function-failed"), ours.headers.get("x-ms-run-function-failed")),
        "timed": ("x-ms-run-fn-exec-ms" in real.headers, "x-ms-run-fn-exec-ms" in ours.headers),
        "ids": (ids_of(real, case), ids_of(ours, case)),
        "own headers": (real.headers.get("X-Answer"), ours.headers.get("X-Answer")),
    }
    return {name for name, (one, other) in parts.items() if repr(one) != repr(other)}


@pytest.mark.parametrize(("script", "case"), CASES, ids=[case.name for _, case in CASES])
def test_both_answer_alike_but_for_what_is_listed(both, script, case):
    """Nothing differs that nobody has decided, and no difference is listed that is gone."""
    ours, real = both(script, case)
    listed = {part for entry in DIFFERENCES.values() for part in entry.get(case.name, ())}

    seen = "\n".join(f"{answer.status} {answer.body[:300]!r} {dict(answer.headers)}" for answer in (real, ours))

    assert listed == differing(real, ours, case), seen


def test_declared_parameters_are_given_alike_but_for_what_is_listed():
    """Every kind of sample, given, null, empty, left out and by default: the arguments are v1's, types and all."""
    program = str(Path(__file__).parent / "beside_v1" / "declared.py")
    paths = {"v1": "", "ours": os.pathsep.join((str(STANDINS), str(RUNTIME)))}
    running = [
        subprocess.Popen(
            [real_python(), program, which], env={**os.environ, "PYTHONPATH": path}, stdout=subprocess.PIPE
        )
        for which, path in paths.items()
    ]
    v1, ours = (json.loads(process.communicate(timeout=300)[0]) for process in running)
    differing = {name for name in v1 if v1[name] != ours[name] and {"error"} not in ({*v1[name]}, {*ours[name]})}
    refused = {name for name in v1 if ("error" in v1[name]) != ("error" in ours[name])}
    listed = {name for name in v1 if any(re.fullmatch(pattern, name) for pattern in ARGUMENTS.values())}

    assert len(v1) > 1000
    assert v1.keys() == ours.keys()
    assert {name: (v1[name], ours[name]) for name in (differing | refused) ^ listed} == {}


def test_every_difference_is_told_to_users(repository):
    """The docs list the reasons, word for word."""
    text = (repository / "docs" / "azure-ml-v1.md").read_text(encoding="utf-8")
    named = {name for entry in DIFFERENCES.values() for name in entry}

    assert [] == [reason for reason in (*DIFFERENCES, *ARGUMENTS) if f"| {reason} |" not in text]
    assert named <= {case.name for _, case in CASES}
