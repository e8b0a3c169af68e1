"""Facts about locking and installing, with real uv and small real wheels."""

from __future__ import annotations

import os
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from index_kit import SECRET, USER, serving
from wheelhouse import make_source, make_wheel

from pulumi_mlserve.clients.environments.resolver import Lock, OfflineError, Resolver, host_platform, modules
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.core.environments.environment import environment_from, with_runtime
from pulumi_mlserve.core.problems import InvalidInputError, OperationError

MANYLINUX = "manylinux_2_17_x86_64.manylinux2014_x86_64"


@pytest.fixture
def wheels(tmp_path, monkeypatch):
    """A package index that is a folder, and nothing else."""
    folder = tmp_path / "wheels"
    make_wheel(folder, "alpha", "1.0", needs=["beta>=1"])
    make_wheel(folder, "alpha", "2.0", needs=["beta>=2"])
    make_wheel(folder, "beta", "1.0")
    make_wheel(folder, "beta", "2.0")
    make_wheel(folder, "native", "1.0", tag=f"cp311-cp311-{MANYLINUX}")
    make_source(folder, "old", "1.0")
    make_wheel(folder, "old", "1.5")
    make_wheel(folder, "old", "2.0")
    make_source(folder, "sourceonly", "1.0")
    for name in (
        "UV_DEFAULT_INDEX",
        "UV_INDEX_URL",
        "UV_INDEX",
        "UV_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "UV_CACHE_DIR",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("UV_FIND_LINKS", str(folder))
    monkeypatch.setenv("UV_NO_INDEX", "1")
    return folder


@pytest.fixture
def resolver(tmp_path, wheels):
    """A resolver with an empty cache."""
    return Resolver(tmp_path / "cache")


def asking(*requirements: str, python="3.11", **given):
    """Return an environment that asks for these packages, one a line."""
    return environment_from(requirements_text="\n".join(requirements), python=python, **given)


AT = "requirements_file: requirements.txt"
OTHERS = (
    "it is published for other Pythons or platforms, or as source; use another package, or a base image that has it and"
    " base_packages"
)


def problems_of(call, *arguments, **given) -> list[str]:
    """Return the problems that a call raises."""
    with pytest.raises(InvalidInputError) as caught:
        call(*arguments, **given)
    return [str(problem) for problem in caught.value.problems]


def test_a_lock_has_exact_versions_and_hashes_and_no_address(resolver):
    """The newest versions that fit, sorted."""
    lock = resolver.lock(asking("alpha"))

    assert lock.packages == (("alpha", "2.0"), ("beta", "2.0"))
    assert lock.text.count("--hash=sha256:") == 2
    assert "://" not in lock.text
    assert (lock.python, lock.platform) == ("3.11", "linux/amd64")


def test_preview_and_up_get_the_same_lock_whatever_is_published_between(resolver, wheels):
    """The answer is cached by what was asked."""
    first = resolver.lock(asking("alpha"))
    make_wheel(wheels, "beta", "3.0")

    assert resolver.lock(asking("alpha")) == first
    assert resolver.lock(asking("alpha", "beta")).packages == (("alpha", "2.0"), ("beta", "3.0"))


def test_the_last_lock_is_kept_while_the_same_is_asked_for(tmp_path, resolver, wheels):
    """Another machine with an empty cache gets the lock of the state, without asking the index."""
    first = resolver.lock(asking("alpha"))
    for file in wheels.iterdir():
        file.unlink()

    assert Resolver(tmp_path / "other").lock(asking("alpha"), previous=first.text) == first


def test_versions_stay_when_something_else_is_added(tmp_path, resolver, wheels):
    """A new requirement moves nothing that still fits."""
    first = resolver.lock(asking("alpha"))
    make_wheel(wheels, "beta", "3.0")
    make_wheel(wheels, "gamma", "1.0")
    second = resolver.lock(asking("alpha", "gamma"), previous=first.text)

    assert second.packages == (("alpha", "2.0"), ("beta", "2.0"), ("gamma", "1.0"))


@pytest.mark.parametrize(("upgrade", "beta"), [(("beta",), "3.0"), (("*",), "3.0"), (("alpha",), "2.0")])
def test_an_upgrade_moves_what_it_names(resolver, wheels, upgrade, beta):
    """Everything else stays."""
    first = resolver.lock(asking("alpha"))
    make_wheel(wheels, "beta", "3.0")

    assert resolver.lock(asking("alpha"), previous=first.text, upgrade=upgrade).packages[1] == ("beta", beta)


def test_a_damaged_last_lock_is_made_anew(resolver):
    """A broken text in the state is no trap."""
    good = resolver.lock(asking("alpha"))

    assert resolver.lock(asking("alpha"), previous=good.text.replace("--hash", "--bash")) == good


def test_a_damaged_cache_is_made_anew(tmp_path, resolver):
    """Half a file in the cache is no trap."""
    good = resolver.lock(asking("alpha"))
    (file,) = (tmp_path / "cache" / "locks").iterdir()
    file.write_text(file.read_text()[:-150])

    assert resolver.lock(asking("alpha")) == good


def test_the_platform_decides_which_wheels_there_are(resolver):
    """A wheel for amd64 is none for arm64."""
    assert resolver.lock(asking("native")).packages == (("native", "1.0"),)
    assert problems_of(resolver.lock, asking("native"), "linux/arm64") == [
        f"{AT}:1: native has no wheel for Python 3.11 on linux/arm64; {OTHERS}"
    ]


def test_an_unknown_platform_is_refused(resolver):
    """32-bit ARM has no wheels that uv would lock."""
    (problem,) = problems_of(resolver.lock, asking("alpha"), "linux/arm/v7")

    assert problem.startswith("platform: no wheels are locked for 'linux/arm/v7'; use one of darwin/amd64, ")


def test_every_impossible_pin_is_reported_at_once_with_a_proposal(resolver):
    """Source-only, absent and unknown packages in one answer."""
    asked = asking("alpha", "old==1.0", "beta==9", "sourceonly", "nosuch", "cv2", "PIL==9.0", "json")
    index_advice = "correct the name, or add an index that has it to pip's or uv's settings"
    no_wheel = "has no wheel for Python 3.11 on linux/amd64"
    module = "which brings the module of that name"

    assert sorted(problems_of(resolver.lock, asked)) == [
        f"{AT}:2: old==1.0 {no_wheel}; write old==1.5, the nearest newer version with a wheel",
        f"{AT}:3: beta==9 does not exist; write beta==2.0, the newest version with a wheel",
        f"{AT}:4: sourceonly {no_wheel}; {OTHERS}",
        f"{AT}:5: the package index has no package nosuch; {index_advice}",
        f"{AT}:6: the package index has no package cv2; write opencv-python-headless, {module}",
        f"{AT}:7: the package index has no package pil; write Pillow, {module}",
        f"{AT}:8: the package index has no package json; take the line out: json is part of Python",
    ]


def test_a_conflict_names_both_sides(resolver):
    """The user's line and the package that needs otherwise."""
    (problem,) = problems_of(resolver.lock, asking("alpha==2.0", "beta<2"))

    assert "together: alpha==2.0 (requirements.txt:1) needs beta>=2; requirements.txt:2 asks for beta<2; " in problem


def test_a_conflict_with_the_runtime_names_the_runtime(resolver):
    """Runtime and user packages share one environment."""
    (problem,) = problems_of(resolver.lock, with_runtime(asking("beta<2"), ["beta>=2"]))

    assert "requirements.txt:1 asks for beta<2; the runtime asks for beta>=2" in problem


def test_a_source_archive_is_never_built(resolver, wheels):
    """Wheels only, at resolution and installation."""
    make_source(wheels, "beta", "9.0")

    assert resolver.lock(asking("beta")).packages == (("beta", "2.0"),)


def test_a_committed_lock_is_used_as_it_is(resolver, wheels):
    """Newer versions change nothing."""
    text = resolver.lock(asking("alpha==1.0", "beta==1.0")).text
    make_wheel(wheels, "beta", "3.0")
    lock = resolver.lock(environment_from(lock_text=text))

    assert lock.packages == (("alpha", "1.0"), ("beta", "1.0"))
    assert resolver.lock(replace(asking("alpha"), lock=text)).key == lock.key


def test_a_committed_lock_is_completed_by_what_the_runtime_needs(resolver):
    """Its own pins stay."""
    text = resolver.lock(asking("beta==1.0")).text
    lock = resolver.lock(with_runtime(environment_from(lock_text=text), ["alpha>=1", "beta>=0"]))

    assert lock.packages == (("alpha", "1.0"), ("beta", "1.0"))


def test_a_committed_lock_that_contradicts_is_refused(resolver):
    """Both sides are named."""
    text = resolver.lock(asking("beta==1.0")).text

    assert problems_of(resolver.lock, with_runtime(environment_from(lock_text=text), ["beta>=2"])) == [
        "requirements_file: the lock has beta 1.0, and the runtime asks for beta>=2; make the lock anew"
    ]


def test_stand_ins_are_taken_out_of_a_committed_lock(resolver, wheels):
    """The lock may come from a v1 environment."""
    make_wheel(wheels, "azureml-core", "1.0")
    text = resolver.lock(asking("azureml-core", "beta", standins=False)).text
    spec = environment_from(lock_text=text)

    assert spec.standins == ("azureml-core",)
    assert resolver.lock(spec).packages == (("beta", "2.0"),)
    assert len(resolver.lock(environment_from(lock_text=text, standins=False)).packages) == 2


def test_an_installed_lock_can_be_imported_from(resolver):
    """The folder holds the modules, and is found again without uv."""
    lock = resolver.lock(asking("alpha"))

    assert resolver.installed(lock) is None
    folder = resolver.install(lock)

    assert modules(folder) == {"alpha", "beta"}
    assert (folder / "beta.py").read_text() == "version = '2.0'\n"
    assert resolver.installed(lock) == resolver.install(lock) == folder
    assert not (folder / ".lock").exists()


def test_nothing_is_an_installable_lock_too(resolver):
    """An environment without packages is an empty folder."""
    lock = resolver.lock(asking())

    assert lock.packages == ()
    assert modules(resolver.install(lock)) == frozenset()


def test_every_kind_of_module_is_seen(tmp_path):
    """Packages, namespace packages, modules and native modules; no metadata, no scripts, no libraries."""
    for name in ("pkg", "pkg-1.0.dist-info", "bin", "numpy.libs", "__pycache__", "google"):
        (tmp_path / name).mkdir()
    for name in ("one.py", "two.cpython-311-x86_64-linux-gnu.so", "three.abi3.so", "x.pth", "README.txt"):
        (tmp_path / name).touch()

    assert modules(tmp_path) == {"pkg", "google", "one", "two", "three"}


def test_two_installations_at_once_agree(tmp_path, resolver):
    """Each gets the complete folder, and nothing is left beside it."""
    lock = resolver.lock(asking("alpha"))
    with ThreadPoolExecutor(4) as pool:
        folders = set(pool.map(lambda _: Resolver(tmp_path / "cache").install(lock), range(4)))

    assert len(folders) == 1
    assert [entry.name for entry in (tmp_path / "cache" / "environments").iterdir()] == [folders.pop().name]


def test_a_wheel_with_another_hash_is_refused(resolver):
    """What is installed is what was locked."""
    lock = resolver.lock(asking("beta"))
    broken = replace(lock, text=_other_hashes(lock.text), key="sha256:" + "1" * 64)

    with pytest.raises(OperationError, match="the packages cannot be installed"):
        resolver.install(broken)
    assert resolver.installed(broken) is None


def _other_hashes(text: str) -> str:
    """Return a lock whose hashes are wrong."""
    lines = [line[:-9] + "000000000" if "--hash" in line else line for line in text.splitlines()]
    return "\n".join(lines) + "\n"


def test_a_failed_installation_leaves_nothing(tmp_path, resolver):
    """The next run starts clean."""
    lock = Lock(
        "gone==1 --hash=sha256:" + "0" * 64 + "\n", (("gone", "1"),), "3.11", "linux/amd64", "sha256:" + "2" * 64
    )

    with pytest.raises(OperationError):
        resolver.install(lock)

    assert list((tmp_path / "cache" / "environments").iterdir()) == []


def test_what_a_killed_run_left_is_removed_a_day_later(tmp_path, resolver):
    """Young folders may still be in use."""
    environments = tmp_path / "cache" / "environments"
    for name, age in ((".making-old", 90_000), (".making-young", 10)):
        (environments / name).mkdir(parents=True)
        os.utime(environments / name, (time.time() - age, time.time() - age))
    resolver.install(resolver.lock(asking("beta")))

    assert [path.name for path in environments.glob(".making-*")] == [".making-young"]


def test_work_that_is_not_wanted_stops(resolver):
    """Cancelling is answered at once, for both steps."""
    lock = resolver.lock(asking("beta"))
    with pytest.raises(CancelledError, match="cancelled while resolving packages"):
        resolver.lock(asking("alpha"), cancelled=lambda: True)
    with pytest.raises(CancelledError, match="cancelled while installing packages"):
        resolver.install(lock, cancelled=lambda: True)


def test_long_work_says_what_it_does(resolver):
    """One line for each step that takes time, none from the cache."""
    said: list[str] = []
    lock = resolver.lock(asking("alpha"), progress=said.append)
    resolver.install(lock, progress=said.append)
    resolver.install(resolver.lock(asking("alpha"), progress=said.append), progress=said.append)

    assert said == [
        "resolving 1 packages for Python 3.11 on linux/amd64",
        "installing 2 packages for Python 3.11 on linux/amd64",
    ]


def test_one_project_s_uv_settings_do_not_change_a_lock(tmp_path, monkeypatch, resolver):
    """Where the program stands makes no difference."""
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "uv.toml").write_text('[pip]\nresolution = "lowest"\n')
    monkeypatch.chdir(tmp_path / "project")

    assert resolver.lock(asking("beta")).packages == (("beta", "2.0"),)


