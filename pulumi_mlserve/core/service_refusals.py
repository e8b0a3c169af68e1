"""Says why a setting that other targets have, or that v1 spelled otherwise, is refused by a local service."""

from __future__ import annotations

from typing import Final

_ONE_PROCESS = "a local service is one process on this machine; leave it out, it is a setting of AKS services"
_LOOPBACK = "a local service is reached at 127.0.0.1 alone; leave it out, it is a setting of services in a network"
_HAND_OVER = "an update hands the socket over, so nobody needs time to send elsewhere"
_PROBES = "a local service is watched without probes; leave it out, it is a setting of AKS services"
_ENDPOINT = (
    "a service runs one revision, so there is nothing to share requests out to; declare another LocalService and send"
    " each its part, or leave it out: it is a setting of v1's AKS endpoints"
)
_IMAGE = "what runs is an image; give it to ScoringImage, and the image here"
_DEPLOYED = "what a service is deployed with are arguments of LocalService themselves; leave it out"
_AZURE = "a local service has no place in Azure; leave it out, it is a setting of ACI services"

_SPELLED: Final = {
    "app_insights_enabled": "enable_app_insights",
    "auth": "auth_enabled",
    "connection_string": "app_insights_connection_string",
    "cpu": "cpu_cores",
    "enable_grpc": "grpc_enabled",
    "env": "environment_variables",
    "environment": "environment_variables",
    "grpc": "grpc_enabled",
    "memory": "memory_gb",
    "replica_max_concurrent_requests": "max_concurrent_requests",
    "service_name": "name",
    "tls_certificate": "ssl_cert_pem_file",
    "tls_key": "ssl_key_pem_file",
    "variables": "environment_variables",
}
_REFUSED: Final = {
    "autoscale_enabled": _ONE_PROCESS,
    "autoscale_max_replicas": _ONE_PROCESS,
    "autoscale_min_replicas": _ONE_PROCESS,
    "autoscale_refresh_seconds": _ONE_PROCESS,
    "autoscale_target_utilization": _ONE_PROCESS,
    "blobfuse_enabled": _ONE_PROCESS,
    "cmk_key_name": _AZURE,
    "cmk_key_version": _AZURE,
    "cmk_vault_base_url": _AZURE,
    "compute_target_name": _ONE_PROCESS,
    "cpu_cores_limit": "cpu_cores is the limit already; leave it out",
    "deployment_config": _DEPLOYED,
    "deployment_target": _DEPLOYED,
    "dns_name_label": _LOOPBACK,
    "drain_delay_seconds": f"{_HAND_OVER}; leave it out, it is a setting of AKS services",
    "failure_threshold": _PROBES,
    "gpu_cores": "a local service sees every GPU of this machine; choose by CUDA_VISIBLE_DEVICES",
    "inference_config": _IMAGE,
    "initial_delay_seconds": f"{_PROBES}; start_seconds says how long the start may take",
    "is_control_version_type": _ENDPOINT,
    "is_default": _ENDPOINT,
    "location": _AZURE,
    "max_request_wait_time": "a request waits as long as scoring_timeout_ms; limit how many wait by max_queue",
    "memory_gb_limit": "memory_gb is the limit already; leave it out",
    "models": _IMAGE,
    "namespace": _ONE_PROCESS,
    "num_replicas": _ONE_PROCESS,
    "overwrite": "a service of the stack is updated in place; leave it out",
    "period_seconds": _PROBES,
    "subnet_name": _AZURE,
    "success_threshold": _PROBES,
    "timeout_seconds": _PROBES,
    "leaf_domain_label": "no certificate is made for a local service; give ssl_cert_pem_file and ssl_key_pem_file",
    "token_auth_enabled": "tokens are those of Microsoft Entra ID here; give entra={'tenant_id': …, 'audiences': […]}",
    "traffic_percentile": _ENDPOINT,
    "version_name": _ENDPOINT,
    "version_type": _ENDPOINT,
    "vnet_name": _AZURE,
}


def why_not_local(name: str) -> str | None:
    """Return why a local service refuses the setting and what to do, None for a name that nobody has."""
    if spelled := _SPELLED.get(name):
        return f"there is no such setting; did you mean {spelled!r}?"
    return _REFUSED.get(name)
