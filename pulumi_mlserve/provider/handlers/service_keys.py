"""``ServiceKeys``: the two keys of a service, kept across updates, each renewed on its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pulumi_mlserve.clients.processes.service_keys import new_key
from pulumi_mlserve.core.service_keys import check_keys
from pulumi_mlserve.provider.call import Call, Checked, Found
from pulumi_mlserve.provider.values import UNKNOWN, is_unknown


class ServiceKeysHandler:
    """Makes keys that the program does not give, and replaces one when its generation is raised."""

    compared = ("service", "primary_key", "secondary_key", "primary_generation", "secondary_generation")
    replaced = ()

    def check(self, call: Call) -> Checked:
        """Complete the generations."""
        inputs = {"primary_generation": 1, "secondary_generation": 1, **call.news}
        return Checked(inputs, check_keys(inputs))

    def drift(self, call: Call) -> Mapping[str, Any]:  # noqa: ARG002
        """Return nothing: keys live in the state alone."""
        return {}

    def deletes_first(self, call: Call) -> bool:  # noqa: ARG002
        """Both can be at a time."""
        return False

    def create(self, call: Call) -> tuple[str, dict[str, Any]]:
        """Make the keys."""
        return str(call.news["service"]), _keys(call)

    def update(self, call: Call) -> dict[str, Any]:
        """Replace the keys whose value or generation changed."""
        return _keys(call)

    def read(self, call: Call) -> Found:
        """Return what the state holds."""
        return Found(call.id, dict(call.state), dict(call.news))

    def delete(self, call: Call) -> None:
        """Do nothing: the keys go with the state."""


def _keys(call: Call) -> dict[str, Any]:
    return {f"{which}_key": _key(call, which) for which in ("primary", "secondary")}


def _key(call: Call, which: str) -> Any:
    given, generation = f"{which}_key", f"{which}_generation"
    if given in call.news:
        return call.news[given]
    same = call.olds.get(generation) == call.news[generation] and given not in call.olds
    kept = call.state.get(given)
    if same and kept and not is_unknown(kept):
        return kept
    return UNKNOWN if call.preview else new_key()
