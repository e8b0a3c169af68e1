"""Who we are to a registry: the ways to log in, and the order in which they are looked for."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from pulumi_mlserve.clients.registries.azure_logins import azure_cli_login
from pulumi_mlserve.clients.registries.docker_config import docker_login
from pulumi_mlserve.clients.registries.entra_tokens import entra_login
from pulumi_mlserve.clients.registries.login_kinds import EntraToken, Login
from pulumi_mlserve.core.azure_clouds import cloud_of_registry
from pulumi_mlserve.core.problems import OperationError

LoginSource: TypeAlias = Callable[[str], Login | None]
"""Gives the login for a registry's name, or None when it knows none; raises `OperationError` when it should know."""


@dataclass(frozen=True)
class Found:
    """The login for one registry.

    Attributes:
        login: Who we are; None is nobody.
        notes: Why sources that should have known a login did not; told when the registry refuses nobody.
    """

    login: Login | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Logins:
    """The logins for registries, looked for when a registry asks for one, once each.

    The order: what was given for this registry; Docker's config with its credential helpers; for Azure container
    registries an Entra token (given, of a service principal, or of a managed identity), then the Azure command line's
    login; nobody.
    """

    sources: Sequence[LoginSource]
    _found: dict[str, Found] = field(default_factory=dict, repr=False)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @classmethod
    def usual(
        cls,
        given: Mapping[str, Login] | None = None,
        *,
        entra_token: EntraToken | None = None,
        environ: Mapping[str, str] | None = None,
    ) -> Logins:
        """Return the logins of this user, in the order above.

        Args:
            given: By the registry's name, as references write it; nothing else is asked for these.
            entra_token: Gives an Entra ID token for Azure's resource manager.
            environ: Where ``DOCKER_CONFIG``, ``HOME`` and ``PATH`` are looked up; the process's by default.
        """
        variables = os.environ if environ is None else environ
        explicit = dict(given or {})
        sources: list[LoginSource] = [explicit.get, lambda registry: docker_login(registry, variables)]
        if entra_token is not None:
            entra = Login.by_entra(entra_token)
            sources.append(lambda registry: entra if cloud_of_registry(registry) else None)
        sources.append(lambda registry: entra_login(registry, variables))
        sources.append(lambda registry: azure_cli_login(registry, variables) if cloud_of_registry(registry) else None)
        return cls(sources)

    def find(self, registry: str) -> Found:
        """Return the login for a registry, by the name that references give it."""
        with self._lock:
            if registry not in self._found:
                self._found[registry] = self._look(registry)
            return self._found[registry]

    def _look(self, registry: str) -> Found:
        notes = []
        for source in self.sources:
            try:
                login = source(registry)
            except OperationError as error:
                # A helper that only this machine's user can run must not keep public images from being read.
                notes.append(str(error))
                continue
            if login is not None:
                return Found(login, tuple(notes))
        return Found(None, tuple(notes))
