"""The clients that handlers work with, made once for each store."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from pulumi_mlserve.clients.environments.resolver import Resolver
from pulumi_mlserve.clients.images.image_store import ImageStore
from pulumi_mlserve.clients.models.hash_index import HashIndex
from pulumi_mlserve.clients.models.model_source import ModelSource
from pulumi_mlserve.clients.models.model_store import ModelStore
from pulumi_mlserve.clients.models.records import Records
from pulumi_mlserve.clients.models.remote_model import RemoteModels
from pulumi_mlserve.clients.places import cache_folder, image_folder, index_file, services_folder, store_location
from pulumi_mlserve.clients.processes.local_process import LocalProcesses
from pulumi_mlserve.clients.trials.trial import Trial


class Workplace:
    """Everything outside that one store's resources need, made when first asked for."""

    def __init__(self, location: str) -> None:
        self._location = location

    @functools.cached_property
    def models(self) -> ModelStore:
        """Return the model store."""
        return ModelStore(self._location)

    @functools.cached_property
    def records(self) -> Records:
        """Return the records of the store."""
        return Records(self.models)

    @functools.cached_property
    def index(self) -> HashIndex:
        """Return the cache of file hashes."""
        return HashIndex(index_file())

    @functools.cached_property
    def remote(self) -> RemoteModels:
        """Return what brings models from their addresses."""
        return RemoteModels(cache_folder("models"))

    @functools.cached_property
    def sources(self) -> ModelSource:
        """Return where the files of a model's version are found."""
        return ModelSource(self.models, self.index)

    @functools.cached_property
    def images(self) -> ImageStore:
        """Return the local image store."""
        return ImageStore(image_folder(), self.sources)

    @functools.cached_property
    def resolver(self) -> Resolver:
        """Return the package resolver."""
        return Resolver(cache_folder("packages"))

    @functools.cached_property
    def trials(self) -> Trial:
        """Return the trials and their verdicts."""
        return Trial(cache_folder("trials"))

    @functools.cached_property
    def processes(self) -> LocalProcesses:
        """Return the services of this machine."""
        return LocalProcesses(services_folder())


def workplace(settings: Mapping[str, str]) -> Workplace:
    """Return the clients for the store that the provider's settings name."""
    return _at(store_location(settings.get("store")))


@functools.cache
def _at(location: str) -> Workplace:
    return Workplace(location)