def test_this_machine_has_a_platform():
    """The tests' own machine is one of the known."""
    assert host_platform() in {"linux/amd64", "linux/arm64", "darwin/amd64", "darwin/arm64"}


@pytest.fixture
def index(wheels, monkeypatch):
    """Serve the wheels over HTTP; returns the server."""
    monkeypatch.delenv("UV_FIND_LINKS")
    monkeypatch.delenv("UV_NO_INDEX")
    with serving(wheels) as server:
        yield server


def pip_index(monkeypatch, server, password=SECRET):
    """Make the index the one of pip's settings."""
    monkeypatch.setenv("PIP_INDEX_URL", f"http://{USER}:{password}@127.0.0.1:{server.server_port}/simple")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")


def test_pips_index_is_used_and_leaves_no_trace(tmp_path, monkeypatch, index):
    """Neither lock nor cached answer names the index or its password."""
    pip_index(monkeypatch, index)
    resolver = Resolver(tmp_path / "cache")
    lock = resolver.lock(asking("alpha"))
    resolver.install(lock)
    written = "".join(file.read_text() for file in (tmp_path / "cache" / "locks").iterdir())

    assert lock.packages == (("alpha", "2.0"), ("beta", "2.0"))
    assert "127.0.0.1" not in written
    assert "hunter2" not in written


