"""Puts this distribution's plugin into the plugin cache of Pulumi, where the engine finds it without being told.

What lies there is a launcher: it starts the plugin of the active virtual environment when that holds the same version,
else the plugin of the environment that installed it.
"""

from __future__ import annotations

import os
import shlex
import shutil
import sysconfig
import tempfile
from importlib.metadata import version as distribution_version
from pathlib import Path

from pulumi_mlserve.core.problems import OperationError

DISTRIBUTION = "pulumi-mlserve"
EXECUTABLE = "pulumi-resource-mlserve"
"""The launcher's name, which the engine looks for."""
PROGRAM = "mlserve-plugin"
"""The plugin's name in an environment. Under the launcher's name the engine would find it on PATH too, and warn."""

_LAUNCHER = """\
#!/bin/sh
# Starts the mlserve plugin {version}; written by `mlserve install`.
for metadata in "${{VIRTUAL_ENV:-/nowhere}}"/lib/python3*/site-packages/pulumi_mlserve-{version}.dist-info; do
  if [ -d "$metadata" ] && [ -x "$VIRTUAL_ENV/bin/{program}" ]; then
    exec "$VIRTUAL_ENV/bin/{program}" "$@"
  fi
done
installed={installed}
if [ -x "$installed" ]; then
  exec "$installed" "$@"
fi
echo "mlserve plugin {version}: the environment that installed it is gone, looked for $installed;" \\
  "activate one that holds pulumi-mlserve {version} and run: mlserve install" >&2
exit 1
"""


def plugin_version() -> str:
    """Returns the version of this distribution, which is the plugin's version too."""
    return distribution_version(DISTRIBUTION)


def pulumi_home() -> Path:
    """Returns the folder in which Pulumi keeps plugins: `$PULUMI_HOME`, else `.pulumi` in the home folder."""
    own = os.environ.get("PULUMI_HOME")
    return Path(own) if own else Path.home() / ".pulumi"


def launcher_path(home: Path | None = None) -> Path:
    """Returns where the engine looks for the launcher of this version, whether it is there or not."""
    folder = (home or pulumi_home()) / "plugins" / f"resource-mlserve-v{plugin_version()}"
    return folder / EXECUTABLE


def is_installed(home: Path | None = None) -> bool:
    """Says whether the launcher of this version and this environment lies in the plugin cache."""
    try:
        return launcher_path(home).read_text(encoding="utf-8") == _launcher()
    except OSError:
        return False


def install_plugin(home: Path | None = None) -> Path:
    """Writes the launcher into the plugin cache and returns its path; a launcher that is there already is replaced.

    Raises:
      OperationError: The plugin's executable is not in this environment, or the cache cannot be written.
    """
    final = launcher_path(home)
    text = _launcher()
    try:
        final.parent.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".mlserve-", dir=final.parent.parent) as temporary:
            made = Path(temporary) / EXECUTABLE
            made.write_text(text, encoding="utf-8")
            made.chmod(0o755)
            final.parent.mkdir(exist_ok=True)
            made.replace(final)
        final.parent.with_name(f"{final.parent.name}.partial").unlink(missing_ok=True)  # a broken download's mark
    except OSError as error:
        raise OperationError(
            f"plugin cache {final.parent.parent}: cannot be written, got {error.strerror}; "
            "make it writable, or name another folder with PULUMI_HOME"
        ) from error
    return final


def _launcher() -> str:
    program = Path(sysconfig.get_path("scripts")) / PROGRAM
    if not program.exists():
        found = shutil.which(PROGRAM)
        if found is None:
            raise OperationError(
                f"{program}: is not there; install {DISTRIBUTION} into this environment with pip, then try again"
            )
        program = Path(found)
    return _LAUNCHER.format(version=plugin_version(), program=PROGRAM, installed=shlex.quote(str(program)))
