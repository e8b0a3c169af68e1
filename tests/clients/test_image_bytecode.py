"""Compiled Python files in images: found by Python, the same from every builder, and left out where they do not fit."""

import hashlib
import marshal
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from image_kit import SCRIPT, Workshop

from pulumi_mlserve.clients.images import bytecode
from pulumi_mlserve.clients.images.bytecode import Compiler, compiled_entries, find_compiler
from pulumi_mlserve.clients.images.bytecode_program import canonical, compiled, has_loose_set
from pulumi_mlserve.clients.images.layer_writer import tar_stream, write_packed
from pulumi_mlserve.clients.interruption import CancelledError
from pulumi_mlserve.clients.processes.process_spec import ProcessSpec, environment
from pulumi_mlserve.core.images.layer_files import LayerEntry, complete
from pulumi_mlserve.core.problems import OperationError

MINOR = "{}.{}".format(*sys.version_info)
BUILDER = """
import os, sys
from pathlib import Path
os.umask(int(sys.argv[2], 8))
from image_kit import Workshop
shop = Workshop(Path(sys.argv[1]))
print(shop.build(compiler=shop.compiler().version, python=shop.compiler().version.rpartition(".")[0]).digest)
"""
SOURCES = {
    "a.py": "NAMES = {'x', 'y', 'z'}\ndef f(self, value=1.5, *, encoding='utf-8'):\n    return value in {1, 2, 3j}\n",
    "b.py": "from a import NAMES\nclass C:\n    def f(self): self.x = [lambda y: (y, 2**70, b'b', ...) for _ in '']\n",
    "sub/c.py": "async def g():\n    try:\n        yield 'ä' * 3\n    finally:\n        pass\n",
}


@pytest.fixture
def compiler():
    """The Python that runs this, as a compiler."""
    return find_compiler(MINOR)


@pytest.fixture
def sources(tmp_path):
    """Entries of a folder with a few Python files."""
    return entries(tmp_path / "src", SOURCES)


def entries(folder, texts):
    """Write files, and return them as entries of an image."""
    found = []
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        found.append(LayerEntry(f"opt/x/{name}", "file", path, path.stat().st_size))
    return found


def compile_all(given, compiler, folder, **more):
    """Return the compiled files by their places."""
    folder.mkdir()
    return {entry.path: entry.content.read_bytes() for entry in compiled_entries(given, compiler, folder, **more)}


def test_the_compiled_file_lies_where_python_looks(sources, compiler, tmp_path):
    """Beside the source, with the interpreter's tag in its name."""
    tag = sys.implementation.cache_tag

    assert {
        f"opt/x/__pycache__/a.{tag}.pyc",
        f"opt/x/__pycache__/b.{tag}.pyc",
        f"opt/x/sub/__pycache__/c.{tag}.pyc",
    } == set(compile_all(sources, compiler, tmp_path / "out"))


def test_what_was_compiled_before_does_not_show(sources, compiler, tmp_path):
    """Alone, together, in another order and from another folder the bytes are the same."""
    together = compile_all(sources, compiler, tmp_path / "together")
    moved = entries(tmp_path / "moved", SOURCES)[::-1]
    alone = {}
    for index, entry in enumerate(sources):
        alone |= compile_all([entry], compiler, tmp_path / f"alone{index}")

    assert together == alone == compile_all(moved, compiler, tmp_path / "again")


def test_an_interpreter_that_holds_on_to_names_gives_the_same_bytes():
    """What other code of the process refers to changes the marks of a dump, and not what is written."""
    for text in SOURCES.values():
        plain = compiled(text.encode(), "/x.py", checked=False)
        code = compile(text, "/x.py", "exec", dont_inherit=True, optimize=0)
        held = [code.co_names, code.co_consts, [getattr(const, "co_names", None) for const in code.co_consts]]

        assert plain[16:] == canonical(marshal.dumps(code, 4))
        assert code == marshal.loads(plain[16:])
        assert held


@pytest.mark.parametrize(
    ("text", "loose"),
    [
        ("x in {None, 'a'}", True),
        ("def f(x):\n    return lambda: x in {(1, None), 2}", True),
        ("x in {..., 1}", True),
        ("x in {1, 2.5, 'a', b'b', 3j, True, (1, 'c')}", False),
        ("x = {None, 'a'}; y = (None, 1)", False),
    ],
)
def test_sets_without_an_order_of_their_own_are_found(text, loose):
    """Python 3.10 orders them by addresses, which differ from process to process: such files stay uncompiled there."""
    assert loose is has_loose_set(compile(text, "x.py", "exec"))


