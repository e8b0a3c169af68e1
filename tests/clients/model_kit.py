"""What the tests of the model store share: models on disk and stores of every kind."""

import hashlib

from obstore.store import MemoryStore

from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_files import hash_model
from pulumi_mlserve.clients.models.model_store import ModelStore

STORES = ("folder", "objects", "azure", "s3", "gcs")
OBJECT_STORES = STORES[1:]
SERVED = OBJECT_STORES[1:]
"""Those that other processes can reach."""


def unused(name, version):
    """Say that no service needs a version."""
    return []


class Workbench:
    """A folder with models and a store, which several clients may open."""

    def __init__(self, folder, kind, address="memory://store"):
        self.folder = folder
        self.kind = kind
        self.address = address
        self._memory = MemoryStore()
        self.store = self.open()

    def open(self, now="2026-01-31T12:00:00Z"):
        """Open the same store once more, as another process would."""
        if self.kind == "folder":
            return ModelStore(str(self.folder / "store"), now=lambda: now)
        backend = self._memory if self.kind == "objects" else None
        return ModelStore(self.address, backend=backend, now=lambda: now, cache=self.folder / "contents")

    def model(self, **files):
        """Write a model folder ``m`` with these files, `__` standing for a slash, and hash it."""
        root = self.folder / "models" / hashlib.sha256(repr(files).encode()).hexdigest()[:8] / "m"
        for name, content in files.items():
            path = root / name.replace("__", "/")
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists():
                path.write_bytes(content)
        return hash_model(root, HashIndex(self.folder / "index.sqlite"))

    def contents(self, version):
        """Return every file of a version as path and bytes."""
        found = {}
        for file in version.files:
            with self.store.open_file(version, file.path) as opened:
                found[file.path] = opened.read()
        return found

    def keys(self, prefix):
        """Return the keys under a prefix."""
        return self.store.objects.keys(prefix)
