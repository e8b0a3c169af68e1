"""Which CUDA packages need, which bring their own, and whether packages, base image and device fit each other.

The rules are those of the packages' own pages: ONNX Runtime's "CUDA Execution Provider", TensorFlow's tested build
configurations. PyTorch, JAX and whatever else brings CUDA as wheels needs a driver only.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from packaging.version import Version

from pulumi_mlserve.core.images.base_system import Load
from pulumi_mlserve.core.problems import Problem

CPU: Final = "cpu"
CUDA: Final = "cuda"

VARIABLES: Final[Mapping[str, str]] = {
    "NVIDIA_DRIVER_CAPABILITIES": "compute,utility",
    "NVIDIA_VISIBLE_DEVICES": "all",
}
"""By which a container asks NVIDIA's container runtime for the devices and the driver."""


WHEELS: Final = tuple(
    f"nvidia/{part}/lib"
    for part in ("cublas", "cuda_nvrtc", "cuda_runtime", "cudnn", "cufft", "curand", "nvjitlink", "cu13")
)
"""Where CUDA's own wheels lie among the packages: not all that needs their libraries looks there by itself."""


@dataclass(frozen=True)
class Need:
    """What a package needs of CUDA from elsewhere.

    Attributes:
        package: Its name.
        version: Its version.
        cuda: The major version.
        cudnn: The major version; 0 where it needs none.
    """

    package: str
    version: str
    cuda: int
    cudnn: int

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.package} {self.version} needs CUDA {self.cuda}" + (f" and cuDNN {self.cudnn}" * bool(self.cudnn))


# From which version of a package on it needs which CUDA and cuDNN; the wheels of the public index.
_NEEDS: Final[Mapping[str, tuple[tuple[str, int, int], ...]]] = {
    "onnxruntime-gpu": (("0", 11, 8), ("1.19", 12, 9), ("1.27", 13, 9)),
    "tensorflow": (("0", 11, 8), ("2.15", 12, 8), ("2.18", 12, 9)),
}
_CPU_ONLY: Final[Mapping[str, str]] = {
    "onnxruntime": "onnxruntime-gpu[cuda,cudnn]",
    "tensorflow-cpu": "tensorflow[and-cuda]",
    "xgboost-cpu": "xgboost",
}
"""Packages that never use a GPU, and what to ask for instead."""
_BRINGS: Final = re.compile(r"nvidia-(?:[\w-]+-cu(\d{2})|cuda-runtime|cudnn-cu(\d{2}))")
_LOCAL: Final = re.compile(r"cu(\d{2})\d?")
_CUPY: Final = re.compile(r"cupy-cuda(\d{2})x")


def needs(packages: Sequence[tuple[str, str]], *, gpu: bool) -> list[Need]:
    """Return what locked packages need of CUDA from a base image; what comes as wheels is taken off.

    Args:
        packages: Names and versions.
        gpu: Whether the image is for a GPU; some packages use one only where there is one.
    """
    brought, cudnn = brought_cuda(packages), any(name.startswith("nvidia-cudnn") for name, _ in packages)
    found = []
    for name, version in packages:
        rules = _NEEDS.get(name, ())
        if name == "tensorflow" and not gpu:
            continue
        fitting = [rule for rule in rules if Version(rule[0]) <= Version(version)]
        if fitting:
            _, cuda, dnn = fitting[-1]
            if cuda not in brought or not cudnn:
                found.append(Need(name, version, cuda, dnn))
        elif (cupy := _CUPY.fullmatch(name)) and int(cupy[1]) not in brought:
            found.append(Need(name, version, int(cupy[1]), 0))
    return found


def for_gpu(requirements: Sequence[str], *, brings: bool) -> tuple[str, ...]:
    """Return what the runtime asks for itself, with ONNX Runtime in its build for GPUs.

    Args:
        requirements: As pip writes them.
        brings: Whether CUDA is to come with it, as wheels; else the base image has it.
    """
    extras = "[cuda,cudnn]" if brings else ""
    return tuple(re.sub(r"^onnxruntime\b(?!-)", f"onnxruntime-gpu{extras}", text) for text in requirements)


def brought_cuda(packages: Sequence[tuple[str, str]]) -> frozenset[int]:
    """Return the major versions of CUDA that locked packages bring as wheels."""
    found = set()
    for name, version in packages:
        matched = _BRINGS.fullmatch(name)
        if matched and (matched[1] or matched[2]):
            found.add(int(matched[1] or matched[2]))
        elif name == "nvidia-cuda-runtime":  # from 13 on their names hold no version
            found.add(Version(version).major)
        elif local := _LOCAL.fullmatch(Version(version).local or ""):
            found.add(int(local[1]))
    return frozenset(found)


