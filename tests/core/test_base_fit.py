"""Whether a base image can run what goes on it: Python, C library, processor, CUDA; all is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pulumi_mlserve.core.images import base_fit, cuda
from pulumi_mlserve.core.images.base_system import BaseSystem, Interpreter, Load

PYTHON = Interpreter("/usr/bin/python3.11", "3.11.2", machine="amd64")
SYSTEM = BaseSystem("Debian GNU/Linux 12 (bookworm)", (PYTHON,), "2.36")
LOAD = Load("example.com/base:1", True, "3.11", "linux/amd64", floors={"numpy": "2.27", "orjson": "2.17"})
GPU = (("onnxruntime-gpu", "1.22.0"),)
WHEELS = (("nvidia-cuda-runtime-cu12", "12.9.79"), ("nvidia-cudnn-cu12", "9.28.0.42"))


def wrong(system=SYSTEM, **more):
    """Returns what does not fit, as path and message."""
    return [(problem.path, problem.message) for problem in base_fit.fit_problems(system, replace(LOAD, **more))]


def test_what_fits_is_not_complained_of():
    """Nor is a base of which too little is known."""
    assert [] == wrong()
    assert [] == wrong(BaseSystem(unread=("sha256:x",)))


@pytest.mark.parametrize(
    ("system", "said"),
    [
        (
            replace(SYSTEM, pythons=()),
            "has no Python, and the packages are locked for 3.11; give a base with Python 3.11",
        ),
        (
            replace(SYSTEM, pythons=(replace(PYTHON, version="3.12.4"),)),
            "has Python 3.12, and the packages are locked for 3.11; set python_version='3.12', or give a base with",
        ),
        (
            replace(SYSTEM, pythons=(replace(PYTHON, version="3.6.9"),)),
            "has Python 3.6, and the packages are locked for 3.11; give a base with Python 3.11",
        ),
        (replace(SYSTEM, pythons=(replace(PYTHON, complete=False),)), "lacks parts of the standard library"),
        (
            replace(SYSTEM, pythons=(replace(PYTHON, machine="arm64"),)),
            "its Python is for arm64, and the image for linux/",
        ),
        (
            replace(SYSTEM, pythons=(replace(PYTHON, closed="root"),)),
            "lies in /root, which only root may enter, and the",
        ),
        (replace(SYSTEM, glibc="2.23"), "has glibc 2.23, and wheels need a newer one: numpy (2.27); give a newer base"),
        (
            replace(SYSTEM, glibc="", musl=True, pythons=(replace(PYTHON, musl=True),)),
            "has musl as its C library, and the wheels of numpy, orjson are built for glibc 2.27; give a base with",
        ),
        (replace(SYSTEM, linked=("opt",)), "/opt is a link in example.com/base:1"),
    ],
)
def test_a_mismatch_names_both_sides(system, said):
    """And says what to do."""
    (found,) = wrong(system)

    assert "base_image" == found[0]
    assert said in found[1]


def test_packages_that_the_base_lacks_are_told():
    """By the names of packages or modules, whatever their spelling; unless something was not looked into."""
    system = replace(SYSTEM, packages=frozenset({"opencv-python", "cv2"}))

    assert [] == wrong(system, of_base=["OpenCV_Python", "cv2"])
    ((path, text),) = wrong(system, of_base=["cv2", "ROOT"])
    assert ("base_packages", True) == (path, "example.com/base:1 has no ROOT" in text)
    assert [] == wrong(replace(system, unread=("sha256:x",)), of_base=["ROOT"])


def test_all_mismatches_come_at_once():
    """Another Python and an older C library."""
    assert 2 == len(wrong(replace(SYSTEM, pythons=(), glibc="2.17")))


def test_of_a_default_base_the_rule_is_at_fault():
    """Nobody named it, so nobody can correct its name."""
    assert ["python_version"] == [path for path, _ in wrong(replace(SYSTEM, pythons=()), given=False)]


def test_one_of_several_pythons_is_enough():
    """The whole one where two of the same version are there."""
    minimal = replace(PYTHON, complete=False)
    whole = replace(PYTHON, path="/usr/local/bin/python3.11")

    assert [] == wrong(replace(SYSTEM, pythons=(minimal, whole)))


def test_the_floor_of_a_wheel_is_the_lowest_of_its_tags():
    """Of one that is for any platform there is none; musl's are no glibc's."""
    tags = {
        "numpy": ["cp311-cp311-manylinux_2_27_x86_64", "cp311-cp311-manylinux_2_28_x86_64"],
        "orjson": ["cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"],
        "old": ["cp311-cp311-manylinux1_x86_64"],
        "pure": ["py3-none-any"],
    }

    assert {"numpy": "2.27", "orjson": "2.17", "old": "2.5"} == base_fit.glibc_floors(tags)


@pytest.mark.parametrize(
    ("packages", "expected"),
    [
        (GPU, ["onnxruntime-gpu 1.22.0 needs CUDA 12 and cuDNN 9"]),
        ((("onnxruntime-gpu", "1.18.1"),), ["onnxruntime-gpu 1.18.1 needs CUDA 11 and cuDNN 8"]),
        ((("onnxruntime-gpu", "1.27.0"),), ["onnxruntime-gpu 1.27.0 needs CUDA 13 and cuDNN 9"]),
        ((*GPU, *WHEELS), []),
        ((("cupy-cuda12x", "13.3.0"),), ["cupy-cuda12x 13.3.0 needs CUDA 12"]),
        ((("torch", "2.4.0"), *WHEELS), []),
        ((("torch", "2.4.0+cu121"),), []),
        ((("onnxruntime", "1.22.0"), ("numpy", "2.0.0")), []),
    ],
)
def test_what_packages_need_of_cuda_follows_a_table(packages, expected):
    """By their versions; what comes as wheels needs nothing of the base."""
    assert expected == [str(need) for need in cuda.needs(packages, gpu=False)]


def test_tensorflow_needs_cuda_only_on_a_gpu():
    """Its wheel runs on both."""
    packages = (("tensorflow", "2.16.1"),)

    assert [] == cuda.needs(packages, gpu=False)
    assert ["tensorflow 2.16.1 needs CUDA 12 and cuDNN 8"] == [str(need) for need in cuda.needs(packages, gpu=True)]


@pytest.mark.parametrize(
    ("packages", "brought"),
    [
        (WHEELS, {12}),
        ((("nvidia-cuda-runtime", "13.0.48"),), {13}),
        ((("torch", "2.3.1+cu118"),), {11}),
        ((("torch", "2.3.1+cpu"), ("numpy", "2.0.0")), set()),
    ],
)
def test_brought_cuda_is_told_by_names_and_local_versions(packages, brought):
    """Wheels of CUDA, and builds that hold it."""
    assert brought == cuda.brought_cuda(packages)


@pytest.mark.parametrize(
    ("packages", "asked", "path", "said"),
    [
        ((("onnxruntime", "1.22.0"),), None, "enable_gpu", "never uses a GPU; ask for onnxruntime-gpu[cuda,cudnn]"),
        ((("torch", "2.4.0+cpu"),), None, "enable_gpu", "is built without CUDA"),
        ((("onnxruntime", "1.22.0"), *GPU), None, "conda_file", "overwrite each other's files"),
        (GPU, "11.8", "cuda_version", "got '11.8': onnxruntime-gpu 1.22.0 needs CUDA 12 and cuDNN 9; write '12'"),
        ((("torch", "2.4.0"), *WHEELS), "13", "cuda_version", "the packages bring CUDA 12; write '12'"),
    ],
)
def test_packages_that_do_not_fit_the_device_are_told(packages, asked, path, said):
    """At the setting that can be changed."""
    found = cuda.package_problems(packages, gpu=True, cuda_version=asked, source="conda_file")

    assert [path] == [problem.path for problem in found]
    assert said in found[0].message


def test_packages_for_the_cpu_are_fine_without_a_gpu():
    """And a version of CUDA that fits is, too."""
    assert [] == cuda.package_problems((("onnxruntime", "1.22.0"),), gpu=False, cuda_version=None, source="")
    assert [] == cuda.package_problems(GPU, gpu=True, cuda_version="12.4", source="")


@pytest.mark.parametrize(
    ("libraries", "more", "path", "said"),
    [
        (
            {},
            {},
            "base_image",
            "needs CUDA 12 and cuDNN 9, and example.com/base:1 has none; give a base_image with CUDA 12",
        ),
        (
            {},
            {"given": False},
            "requirements_file",
            "or ask for onnxruntime-gpu[cuda,cudnn], which brings them, or ask",
        ),
        ({"cuda": "11.8.0", "cudnn": "8"}, {}, "base_image", "has CUDA 11.8.0 and cuDNN 8"),
        ({"cuda": "12.4", "cudnn": "8.9"}, {}, "base_image", "has CUDA 12.4 and cuDNN 8.9"),
        ({"cuda": "12.4", "cudnn": "9"}, {"cuda_version": "13"}, "cuda_version", "has CUDA 12.4, got '13'"),
        ({"cuda": "12.4", "cudnn": "9"}, {"gpu": False}, "enable_gpu", "is for GPUs, it has CUDA 12.4, cuDNN 9"),
    ],
)
def test_a_base_whose_cuda_does_not_fit_is_told(libraries, more, path, said):
    """With what the packages need and what the base has."""
    found = cuda.base_problems(libraries, replace(LOAD, packages=GPU, **more))

    assert [path] == [problem.path for problem in found]
    assert said in found[0].message


def test_a_base_whose_cuda_fits_is_taken():
    """By the major versions."""
    assert [] == cuda.base_problems({"cuda": "12.4.1", "cudnn": "9.1.0"}, replace(LOAD, packages=GPU, gpu=True))


def test_an_image_is_for_what_it_is_said_to_be_or_what_its_base_is_made_for():
    """TensorRT alone is enough."""
    assert ("cpu", "cuda", "cuda") == (
        cuda.device_of({}, gpu=None),
        cuda.device_of({}, gpu=True),
        cuda.device_of({"tensorrt": "8"}, gpu=None),
    )


def test_an_image_for_gpus_is_refused_where_there_is_none():
    """One for the CPU runs everywhere."""
    assert "this machine has no NVIDIA GPU" in str(cuda.device_problem("cuda", "this machine", has_gpu=False))
    assert [None] * 3 == [
        cuda.device_problem(device, "this machine", has_gpu=gpu)
        for device, gpu in [("cuda", True), ("cpu", False), (None, False)]
    ]


def test_the_runtimes_own_onnxruntime_is_the_one_for_gpus():
    """With CUDA as wheels unless a base image is to have it."""
    asked = ["numpy>=1.26", "onnxruntime>=1.20"]

    assert ("numpy>=1.26", "onnxruntime-gpu[cuda,cudnn]>=1.20") == cuda.for_gpu(asked, brings=True)
    assert ("numpy>=1.26", "onnxruntime-gpu>=1.20") == cuda.for_gpu(asked, brings=False)
