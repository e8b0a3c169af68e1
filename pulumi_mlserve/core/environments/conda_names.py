"""How conda names a package and pins a version, turned into what pip understands, or refused with the reason."""

from __future__ import annotations

import re
from typing import Final

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from pulumi_mlserve.core.environments.masking import masked

# conda package → distribution with the same modules. Looked up before anything is resolved, because wrong names exist
# on the package index: a `pytorch` of 2019, a `sklearn` that only raises, the `docker-py` of 2016, a `pyg` of 2013, an
# `ignite` that is a client of Apache's. After conda-forge's own table: grayskull/strategy/config.yaml.
_ALIASES: Final[dict[str, str]] = {
    "antlr-python-runtime": "antlr4-python3-runtime",
    "boruta-py": "boruta",
    "brotli-python": "brotli",
    "dask": "dask[complete]",
    "dask-core": "dask",
    "docker-py": "docker",
    "faiss": "faiss-cpu",
    "gdcm": "python-gdcm",
    "h2o-py": "h2o",
    "ignite": "pytorch-ignite",
    "keras-base": "keras",
    "matplotlib-base": "matplotlib",
    "msgpack-python": "msgpack",
    "neo4j-python-driver": "neo4j",
    "numpy-base": "numpy",
    "opencv": "opencv-python-headless",
    "ortools-python": "ortools",
    "prince-factor-analysis": "prince",
    "psycopg2": "psycopg2-binary",
    "pvlib-python": "pvlib",
    "py-lightgbm": "lightgbm",
    "py-opencv": "opencv-python-headless",
    "py-xgboost": "xgboost",
    "py-xgboost-cpu": "xgboost",
    "py-xgboost-gpu": "xgboost",
    "pyarrow-core": "pyarrow",
    "pyg": "torch-geometric",
    "pyqt": "pyqt5",
    "pysoundfile": "soundfile",
    "pytables": "tables",
    "python-annoy": "annoy",
    "python-blosc": "blosc",
    "python-confluent-kafka": "confluent-kafka",
    "python-cufflinks": "cufflinks",
    "python-duckdb": "duckdb",
    "python-fastjsonschema": "fastjsonschema",
    "python-flair": "flair",
    "python-flatbuffers": "flatbuffers",
    "python-graphviz": "graphviz",
    "python-hdfs": "hdfs",
    "python-kaleido": "kaleido",
    "python-kubernetes": "kubernetes",
    "python-lmdb": "lmdb",
    "python-sounddevice": "sounddevice",
    "python-symengine": "symengine",
    "python-tzdata": "tzdata",
    "python-xxhash": "xxhash",
    "python-zstd": "zstd",
    "pytorch": "torch",
    "pytorch-cpu": "torch",
    "pytorch-geometric": "torch-geometric",
    "pytorch-gpu": "torch",
    "redis-py": "redis",
    "ruamel-yaml": "ruamel.yaml",
    "seaborn-base": "seaborn",
    "sentencepiece-python": "sentencepiece",
    "sklearn": "scikit-learn",
    "tensorflow-base": "tensorflow",
    "tensorflow-eigen": "tensorflow",
    "tensorflow-mkl": "tensorflow",
    "torchvision-cpu": "torchvision",
    "trino-python-client": "trino",
}

# What every interpreter has, or what a target folder has no use for.
IGNORED: Final = frozenset({"pip", "python", "setuptools", "wheel"})

# What an exported environment lists because conda's Python stands on it; the image's Python has its own.
OF_PYTHON: Final = frozenset(
    {
        *("bzip2", "ca-certificates", "expat", "icu", "ld-impl-linux-64", "ld-impl-linux-aarch64"),
        *("libexpat", "libffi", "libgcc", "libgcc-mutex", "libgcc-ng", "libgfortran", "libgfortran-ng", "libgfortran5"),
        *("libgomp", "libiconv", "liblzma", "libnsl", "libsqlite", "libstdcxx", "libstdcxx-ng", "libuuid", "libxcrypt"),
        *("libzlib", "ncurses", "openmp-mutex", "openssl", "python-abi", "readline", "sqlite", "tk"),
        *("tzdata", "xz", "yaml", "zlib"),
    }
)