def test_python_runs_what_was_compiled_even_without_write_access(sources, compiler, tmp_path):
    """A changed source is not looked at: the mark in the file says so."""
    out = compile_all(sources, compiler, tmp_path / "out")
    root = tmp_path / "root"
    for entry in sources:
        target = root / entry.path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(entry.content, target)
    for path, content in out.items():
        (root / path).parent.mkdir(exist_ok=True)
        (root / path).write_bytes(content)
    (root / "opt/x/a.py").write_text("NAMES = 'changed'\n")
    asked = [
        sys.executable,
        "-B",
        "-S",
        "-c",
        "import a, b; print(sorted(a.NAMES), a.__cached__)",
    ]
    answer = subprocess.run(asked, cwd=root / "opt/x", capture_output=True, text=True, check=True)
    tag = sys.implementation.cache_tag

    assert answer.stdout.startswith("['x', 'y', 'z'] ")
    assert f"/opt/x/__pycache__/a.{tag}.pyc" in answer.stdout


def test_a_checked_file_is_left_alone_when_its_source_changes(tmp_path, compiler):
    """A person may mount another script over the one in an image."""
    (entry,) = entries(tmp_path / "src", {"a.py": "WORD = 1\n"})
    ((place, content),) = compile_all([entry], compiler, tmp_path / "out", checked=True).items()
    target = tmp_path / "src/__pycache__" / Path(place).name
    target.parent.mkdir()
    target.write_bytes(content)
    (tmp_path / "src/a.py").write_text("WORD = 2\n")
    asked = [sys.executable, "-B", "-S", "-c", "import a; print(a.WORD)"]

    assert b"2\n" == subprocess.run(asked, cwd=tmp_path / "src", capture_output=True, check=True).stdout


@pytest.mark.parametrize(
    "text",
    ["print 'Python 2'\n", "def f(:\n", "x = 1\x00\n", "# coding: nonsense\n"],
)
def test_what_does_not_compile_is_left_as_it_is(text, compiler, tmp_path):
    """A package may bring files for other Pythons."""
    given = entries(tmp_path / "src", {"bad.py": text, "good.py": "x = 1\n"})

    assert [f"opt/x/__pycache__/good.{compiler.tag}.pyc"] == list(compile_all(given, compiler, tmp_path / "out"))


def test_tests_and_what_is_no_python_file_are_not_compiled(compiler, tmp_path):
    """No service imports a package's tests, and they are a third of its files."""
    given = entries(tmp_path / "src", {"tests/a.py": "", "x/tests/b.py": "", "data.txt": "", "tests.py": ""})

    assert [f"opt/x/__pycache__/tests.{compiler.tag}.pyc"] == list(compile_all(given, compiler, tmp_path / "out"))


def test_a_source_that_changed_meanwhile_is_refused(compiler, tmp_path):
    """Bytecode of other bytes than were planned never goes into an image."""
    (entry,) = entries(tmp_path / "src", {"a.py": "x = 1\n"})
    planned = LayerEntry(entry.path, "file", entry.content, entry.size, hashlib.sha256(b"other").hexdigest())

    with pytest.raises(OperationError, match=r"a\.py: changed while it was packed"):
        compile_all([planned], compiler, tmp_path / "out")


def test_a_source_may_be_named_from_where_the_program_runs(compiler, tmp_path, monkeypatch):
    """A program names its source directory relative to itself; the compiler works elsewhere."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "scratch").mkdir()
    found = entries(Path("src"), SOURCES)

    assert len(SOURCES) == len(compiled_entries(found, compiler, tmp_path / "scratch"))


def test_an_interpreter_that_ends_early_is_named(sources, tmp_path):
    """Rather than an image with half of its bytecode."""
    with pytest.raises(OperationError, match=r"ended while it compiled opt/x/a\.py"):
        compile_all(sources, Compiler(Path("/bin/false"), "3.11.2"), tmp_path / "out")


def test_compiling_stops_when_it_is_no_longer_wanted(sources, compiler, tmp_path, monkeypatch):
    """Its processes end with it."""
    started = []
    popen = subprocess.Popen

    def start(*arguments, **more):
        started.append(popen(*arguments, **more))
        return started[-1]

    monkeypatch.setattr(bytecode.subprocess, "Popen", start)

    with pytest.raises(CancelledError):
        compile_all(sources, compiler, tmp_path / "out", cancelled=lambda: True)
    assert [] == [process for process in started if process.poll() is None]


def test_a_machine_without_the_version_has_no_compiler():
    """The image then goes without bytecode, under another key."""
    assert find_compiler("3.99") is None


def test_an_image_planned_with_another_compiler_is_refused(tmp_path):
    """Its key promises that compiler's bytes."""
    shop = Workshop(tmp_path / "shop")

    with pytest.raises(OperationError, match=r"dependencies: was planned with Python 3\.11\.99 as compiler"):
        shop.build(compiler="3.11.99")


