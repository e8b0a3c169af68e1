"""The list of an image's content in the store: made from the packages' metadata, kept and removed with the image."""

import hashlib
import json

import pytest
from image_kit import DEV, Workshop

from pulumi_mlserve.clients.images.image_places import ImagePlaces
from pulumi_mlserve.clients.images.image_sbom import installed_packages
from pulumi_mlserve.clients.images.source_date import origin_here
from pulumi_mlserve.core.images.oci import EPOCH
from pulumi_mlserve.core.problems import OperationError


@pytest.fixture
def shop(tmp_path):
    """A workshop whose one package tells its licence."""
    found = Workshop(tmp_path / "shop")
    metadata = "Metadata-Version: 2.4\nName: tiny\nVersion: 1.0\nLicense-Expression: MIT\n\nName: no header\n"
    (found.packages / "tiny-1.0.dist-info/METADATA").write_text(metadata)
    return found


def test_installed_packages_tell_name_version_and_licence(shop):
    """From METADATA; the hash is that of RECORD as it lies in the layer."""
    image = shop.build()
    (package,) = installed_packages(shop.packages)
    record = shop.images.rootfs(image.digest) / package.record

    assert ("tiny", "1.0", "MIT") == (package.name, package.version, package.expression)
    assert hashlib.sha256(record.read_bytes()).hexdigest() == package.record_sha256


def test_the_list_is_attached_to_the_image_in_the_store(shop):
    """An OCI artifact whose subject is the image's manifest."""
    image = shop.build()
    places = ImagePlaces(shop.folder / "images")
    artifact = json.loads(places.blob(image.sbom).read_bytes())
    sbom = json.loads(places.blob(artifact["layers"][0]["digest"]).read_bytes())

    assert image.digest == artifact["subject"]["digest"]
    assert ["tiny", "ridge"] == [component["name"] for component in sbom["components"]]
    assert image.digest == sbom["metadata"]["component"]["version"]
    assert image.sbom == shop.images.get(image.digest).sbom


def test_a_damaged_list_is_found_and_mended_by_the_next_build(shop):
    """Verify names it, and nobody is given half of one."""
    image = shop.build()
    places = ImagePlaces(shop.folder / "images")
    content = shop.images.sbom(image.digest)
    blob = places.blob("sha256:" + hashlib.sha256(content).hexdigest())
    for path in (blob, places.blob(image.sbom)):
        path.chmod(0o600)
        path.write_bytes(b"{")

        assert ["list of what is inside"] == [text.partition(":")[0] for text in shop.images.verify(image.digest)]
        with pytest.raises(OperationError, match="its list of what is inside is damaged; build the image again"):
            shop.images.sbom(image.digest)
        shop.build()

        assert () == shop.images.verify(image.digest)
        assert content == shop.images.sbom(image.digest)


def test_two_builders_make_one_list(shop, tmp_path):
    """Its digest follows from the image's."""
    other = Workshop(tmp_path / "other")
    metadata = (shop.packages / "tiny-1.0.dist-info/METADATA").read_bytes()
    (other.packages / "tiny-1.0.dist-info/METADATA").write_bytes(metadata)

    assert shop.build().sbom == other.build().sbom


def test_the_list_goes_with_its_image(shop):
    """Nothing of it is left, and that of an image that stays is kept."""
    first = shop.build()
    (shop.source / "score.py").write_text("def init(): pass\ndef run(x): return 2\n")
    second = shop.build()
    places = ImagePlaces(shop.folder / "images")
    shop.images.remove("diabetes", first.digest, claimant=DEV, in_use=lambda _: ())

    assert not places.blob(first.sbom).exists()
    assert places.blob(second.sbom).exists()
    shop.images.remove("diabetes", second.digest, claimant=DEV, in_use=lambda _: ())

    assert [] == list((shop.folder / "images/blobs/sha256").iterdir())


def test_the_time_of_an_image_is_fixed_unless_the_variable_names_one(monkeypatch):
    """As the builders of packages have agreed."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)

    assert EPOCH == origin_here().created
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")

    assert "2023-11-14T22:13:20Z" == origin_here("https://example.com").created


@pytest.mark.parametrize("said", ["now", "-1", "1.5", "9" * 30, "²"])
def test_a_variable_that_names_no_time_is_refused(said, monkeypatch):
    """Rather than an image with a time of its own."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", said)

    with pytest.raises(OperationError, match="SOURCE_DATE_EPOCH: not a number of seconds since 1970"):
        origin_here()


def test_the_source_date_shows_in_the_digest_and_in_no_layer(shop, monkeypatch):
    """Only who asks for a time gets other digests."""
    first = shop.build()
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    second = shop.build(content={"origin": origin_here()})

    assert first.recipe == second.recipe
    assert first.digest != second.digest
    assert first.layers == second.layers
