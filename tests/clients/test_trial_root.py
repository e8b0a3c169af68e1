"""The root of a trial: what the image would hold, before anything is built."""

from image_kit import Workshop
from mlserve_scoring import manifest as runtime_manifest

from pulumi_mlserve.clients.images.trial_root import assemble_trial_root


def same_files(root, other, ignored):
    """Tell whether two roots hold the same files, links followed."""

    def files(folder):
        found = {}
        for path in folder.rglob("*"):
            name = path.relative_to(folder).as_posix()
            if path.is_file() and "__pycache__" not in name and not name.startswith(ignored):
                found[name] = path.read_bytes()
        return found

    return files(root) == files(other)


def test_a_trial_sees_what_a_service_will_see(tmp_path):
    """Code, models and manifest are those of the image built from the same content."""
    shop = Workshop(tmp_path / "shop")
    (shop.source / "alias.py").symlink_to("score.py")
    net = shop.models.add("net", {"m/a.bin": b"a", "m/sub/b.bin": b"b"}, version=3)
    root = tmp_path / "trial"
    root.mkdir()
    plan = shop.plan(models=(shop.ridge, net))
    folders = {name: shop.models.folder / name for name in ("ridge", "net")}
    manifest = assemble_trial_root(root, plan, shop.content(), models=folders)
    image = shop.images.rootfs(shop.build(models=(shop.ridge, net)).digest)

    assert runtime_manifest.load(image) == manifest == runtime_manifest.load(root)
    assert same_files(root / "var", image / "var", ())
    assert same_files(root / "opt/mlserve/models", image / "opt/mlserve/models", ())
    assert b"ANSWER = 42\n" == (root / "opt/mlserve/site-packages/tiny/__init__.py").read_bytes()
    assert (root / "opt/mlserve/runtime/mlserve_scoring/__init__.py").is_file()


def test_a_script_that_writes_beside_itself_does_not_touch_the_source(tmp_path):
    """The trial's code is a copy."""
    shop = Workshop(tmp_path / "shop")
    root = tmp_path / "trial"
    root.mkdir()
    assemble_trial_root(root, shop.plan(), shop.content(), models={"ridge": shop.models.folder / "ridge"})
    before = (shop.source / "score.py").read_text()
    (root / "var/azureml-app/score.py").write_text("overwritten")
    (root / "var/azureml-app/new.txt").write_text("new")

    assert before == (shop.source / "score.py").read_text()
    assert ["score.py"] == [path.name for path in shop.source.iterdir()]


def test_one_content_under_two_names_is_found_under_both(tmp_path):
    """Each name has its folder, as in an image."""
    shop = Workshop(tmp_path / "shop")
    twin = shop.models.add("twin", {"ridge.onnx": b"ridge" * 1000})
    root = tmp_path / "trial"
    root.mkdir()
    plan = shop.plan(models=(shop.ridge, twin))
    folders = {name: shop.models.folder / name for name in ("ridge", "twin")}
    assemble_trial_root(root, plan, shop.content(), models=folders)

    assert (root / "var/azureml-app/azureml-models/twin/1/ridge.onnx").read_bytes() == b"ridge" * 1000
    assert {"ridge", "twin"} == {path.name for path in (root / "opt/mlserve/models").iterdir()}
