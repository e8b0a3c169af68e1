"""The committed schema is the one the declarations give."""

from __future__ import annotations

import json
import re

from pulumi_mlserve.clients.plugin_cache import plugin_version
from pulumi_mlserve.provider.main import SCHEMA_FILE, handlers, package_schema


def test_the_committed_schema_is_current():
    """After a change of a declaration: python -m pulumi_mlserve.provider.main --write-schema."""
    assert package_schema() == SCHEMA_FILE.read_text(encoding="utf-8")


def test_every_resource_has_a_handler_and_components_are_marked():
    """The schema names what the plugin can do, no more and no less."""
    resources = json.loads(package_schema())["resources"]

    assert set(handlers()) == {token for token, entry in resources.items() if not entry.get("isComponent")}
    assert {"mlserve:index:LocalService", "mlserve:index:RegisteredModel", "mlserve:index:ScoringImage"} == {
        token for token, entry in resources.items() if entry.get("isComponent")
    }


def test_computed_inputs_are_not_offered():
    """A program cannot give what check computes."""
    inputs = json.loads(package_schema())["resources"]["mlserve:index:Model"]["inputProperties"]

    assert "path" in inputs
    assert "digest" not in inputs


def test_keys_are_secret_and_auth_is_plain():
    """What hides a secret says so for every language."""
    service = json.loads(package_schema())["resources"]["mlserve:index:LocalService"]

    assert service["inputProperties"]["primaryKey"]["secret"]
    assert service["inputProperties"]["authEnabled"]["plain"]
    assert service["properties"]["primaryKey"]["secret"]


def test_one_version_everywhere():
    """The project file says it; the schema and the engine's plugin file, which must be files, repeat it."""
    root = SCHEMA_FILE.parents[1]
    plugin = json.loads((root / "pulumi-plugin.json").read_text(encoding="utf-8"))

    committed = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))

    assert [plugin_version()] * 2 == [plugin["version"], committed["version"]]


def test_every_type_that_is_named_is_there():
    """A reference that leads nowhere is taken for anything, and its properties cannot be reached."""
    schema = json.loads(package_schema())
    named = set(re.findall(r'"#/types/([^"]+)"', json.dumps(schema)))

    assert named <= schema["types"].keys()