def package_problems(
    packages: Sequence[tuple[str, str]], *, gpu: bool, cuda_version: str | None, source: str
) -> list[Problem]:
    """Return what of locked packages does not fit the device that an image is for.

    Args:
        packages: Names and versions.
        gpu: Whether the image is for a GPU.
        cuda_version: The version that was asked for, if any.
        source: The property that names the packages' file.
    """
    problems = list(_together(packages, source))
    if not gpu:
        return problems
    problems += _idle(packages)
    if cuda_version is not None:
        wanted = int(cuda_version.partition(".")[0])
        asked = {need.cuda: f"{need}" for need in needs(packages, gpu=True)}
        asked |= {major: f"the packages bring CUDA {major}" for major in brought_cuda(packages)}
        if asked and wanted not in asked:
            what = "; ".join(asked[major] for major in sorted(asked))
            advice = f"write {str(max(asked))!r}, or ask for other packages"
            problems.append(
                Problem("cuda_version", f"does not fit the packages, got {cuda_version!r}: {what}; {advice}")
            )
    return problems


def base_problems(libraries: Mapping[str, str], load: Load) -> list[Problem]:
    """Return what of a base image's CUDA does not fit what goes on it, or what was asked for.

    Args:
        libraries: The base's ``cuda``, ``cudnn`` and ``tensorrt`` with their versions.
        load: What goes on it.
    """
    problems = []
    has = {library: int(version.partition(".")[0]) for library, version in libraries.items()}
    if load.gpu is False and libraries:
        there = ", ".join(f"{_NAMES[library]} {version}" for library, version in sorted(libraries.items()))
        text = f"the base image is for GPUs, it has {there}; leave enable_gpu out, or give a base_image without them"
        problems.append(Problem("enable_gpu", text))
    for need in needs(load.packages, gpu=bool(load.gpu) or bool(libraries)):
        if has.get("cuda") == need.cuda and (not need.cudnn or has.get("cudnn") == need.cudnn):
            continue
        there = " and ".join(f"{_NAMES[part]} {libraries[part]}" for part in ("cuda", "cudnn") if part in libraries)
        text = f"{need}, and {load.base} has {there or 'none'}; {_advice(need, given=load.given)}"
        problems.append(Problem("base_image" if load.given else load.source, text))
    wanted = load.cuda_version
    if wanted is not None and "cuda" in has and int(wanted.partition(".")[0]) != has["cuda"]:
        text = f"the base image has CUDA {libraries['cuda']}, got {wanted!r}; let both be one version"
        problems.append(Problem("cuda_version", text))
    return problems


_NAMES: Final = {"cuda": "CUDA", "cudnn": "cuDNN", "tensorrt": "TensorRT"}


def device_of(libraries: Mapping[str, str], *, gpu: bool | None) -> str:
    """Return the device that an image is for: what the program says, else what its base is made for."""
    return CUDA if gpu or libraries else CPU


def device_problem(device: str | None, place: str, *, has_gpu: bool) -> str | None:
    """Return why an image cannot be served where there is no device for it, or None.

    Args:
        device: The image's.
        place: What messages call the place: ``this machine``.
        has_gpu: Whether there is an NVIDIA GPU.
    """
    if device != CUDA or has_gpu:
        return None
    return (
        f"the image is for CUDA, and {place} has no NVIDIA GPU; serve it where there is one, or make the image for "
        "the CPU: without enable_gpu, and without a base_image for GPUs"
    )


def _together(packages: Sequence[tuple[str, str]], source: str) -> Iterator[Problem]:
    names = {name for name, _ in packages}
    if {"onnxruntime", "onnxruntime-gpu"} <= names:
        text = "onnxruntime and onnxruntime-gpu overwrite each other's files; keep one of the two"
        yield Problem(source, text)


def _idle(packages: Sequence[tuple[str, str]]) -> Iterator[Problem]:
    names = {name for name, _ in packages}
    for name, version in packages:
        if name in _CPU_ONLY and _CPU_ONLY[name].partition("[")[0] not in names:
            text = f"{name} {version} never uses a GPU; ask for {_CPU_ONLY[name]}, or leave enable_gpu out"
            yield Problem("enable_gpu", text)
        elif name == "torch" and Version(version).local == "cpu":
            text = f"torch {version} is built without CUDA; ask for a build with it, or leave enable_gpu out"
            yield Problem("enable_gpu", text)


def _advice(need: Need, *, given: bool) -> str:
    other = f"a base_image with CUDA {need.cuda}" + (f" and cuDNN {need.cudnn}" if need.cudnn else "")
    wheels = {"onnxruntime-gpu": "onnxruntime-gpu[cuda,cudnn]", "tensorflow": "tensorflow[and-cuda]"}.get(need.package)
    own = f", or ask for {wheels}, which brings them" if wheels else ""
    without = "" if given else ", or ask for a package for the CPU"
    return f"give {other}{own}{without}"
