"""Puts the stand-in where an engine finds it."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path


def install(folder):
    """Make the plugin's program in `folder/docker-bin`, to be put first on PATH."""
    program = folder / "docker-bin" / "pulumi-resource-docker"
    program.parent.mkdir(parents=True)
    tests = Path(__file__).resolve().parent.parent
    command = shlex.join([sys.executable, "-m", "docker_standin.plugin"])
    program.write_text(f'#!/bin/sh\nPYTHONPATH={shlex.quote(str(tests))} exec {command} "$@"\n', encoding="utf-8")
    program.chmod(0o755)
    return program.parent
