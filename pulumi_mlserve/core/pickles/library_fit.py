"""Whether the libraries of an environment can load a pickle: all modules there, scikit-learn the one that saved it."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from packaging.version import InvalidVersion, Version

from pulumi_mlserve.core.environments.standins import STANDIN_MODULES
from pulumi_mlserve.core.pickles.opcodes import PickleNeeds
from pulumi_mlserve.core.scripts.module_names import missing_module, standard_modules

# What Python 2 called otherwise; loading a pickle of an old protocol translates these (Lib/_compat_pickle.py).
_PYTHON_2: Final = frozenset(
    {
        *("__builtin__", "copy_reg", "Queue", "SocketServer", "ConfigParser", "repr", "tkFileDialog", "cPickle"),
        *("Tkinter", "StringIO", "cStringIO", "UserDict", "UserList", "UserString", "commands", "exceptions"),
        *("anydbm", "dbhash", "dumbdbm", "gdbm", "markupbase", "robotparser", "urllib2", "urlparse", "_abcoll"),
    }
)
_NUMPY_2: Final = "numpy._core"
_READS_NUMPY_2: Final = Version("1.26")  # its numpy._core is there for such pickles alone
_SKLEARN: Final = "scikit-learn"


@dataclass(frozen=True)
class Libraries:
    """What an image offers to a pickle.

    Attributes:
        modules: Top-level importable names of the locked environment.
        local: Top-level importable names of the source directory.
        packages: Locked versions by canonical name.
        lock: The text of the lock.
        python: The minor version of Python.
        packages_file: The file in which packages are asked for, for the advice; empty without one.
    """

    modules: Collection[str]
    local: Collection[str]
    packages: Mapping[str, str]
    lock: str
    python: str
    packages_file: str = ""


@dataclass(frozen=True)
class Misfit:
    """Something that the libraries lack.

    Attributes:
        message: What is wrong and what to do.
        fatal: Whether loading the pickle fails for certain; else it may work, with other results.
    """

    message: str
    fatal: bool


def misfits(needs: PickleNeeds, libraries: Libraries) -> Iterator[Misfit]:
    """Yield what keeps the libraries from loading a pickle, or makes it doubtful."""
    provided = {*libraries.modules, *libraries.local, *standard_modules(libraries.python), *STANDIN_MODULES, *_PYTHON_2}
    for top in sorted({module.split(".")[0] for module in needs.modules} - provided - {"__main__"}):
        advice = missing_module(top, modules=libraries.modules, packages_file=libraries.packages_file)
        yield Misfit(f"cannot be loaded: {advice}", fatal=True)
    if needs.of_main:
        names = ", ".join(sorted(needs.of_main))
        yield Misfit(
            f"needs {names} of __main__, the notebook or program that saved it; put the definition into a module of the"
            " source directory, import it from there where the model is made, and save the model again",
            fatal=False,  # a script may put it there itself
        )
    numpy = _version(libraries.packages.get("numpy"))
    if numpy is not None and numpy < _READS_NUMPY_2 and any(f"{m}.".startswith(f"{_NUMPY_2}.") for m in needs.modules):
        yield Misfit(
            f"was saved with numpy 2, and the environment has {numpy}, which cannot read it;"
            " pin a numpy from 1.26 on, or save it again with that version",
            fatal=True,
        )
    yield from _sklearn_misfits(needs, libraries)


def _sklearn_misfits(needs: PickleNeeds, libraries: Libraries) -> Iterator[Misfit]:
    """Yield the versions of scikit-learn that are not the locked one: it promises nothing across versions."""
    locked = _version(libraries.packages.get(_SKLEARN))
    for text in sorted(needs.sklearn_versions):
        saved = _version(text)
        if saved is None or locked is None or saved.release[:2] == locked.release[:2]:
            continue
        advice = f"pin {_SKLEARN}=={text}, or save it again with {locked}"
        told = f"was saved with {_SKLEARN} {text}, and the environment has {locked}"
        fatal = saved.major != locked.major
        yield Misfit(f"{told}{', which cannot be expected to read it' if fatal else ''}; {advice}", fatal=fatal)


def _version(text: str | None) -> Version | None:
    try:
        return Version(text) if text is not None else None
    except InvalidVersion:
        return None
