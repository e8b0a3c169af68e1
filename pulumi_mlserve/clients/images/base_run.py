"""The image in which a training run ran, as MLflow, and with it Azure ML, remembers it."""

from __future__ import annotations

from typing import Final

from pulumi_mlserve.clients.models.mlflow_models import mlflow_client, mlflow_errors
from pulumi_mlserve.core.images.base_image import RUN, image_of_run
from pulumi_mlserve.core.images.reference import Reference
from pulumi_mlserve.core.problems import InvalidInputError, Problem

_TAGS: Final = ("AzureML.DerivedImageName", "mlflow.docker.image.uri")
"""Tags of a run that name its image: Azure ML's property, MLflow's own for projects in containers."""


def run_image(run: str, address: str) -> Reference:
    """Return the image that a run names.

    Args:
        run: The run's id.
        address: The registry, where the run's name for the image does not say one.

    Raises:
        InvalidInputError: There is no such run, it names no image, or nothing says where that lies.
        OperationError: The server cannot be asked.
    """
    asked = f"{RUN}{run}"
    try:
        client = mlflow_client()
        with mlflow_errors(asked):
            tags = client.get_run(run).data.tags
    except InvalidInputError as error:
        raise InvalidInputError(Problem("base_image", problem.message) for problem in error.problems) from error
    name = next((tags[tag] for tag in _TAGS if tags.get(tag)), None)
    if name is None:
        text = f"the run names no image, got {asked!r}; it has none of the tags {' and '.join(_TAGS)}"
        raise InvalidInputError([Problem("base_image", text)])
    try:
        return image_of_run(str(name), address)
    except ValueError as error:
        raise InvalidInputError([Problem("base_image", f"what {asked} names {error}")]) from error