_DOCKER_ADVICE: Final = "use a base image that has it, and name it in base_packages"
_NO_PYTHON_PACKAGE: Final = f"it is no Python package; {_DOCKER_ADVICE}"
_OWN_BLAS: Final = "it belongs to conda's own builds; take the line out, wheels bring their own BLAS"
_GPU: Final = "take the line out, GPU wheels bring what they need"
_REFUSED: Final[dict[str, str]] = {
    "blas": _OWN_BLAS,
    "cpuonly": "it chooses conda's build of torch; take the line out, and name an index of CPU wheels under 'pip:'",
    "cudatoolkit": f"the package index has no CUDA toolkit; {_GPU}",
    "cudnn": f"the package index has no cuDNN package of that name; {_GPU}",
    "gdal": "the package index has it as source only; take rasterio, fiona or pyogrio, whose wheels bring it",
    "graphviz": "conda's package is a program, pip's of that name only calls it; write python-graphviz for the module",
    "intel-openmp": _OWN_BLAS,
    "libblas": _OWN_BLAS,
    "libcblas": _OWN_BLAS,
    "liblapack": _OWN_BLAS,
    "libopenblas": _OWN_BLAS,
    "mkl": _OWN_BLAS,
    "mkl-service": _OWN_BLAS,
    "nccl": f"the package index has no NCCL package of that name; {_GPU}",
    "nomkl": _OWN_BLAS,
    "openblas": _OWN_BLAS,
    "pytorch-cuda": f"it chooses conda's build of torch; {_GPU}",
    "pytorch-mutex": "it chooses conda's build of torch; take the line out",
    "tensorflow-gpu": "the package index has an empty package of that name; write tensorflow[and-cuda] under 'pip:'",
    **dict.fromkeys(
        (
            *("boost", "bash", "curl", "cxx-compiler", "c-compiler", "compilers", "ffmpeg", "fortran-compiler"),
            *("gcc", "geos", "git", "gsl", "gxx", "hdf5", "imagemagick", "java-jdk", "libarrow", "libcurl"),
            *("libgdal", "libjpeg-turbo", "libpng", "libpq", "libprotobuf", "libsndfile", "libspatialindex"),
            *("libtiff", "libwebp", "libxml2", "lz4-c", "make", "mpich", "mysql", "nodejs", "openjdk", "openmpi"),
            *("pandoc", "perl", "poppler", "postgresql", "proj", "r", "r-base", "ruby", "rust", "snappy", "sox"),
            *("spatialindex", "swig", "tesseract", "unixodbc", "wget", "zstd"),
            # The package index has something else of that name.
            *("blosc", "cbc", "fontconfig", "freetype", "glib", "glog", "glpk", "gmp", "graphite2", "ipopt", "krb5"),
            *("libnetcdf", "libopencv", "libsodium", "metis", "mpfr", "nss", "orc", "pango", "re2"),
        ),
        _NO_PYTHON_PACKAGE,
    ),
}
_REFUSED_FORMS: Final[tuple[tuple[re.Pattern[str], str], ...]] = (
    (re.compile(r"r-.+"), _NO_PYTHON_PACKAGE),
    (re.compile(r"(?:gcc|gxx|gfortran|binutils|sysroot).*-linux-\w+"), _NO_PYTHON_PACKAGE),
    (
        re.compile(r"cuda(?!-python)(?:-.+)?|libcu\w+|libnv\w+"),
        f"the package index has no CUDA package of that name; {_GPU}",
    ),
    (re.compile(r"spacy-model-.+"), "the package index has no models of spaCy; register it as a model"),
)

