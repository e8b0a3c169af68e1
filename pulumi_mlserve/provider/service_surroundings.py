"""What a local service needs around it: its certificate's files, the features and the device of its image."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mlserve_scoring.models import formats

from pulumi_mlserve.clients.environments.resolver import host_platform
from pulumi_mlserve.clients.places import collected_folder
from pulumi_mlserve.clients.processes.certificates import certificate_problems
from pulumi_mlserve.clients.processes.collected_data import collected_places
from pulumi_mlserve.clients.processes.gpus import has_nvidia_gpu
from pulumi_mlserve.clients.processes.ports import LOOPBACK
from pulumi_mlserve.core.images.cuda import device_problem
from pulumi_mlserve.core.problems import Problem
from pulumi_mlserve.core.service_idle import idle_when_open, idle_with_model, idle_with_script, of_models
from pulumi_mlserve.core.service_together import features_needed
from pulumi_mlserve.provider.call import Call
from pulumi_mlserve.provider.image_models import kind_answering
from pulumi_mlserve.provider.values import has_unknown
from pulumi_mlserve.provider.workplace import workplace

_TLS = ("ssl_enabled", "ssl_cert_pem_file", "ssl_key_pem_file", "ssl_cname")


def surroundings_problems(call: Call, settings: Mapping[str, Any], wrong: Collection[str]) -> list[Problem]:
    """Return what is missing around a service.

    Args:
        call: The call; files that were good when the service was made may be missing on another machine.
        settings: Those of its settings that are known.
        wrong: Names of settings that were refused already.
    """
    found = [*_certificate_problems(call, settings, wrong), *_feature_problems(call, settings, wrong)]
    return [*found, *_idle_problems(call, settings, wrong), *_image_problems(call), *_base_problems(call)]


def other_platform(platform: str) -> str | None:
    """Return why an image of a platform cannot run as a process of this machine, or None if it can."""
    here = host_platform()
    if platform == here:
        return None
    return (
        f"is for {platform}, and a local service needs one for this machine, {here}; give the image platform={here!r}"
    )


def collected_note(service_id: str, target: str) -> str:
    """Return what to say of collected data once the service is gone; empty where there is none.

    Args:
        service_id: The identity of the service on this machine.
        target: Where it collected to; empty where it collected nothing.
    """
    folder = collected_folder(service_id)
    for empty in (folder, folder.parent):
        with contextlib.suppress(OSError):  # not empty, or not there
            empty.rmdir()
    places = " and ".join(collected_places(service_id, target))
    return f"the data that it collected stays in {places}" if places else ""


def _certificate_problems(call: Call, settings: Mapping[str, Any], wrong: Collection[str]) -> Iterator[Problem]:
    if settings.get("ssl_enabled") is not True or any(name in wrong for name in _TLS):
        return
    if any(name in call.news and name not in settings for name in _TLS):
        return
    files = [Path(str(settings[name])).expanduser() for name in ("ssl_cert_pem_file", "ssl_key_pem_file")]
    same = all(call.olds.get(name) == settings.get(name) for name in _TLS)
    if same and not all(file.exists() for file in files):
        missing = " and ".join(str(file) for file in files if not file.exists())
        call.warn(f"{missing}: not on this machine; taking the certificate as unchanged")
        return
    certificate, key = files
    yield from certificate_problems(certificate, key, settings.get("ssl_cname") or LOOPBACK)


def _feature_problems(call: Call, settings: Mapping[str, Any], wrong: Collection[str]) -> Iterator[Problem]:
    needed = {feature: name for feature, name in features_needed(settings).items() if name not in wrong}
    image = call.news.get("image")
    if not needed or not isinstance(image, Mapping):
        return
    features = _features(call, image)
    if features is None:
        return
    for feature, name in sorted(needed.items()):
        if feature not in features:
            yield Problem(name, f"needs what the image lacks; add features=[{feature!r}] to the image")


def _idle_problems(call: Call, settings: Mapping[str, Any], wrong: Collection[str]) -> Iterator[Problem]:
    if "keys" not in call.news and "entra" not in call.news:
        yield from idle_when_open(settings)
    said = {name: value for name, value in settings.items() if name not in wrong}
    image = call.news.get("image")
    if not of_models(said) or not isinstance(image, Mapping):
        return
    script, models = image.get("entry_script"), image.get("models")
    if not isinstance(script, str):
        return
    if script:
        yield from idle_with_script(said, script)
    elif isinstance(models, list | tuple) and not has_unknown(models):
        kind = kind_answering(call, models)
        if kind not in {None, formats.ONNX, formats.MLFLOW}:
            yield from idle_with_model(said, str(kind))


def _image_problems(call: Call) -> Iterator[Problem]:
    image = call.news.get("image")
    if not isinstance(image, Mapping) or _digest(image) == _digest(call.olds.get("image")):
        return
    platform, device = image.get("platform"), image.get("device")
    problems = [
        other_platform(platform) if isinstance(platform, str) else None,
        device_problem(device, "this machine", has_gpu=has_nvidia_gpu()) if isinstance(device, str) else None,
    ]
    for problem in filter(None, problems):
        if not call.olds:
            yield Problem("image", problem)
        else:  # the service may run on another machine, whose stack is only reviewed here
            call.warn(f"image: {problem}")


def _base_problems(call: Call) -> Iterator[Problem]:
    image = call.news.get("image")
    packages = image.get("base_packages") if isinstance(image, Mapping) else None
    if packages and not has_unknown(packages):
        names = ", ".join(map(str, packages))
        text = f"needs what only its base image brings, {names}, and a local service runs without the base; run it in a"
        yield Problem("image", f"{text} container")


def _digest(image: Any) -> Any:
    return image.get("digest") if isinstance(image, Mapping) else image


def _features(call: Call, image: Mapping[str, Any]) -> Collection[str] | None:
    """Return the features of an image, as whoever made it says, else as it lies in the store; None if nobody knows."""
    told = image.get("features")
    if told is not None:
        return None if has_unknown(told) else [str(feature) for feature in told]
    digest = image.get("digest")
    built = workplace(call.settings).images.get(digest) if isinstance(digest, str) else None
    return None if built is None else built.features