def test_a_refused_password_is_said_without_it(tmp_path, monkeypatch, index):
    """The address and the password stay out of the message."""
    pip_index(monkeypatch, index, "wrong-secret")
    with pytest.raises(OperationError) as caught:
        Resolver(tmp_path / "cache").lock(asking("alpha"))

    assert not isinstance(caught.value, OfflineError)
    assert "the package index refuses this machine" in str(caught.value)
    assert "wrong-secret" not in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)


def test_without_an_index_the_cache_serves_and_else_it_is_said(tmp_path, monkeypatch, index):
    """What was seen before still resolves and installs; what is new is an offline error."""
    pip_index(monkeypatch, index)
    monkeypatch.setenv("UV_HTTP_RETRIES", "0")
    resolver = Resolver(tmp_path / "cache")
    first = resolver.lock(asking("alpha"))
    resolver.install(first)
    index.shutdown()
    index.server_close()

    again = resolver.lock(asking("alpha<9"))
    assert again.packages == first.packages
    with pytest.raises(OfflineError) as caught:
        resolver.lock(asking("native"))
    assert caught.value.offline
    assert "the package index cannot be reached" in str(caught.value)
    assert "127.0.0.1" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_the_quickstarts_environment_locks_and_installs(tmp_path, monkeypatch):
    """The real packages from this machine's own index; warm, both steps run no program and so take no time."""
    resolver = Resolver(tmp_path)
    spec = environment_from(requirements_text="numpy\norjson\n")
    lock = resolver.lock(spec, host_platform())
    folder = resolver.install(lock)
    with monkeypatch.context() as patched:
        patched.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program is run"))
        again = Resolver(tmp_path).install(Resolver(tmp_path).lock(spec, host_platform()))

    assert again == folder
    assert {"numpy", "orjson"} <= modules(folder)


