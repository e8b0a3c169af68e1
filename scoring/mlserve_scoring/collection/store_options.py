"""Which options the object stores of collected data take, by the kind of their address.

The names are obstore's. It cannot be asked for them before it is in the image, and some that it takes end it: a test
holds the two equal.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple


class _Kind(NamedTuple):
    """The options of one cloud's stores.

    Attributes:
        names: Those most used first.
        prefix: What may stand before them.
    """

    names: tuple[str, ...]
    prefix: re.Pattern[str]


OWN: Final = "allow_http"
"""Read here and taken for every kind."""
_AZURE: Final = _Kind(
    (
        *("account_name", "account_key", "sas_key", "endpoint", "access_key", "authority_host", "authority_id"),
        *("bearer_token", "client_id", "client_secret", "container_name", "credential_type", "disable_tagging"),
        *("encryption_key", "fabric_cluster_identifier", "fabric_session_token", "fabric_token_service_url"),
        *("fabric_workload_host", "federated_token_file", "identity_endpoint", "master_key", "msi_endpoint"),
        *("msi_resource_id", "object_id", "sas_token", "skip_signature", "tenant_id", "token", "use_azure_cli"),
        *("use_emulator", "use_fabric_endpoint"),
    ),
    re.compile(r"^azure_(storage_)?"),
)
_S3: Final = _Kind(
    (
        *("access_key_id", "secret_access_key", "region", "endpoint", "bucket", "bucket_name", "checksum_algorithm"),
        *("conditional_put", "container_authorization_token_file", "container_credentials_full_uri"),
        *("container_credentials_relative_uri", "copy_if_not_exists", "default_region", "disable_bulk_delete"),
        *(
            "disable_tagging",
            "endpoint_url",
            "endpoint_url_sts",
            "imdsv1_fallback",
            "metadata_endpoint",
            "request_payer",
            "role_arn",
        ),
        *("role_session_name", "s3_express", "server_side_encryption", "session_token", "skip_signature"),
        *("sse_bucket_key_enabled", "sse_customer_key_base64", "sse_kms_key_id", "token", "unsigned_payload"),
        *("virtual_hosted_style_request", "web_identity_token_file"),
    ),
    re.compile(r"^aws_"),
)
_GCS: Final = _Kind(
    (
        *("service_account", "service_account_key", "application_credentials", "base_url", "bearer_token", "bucket"),
        *("bucket_name", "service_account_path", "skip_signature"),
    ),
    re.compile(r"^google_"),
)
KINDS: Final = {**dict.fromkeys(("az", "azure", "adl", "abfs", "abfss"), _AZURE), "s3": _S3, "s3a": _S3, "gs": _GCS}
"""By the scheme of the address."""

_SHOWN: Final = re.compile(r"\w{1,50}", re.ASCII)
_EXAMPLES: Final = 3


def options_problems(target: str, names: list[str]) -> list[str]:
    """Return what is wrong with the names of options for an address of an object store, each problem at its place.

    A name that can be none is not shown: it may be a secret in the wrong place.
    """
    scheme = target.partition("://")[0]
    kind = KINDS.get(scheme)
    if kind is None:
        return []  # the address itself is refused
    found = []
    for name in names:
        if name == OWN or kind.prefix.sub("", name.lower(), count=1) in kind.names:
            continue
        if _SHOWN.fullmatch(name):
            found.append(f"collection.options.{name}: {scheme}:// has no such option{_meant(name, kind)}")
        else:
            found.append(f"collection.options: holds a name that {scheme}:// has no option of{_meant('', kind)}")
    return found


def _meant(name: str, kind: _Kind) -> str:
    import difflib  # noqa: PLC0415  # only for what is wrong

    close = difflib.get_close_matches(kind.prefix.sub("", name.lower(), count=1), kind.names, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; such as {', '.join(kind.names[:_EXAMPLES])}"
