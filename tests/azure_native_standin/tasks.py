"""Runs the tasks of a container registry with the Docker daemon of `DOCKER_HOST`, for the registry `STANDIN_ACR`.

Of what the documentation of ACR's task files has, the steps `cmd` with the image alias `bash`, `build` and `push`.
"""

from __future__ import annotations

import base64
import os
import shlex
import subprocess
import tempfile

import yaml

_KEYS = {"version", "stepTimeout", "steps"}


class TaskError(Exception):
    """A task is wrong, or one of its steps failed."""


def run_task(request):
    """Return the result of a run, with the images that it pushed."""
    if request.get("type") != "EncodedTaskRunRequest":
        raise TaskError(f"no request of type {request.get('type')!r} here")
    task = yaml.safe_load(base64.b64decode(request["encodedTaskContent"]))
    unknown = set(task) - _KEYS
    if unknown:
        raise TaskError(f"a task has no {', '.join(sorted(unknown))}")
    pushed = []
    with tempfile.TemporaryDirectory() as workspace:
        for step in task["steps"]:
            _step(step, workspace, pushed)
    return {"status": "Succeeded", "runId": "ca1", "outputImages": pushed}


def _step(step, workspace, pushed):
    registry = os.environ["STANDIN_ACR"]
    match step:
        case {"cmd": command, "entryPoint": "bash"} if len(step) == 2:
            image, *arguments = shlex.split(command)
            if image != "bash":
                raise TaskError(f"no image {image} here")
            _run(["bash", *arguments], workspace)
        case {"build": options} if len(step) == 1:
            _run(["docker", "build", *shlex.split(options.replace("$Registry", registry))], workspace)
        case {"push": images} if len(step) == 1:
            for image in images:
                name = image.replace("$Registry", registry)
                _run(["docker", "push", name], workspace)
                found = _run(["docker", "image", "inspect", "--format", "{{index .RepoDigests 0}}", name], workspace)
                repository, _, tag = name.removeprefix(f"{registry}/").rpartition(":")
                digest = found.strip().rpartition("@")[2]
                pushed.append({"registry": registry, "repository": repository, "tag": tag, "digest": digest})
        case _:
            raise TaskError(f"no step {sorted(step)} here")


def _run(command, folder):
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise TaskError(f"{shlex.join(command)}: {(done.stderr or done.stdout)[-2000:]}")
    return done.stdout
