"""The stand-in for pulumi-docker is as strict as the SDK's types."""

from __future__ import annotations

import pulumi_docker
import pytest
from azure_native_standin.bodies import UNKNOWN, problems_by

IMAGE = {"imageName": "r.example/a:1", "build": {"context": "c", "dockerfile": "c/Dockerfile"}}


def test_a_right_image_is_taken():
    """Also one whose name is not known yet."""
    assert [] == [*problems_by(pulumi_docker.ImageArgs, IMAGE | {"imageName": UNKNOWN})]


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"imageName": None}, "imageName"),
        ({"image_name": "x"}, "image_name"),
        ({"build": {"contxt": "c"}}, "build.contxt"),
        ({"skipPush": "no"}, "skipPush"),
    ],
)
def test_a_wrong_image_is_refused_at_its_path(change, path):
    """One change of a right image each."""
    ((found, _),) = problems_by(pulumi_docker.ImageArgs, IMAGE | change)

    assert path == found