_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")
_VERSION: Final = re.compile(r"[0-9A-Za-z.!+*_-]+")
_CLAUSE: Final = re.compile(r"(===|==|=|!=|<=|>=|~=|<|>)?\s*([0-9A-Za-z.!+*_-]+)$")


class CondaSpecError(ValueError):
    """A conda line that pip has no counterpart for; the message says why and what to do."""


def to_requirement(spec: str) -> Requirement:
    """Return what pip calls a line of conda's ``dependencies``, ``scikit-learn=0.24`` as ``scikit-learn==0.24.*``.

    Raises:
        CondaSpecError: The line has no counterpart.
    """
    text = spec.strip()
    _refuse_syntax(text)
    matched = _NAME.match(text)
    if matched is None:
        raise CondaSpecError(f"not a package name and version, got {masked(text)!r}; write NAME=VERSION")
    name = canonicalize_name(matched.group())
    why = _REFUSED.get(name) or next((why for form, why in _REFUSED_FORMS if form.fullmatch(name)), None)
    if why is not None:
        raise CondaSpecError(f"{name} cannot be installed with pip: {why}")
    version = _specifier(text[matched.end() :].strip(), text)
    try:
        return Requirement(_ALIASES.get(name, name) + version)
    except InvalidRequirement as error:
        raise CondaSpecError(f"not a version, got {masked(text)!r}; write NAME=VERSION or NAME>=VERSION") from error


def renamed(spec: str) -> str | None:
    """Return the line about a name that pip calls otherwise, or None when both agree."""
    name = conda_name(spec)
    other = _ALIASES.get(name, name)
    return None if other == name else f"{name} is called {other} on the package index"


def conda_name(spec: str) -> str:
    """Return the name of the package that a line of conda's is about; empty where there is none."""
    matched = _NAME.match(spec.strip())
    return "" if matched is None else canonicalize_name(matched.group()).strip("-")


def _refuse_syntax(text: str) -> None:
    """Raise on the forms that conda has and pip has not."""
    if "://" in text or text.endswith((".conda", ".tar.bz2")):
        raise CondaSpecError("a package is given by address; name it as NAME=VERSION")
    if "::" in text:
        raise CondaSpecError(
            f"packages come from the package index, not from a conda channel, got {masked(text)!r};"
            " take the channel out"
        )
    if "|" in text:
        raise CondaSpecError(
            f"alternatives have no counterpart in pip, got {masked(text)!r}; give one range, such as >=1.2,<2"
        )
    if "[" in text:
        raise CondaSpecError(f"conda's brackets have no counterpart in pip, got {masked(text)!r}; write NAME=VERSION")


def _specifier(version: str, text: str) -> str:
    """Return pip's specifier for the part after the name."""
    if not version:
        return ""
    if re.fullmatch(r"={0,2}\s*[^=<>!~,\s]+[=\s]+[^=<>!~,\s]+", version):
        raise CondaSpecError(f"a build string pins conda's own files, got {masked(text)!r}; keep only NAME=VERSION")
    return ",".join(_clause(part.strip(), text) for part in version.split(","))


def _clause(part: str, text: str) -> str:
    """Return pip's form of one clause; conda's ``=1.2`` means any 1.2."""
    matched = _CLAUSE.fullmatch(part)
    if matched is None or _VERSION.fullmatch(matched.group(2)) is None:
        raise CondaSpecError(f"not a version, got {masked(text)!r}; write NAME=VERSION or NAME>=VERSION")
    operator, number = matched.groups()
    if number == "*":
        raise CondaSpecError(f"not a version, got {masked(text)!r}; leave the version out or give one")
    if operator == "=":
        return f"=={number.removesuffix('*').removesuffix('.')}.*"
    if operator is None:
        operator = "=="
    if number.endswith("*") and not number.endswith(".*"):
        number = f"{number[:-1]}.*"
    if number.endswith(".*") and operator not in {"==", "!="}:
        number = number[:-2]
    return f"{operator}{number}"
