"""What of its base's packages a container can import: none, unless the image says that the base brings some."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from mlserve_scoring.manifest import Manifest, dump, parse
from mlserve_scoring.process.surroundings import find_packages


@pytest.mark.parametrize("brought", [(), ("gdal",)])
@pytest.mark.parametrize("container", [True, False])
def test_the_bases_packages_stand_behind_the_images_own(tmp_path, monkeypatch, brought, container):
    """And only in a container: elsewhere they would be the machine's."""
    own, of_base = tmp_path / "own", tmp_path / "lib" / "dist-packages"
    for folder, names in ((own, ("alpha",)), (of_base, ("alpha", "beta"))):
        folder.mkdir(parents=True)
        for name in names:
            (folder / f"{name}.py").write_text("")
    root = Path("/") if container else tmp_path
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(of_base)])
    find_packages(root, Manifest("i", "r", "3.11", site_packages=str(own.relative_to(root)), base_packages=brought))

    kept = [str(tmp_path / "first"), str(own)]
    assert sys.path == [*kept, str(of_base)] if brought and container else sys.path == kept


def test_a_manifest_says_which_packages_only_where_there_are_any():
    """An image without any stays the image that it was."""
    assert "base_packages" not in dump(Manifest("i", "r", "3.11"))
    assert parse(dump(Manifest("i", "r", "3.11", base_packages=("gdal",)))).base_packages == ("gdal",)
