"""Claims on images: bytes go with the last one, and never while a service runs them."""

import pytest
from image_kit import DEV, PROD, Workshop, tree

from pulumi_mlserve.clients.images.image_store import ImageInUseError
from pulumi_mlserve.core.problems import OperationError


def nobody(_digest):
    """Say that no service runs the image."""
    return []


@pytest.fixture
def shop(tmp_path):
    """A workshop."""
    return Workshop(tmp_path / "shop")


def test_an_image_goes_with_its_last_claim(shop):
    """Two stacks that made the same image do not take it from each other."""
    image = shop.build()
    shop.build(claimant=PROD)

    assert (DEV, PROD) == shop.images.claims("diabetes", image.digest)
    assert not shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=nobody)
    assert (PROD,) == shop.images.claims("diabetes", image.digest)
    assert shop.images.remove("diabetes", image.digest, claimant=PROD, in_use=nobody)
    assert shop.images.get(image.digest) is None


def test_a_removed_image_leaves_no_bytes(shop):
    """Layers, unpacked folders, claims and locks go; the model store keeps its own."""
    image = shop.build()
    shop.images.rootfs(image.digest)
    shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=nobody)

    assert {"locks/store": b""} == tree(shop.folder / "images")
    assert 1 == (shop.models.folder / "ridge/ridge.onnx").stat().st_nlink


def test_shared_layers_stay_for_the_other_image(shop):
    """Removing one image leaves the other whole, unpacked or not."""
    first = shop.build()
    (shop.source / "score.py").write_text("changed = 1\n")
    second = shop.build()
    root = shop.images.rootfs(second.digest)
    shop.images.rootfs(first.digest)
    shop.images.remove("diabetes", first.digest, claimant=DEV, in_use=nobody)

    assert () == shop.images.verify(second.digest)
    assert "changed = 1\n" == (root / "var/azureml-app/score.py").read_text()
    assert () == shop.build().written


def test_an_image_in_use_stays_and_the_services_are_named(shop):
    """Nothing is removed, not even the claim."""
    image = shop.build()
    before = tree(shop.folder / "images")

    with pytest.raises(ImageInUseError, match="in use by iris, wine; give these services another image") as caught:
        shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=lambda digest: ["wine", "iris", "wine"])
    assert ("iris", "wine") == caught.value.services
    assert before == tree(shop.folder / "images")


def test_a_look_up_that_fails_removes_nothing(shop):
    """Not knowing who uses an image is no leave to remove it."""
    image = shop.build()

    def broken(_digest):
        raise OperationError("the store cannot be reached")

    with pytest.raises(OperationError, match="cannot be reached"):
        shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=broken)
    assert () == shop.images.verify(image.digest)


def test_removing_what_is_gone_succeeds(shop):
    """A second delete finds its work done."""
    assert shop.images.remove("diabetes", "sha256:" + "0" * 64, claimant=DEV, in_use=nobody)


def test_an_image_that_exists_can_be_claimed(shop):
    """Another stack can hold on to an image it did not build."""
    image = shop.build()
    shop.images.claim(image.digest, PROD)

    assert (DEV, PROD) == shop.images.claims("diabetes", image.digest)
    with pytest.raises(OperationError, match="not in the image store"):
        shop.images.claim("sha256:" + "0" * 64, PROD)
