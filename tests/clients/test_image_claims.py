"""Claims on images: bytes go with the last one, and never while a service runs them."""

import pytest
from image_kit import DEV, PROD, Workshop, tree

from pulumi_mlserve.clients.images.image_store import ImageInUseError, ImageStore, ImageWords
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
    """Layers, unpacked folders, claims and locks go, the store's own lock too; the model store keeps its own."""
    image = shop.build()
    shop.images.rootfs(image.digest)
    shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=nobody)

    assert {} == tree(shop.folder / "images")
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


def test_a_claim_of_another_owner_stays(shop):
    """A replaced resource builds the same image before the old one lets go."""
    image = shop.build(owner="old")
    shop.build(owner="new")

    assert not shop.images.is_claimed("diabetes", image.digest, DEV, owner="old")
    assert not shop.images.remove("diabetes", image.digest, claimant=DEV, owner="old", in_use=nobody)
    assert () == shop.images.verify(image.digest)
    assert shop.images.is_claimed("diabetes", image.digest, DEV, owner="new")
    assert shop.images.remove("diabetes", image.digest, claimant=DEV, owner="new", in_use=nobody)


def test_a_claim_without_an_owner_is_the_claimants(shop):
    """Those of before owners were written go as they did."""
    image = shop.build()

    assert shop.images.is_claimed("diabetes", image.digest, DEV, owner="someone")
    assert shop.images.remove("diabetes", image.digest, claimant=DEV, owner="someone", in_use=nobody)


def test_a_missing_store_does_not_say_that_an_image_is_gone(shop):
    """A disk that is not mounted looks the same; a store without the image is certain."""
    image = shop.build()
    elsewhere = ImageStore(shop.folder / "unmounted")

    assert image.digest == shop.images.look_up(image.digest).digest
    with pytest.raises(OperationError, match=r"the image store .*unmounted is empty"):
        elsewhere.look_up(image.digest)
    shop.images.remove("diabetes", image.digest, claimant=DEV, in_use=nobody)
    assert shop.images.look_up(image.digest) is None


def test_words_of_an_image_are_those_of_its_claimants(shop):
    """They change no digest, the newest of a claimant count, and they go with the claim."""
    first = shop.build(claimant=DEV, content={"words": ImageWords({"stage": "dev", "area": "a"}, {"run": "7"}, "old")})
    again = shop.build(claimant=DEV, content={"words": ImageWords({"stage": "dev"}, {}, "new")})
    shop.build(claimant=PROD, content={"words": ImageWords({"stage": "prod"})})
    there = shop.images.words(first.name, first.digest)
    shop.images.remove(first.name, first.digest, claimant=PROD, in_use=nobody)

    assert first.digest == again.digest
    assert ImageWords({"stage": "prod"}, {}, "new") == there
    assert ImageWords({"stage": "dev"}, {}, "new") == shop.images.words(first.name, first.digest)
