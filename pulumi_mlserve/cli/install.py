"""Answers `mlserve install` and `mlserve version`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pulumi_mlserve.cli.output import show_json, show_line
from pulumi_mlserve.clients.plugin_cache import install_plugin, is_installed, launcher_path, plugin_version

if TYPE_CHECKING:
    from argparse import Namespace


def install(options: Namespace) -> int:
    """Puts the plugin into Pulumi's plugin cache; doing it twice is fine."""
    there = is_installed(options.home)
    path = launcher_path(options.home) if there else install_plugin(options.home)
    if options.json:
        return show_json({"plugin": "mlserve", "version": plugin_version(), "path": str(path), "installed": not there})
    done = "is installed already" if there else "installed"
    show_line(f"plugin mlserve {plugin_version()} {done}: {path}")
    return 0


def show_version(options: Namespace) -> int:
    """Prints the version of this distribution."""
    if options.json:
        return show_json({"version": plugin_version()})
    show_line(plugin_version())
    return 0
