"""Whether a JSON Web Token of Microsoft Entra ID opens: its signature, issuer, audience, times and roles.

PyJWT does the cryptography. Signatures are RS256, PS256 or ES256, never ``none`` and none with a shared secret.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import jwt
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm

from mlserve_scoring.access.admission import Admission, Refused, UnknownKey

if TYPE_CHECKING:
    from mlserve_scoring.settings import Entra

PublicKey = RSAPublicKey | EllipticCurvePublicKey

_LEAST_BITS: Final = 2048
_MOST_REMEMBERED: Final = 10_000
# The issuer of version 1 tokens where the authority is a national cloud's.
_V1_ISSUERS: Final = {
    "login.chinacloudapi.cn": "https://sts.chinacloudapi.cn",
    "login.partner.microsoftonline.cn": "https://sts.chinacloudapi.cn",
}
_TEXTS: Final[Mapping[type[Exception], str]] = {
    jwt.ExpiredSignatureError: "The token has expired.",
    jwt.ImmatureSignatureError: "The token is not valid yet.",
    jwt.InvalidAudienceError: "The token is for another audience.",
    jwt.InvalidIssuerError: "The token is of another issuer.",
}


class Tokens:
    """Checks tokens, and remembers the good ones until they expire.

    Args:
        settings: Whose tokens open.
        clock: Seconds since 1970.

    Attributes:
        issuers: Whose tokens may open.
        keys: Public keys by their id.
    """

    def __init__(self, settings: Entra, clock: Callable[[], float] = time.time) -> None:
        self._settings = settings
        self._clock = clock
        self.issuers = issuers(settings)
        self._roles = frozenset(settings.roles)
        self._good: dict[bytes, float] = {}
        self.keys: Mapping[str, PublicKey] = {}

    def use(self, keys: Mapping[str, PublicKey]) -> None:
        """Trust these keys from now on; tokens are checked again when one of the keys is gone."""
        if any(name not in keys for name in self.keys):
            self._good.clear()
        self.keys = keys

    def check(self, token: bytes) -> Admission:
        """Return whether a token opens.

        Raises:
            UnknownKey: The key that it names is not known.
        """
        digest = hashlib.sha256(token).digest()
        until = self._good.get(digest)
        if until is not None:
            if self._clock() < until:
                return True
            del self._good[digest]
        try:
            claims = self._verified(token)
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            return Refused("invalid", _TEXTS.get(type(error), "The token is not valid."))
        if self._roles and self._roles.isdisjoint(_held(claims)):
            return Refused("forbidden", "The token lacks a role that this service asks for.")
        if len(self._good) >= _MOST_REMEMBERED:
            self._good.pop(next(iter(self._good)))
        self._good[digest] = float(claims["exp"]) + self._settings.leeway_s
        return True

    def _verified(self, token: bytes) -> dict[str, Any]:
        header = jwt.get_unverified_header(token)
        algorithm, name = header.get("alg"), header.get("kid")
        # An ES256 key must not check an RS256 signature, whatever the token says.
        if algorithm not in {"RS256", "PS256", "ES256"} or not isinstance(name, str) or "crit" in header:
            raise jwt.InvalidAlgorithmError
        key = self.keys.get(name)
        if key is None:
            raise UnknownKey
        if isinstance(key, RSAPublicKey) != (algorithm != "ES256"):
            raise jwt.InvalidAlgorithmError
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=list(self._settings.audiences),
            issuer=self.issuers,
            leeway=self._settings.leeway_s,
            options={"require": ["exp", "iss", "aud"], "verify_iat": False, "verify_exp": False, "verify_nbf": False},
        )
        self._check_times(claims)
        return claims

    def _check_times(self, claims: Mapping[str, Any]) -> None:
        """Check the times by our clock, which tests can set."""
        now, leeway = self._clock(), self._settings.leeway_s
        if not float(claims["exp"]) + leeway > now:  # so that NaN has expired too
            raise jwt.ExpiredSignatureError
        if float(claims.get("nbf", 0)) - leeway > now:
            raise jwt.ImmatureSignatureError


def issuers(settings: Entra) -> list[str]:
    """Return what the tenant's tokens of version 1 and 2 name as their issuer."""
    authority = settings.authority.rstrip("/")
    host = authority.partition("://")[2].lower()
    first = _V1_ISSUERS.get(host, "https://sts.windows.net")
    return [f"{first}/{settings.tenant}/", f"{authority}/{settings.tenant}/v2.0"]


def keys_from(document: object) -> dict[str, PublicKey]:
    """Return the public keys of a JSON Web Key Set that can be used here; weak and private ones are left out.

    Raises:
        ValueError: It is none, or has no usable key.
    """
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is no set of keys")  # noqa: TRY004  # one kind for all that is wrong
    found: dict[str, PublicKey] = {}
    for entry in entries:
        key = _key_from(entry) if isinstance(entry, dict) else None
        if key is not None:
            found[entry["kid"]] = key
    if not found:
        raise ValueError("it has no usable key")
    return found


def _key_from(entry: dict[str, Any]) -> PublicKey | None:
    if not isinstance(entry.get("kid"), str) or entry.get("use", "sig") != "sig":
        return None
    try:
        if entry.get("kty") == "RSA":
            key = RSAAlgorithm.from_jwk(entry)
            return key if isinstance(key, RSAPublicKey) and key.key_size >= _LEAST_BITS else None
        if entry.get("kty") == "EC" and entry.get("crv") == "P-256":
            point = ECAlgorithm.from_jwk(entry)
            return point if isinstance(point, EllipticCurvePublicKey) else None
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None  # one that we cannot read must not keep us from the others
    return None


def _held(claims: Mapping[str, Any]) -> set[str]:
    """Return the roles of an application and the scopes of a user."""
    roles, scopes = claims.get("roles", []), claims.get("scp", "")
    held = {role for role in roles if isinstance(role, str)} if isinstance(roles, list) else set()
    return held | set(scopes.split() if isinstance(scopes, str) else ())