def test_the_layers_of_an_image_hold_bytecode(tmp_path):
    """Packages and runtime are compiled once for all, code so that a changed script is noticed."""
    shop = Workshop(tmp_path / "shop")
    compiler = shop.compiler()
    image = shop.build(compiler=compiler.version, python=MINOR)
    root = shop.images.rootfs(image.digest)
    found = {path.relative_to(root).as_posix(): path.read_bytes()[4] for path in root.rglob("*.pyc")}
    runtime = f"opt/mlserve/runtime/mlserve_scoring/__pycache__/__main__.{compiler.tag}.pyc"

    assert 1 == found[f"opt/mlserve/site-packages/tiny/__pycache__/__init__.{compiler.tag}.pyc"]
    assert 1 == found[runtime]
    assert 3 == found[f"var/azureml-app/__pycache__/score.{compiler.tag}.pyc"]
    assert () == shop.images.verify(image.digest)


def test_a_service_uses_the_images_own_bytecode(tmp_path):
    """A folder for compiled files would hide it; an image without any still gets one."""
    shop = Workshop(tmp_path / "shop")
    environments = []
    for version in (shop.compiler().version, None):
        root = shop.images.rootfs(shop.build(compiler=version, python=MINOR).digest)
        spec = ProcessSpec(service_id="x", service="x", root=root, python=Path(sys.executable), revision="1")
        environments.append(environment(spec, {}, tmp_path / "pycache"))
    names = ("PYTHONDONTWRITEBYTECODE", "PYTHONPYCACHEPREFIX")

    assert [("1", None), (None, str(tmp_path / "pycache"))] == [
        tuple(found.get(name) for name in names) for found in environments
    ]


def test_two_builders_make_the_same_image(tmp_path):
    """Folder, umask, user, locale, time zone, hash seed and number of processors do not show in the digest."""
    builders = [
        ("one", "022", {"LANG": "C", "TZ": "UTC", "PYTHONHASHSEED": "1"}, []),
        (
            "two/with spaces",
            "077",
            {"LC_ALL": "C.UTF-8", "TZ": "Asia/Tokyo", "PYTHONOPTIMIZE": "1"},
            ["unshare", "--user", "taskset", "--cpu-list", str(min(os.sched_getaffinity(0)))],
        ),
    ]
    digests = []
    for folder, umask, variables, before in builders:
        command = [*before, sys.executable, "-c", BUILDER, str(tmp_path / folder), umask]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **variables}
        answer = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        digests.append(answer.stdout.strip())

    assert digests[0].startswith("sha256:")
    assert digests[0] == digests[1]


def test_a_compiled_layer_has_the_same_bytes_for_ever(tmp_path):
    """A layer of one compiled script, by this interpreter's magic number: the form may not drift."""
    (entry,) = entries(tmp_path / "src", {"score.py": SCRIPT})
    content = compiled(SCRIPT.encode(), "/opt/x/score.py", checked=False)
    both = complete([entry, LayerEntry("opt/x/score.pyc", "file", content, len(content))])
    golden = {
        (3, 10): "sha256:cb7a0754d9a12bfc0320d3a844347023a16742a11993b4778dff52a87fc24335",
        (3, 11): "sha256:d49aea1f1d26a68ef598631003c502d986fc87118b0295c844b3982ba18cefdd",
        (3, 12): "sha256:82ee80f912688e9376195e91c1c83737cfbe59d3e6121b4ad9aac8b89ec2368a",
        (3, 13): "sha256:3e7705aaea12a1e700dba5b9d9859e44e0cac2ef48a15f2f46773ca9c12dca7e",
    }

    assert golden[sys.version_info[:2]] == write_packed(tar_stream(both), tmp_path / "blob").digest
