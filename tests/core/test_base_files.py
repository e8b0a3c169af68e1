"""What a base image is, told from its files: layers over each other, links, Pythons, C libraries, CUDA."""

from __future__ import annotations

import pytest

from pulumi_mlserve.core.images.base_files import (
    LayerFinding,
    Probe,
    is_probed,
    is_wanted_file,
    is_wanted_link,
    merged,
    package_name,
)
from pulumi_mlserve.core.images.base_system import Interpreter, system_of

GLIBC = Probe("amd64", "", "2.36")
PROGRAM = Probe("amd64", "/lib64/ld-linux-x86-64.so.2", "3.11.2")
STANDARD = {f"usr/lib/python3.11/{name}/__init__.py": Probe() for name in ("http", "asyncio")}
DEBIAN = LayerFinding(
    files={
        "usr/lib/x86_64-linux-gnu/libc.so.6": GLIBC,
        "usr/bin/python3.11": PROGRAM,
        "usr/lib/os-release": Probe(version="Debian GNU/Linux 12 (bookworm)"),
        **STANDARD,
    },
    links={
        "lib": "usr/lib",
        "bin": "usr/bin",
        "usr/bin/python3": "python3.11",
        "etc/os-release": "../usr/lib/os-release",
    },
)


def standard(prefix, minor):
    """Returns the marks of a whole standard library."""
    return {f"{prefix}/lib/python{minor}/{name}/__init__.py": Probe() for name in ("http", "asyncio")}


def of(*layers, env=()):
    """Returns the system of layers, from the bottom up."""
    return system_of(merged(layers), env)


def test_a_debian_is_known():
    """Name, Python by its exact name, version and C library."""
    found = of(DEBIAN)

    assert ("Debian GNU/Linux 12 (bookworm)", "2.36", False) == (found.name, found.glibc, found.musl)
    assert (Interpreter("/usr/bin/python3.11", "3.11.2", machine="amd64"),) == found.pythons


@pytest.mark.parametrize(
    "upper",
    [
        LayerFinding(hidden=["usr/bin/python3.11"]),
        LayerFinding(hidden=["bin/python3.11"]),
        LayerFinding(hidden=["usr"]),
        LayerFinding(emptied=["usr/bin"]),
        LayerFinding(emptied=[""]),
        LayerFinding(links={"usr/bin": "elsewhere"}),
    ],
)
def test_an_upper_layer_takes_away(upper):
    """By its path, through a link, with its folder, or by emptying that."""
    assert () == of(DEBIAN, upper).pythons


def test_an_upper_layer_replaces():
    """The newer program at the same path counts; what a layer empties it may fill."""
    newer = LayerFinding(files={"bin/python3.11": Probe("amd64", PROGRAM.loader, "3.11.9")}, emptied=["usr/bin"])

    assert ["3.11.9"] == [python.version for python in of(DEBIAN, newer).pythons]


def test_the_search_path_decides_the_order():
    """The image's own PATH, then what lies elsewhere."""
    upper = LayerFinding(
        files={"opt/conda/bin/python3.12": Probe("amd64", "", "3.12.4"), **standard("opt/conda", "3.12")},
        links={"opt/conda/bin/python": "python3.12"},
    )
    path = "PATH=/opt/conda/bin:/usr/bin"

    assert ["/opt/conda/bin/python3.12", "/usr/bin/python3.11"] == [
        p.path for p in of(DEBIAN, upper, env=[path]).pythons
    ]
    assert ["/usr/bin/python3.11", "/opt/conda/bin/python3.12"] == [p.path for p in of(DEBIAN, upper).pythons]


def test_a_virtual_environment_is_called_by_its_own_path():
    """Its links lead to the system's Python, and only by its own path it is one."""
    upper = LayerFinding(links={"opt/venv/bin/python3": "/usr/bin/python3.11", "opt/venv/bin/python": "python3"})

    first = of(DEBIAN, upper, env=["PATH=/opt/venv/bin:/usr/bin"]).pythons[0]

    assert ("/opt/venv/bin/python3", "3.11.2") == (first.path, first.version)


def test_a_program_without_a_version_in_its_name_is_told_by_its_library():
    """Its own bytes, the shared library beside it, or its standard library say which it is."""
    by_library = LayerFinding(
        files={"usr/local/bin/python3": Probe("amd64"), "usr/local/lib/libpython3.12.so.1.0": Probe(version="3.12.1")}
        | standard("usr/local", "3.12")
    )
    shared = LayerFinding(
        files={
            "usr/local/bin/python3.12": Probe("amd64"),
            "usr/local/lib/libpython3.12.so.1.0": Probe(version="3.12.1"),
        }
        | standard("usr/local", "3.12")
    )

    assert ["3.12"] == [python.version for python in of(by_library).pythons]
    assert ["3.12.1"] == [python.version for python in of(shared).pythons]


def test_a_python_without_its_standard_library_is_told():
    """As Debian's python3-minimal."""
    minimal = LayerFinding(files={"usr/bin/python3.11": PROGRAM})

    assert [False] == [python.complete for python in of(minimal).pythons]
    assert [True] == [python.complete for python in of(DEBIAN).pythons]


