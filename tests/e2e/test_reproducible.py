"""The same definition gives the same image, whoever builds it and wherever."""

from __future__ import annotations

import os

from programs import free_port, quickstart, replaced

HERE = {"LC_ALL": "C.UTF-8", "TZ": "UTC", "PYTHONHASHSEED": "0"}
ELSEWHERE = {"LC_ALL": "C", "TZ": "Asia/Kathmandu", "LANGUAGE": "tr", "COLUMNS": "40", "PYTHONHASHSEED": "4711"}
ANOTHER_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


def image_only(stacks, folder):
    """Returns a copy of the quickstart that builds its image, serves nothing, and tells what came of it.

    Its script never answers twice the same.
    """
    program = quickstart(stacks, folder, (free_port(), free_port()))
    replaced(program / "src" / "score.py", "prediction.ravel()", "(prediction.ravel() + __import__('time').time())")
    main = program / "__main__.py"
    lines = main.read_text(encoding="utf-8").splitlines()
    services = next(number for number, line in enumerate(lines) if "LocalService(" in line)
    told = ("digest", "lock", "size")
    exports = [f'pulumi.export("{name}", image.{name})' for name in told]
    main.write_text("\n".join([*lines[:services], *exports]) + "\n", encoding="utf-8")
    replaced(main, "LocalService, ", "")
    return program


def test_another_user_place_and_time_give_the_same_image(stacks, workspaces):
    """Folder, owner, permissions, times, umask, user, locale, time zone and caches are in no digest."""
    here, elsewhere = workspaces(**HERE), workspaces(**ELSEWHERE)
    (elsewhere.cache / "packages").unlink()  # it unpacks the packages by itself
    first = here.stack(image_only(stacks, here.folder / "program"))
    first.up().ok()

    copy = image_only(stacks, elsewhere.folder / "a folder elsewhere" / "déjà vu")
    for path in sorted(copy.rglob("*")):
        path.chmod(0o700)
        os.utime(path, (1_000_000_000, 1_000_000_000))
    second = elsewhere.stack(copy)
    up = 'umask 0077 && id -u && exec pulumi up --yes --skip-preview --stack "$0"'
    outcome = elsewhere.run(*ANOTHER_USER, "sh", "-c", up, second.name, folder=copy).ok()

    assert "1000" == outcome.output.splitlines()[0]
    assert first.outputs() == second.outputs()
    assert blobs(here) == blobs(elsewhere)


def blobs(workspace):
    """Returns the digests of everything that the image store holds."""
    return {file.name for file in (workspace.home / "data" / "mlserve" / "images" / "blobs" / "sha256").iterdir()}
