"""What was made, one file each by its ARM id, in a folder; and the ids that ARM gives."""

from __future__ import annotations

import json
import re
import urllib.parse
from pathlib import Path

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
_GROUP = "/subscriptions/{subscription}/resourceGroups/{resourceGroupName}"
_WORKSPACE = f"{_GROUP}/providers/Microsoft.MachineLearningServices/workspaces/{{workspaceName}}"
_REGISTRY = f"{_GROUP}/providers/Microsoft.ContainerRegistry/registries/{{registryName}}"
PATHS = {
    "azure-native:containerregistry:TaskRun": f"{_REGISTRY}/taskRuns/{{taskRunName}}",
    "azure-native:machinelearningservices:ModelContainer": f"{_WORKSPACE}/models/{{name}}",
    "azure-native:machinelearningservices:ModelVersion": f"{_WORKSPACE}/models/{{name}}/versions/{{version}}",
    "azure-native:resources:ResourceGroup": _GROUP,
}
# Rules of names that ARM checks and the SDK does not know; of the published API descriptions.
_NAMES = {
    "azure-native:containerregistry:TaskRun": {
        "taskRunName": r"[a-zA-Z0-9-]{5,50}",
        "registryName": r"[a-zA-Z0-9]{5,50}",
    },
    "azure-native:machinelearningservices:ModelContainer": {"name": r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}"},
    "azure-native:machinelearningservices:ModelVersion": {"name": r"[a-zA-Z0-9][a-zA-Z0-9\-_]{0,254}"},
}
_MODEL_URI = re.compile(
    r"azureml://subscriptions/[0-9a-f-]{36}/resourceGroups/[^/]+/workspaces/[^/]+/datastores/\w+/paths/.+"
)


class Cloud:
    """The resources in a folder."""

    def __init__(self, folder):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def all(self):
        """Return all that is there, by id, sorted."""
        found = [json.loads(file.read_text(encoding="utf-8")) for file in self._folder.glob("*.json")]
        return {resource["id"]: resource for resource in sorted(found, key=lambda resource: resource["id"])}

    def get(self, resource_id):
        """Return a resource, or None."""
        file = self._file(resource_id)
        return json.loads(file.read_text(encoding="utf-8")) if file.exists() else None

    def put(self, token, resource_id, inputs):
        """Write a resource and return it."""
        resource = {"id": resource_id, "type": token, "inputs": inputs}
        file = self._file(resource_id)
        whole = file.with_suffix(".new")  # others read while this is written
        whole.write_text(json.dumps(resource, indent=1), encoding="utf-8")
        whole.replace(file)
        return resource

    def delete(self, resource_id):
        """Delete a resource, and return what lies below it, which keeps it; one that is gone is fine."""
        below = [known for known in self.all() if known.startswith(f"{resource_id}/")]
        if not below:
            self._file(resource_id).unlink(missing_ok=True)
        return below

    def _file(self, resource_id):
        return self._folder / f"{urllib.parse.quote(resource_id, safe='')}.json"


def path_of(token, inputs):
    """Return the id that a resource with these inputs has."""
    return PATHS[token].format_map({"subscription": SUBSCRIPTION, **inputs})


def identifying(token):
    """Return the inputs that are part of a resource's id: to change one is to make another resource."""
    return set(re.findall(r"\{(\w+)\}", PATHS[token])) - {"subscription"}


def refusals(token, inputs):
    """Yield what ARM refuses beyond types, as path and reason."""
    if token not in PATHS:
        yield "", f"{token} is no resource that the stand-in knows; add it to PATHS"
        return
    for name in sorted(identifying(token) - inputs.keys()):
        yield name, "is required: the stand-in makes up no names"
    for name, rule in _NAMES.get(token, {}).items():
        if isinstance(inputs.get(name), str) and not re.fullmatch(rule, inputs[name]):
            yield name, f"does not match {rule}, got {inputs[name]!r}"
    uri = (inputs.get("properties") or {}).get("modelUri")
    if token.endswith(":ModelVersion") and not _MODEL_URI.fullmatch(uri or ""):
        yield "properties.modelUri", f"is no place in a datastore, got {uri!r}"
