"""The plugin's process: the table of resources, and the start."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Final

from pulumi_mlserve.core.declarations import RESOURCES, Declaration, token
from pulumi_mlserve.provider.call import Handler

_HANDLERS: Final[Mapping[str, tuple[str, str]]] = {
    "Image": ("image", "ImageHandler"),
    "LocalProcess": ("local_process", "LocalProcessHandler"),
    "Model": ("model", "ModelHandler"),
    "ServiceKeys": ("service_keys", "ServiceKeysHandler"),
    "ServiceRecord": ("service_record", "ServiceRecordHandler"),
}


def handlers() -> dict[str, tuple[Declaration, Callable[[], Handler]]]:
    """Return, for each token, what is declared and how its handler is made; nothing is imported until then."""
    return {token(d.name): (d, _maker(*_HANDLERS[d.name])) for d in RESOURCES}


def package_schema() -> str:
    """Return the package schema as JSON."""
    from pulumi_mlserve.provider.construct import COMPONENTS  # noqa: PLC0415  the start of the plugin does not need it
    from pulumi_mlserve.provider.schema import schema  # noqa: PLC0415

    return json.dumps(schema(version("pulumi-mlserve"), COMPONENTS), indent=2) + "\n"


def main() -> None:
    """Serve the engine that started this process."""
    from pulumi_mlserve.provider.construct import ComponentHost  # noqa: PLC0415
    from pulumi_mlserve.provider.server import serve  # noqa: PLC0415

    serve(ComponentHost(version("pulumi-mlserve"), package_schema()), handlers())


def _maker(module: str, name: str) -> Callable[[], Handler]:
    def make() -> Handler:
        handler: Handler = getattr(importlib.import_module(f"pulumi_mlserve.provider.handlers.{module}"), name)()
        return handler

    return make


if __name__ == "__main__":
    main()
