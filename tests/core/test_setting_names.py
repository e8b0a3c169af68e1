"""What the runtime says of settings, under the names that a program has for them."""

from __future__ import annotations

import dataclasses

import pytest
from mlserve_scoring.settings import Collection, Entra, Settings, Telemetry

from pulumi_mlserve.core.local_process_declarations import LocalProcessInputs
from pulumi_mlserve.core.setting_names import in_program_names, logged_in_program_names
from pulumi_mlserve.core.shapes import shape_of

OURS = {"root", "service", "revision", "host", "fd", "grpc_fd", "control", "keys_file", "drain_delay_seconds"}
DECLARED = shape_of(LocalProcessInputs).by_name


def names_of(record, before=""):
    """Every setting of the runtime that a program has, by its place."""
    parts = {"entra": Entra, "collection": Collection, "telemetry": Telemetry}
    for field in dataclasses.fields(record):
        if field.name in parts and not before:
            yield from names_of(parts[field.name], f"{field.name}.")
        elif before or field.name not in OURS | {"variables"}:
            yield before + field.name


@pytest.mark.parametrize("place", [*names_of(Settings)])
def test_every_setting_is_told_by_a_name_that_programs_have(place):
    """Whatever the runtime names at the beginning of a problem can be found in the program."""
    told, _, message = in_program_names(f"{place}: is wrong").partition(": ")
    head, _, inner = told.partition(".")

    assert "is wrong" == message
    assert head in DECLARED
    assert not inner or inner in DECLARED[head].kind.shape.by_name


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("collection.options.x: is none", "data_collection.options.x: is none"),
        ("entra.tenant: a; entra.audiences: b", "entra.tenant_id: a; entra.audiences: b"),
        ("tls_certificate, tls_key: they differ", "ssl_cert_pem_file, ssl_key_pem_file: they differ"),
        ("init() raised KeyError: 'tls_key'", "init() raised KeyError: 'tls_key'"),
        ("init() raised tls_key: no", "init() raised tls_key: no"),
        ("collection: has no signature", "collection: has no signature"),
    ],
)
def test_only_places_are_changed(text, told):
    """What else is said, by a script too, stays."""
    assert told == in_program_names(text)


WRONG = "tls_key: /k.pem does not belong to /c.pem"
RIGHT = "ssl_key_pem_file: /k.pem does not belong to /c.pem"


@pytest.mark.parametrize(
    ("before", "is_ours"),
    [
        ("2026-01-31 23:59:59,123 ERROR mlserve.tls: ", True),
        ("2026-01-31 23:59:59,123 ERROR mlserve: the service cannot start: ", True),
        ('{"time": "2026", "level": "ERROR", "logger": "mlserve.tls", "message": "', True),
        ('{"time": "2026", "level": "INFO", "logger": "mlserve.stdout", "message": "', False),
        ("2026-01-31 23:59:59,123 ERROR mlserve.script: ", False),
        ("2026-01-31 23:59:59,123 ERROR mine: ", False),
        ("", False),
    ],
)
def test_lines_of_the_runtime_alone_are_changed(before, is_ours):
    """A script may print the same words, and means its own."""
    assert before + (RIGHT if is_ours else WRONG) == logged_in_program_names(before + WRONG)
