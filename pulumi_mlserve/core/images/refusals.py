"""Says why a setting that v1's images had, or that only Docker can honour, is refused by an image, and what to do."""

from __future__ import annotations

from typing import Final

_DOCKER: Final = (
    "only the base is made by Docker; give its steps as extra_docker_file_steps with builder='docker' or 'acr', or an"
    " image of your own as base_image"
)
_REFUSED: Final = {
    "base_dockerfile": _DOCKER,
    "dependencies": "the whole source directory goes in; put the files there",
    "docker_file": _DOCKER,
    "dockerfile": _DOCKER,
    "schema_file": "the schema comes from the script's decorators or from samples; leave it out",
}
_SPELLED: Final = {
    "base_image_address": "base_image_registry",
    "environment": "conda_file",
    "extra_dockerfile_steps": "extra_docker_file_steps",
    "env": "environment_variables",
    "execution_script": "entry_script",
    "gpu_enabled": "enable_gpu",
    "image_name": "name",
    "pip_requirements_file": "requirements_file",
    "pyproject_file": "requirements_file",
    "requirements": "requirements_file",
    "variables": "environment_variables",
}


def why_not_image(name: str) -> str | None:
    """Return why an image refuses the setting and what to do, None for a name that nobody has."""
    if spelled := _SPELLED.get(name):
        return f"there is no such setting; did you mean {spelled!r}?"
    return _REFUSED.get(name)
