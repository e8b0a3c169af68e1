"""One build of an image: every layer that is not there yet, then config, manifest, claim and record, in this order."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from pulumi_mlserve.clients.images.base_blobs import BaseImage, take_base
from pulumi_mlserve.clients.images.bytecode import compiled_entries, find_compiler
from pulumi_mlserve.clients.images.image_sbom import write_sbom
from pulumi_mlserve.clients.images.package_files import package_entries
from pulumi_mlserve.clients.images.runtime_files import runtime_files
from pulumi_mlserve.clients.interruption import Cancelled, Progress, stop_if
from pulumi_mlserve.clients.models.work import size_text
from pulumi_mlserve.core.images.image import BuiltImage, ImageLayer
from pulumi_mlserve.core.images.layers import COMPRESSOR, LayerKey, LayerPlan, key_of
from pulumi_mlserve.core.images.manifest import layout_entries
from pulumi_mlserve.core.images.model_parts import model_parts
from pulumi_mlserve.core.images.oci import FIXED, Origin, config_json, digest_of, manifest_json
from pulumi_mlserve.core.images.paths import APP_ROOT, RUNTIME
from pulumi_mlserve.core.problems import OperationError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from pulumi_mlserve.clients.images.image_places import ImagePlaces
    from pulumi_mlserve.clients.images.image_records import ImageRecords, ImageWords
    from pulumi_mlserve.clients.images.layer_store import LayerStore, ModelFiles
    from pulumi_mlserve.clients.images.source_files import SourceTree
    from pulumi_mlserve.core.images.layer_files import LayerEntry


@dataclass(frozen=True)
class ImageContent:
    """Where the bytes of an image come from.

    Attributes:
        packages: The folder of installed wheels; none without dependencies.
        code: The source directory as it was read; none without one.
        contract: What a service of the image accepts and returns, as the trial found it.
        base: What it stands on; none without a base image.
        origin: What is told of where it comes from.
        words: What the claimant says about it; changes nothing that identifies it.
        lock: The packages with the hashes of their wheels; written down, and part of nothing.
    """

    packages: Path | None = None
    code: SourceTree | None = None
    contract: Mapping[str, Any] | None = None
    base: BaseImage | None = None
    origin: Origin = FIXED
    words: ImageWords | None = None
    lock: str = ""


@dataclass
class ImageBuild:
    """A build under way; the store is held by the caller.

    Attributes:
        plan: What goes in.
        content: Where the bytes of it lie.
        models: Where the models' files lie; needed for models only.
        places, layers, records: The store's parts.
        progress: Told what is done, with bytes.
        cancelled: Asked often.
        written: The layers that had to be written.
    """

    plan: LayerPlan
    content: ImageContent
    models: ModelFiles | None
    places: ImagePlaces
    layers: LayerStore
    records: ImageRecords
    progress: Progress | None = None
    cancelled: Cancelled | None = None
    written: list[str] = field(default_factory=list)

    def run(self, claimant: str, owner: str | None = None) -> BuiltImage:
        """Return the image, which exists and is claimed from then on."""
        if self.plan.inputs.base != (self.content.base.base.digest if self.content.base else None):
            raise OperationError("base: another one is given than was planned; run again")
        parts = [part for layer in self.plan.layers for part in (model_parts(layer) if layer.model else [layer])]
        layers = [self._layer(part) for part in parts]
        layout = layout_entries(self.plan, self.content.contract)
        key = key_of("layout", COMPRESSOR, [[entry.path, _content_of(entry)] for entry in layout])
        layers.append(self._layer(LayerKey("layout", "layout", key), layout))
        stop_if(self.cancelled, f"building image {self.plan.inputs.name}")
        return self._finish(layers, claimant, owner)

    def _layer(self, key: LayerKey, layout: Sequence[LayerEntry] = ()) -> ImageLayer:
        stop_if(self.cancelled, f"packing {key.name}")
        found = self.layers.find(key)
        if found:
            return found
        lock = "layer-" + key.key.partition(":")[2]
        with self.places.locked(lock, progress=self.progress, cancelled=self.cancelled):
            found = self.layers.find(key)  # another build may have written it meanwhile
            if found:
                return found
            if self.progress:
                self.progress(f"{key.name}: packing")
            layer = self._write(key, layout)
            if self.progress:
                self.progress(f"{key.name}: {size_text(layer.size)}")
        self.written.append(key.name)
        return layer

    def _write(self, key: LayerKey, layout: Sequence[LayerEntry]) -> ImageLayer:
        if key.model is None:
            with self.places.scratch() as folder:
                folder.mkdir()
                entries = layout or self._compiled(key, self._entries(key), folder)
                return self.layers.pack(key, entries, progress=self.progress, cancelled=self.cancelled)
        if self.models is None:
            raise OperationError(f"{key.name}: there is no model store; set mlserve:store")
        return self.layers.describe(key, self.models, progress=self.progress, cancelled=self.cancelled)

    def _compiled(self, key: LayerKey, entries: list[LayerEntry], folder: Path) -> list[LayerEntry]:
        """Return the entries with the compiled files beside them, as planned."""
        planned = self.plan.inputs.compiler
        if planned is None:
            return entries
        compiler = find_compiler(self.plan.inputs.python)
        if compiler is None or compiler.version != planned:
            have = compiler.version if compiler else "none of that minor version"
            raise OperationError(
                f"{key.name}: was planned with Python {planned} as compiler, and this machine has {have}; "
                "install that one, or upgrade the runtime"
            )
        # A person may change code in a running container, so there Python looks whether source and bytecode fit.
        checked = key.kind == "code"
        return entries + compiled_entries(
            entries, compiler, folder, checked=checked, progress=self.progress, cancelled=self.cancelled
        )

    def _entries(self, key: LayerKey) -> list[LayerEntry]:
        inputs = self.plan.inputs
        if key.kind == "dependencies":
            if self.content.packages is None:
                raise OperationError("dependencies: the lock is not installed; install it before the image is built")
            return package_entries(self.content.packages)
        if key.kind == "runtime":
            runtime = runtime_files()
            if runtime.digest != inputs.runtime_digest:
                raise OperationError(
                    "runtime: another version is installed than was planned; install that one, or upgrade the runtime"
                )
            return runtime.below(RUNTIME)
        code = self.content.code
        if code is None or code.digest != inputs.code_digest:
            raise OperationError("source_directory: changed since the image was planned; run again")
        return code.below(APP_ROOT)

    def _finish(self, layers: list[ImageLayer], claimant: str, owner: str | None) -> BuiltImage:
        inputs, recipe = self.plan.inputs, self.plan.recipe
        base, origin = self.content.base.base if self.content.base else None, self.content.origin
        config = config_json(
            inputs, recipe=recipe, layers=layers, contract=self.content.contract, base=base, origin=origin
        )
        manifest = manifest_json(inputs.name, config, layers, base=base, origin=origin)
        digest = digest_of(manifest)
        if self.content.base:
            take_base(self.content.base, self.places, cancelled=self.cancelled)
        for blob in (config, manifest):
            self.places.write_blob(blob)
        sbom = write_sbom(self.places, inputs, manifest, self.content.packages, origin=origin, base=base)
        known = self.records.get(digest)
        self.records.claim(inputs.name, digest, claimant, owner, self.content.words)
        if known and known.sbom == sbom and (known.lock or not self.content.lock):
            return replace(known, written=tuple(self.written))
        image = BuiltImage(
            name=inputs.name,
            digest=digest,
            config_digest=digest_of(config),
            recipe=recipe,
            python=inputs.python,
            platform=inputs.platform,
            layers=tuple(layers),
            size=sum(layer.size for layer in layers) + len(config) + len(manifest),
            contract=self.content.contract,
            models=tuple((model.name, model.version, model.digest) for model in inputs.models),
            created=known.created if known else datetime.now(timezone.utc).isoformat(timespec="microseconds"),
            written=tuple(self.written),
            features=inputs.features,
            device=inputs.device,
            sbom=sbom,
            lock=self.content.lock,
        )
        self.records.put(image)
        return image


def _content_of(entry: LayerEntry) -> str:
    if entry.kind == "file":
        assert isinstance(entry.content, bytes)
        return digest_of(entry.content)
    return f"{entry.kind}:{entry.target}"
