"""Locks for several Pythons and platforms: what uv exports of a project, resolved and installed for one of them."""

from __future__ import annotations

import re

import pytest
from wheelhouse import make_wheel

from pulumi_mlserve.clients.environments.resolver import Resolver
from pulumi_mlserve.core.environments.environment import environment_from, with_runtime


@pytest.fixture
def resolver(tmp_path, monkeypatch):
    """A resolver with an empty cache, and an index that is a folder."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "beta", "1.0")
    make_wheel(folder, "beta", "2.0")
    make_wheel(folder, "gamma", "1.0")
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX_URL", "UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return Resolver(tmp_path / "cache")


@pytest.fixture
def exported(resolver):
    """A lock with two pins of one package, and one for another system."""

    def pinned(requirement: str, marker: str) -> str:
        text = resolver.lock(environment_from(requirements_text=requirement)).text.partition("\n")[2]
        return re.sub(r"==\S+", rf"\g<0> ; {marker}", text, count=1)

    return (
        pinned("beta==2.0", "python_full_version < '3.12'")
        + pinned("beta==1.0", "python_full_version >= '3.12'")
        + f"windows==1.0 ; sys_platform == 'win32' --hash=sha256:{'0' * 64}\n"
    )


@pytest.mark.parametrize(("python", "version"), [("3.11", "2.0"), ("3.12", "1.0")])
def test_the_pin_that_applies_is_taken_and_installed(resolver, exported, python, version):
    """Whichever comes last in the file."""
    lock = resolver.lock(environment_from(requirements_text=exported, python=python))

    assert lock.packages == (("beta", version),)
    assert (resolver.install(lock) / f"beta-{version}.dist-info").is_dir()
    assert resolver.lock_like(lock, "linux/arm64").packages == lock.packages


def test_what_the_runtime_needs_is_added_to_the_pins_that_apply(resolver, exported):
    """The others are no part of the question: a wheel for another system is not looked for."""
    spec = with_runtime(environment_from(requirements_text=exported), ["beta>=2", "gamma"])
    lock = resolver.lock(spec)

    assert lock.packages == (("beta", "2.0"), ("gamma", "1.0"))
    assert sorted(path.name for path in resolver.install(lock).glob("*.py")) == ["beta.py", "gamma.py"]


def test_what_applies_and_contradicts_is_named(resolver, exported):
    """Not the pin for another Python."""
    spec = with_runtime(environment_from(requirements_text=exported, python="3.12"), ["beta>=2"])
    with pytest.raises(Exception, match=re.escape("the lock has beta 1.0, and the runtime asks for beta>=2")):
        resolver.lock(spec)
