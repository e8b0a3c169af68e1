"""Images for another platform than this machine: tried here, built, and refused by a service of this machine."""

from __future__ import annotations

from pathlib import Path

from engine import Stack
from programs import free_port, program

from pulumi_mlserve.clients.environments.resolver import host_platform

OTHER = "linux/arm64" if host_platform() == "linux/amd64" else "linux/amd64"
SCRIPT = "import joblib\n\n\ndef init():\n    assert joblib\n\n\ndef run(data):\n    return data\n"


def test_an_image_for_another_platform_is_tried_and_built_here_but_runs_elsewhere(workspace):
    """With this machine's wheels of the same versions; a local service of it is refused in preview."""
    body = f"""
    image = ScoringImage("other", entry_script="score.py", source_directory="src", platform="{OTHER}",
        requirements_file="requirements.txt", samples=[{{"data": [1]}}])
    pulumi.export("digest", image.digest)
    pulumi.export("platform", image.ref["platform"])
    """
    folder = program(workspace.folder / "program", body)
    (folder / "src").mkdir(exist_ok=True)
    (folder / "src" / "score.py").write_text(SCRIPT, encoding="utf-8")
    (folder / "requirements.txt").write_text("joblib\n", encoding="utf-8")
    stack: Stack = workspace.stack(folder)
    output = stack.up().ok().output
    first = stack.outputs()

    assert f"the image is for {OTHER}: it is tried with {host_platform()} wheels of the same versions" in output
    assert first["platform"] == OTHER
    assert stack.preview().changes == {}

    main = Path(folder, "__main__.py")
    with_service = main.read_text() + f'\nLocalService("other", image=image, port={free_port()})\n'
    main.write_text(with_service, encoding="utf-8")
    refused = stack.preview().failed().text

    assert f"is for {OTHER}, and a local service needs one for this machine, {host_platform()}" in refused

    main.write_text(with_service.replace(f'platform="{OTHER}"', f'platform="{host_platform()}"'), encoding="utf-8")
    stack.up().ok()

    assert stack.outputs()["digest"] != first["digest"]
