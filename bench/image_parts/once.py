"""Writes one image and pushes it, in a process of its own: the side that is measured against Docker."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from pulumi_mlserve import register_model
from pulumi_mlserve.clients.images.base_blobs import BaseImage
from pulumi_mlserve.clients.images.bytecode import find_compiler
from pulumi_mlserve.clients.images.image_store import ImageContent, ImageStore
from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.clients.images.source_files import scan_source
from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_source import ModelSource
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.places import index_file
from pulumi_mlserve.clients.registries.registry_client import RegistryClient
from pulumi_mlserve.core.images.image import ImageInputs
from pulumi_mlserve.core.images.layers import plan_layers
from pulumi_mlserve.core.images.oci import Base
from pulumi_mlserve.core.images.reference import parse_reference

PYTHON = "3.11"


def main(folder: Path, where: str) -> None:
    """Register the model, write the image, push it: all that an update does for it, trial and engine aside."""
    os.environ["XDG_CACHE_HOME"] = str(folder / "cache")
    said, context, store = json.loads((folder / "bench.json").read_text()), folder / "context", str(folder / "store")
    registered = register_model(context / "model" / "weights.bin", "ridge", store=store)
    index = HashIndex(index_file())
    source = ModelSource(ModelStore(store), index)
    model = source.image_model({"name": "ridge", "digest": registered.digest, "version": registered.version})
    base = Base(
        **{**said["base"], "layers": tuple(said["base"]["layers"]), "diff_ids": tuple(said["base"]["diff_ids"])}
    )
    code, compiler = scan_source(context / "code", index=index), find_compiler(PYTHON)
    inputs = ImageInputs(
        name="ours",
        python=PYTHON,
        lock_key=said["lock"],
        runtime_digest=runtime_files().digest,
        code_digest=code.digest,
        models=(model,),
        entry_script="score.py",
        base=base.digest,
        compiler=compiler.version if compiler else None,
    )
    content = ImageContent(context / "packages", code, base=BaseImage(base, Path(said["blobs"])))
    images = ImageStore(folder / "images", source)
    built = images.build(plan_layers(inputs), content, claimant="bench")
    with RegistryClient() as client, images.opened(built.digest) as opened:
        target = parse_reference(f"{where}/ours:now")
        client.push(target, opened.manifest, opened.media_type, opened.sources(client.source))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
