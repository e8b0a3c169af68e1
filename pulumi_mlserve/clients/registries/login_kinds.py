"""The kinds of logins that registries know. Secrets are kept out of every text that is made of them."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

EntraToken: TypeAlias = Callable[[], str]
"""Gives an Entra ID token, a new one whenever it is asked; raises `OperationError` when it cannot."""


@dataclass(frozen=True)
class Login:
    """Who we are to one registry.

    Attributes:
        kind: ``password``: a user name with its secret; ``refresh``: a token that buys short-lived ones;
            ``bearer``: a short-lived one itself; ``entra``: an Entra ID token, which an Azure registry changes for a
            refresh token.
        user: For people; empty where a token says it.
        secret: Gives the password or the token.
    """

    kind: Literal["password", "refresh", "bearer", "entra"]
    user: str
    secret: Callable[[], str] = field(repr=False, compare=False)

    @classmethod
    def by_password(cls, user: str, password: str) -> Login:
        """Return the login of a user, or of a robot account, with its password."""
        return cls("password", user, lambda: password)

    @classmethod
    def by_refresh_token(cls, token: str) -> Login:
        """Return the login by an identity token, as ``docker login`` and ``az acr login`` leave it."""
        return cls("refresh", "", lambda: token)

    @classmethod
    def by_bearer_token(cls, token: str) -> Login:
        """Return the login by a registry's own token, which is sent as it is."""
        return cls("bearer", "", lambda: token)

    @classmethod
    def by_entra(cls, token: EntraToken) -> Login:
        """Return the login to an Azure registry by whoever Entra ID says we are."""
        return cls("entra", "", token)

    def basic(self) -> str:
        """Return the header for a user and a password."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.secret()}".encode()).decode()

    def __str__(self) -> str:
        """Return who this is, for messages."""
        words = {"refresh": "an identity token", "bearer": "a token", "entra": "an Entra ID token"}
        return words.get(self.kind) or f"user {self.user!r}"
