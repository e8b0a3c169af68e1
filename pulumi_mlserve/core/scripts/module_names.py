"""Which distribution brings a module, and which modules a Python brings itself."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Final

from packaging.utils import canonicalize_name

from pulumi_mlserve.core.suggest import did_you_mean

# Modules whose distribution is called otherwise; the rest share their name.
_DISTRIBUTIONS: Final[dict[str, str]] = {
    "Crypto": "pycryptodome",
    "OpenSSL": "pyOpenSSL",
    "PIL": "Pillow",
    "attr": "attrs",
    "azure": "azure-identity or the azure package of the service",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "google": "protobuf or the google package of the service",
    "grpc": "grpcio",
    "imblearn": "imbalanced-learn",
    "jwt": "PyJWT",
    "magic": "python-magic",
    "mpl_toolkits": "matplotlib",
    "pkg_resources": "setuptools<81",
    "psycopg2": "psycopg2-binary",
    "ruamel": "ruamel.yaml",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "umap": "umap-learn",
    "usb": "pyusb",
    "win32api": "pywin32",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}

# Modules that left the standard library, with the minor version of Python 3 that lacks them first ("What's New").
_REMOVED: Final[dict[str, int]] = {
    **dict.fromkeys(("asynchat", "asyncore", "distutils", "imp", "smtpd"), 12),
    **dict.fromkeys(
        (
            *("aifc", "audioop", "cgi", "cgitb", "chunk", "crypt", "imghdr", "lib2to3", "mailcap", "msilib", "nis"),
            *("nntplib", "ossaudiodev", "pipes", "sndhdr", "spwd", "sunau", "telnetlib", "uu", "xdrlib"),
        ),
        13,
    ),
}

# Modules that joined it, with the first minor version that has them.
_ADDED: Final[dict[str, int]] = {"tomllib": 11, "annotationlib": 14, "compression": 14}


def distribution_of(module: str) -> str:
    """Return what to ask pip for to get a top-level module, the module's own name where nothing else is known."""
    return _DISTRIBUTIONS.get(module, module)


def package_bringing(name: str) -> str:
    """Return the package that brings a module, by the name in pip's spelling; empty where they share their name."""
    wanted = canonicalize_name(name)
    return next((brought for module, brought in _DISTRIBUTIONS.items() if canonicalize_name(module) == wanted), "")


def modules_of(package: str) -> frozenset[str]:
    """Return the modules that a package is known or likely to bring."""
    name = canonicalize_name(package)
    known = {module for module, brought in _DISTRIBUTIONS.items() if canonicalize_name(brought) == name}
    return frozenset({package, package.replace("-", "_"), name.replace("-", "_"), *known})


def missing_module(module: str, *, modules: Collection[str], packages_file: str) -> str:
    """Return that an environment lacks a top-level module, and where to add what.

    Args:
        module: Its name.
        modules: What the environment has.
        packages_file: The file in which packages are asked for; empty without one.
    """
    wanted = distribution_of(module)
    what = "it" if wanted == module else wanted
    if packages_file.endswith((".yml", ".yaml")):
        place = f"add {what} to the pip section of {packages_file}"
    elif packages_file:
        place = f"add {what} to {packages_file}"
    else:
        place = f"name a conda_file or requirements_file that asks for {wanted}"
    hint = did_you_mean(module, modules) if wanted == module else ""
    return f"no module named {module!r} in the environment{hint}; {place}"


def standard_modules(python: str) -> frozenset[str]:
    """Return the top-level modules of the standard library of a minor version, whichever Python asks."""
    minor = int(python.split(".")[1])
    gone = {name for name, since in _REMOVED.items() if since <= minor}
    later = {name for name, since in _ADDED.items() if since > minor}
    return frozenset((set(sys.stdlib_module_names) | set(_REMOVED) | set(_ADDED)) - gone - later)


def removed_in(module: str, python: str) -> str | None:
    """Return the Python that took a module out of the standard library, if the given one lacks it for that reason."""
    since = _REMOVED.get(module)
    return f"3.{since}" if since is not None and int(python.split(".")[1]) >= since else None
