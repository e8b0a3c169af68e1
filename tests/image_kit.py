"""What the tests of the image store build from: small real folders, and models that lie in a folder."""

import base64
import hashlib
import os
import sys
from pathlib import Path

from pulumi_mlserve.clients.images.bytecode import find_compiler
from pulumi_mlserve.clients.images.image_store import ImageContent, ImageStore
from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.clients.images.source_files import file_hash, scan_source
from pulumi_mlserve.core.digest import FileEntry, digest_of
from pulumi_mlserve.core.images.image import ImageInputs, ImageModel
from pulumi_mlserve.core.images.layers import plan_layers

ALL = ("dependencies", "runtime", "code", "model:ridge", "layout")
DEV, PROD = "organization/project/dev", "organization/project/prod"
SCRIPT = "def init():\n    pass\n\n\ndef run(x):\n    return x\n"


class FolderModels:
    """Models in a folder: one sub-folder for each, in which the files lie by their paths."""

    def __init__(self, folder):
        self.folder = folder
        self.placed = []
        self.folders = {}

    def add(self, name, files, version=1):
        """Write a model and return it."""
        entries = []
        for path, content in files.items():
            file = self.folder / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.unlink(missing_ok=True)
            file.write_bytes(content)
            file.chmod(0o444)
            entries.append(FileEntry(path, file_hash(file), len(content)))
        model = ImageModel(name, version, digest_of(entries), tuple(entries))
        self.folders[model.digest] = self.folder / name
        return model

    def place(self, model, folder, *, progress=None, cancelled=None):
        """Link the files."""
        self.placed.append(model.name)
        for file in model.files:
            target = folder / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(self.folders[model.digest] / file.path, target)


class Workshop:
    """A source folder, installed packages, models and an image store, all below one folder."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.source = self.folder / "src"
        self.models = FolderModels(self.folder / "models")
        self.images = ImageStore(self.folder / "images", self.models)
        self.source.mkdir(parents=True, exist_ok=True)
        (self.source / "score.py").write_text(SCRIPT)
        self.packages = install(self.folder / "packages")
        self.ridge = self.models.add("ridge", {"ridge.onnx": b"ridge" * 1000})

    def plan(self, **changes):
        """Return the plan of an image of what lies here now."""
        values = {
            "name": "diabetes",
            "python": "3.11",
            "lock_key": "sha256:" + "1" * 64,
            "runtime_digest": runtime_files().digest,
            "code_digest": scan_source(self.source).digest,
            "models": (self.ridge,),
            "entry_script": "score.py",
        }
        return plan_layers(ImageInputs(**values | changes))

    @staticmethod
    def compiler():
        """Return the Python that runs this as the compiler for images of its version."""
        return find_compiler("{}.{}".format(*sys.version_info))

    def content(self, **more):
        """Return where the bytes lie."""
        return ImageContent(self.packages, scan_source(self.source), **more)

    def build(self, *, claimant=DEV, owner=None, progress=None, cancelled=None, content=None, **changes):
        """Build an image of what lies here now."""
        plan = self.plan(**changes)
        more = {"owner": owner, "progress": progress, "cancelled": cancelled}
        return self.images.build(plan, self.content(**content or {}), claimant=claimant, **more)


def install(folder, python="/home/someone/.venv/bin/python3", *, extra=b""):
    """Make a folder like those that installers make: a package, a script, a record, the installer's marks."""
    script = f"#!{python}\nimport tiny\n".encode()
    files = {
        "tiny/__init__.py": b"ANSWER = 42\n" + extra,
        "tiny/core.so": b"\x7fELF....",
        "bin/tiny": script,
        "tiny-1.0.dist-info/METADATA": b"Name: tiny\n",
        "tiny-1.0.dist-info/INSTALLER": b"uv",
    }
    record = "".join(
        f"{path},sha256={base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b'=').decode()},{len(content)}\n"
        for path, content in files.items()
    )
    files["tiny-1.0.dist-info/RECORD"] = (record + "tiny-1.0.dist-info/RECORD,,\n").encode()
    for path, content in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    return folder


def tree(folder):
    """Return what lies below a folder: content of files, targets of links."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            found[name] = path.read_bytes()
    return found
