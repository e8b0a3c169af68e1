"""Environments of a stack: a private index whose password stays outside, and a lock that is kept beside its file."""

from __future__ import annotations

import json
import sys

from engine import Stack
from index_kit import SECRET, USER, serving
from programs import program, replaced
from wheelhouse import make_wheel

SCRIPT = "import alpha\n\n\ndef init():\n    assert alpha.version\n\n\ndef run(data):\n    return data\n"


def test_a_private_indexs_password_stays_outside_and_a_lock_decides_on_packages(workspace, tmp_path):
    """Neither state nor layers nor logs know the index; a newer lock is shown as packages before anything is done."""
    body = """
    image = ScoringImage("priced", entry_script="score.py", source_directory="src",
        requirements_file="requirements.txt", samples=[{"data": [1]}])
    pulumi.export("digest", image.digest)
    """
    folder = program(workspace.folder / "program", body)
    (folder / "src").mkdir()
    (folder / "src" / "score.py").write_text(SCRIPT, encoding="utf-8")
    requirements = folder / "requirements.txt"
    stack: Stack = workspace.stack(folder)
    make_wheel(tmp_path / "wheels", "alpha", "1.0")
    mlserve = [sys.executable, "-m", "pulumi_mlserve.cli.main"]
    with serving(tmp_path / "wheels") as server:
        host = f"127.0.0.1:{server.server_port}"
        text = f"--extra-index-url http://{USER}:{{}}@{host}/simple\nalpha\n"

        requirements.write_text(text.format("wrong-one"), encoding="utf-8")
        wrong = stack.preview_text().output
        assert "the package index refuses this machine" in wrong
        assert [word for word in ("wrong-one", host) if word in wrong] == []

        requirements.write_text(text.format(SECRET), encoding="utf-8")
        (folder / "src" / "requirements.txt").write_text(text.format(SECRET), encoding="utf-8")
        inside = stack.preview().failed().text
        assert "requirements.txt: holds a password of a package index, and lies in the source directory" in inside
        (folder / "src" / "requirements.txt").unlink()

        output = stack.up().ok().output
        kept = json.dumps(stack.export()) + output
        assert [word for word in (SECRET, host) if word in kept] == []
        assert traces(workspace, SECRET, host) == []

        make_wheel(tmp_path / "wheels", "alpha", "2.0")
        workspace.run(*mlserve, "lock", str(requirements), "--upgrade", "alpha").ok()
        assert stack.preview_text().ok().output.count("packages: alpha 1.0 → 2.0") == 1
        stack.up().ok()
        assert stack.preview().changes == {}

        replaced(requirements, "alpha\n", "alpha<2\n")
        lacking = stack.preview().failed().text
        assert "requirements.lock: has alpha 2.0, and requirements.txt:2 asks for alpha<2; run `mlserve lock" in lacking


def traces(workspace, *words: str) -> list[str]:
    """Return the files of stores, state and caches in which a word stands; uv's own cache knows its index."""
    found = []
    for file in workspace.folder.rglob("*"):
        if file.is_file() and not file.is_symlink() and "uv" not in file.parts and file.name != "requirements.txt":
            content = file.read_bytes()
            found += [f"{file}: {word}" for word in words if word.encode() in content]
    return found