def test_a_python_that_only_root_may_run_is_told():
    """As those that uv and pyenv put into root's home, with a virtual environment elsewhere; one for all is better."""
    home = "root/.local/share/uv/python/cpython-3.11.9"
    uv = LayerFinding(
        files={f"{home}/bin/python3.11": Probe("amd64", "", "3.11.9"), **standard(home, "3.11")},
        links={"app/.venv/bin/python": f"/{home}/bin/python3.11"},
        folders={"root": False, "app": True},
    )
    found = of(uv, env=["PATH=/app/.venv/bin"])

    assert ("/app/.venv/bin/python", "root") == (found.pythons[0].path, found.pythons[0].closed)
    assert "/usr/bin/python3.11" == of(uv, DEBIAN, env=["PATH=/app/.venv/bin:/usr/bin"]).python("3.11").path
    assert "" == of(uv, LayerFinding(folders={"root": True})).pythons[0].closed


def test_musl_is_told_by_the_loader():
    """An image may have both C libraries; the program says which it stands on."""
    alpine = LayerFinding(
        files={
            "lib/ld-musl-x86_64.so.1": Probe("amd64", "", "1.2.4"),
            "usr/bin/python3.11": Probe("amd64", "/lib/ld-musl-x86_64.so.1", "3.11.2"),
        }
    )

    assert (True, True, "") == (of(alpine).musl, of(alpine).pythons[0].musl, of(alpine).glibc)
    assert (True, False) == (of(DEBIAN, LayerFinding(files={"lib/ld-musl-x86_64.so.1": Probe()})).musl, False)


def test_a_loop_of_links_is_no_python():
    """It leads nowhere."""
    loop = LayerFinding(links={"usr/bin/python3": "python", "usr/bin/python": "python3"})

    assert () == of(loop).pythons


def test_cuda_is_told_by_its_libraries():
    """The longest name has the whole version; what a package keeps to itself does not count."""
    cuda = LayerFinding(
        files={"usr/local/cuda-12.4/lib64/libcudart.so.12.4.127": Probe(), "usr/lib/libnvinfer.so.8.6.1": Probe()},
        links={"usr/lib/x86_64-linux-gnu/libcudnn.so.9": "libcudnn.so.9.1.0"},
    )

    assert {"cuda": "12.4.127", "cudnn": "9", "tensorrt": "8.6.1"} == of(cuda).libraries
    assert "12.4.1" == of(cuda, env=["CUDA_VERSION=12.4.1"]).libraries["cuda"]


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("usr/bin/python3.11", True),
        ("opt/conda/bin/python", True),
        ("usr/bin/python3-config", False),
        ("usr/lib/python3/dist-packages/python3", False),
        ("usr/lib/x86_64-linux-gnu/libc.so.6", True),
        ("lib/libc-2.31.so", True),
        ("opt/conda/x86_64-conda-linux-gnu/sysroot/lib64/libc-2.17.so", False),
        ("usr/lib/python3.11/http/__init__.py", True),
        ("usr/lib/python3.11/http/client.py", False),
        ("opt/lib/python3.11/site-packages/nvidia/cuda_runtime/lib/libcudart.so.12", False),
        ("usr/local/cuda-12.4/lib64/libcudart.so.12.4.127", True),
        ("etc/os-release", True),
        ("opt/etc/os-release", False),
    ],
)
def test_few_files_are_looked_for(path, wanted):
    """Everything else of an image streams by."""
    assert wanted is is_wanted_file(path)


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("usr/lib/python3/dist-packages/numpy-1.24.2.egg-info/PKG-INFO", "numpy"),
        ("usr/lib/python3/dist-packages/six-1.16.0.egg-info", "six"),
        ("opt/conda/lib/python3.11/site-packages/scikit_learn-1.5.0.dist-info/METADATA", "scikit_learn"),
        ("opt/conda/lib/python3.11/site-packages/old-1.0-py3.11.egg-info/PKG-INFO", "old"),
        ("opt/conda/pkgs/old-1.0/lib/python3.11/site-packages/old/__init__.py", None),
        ("a/site-packages/cv2/__init__.py", "cv2"),
        ("a/site-packages/six.py", "six"),
        ("a/site-packages/_cffi_backend.cpython-311-x86_64-linux-gnu.so", "_cffi_backend"),
        ("a/site-packages/cv2/gapi/__init__.py", None),
        ("a/site-packages/numpy-1.0.dist-info/RECORD", None),
        ("usr/lib/python3.11/json/__init__.py", None),
    ],
)
def test_packages_are_told_by_their_marks(path, name):
    """By the names of distributions and of modules."""
    assert name == package_name(path)


def test_a_base_knows_its_packages():
    """In one spelling."""
    place = "usr/lib/python3.11/site-packages"
    found = of(DEBIAN, LayerFinding(files={f"{place}/Scikit_Learn-1.5.dist-info/METADATA": Probe()}))

    assert {"scikit-learn"} == found.packages


def test_links_on_the_way_are_kept():
    """Those near the root, and those by the names that are looked for."""
    wanted = ["lib", "usr/lib64", "opt/conda", "etc/alternatives/python3", "usr/local/cuda", "a/b/c/libcudnn.so.9"]

    assert wanted == [path for path in (*wanted, "usr/share/doc/x", "a/b/c/d") if is_wanted_link(path)]
    assert not is_probed("usr/lib/python3.11/http/__init__.py")


def test_whiteouts_are_read():
    """A name's, a folder's, and no other path's."""
    finding = LayerFinding()

    assert [True, True, False] == [finding.hide(p) for p in ("usr/bin/.wh.python3", "opt/.wh..wh..opq", "usr/bin/x")]
    assert (["usr/bin/python3"], ["opt"]) == (finding.hidden, finding.emptied)


def test_folders_of_ours_are_told():
    """Files that lie there already, and links that an image's own folders would replace."""
    found = of(LayerFinding(files={"var/azureml-app/*": Probe()}, links={"opt": "usr/opt"}))

    assert (("var/azureml-app",), ("opt",)) == (found.ours, found.linked)