def test_every_package_without_a_wheel_is_listed_with_what_needs_it(resolver, wheels):
    """Asked for or only needed, in one answer; a conflict of versions is still one."""
    make_wheel(wheels, "shop", "1.0", needs=["deeper", "sourceonly"])
    make_wheel(wheels, "deeper", "1.0", needs=["windowsonly>=1"])
    make_wheel(wheels, "windowsonly", "1.0", tag="cp311-cp311-win_amd64")
    lacks = f"has no wheel for Python 3.11 on linux/amd64; {OTHERS}"
    found = set(problems_of(resolver.lock, asking("shop", "old==1.0")))

    assert {f"{AT}:1: shop needs sourceonly, which {lacks}"} < found
    assert {f"requirements_file: deeper needs windowsonly, which {lacks}"} < found
    assert len(found) == 3
    assert any("write old==1.5" in problem for problem in found)


def test_the_same_versions_are_locked_for_another_platform(resolver, wheels):
    """Or each version that has no wheel there is told."""
    make_wheel(wheels, "both", "1.0", tag="cp311-cp311-manylinux_2_17_aarch64.manylinux2014_aarch64")
    make_wheel(wheels, "both", "1.0", tag=f"cp311-cp311-{MANYLINUX}")
    make_wheel(wheels, "both", "1.1", tag=f"cp311-cp311-{MANYLINUX}")
    lock = resolver.lock(asking("both", "beta==1.0"), "linux/arm64")
    here = resolver.lock_like(lock, "linux/amd64")

    assert lock.packages == here.packages == (("beta", "1.0"), ("both", "1.0"))
    assert (here.platform, here.key == lock.key) == ("linux/amd64", False)
    assert "native==1.0 has no wheel for Python 3.11 on linux/arm64" in str(
        problems_of(resolver.lock_like, resolver.lock(asking("native")), "linux/arm64")
    )


def test_constraints_limit_without_asking(resolver):
    """As pip has it."""
    spec = environment_from(
        requirements_text="alpha\n-c limits.txt\n", read=lambda _: "beta<2\nnative==1.0\n", python="3.11"
    )

    assert resolver.lock(spec).packages == (("alpha", "1.0"), ("beta", "1.0"))


def test_what_the_base_brings_is_left_out_of_every_lock(resolver, wheels):
    """Also where another package needs it, or a ready lock names it."""
    make_wheel(wheels, "maps", "1.0", needs=["sourceonly", "beta"])
    spec = environment_from(requirements_text="maps\nsourceonly\n", base_packages=["SourceOnly"])
    lock = resolver.lock(spec)

    assert lock.packages == (("beta", "2.0"), ("maps", "1.0"))
    assert resolver.lock(environment_from(lock_text=lock.text, base_packages=["beta"])).packages == (("maps", "1.0"),)
