"""The plugin's process: the table of resources, and the start."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from pulumi_mlserve.clients.plugin_cache import plugin_version
from pulumi_mlserve.core.declarations import RESOURCES, Declaration, token
from pulumi_mlserve.provider.call import Handler

SCHEMA_FILE: Final = Path(__file__).with_name("schema.json")

_HANDLERS: Final[Mapping[str, tuple[str, str]]] = {
    "Image": ("image", "ImageHandler"),
    "LocalProcess": ("local_process", "LocalProcessHandler"),
    "Model": ("model", "ModelHandler"),
    "PulledImage": ("pulled_image", "PulledImageHandler"),
    "ServiceKeys": ("service_keys", "ServiceKeysHandler"),
    "ServiceRecord": ("service_record", "ServiceRecordHandler"),
}


def handlers() -> dict[str, tuple[Declaration, Callable[[], Handler]]]:
    """Return, for each token, what is declared and how its handler is made; nothing is imported until then."""
    return {token(d.name): (d, _maker(*_HANDLERS[d.name])) for d in RESOURCES}


def package_schema() -> str:
    """Return the package schema as JSON, made from the declarations."""
    from pulumi_mlserve.provider.construct import COMPONENTS  # noqa: PLC0415  the plugin's start does not need it
    from pulumi_mlserve.provider.schema import schema  # noqa: PLC0415

    return json.dumps(schema(plugin_version(), COMPONENTS), indent=2) + "\n"


def main() -> None:
    """Serve the engine that started this process; with ``--write-schema`` write the package schema instead."""
    if "--write-schema" in sys.argv[1:]:
        SCHEMA_FILE.write_text(package_schema(), encoding="utf-8")
        return
    from pulumi_mlserve.provider.construct import ComponentHost  # noqa: PLC0415  imports the SDK
    from pulumi_mlserve.provider.serving import serve  # noqa: PLC0415

    serve(ComponentHost(plugin_version(), SCHEMA_FILE.read_text(encoding="utf-8")), handlers())


def _maker(module: str, name: str) -> Callable[[], Handler]:
    def make() -> Handler:
        handler: Handler = getattr(importlib.import_module(f"pulumi_mlserve.provider.handlers.{module}"), name)()
        return handler

    return make


if __name__ == "__main__":
    main()
