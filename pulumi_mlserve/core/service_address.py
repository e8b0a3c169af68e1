"""Where the routes of a service are: its URLs, made in one place."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

_SCORE: Final = "/score"


@dataclass(frozen=True)
class ServiceAddress:
    """Where a service is reached.

    Attributes:
        host: The name or address in its URLs.
        port: Its port.
        prefix: What comes before the routes.
        tls: Whether it speaks HTTPS.
    """

    host: str
    port: int
    prefix: str = ""
    tls: bool = False

    @property
    def scoring_uri(self) -> str:
        """Return where requests go."""
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.port}{self.prefix}{_SCORE}"

    @property
    def swagger_uri(self) -> str:
        """Return where the Swagger document is."""
        return beside(self.scoring_uri, "swagger.json")

    @property
    def authority(self) -> str:
        """Return its host and port, as clients of gRPC want them."""
        return f"{self.host}:{self.port}"


def beside(scoring_uri: str, route: str) -> str:
    """Return where another route of the service is whose requests go to ``scoring_uri``."""
    return f"{scoring_uri.removesuffix(_SCORE)}/{route}"
