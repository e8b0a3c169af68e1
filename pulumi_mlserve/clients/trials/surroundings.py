"""What a script that is tried may write to, and what of its user it must not see."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

SHARED_TEMPORARY: Final = tuple(Path(path) for path in ("/tmp", "/var/tmp", "/dev/shm"))  # noqa: S108 -- scripts name them
"""Where a script writes that does not ask for the temporary folder: an image has these too."""
_ABANDONED_SECONDS: Final = 24 * 3600

# Logins and keys of a person, relative to the home, as their tools keep them.
_KEPT_AT_HOME: Final = (
    *(".aws", ".azure", ".config/gcloud", ".config/gh", ".config/op", ".config/rclone", ".oci", ".pulumi"),
    *(".docker", ".gnupg", ".kube", ".ssh", ".password-store", ".local/share/keyrings", ".mozilla", ".terraform.d"),
    *(".config/google-chrome", ".config/chromium", ".databrickscfg", ".git-credentials", ".config/git/credentials"),
    *(".netrc", ".npmrc", ".pgpass", ".pypirc", ".config/pip", ".pip", ".cache/huggingface/token", ".kaggle"),
    *(".bash_history", ".zsh_history", ".python_history", ".vault-token", ".config/uv", ".local/share/uv/credentials"),
)
# Programs listen there, the Docker daemon and agents with keys among them: no network is needed to reach them.
_SOCKETS: Final = (Path("/run"), Path("/var/run"))
# Files that tools are told of by a variable; the trial has none of these variables, but a script can guess.
_NAMED_BY: Final = (
    *("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE", "AZURE_CONFIG_DIR", "CLOUDSDK_CONFIG", "DOCKER_CONFIG"),
    *("GOOGLE_APPLICATION_CREDENTIALS", "KUBECONFIG", "NETRC", "PIP_CONFIG_FILE", "PULUMI_HOME", "SSH_AUTH_SOCK"),
    *("AZURE_FEDERATED_TOKEN_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "PULUMI_CONFIG_PASSPHRASE_FILE", "UV_CONFIG_FILE"),
)


def hidden_places(needed: Iterable[Path]) -> Sequence[Path]:
    """Return what a script must not be able to read, but for what holds something that it needs.

    Args:
        needed: Where its interpreter, packages, code and models lie.
    """
    home = Path.home()
    named = [Path(part) for name in _NAMED_BY for part in os.environ.get(name, "").split(os.pathsep) if part]
    needed = [Path(os.path.realpath(path)) for path in needed]
    found = dict.fromkeys(
        Path(os.path.realpath(p)) for p in (*(home / kept for kept in _KEPT_AT_HOME), *_SOCKETS, *named)
    )
    return [path for path in found if not _holds(path, needed)]


def private_places(folder: Path, needed: Iterable[Path]) -> Mapping[Path, Path]:
    """Return new folders, by the shared temporary ones whose place they take for a script.

    One that holds something which the script needs is left out: there it sees what everybody sees.

    Args:
        folder: A private folder, in which they are made.
        needed: Where its interpreter, packages, code and models lie.
    """
    needed = [Path(os.path.realpath(path)) for path in needed]
    found: dict[Path, Path] = {}
    for place in SHARED_TEMPORARY:
        if place.is_dir() and not _holds(place, needed):
            found[place] = folder / "shared" / str(len(found))
            found[place].mkdir(parents=True)
    return found


def clear_abandoned(folder: Path, pattern: str) -> None:
    """Remove the folders of trials whose process was killed, a day later."""
    limit = time.time() - _ABANDONED_SECONDS
    for path in folder.glob(pattern):
        with contextlib.suppress(OSError):  # somebody else removes it
            if path.stat().st_mtime < limit:
                remove_all(path)


def remove_all(folder: Path) -> None:
    """Remove a folder that a script could write to, also where it took away its own rights."""
    _open_up(folder)
    for parent, names, _ in os.walk(folder):
        for name in names:
            _open_up(Path(parent, name))
    shutil.rmtree(folder, ignore_errors=True)


def _holds(place: Path, needed: Iterable[Path]) -> bool:
    return any(other == place or place in other.parents for other in needed)


def _open_up(folder: Path) -> None:
    if folder.is_dir() and not folder.is_symlink():
        folder.chmod(stat.S_IRWXU)
