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
from beside_v1.cases import SCRIPTS, VARIABLES
from beside_v1.differences import ARGUMENTS, ARGUMENTS_STAY, AS_V1, DIFFERENCES
from beside_v1.real_server import real_python, real_server
from mlserve_scoring.process.surroundings import STANDINS
from scoring_kit import RUNTIME, Answer, Service, write_image

CASES = [(script, case) for script, (_, cases) in SCRIPTS.items() for case in cases]
IDS = ("x-request-id", "x-ms-request-id", "x-ms-client-request-id", "traceid")


@pytest.fixture(scope="module")
def both(start_shared, tmp_path_factory):
    """A function that asks the real server of a script, ours, and ours in v1's manner; started when first needed."""
    folder = tmp_path_factory.mktemp("beside")
    python = real_python()
    running, open_servers = {}, []

    def ask(script, case):
        if script not in running:
            text, variables = SCRIPTS[script][0], VARIABLES.get(script, {})
            image = write_image(folder / f"ours-{script}", {"score.py": text}, variables=variables)
            context = real_server(python, folder / f"real-{script}", textwrap.dedent(text), variables)
            open_servers.append(context)
            running[script] = Service(None, {}, None), start_shared(image), start_shared(image, strict_v1=True)
            running[script][0].port = context.__enter__()
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


def without_words(value: object) -> object:
    """A document without its descriptions, in one order."""
    if isinstance(value, dict):
        return {name: without_words(entry) for name, entry in sorted(value.items()) if name != "description"}
    return [without_words(entry) for entry in value] if isinstance(value, list) else value


def words_of(value: object) -> list[object]:
    """The descriptions of a document."""
    if not isinstance(value, dict):
        return []
    own = [value["description"]] if isinstance(value.get("description"), str) else []
    return own + [word for _, entry in sorted(value.items()) for word in words_of(entry)]


def differing(real: Answer, ours: Answer, case) -> set[str]:
    """What differs in two replies."""
    bodies, is_document = (body_of(real), body_of(ours)), case.path.startswith("/swagger.json")
    parts = {
        "status": (real.status, ours.status),
        "body": tuple(without_words(body) for body in bodies) if is_document else bodies,
        "words": tuple(words_of(body) for body in bodies) if is_document else (),
        "type": (real.headers.get("Content-Type"), ours.headers.get("Content-Type")),
        "failed": (real.headers.get("x-ms-run-function-failed"), ours.headers.get("x-ms-run-function-failed")),
        "timed": ("x-ms-run-fn-exec-ms" in real.headers, "x-ms-run-fn-exec-ms" in ours.headers),
        "ids": (ids_of(real, case), ids_of(ours, case)),
        "own headers": (real.headers.get("X-Answer"), ours.headers.get("X-Answer")),
    }
    return {name for name, values in parts.items() if len({repr(value) for value in values}) > 1}


@pytest.mark.parametrize(("script", "case"), CASES, ids=[case.name for _, case in CASES])
def test_both_answer_alike_but_for_what_is_listed(both, script, case):
    """Nothing differs that nobody has decided, in either manner, and no difference is listed that is gone."""
    real, ours, strict = both(script, case)
    listed = {part for entry in DIFFERENCES.values() for part in entry.cases.get(case.name, ())}
    staying = {
        part for entry in DIFFERENCES.values() if entry.strict != AS_V1 for part in entry.cases.get(case.name, ())
    }
    answers = (real, ours, strict)

    seen = "\n".join(f"{answer.status} {answer.body[:300]!r} {dict(answer.headers)}" for answer in answers)

    assert listed == differing(real, ours, case), seen
    assert staying == differing(real, strict, case), seen


def test_declared_parameters_are_given_alike_but_for_what_is_listed(tmp_path):
    """Every kind of sample, given, null, empty, left out and by default: the arguments are v1's, types and all."""
    program = str(Path(__file__).parent / "beside_v1" / "declared.py")
    (tmp_path / "mlserve_scoring").symlink_to(RUNTIME / "mlserve_scoring")  # alone: beside it may lie another pandas
    paths = {"v1": "", "ours": os.pathsep.join((str(STANDINS), str(tmp_path)))}
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
    """The docs list the reasons, word for word, and what strict_v1 does to each."""
    text = (repository / "docs" / "azure-ml-v1.md").read_text(encoding="utf-8")
    named = {name for entry in DIFFERENCES.values() for name in entry.cases}

    told = {reason: entry.strict for reason, entry in DIFFERENCES.items()} | dict.fromkeys(ARGUMENTS, ARGUMENTS_STAY)

    assert [] == [reason for reason, strict in told.items() if f"| {reason} | {strict} |" not in text]
    assert named <= {case.name for _, case in CASES}
