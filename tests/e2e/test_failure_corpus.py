"""What v1 users found out twenty minutes after deploying is one clear error of the preview, without network."""

from __future__ import annotations

import dataclasses
import sys

import pytest
from corpus_kit import cases, environments, program, without_network
from plans import preview_of

CASES = cases()


@pytest.fixture(scope="module")
def corpus(workspaces):
    """A stack whose workspace has seen every environment once, as that of somebody who edits a script has."""
    workspace = workspaces()
    stack = workspace.stack(program(workspace.folder / "program", []))
    program(stack.program, environments(CASES, stack.program / "warm"))
    for folder in (stack.program / "warm").glob("environment-*"):
        folder.rename(stack.program / folder.name)
    stack.preview().ok()
    return stack


def previewed(stack, folder, declared):
    """Preview a program of these declarations where there is no network."""
    there = dataclasses.replace(stack, program=program(folder, declared))
    command = without_network(sys.executable, ("pulumi", "preview", "--json", "--stack", stack.name))
    started = stack.workspace.start(*command, folder=there.program)
    outcome = started.finish()
    return preview_of(outcome, started.standard_output)


def test_every_control_previews_without_a_problem(corpus, tmp_path):
    """What differs from the failures in the fault alone is fine, trial and samples included."""
    for case in CASES:
        case.copy(tmp_path)
    preview = previewed(corpus, tmp_path, [case.declared for case in CASES]).ok()

    images = {step.name.partition(" ")[2] for step in preview.steps if step.kind == "Image"}
    assert {case.name for case in CASES} == images
    assert "was not tried" not in preview.text


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_failure_is_one_clear_error_of_the_preview(corpus, tmp_path, case, record_property):
    """At its property, with file, line and what to do, and nothing else beside it."""
    preview = previewed(corpus, tmp_path, [case.broken(tmp_path)]).failed()
    record_property("seconds", round(preview.seconds, 1))
    errors = [
        text for text in preview.messages if text.startswith("error: ") and text.strip() != "error: preview failed"
    ]
    places = (f"property {case.at} ", f"{case.at}: ")

    assert [] == [word for word in case.told if word not in preview.text], preview.text
    assert 1 == len(errors), preview.text
    assert any(place in errors[0] for place in places), preview.text
