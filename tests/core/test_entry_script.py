"""Facts about checking entry scripts without running them."""

from __future__ import annotations

import gc
import sys
import time

import pytest

from pulumi_mlserve.core.images.code_folder import IgnoreRules
from pulumi_mlserve.core.scripts.entry_script import check_entry_script

GOOD = "import numpy\n\ndef init():\n    global model\n    model = 1\n\ndef run(data):\n    return data\n"
REST = "\ndef init():\n    pass\n\ndef run(data):\n    return data\n"


HOST = f"3.{sys.version_info.minor}"


def check(text, entry="score.py", *, more=None, **given):
    """Return the problems of one script as lines."""
    given.setdefault("modules", {"numpy", "sklearn", "joblib"})
    given.setdefault("python", HOST)
    problems = check_entry_script({entry: text, **(more or {})}, entry, packages_file="env.yml", **given)

    assert all(problem.path == "entry_script" for problem in problems)
    return [problem.message for problem in problems]


def test_a_good_script_has_no_problem():
    """The usual form passes."""
    assert check(GOOD, models=["m"]) == []


def test_a_missing_package_is_named_with_file_line_and_place_to_add_it():
    """The message is the one that a user can act on."""
    assert check("import numpy\nimport xgboost" + REST) == [
        "score.py:2: no module named 'xgboost' in the environment; add it to the pip section of env.yml"
    ]


@pytest.mark.parametrize(
    ("module", "distribution"),
    [("cv2", "opencv-python-headless"), ("PIL.Image", "Pillow"), ("yaml", "PyYAML"), ("skimage", "scikit-image")],
)
def test_a_module_called_otherwise_than_its_package_is_named_by_its_package(module, distribution):
    """Cv2 is asked for as opencv-python-headless."""
    (problem,) = check(f"import {module}{REST}")

    assert problem.endswith(f"; add {distribution} to the pip section of env.yml")


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("requirements.txt", "; add it to requirements.txt"),
        ("", "; name a conda_file or requirements_file that asks for xgboost"),
    ],
)
def test_the_advice_names_the_file_there_is(file, expected):
    """Without a packages file the advice is to name one."""
    (problem,) = check_entry_script({"score.py": "import xgboost" + REST}, "score.py", modules=(), packages_file=file)

    assert problem.message.endswith(expected)


@pytest.mark.parametrize(
    "text",
    [
        "try:\n    import xgboost\nexcept ImportError:\n    xgboost = None\n",
        "try:\n    import xgboost\nexcept (OSError, ModuleNotFoundError):\n    pass\n",
        "try:\n    import xgboost\nexcept:\n    pass\n",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import xgboost\n",
        "import typing\nif typing.TYPE_CHECKING:\n    import xgboost\n",
        "if __name__ == '__main__':\n    import matplotlib\n",
        "import contextlib\nwith contextlib.suppress(ImportError):\n    import xgboost\n",
        "def train():\n    import xgboost\n",
        "import json\nfrom azureml.core.model import Model\nfrom inference_schema.schema_decorators import *\n",
        "from sklearn.externals import joblib\n",
        "import azureml_inference_server_http.api\n",
    ],
)
def test_guarded_standard_and_stand_in_imports_are_no_problem(text):
    """What may be absent, and what Python or the runtime brings, passes."""
    assert check(text + REST) == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("try:\n    import xgboost\nexcept ValueError:\n    pass\n", 2),
        ("try:\n    import xgboost\nfinally:\n    pass\n", 2),
        ("class A:\n    import xgboost\n", 2),
        ("with open('x') as f:\n    from xgboost import DMatrix\n", 2),
        ("from xgboost.sklearn import XGBClassifier as X\n", 1),
    ],
)
def test_imports_that_run_for_certain_are_checked(text, line):
    """Blocks that always run count."""
    assert check(text + REST)[0].startswith(f"score.py:{line}: no module named 'xgboost'")


def test_imports_inside_init_and_run_are_checked():
    """Both are called in every service."""
    text = "def init():\n    import torch\n\ndef run(data):\n    from cv2 import imread\n"

    assert [problem.split(" in the")[0] for problem in check(text)] == [
        "score.py:2: no module named 'torch'",
        "score.py:5: no module named 'cv2'",
    ]


def test_unknown_packages_leave_imports_unchecked():
    """Before the environment is known, imports are not guessed at."""
    assert check("import xgboost" + REST, modules=None) == []


@pytest.mark.parametrize("entry", ["score.py", "code/score.py"])
def test_the_users_own_modules_are_found_and_followed(entry):
    """Modules of the source directory and beside the script are local, and their imports are checked too."""
    more = {
        "features/__init__.py": "",
        "features/text.py": "import nltk\n",
        "code/beside.py": "",
        "top.py": "from features import text\n",
        "native.cpython-311-x86_64-linux-gnu.so": "",
        "space/inner.py": "",
    }
    beside = "import beside\n" if entry.startswith("code/") else ""

    assert check(f"import top, native\nfrom space import inner\n{beside}{REST}", entry, more=more) == [
        "features/text.py:1: no module named 'nltk' in the environment; add it to the pip section of env.yml"
    ]


def test_a_module_that_imports_itself_ends_the_search():
    """A cycle is no trap."""
    assert check("import a" + REST, more={"a.py": "import b\n", "b.py": "import a, score\n"}) == []


def test_a_broken_local_module_is_a_problem_of_that_file():
    """Syntax errors are found in what the script imports."""
    (problem,) = check("import a" + REST, more={"a.py": "\ndef f(:\n"})

    assert problem.startswith("a.py:2: column 7: invalid syntax, got 'def f(:'")


def test_a_syntax_error_names_line_column_and_text():
    """Python 2 code is refused with Python's own words."""
    assert check("def init(): pass\nprint 'x'\n") == [
        (
            "score.py:2: column 1: missing parentheses in call to 'print'. Did you mean print(...)?, "
            f"got \"print 'x'\"; correct the syntax for Python {HOST}"
        )
    ]


def test_syntax_of_a_newer_python_than_this_one_is_left_to_the_trial():
    """This Python cannot judge it."""
    newer = f"3.{sys.version_info.minor + 1}"

    assert check("def run(x: =\n", python=newer) == []


def test_syntax_newer_than_the_images_python_is_refused():
    """except* needs 3.11."""
    (problem,) = check("try:\n    pass\nexcept* ValueError:\n    pass\n" + REST, python="3.10")

    assert problem.startswith("score.py:")
    assert problem.endswith("correct the syntax for Python 3.10")


@pytest.mark.parametrize(
    ("text", "place", "told"),
    [
        ("x = 1\na\0b", "score.py:2: ", "null bytes"),
        ("\n\nx = " + "-" * 100_000 + "1", "score.py:3: ", "simplify it"),
        ("# coding: klingon\n", "score.py:1: ", "unknown encoding: klingon"),
        ("", "score.py:1: ", "no init()"),
        ("import numpy\n\ndef init():\n    pass\n", "score.py:4: ", "no run()"),
        ("def predict(data):\n    pass\n\ndef Init():\n    pass\n", "score.py:4: ", "did you mean 'Init'?"),
    ],
    ids=["null byte", "nesting", "encoding", "empty", "missing", "similar"],
)
def test_every_problem_names_the_line_to_look_at(text, place, told):
    """What has no line of its own names where it begins, belongs, or may be meant."""
    problems = check(text)

    assert all(line.startswith("score.py:") and line.split(":")[1].isdecimal() for line in problems)
    assert any(line.startswith(place) and told in line for line in problems), problems


def test_a_long_sum_of_texts_is_read():
    """A thousand parts are a tree a thousand deep."""
    text = "q = " + " + ".join(["'a'"] * 1500) + "\ndef init():\n    get_model_path('x')\ndef run(d): ...\n"

    assert "score.py:3: no model named 'x' in the image, it has m; add it to models" in check(text, models=["m"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("def run(d): ...\n", "score.py:1: no init(); define init() that loads the model"),
        ("def init(): ...\n", "score.py:1: no run(); define run(data) that answers one request"),
        ("def init(): ...\ndef Run(d): ...\n", "score.py:2: no run(); did you mean 'Run'?"),
        ("run = 3\ndef init(): ...\n", "score.py:1: run is no function, got 3"),
        ("def init(a): ...\ndef run(d): ...\n", "score.py:1: init() is called without arguments, got a"),
        ("async def init(): ...\ndef run(d): ...\n", "score.py:1: init() is asynchronous"),
        ("def init(): ...\ndef run(): ...\n", "score.py:2: run() takes no parameter"),
        ("def init(): ...\ndef run(request_headers): ...\n", "score.py:2: run() takes nothing but request_headers"),
        ("def init(): ...\ndef run(*args): ...\n", "score.py:2: run() cannot take"),
        ("def init(): ...\ndef run(d, **kw): ...\n", "score.py:2: run() cannot take"),
        ("def init(): ...\ndef run(d, /): ...\n", "score.py:2: run() cannot take"),
        ("def init(): ...\ndef run(a, b): ...\n", "score.py:2: run() needs a second argument, got b"),
        ("def init(): ...\ndef run(a, *, b): ...\n", "score.py:2: run() needs a second argument, got b"),
        (
            "def init(): ...\n@rawhttp\n@input_schema('d', x)\ndef run(d): ...\n",
            "score.py:4: run() has both @rawhttp and",
        ),
        (
            "def init(): ...\n@input_schema('x', t)\ndef run(data): ...\n",
            "score.py:3: @input_schema names 'x', and run() takes",
        ),
    ],
)
def test_a_form_that_cannot_be_called_is_refused(text, expected):
    """One message per mistake, with the line."""
    (problem,) = check(text)

    assert problem.startswith(expected)


@pytest.mark.parametrize(
    "text",
    [
        "def init(a=1): ...\ndef run(d, request_headers): ...\n",
        "def init(): ...\ndef run(d, b=1, *, c=2): ...\n",
        "def init(): ...\n@input_schema('a', t)\n@s.input_schema(param_name='b', param_type=t)\ndef run(a, b): ...\n",
        "def init(): ...\n@rawhttp\ndef run(request): ...\n",
        "def init(): ...\n@something\ndef run(*args): ...\n",
        "from numpy import init, run\n",
        "from numpy import *\n",
        "class S: ...\ns = S()\ninit, run = s.init, s.run\n",
        "run = lambda d: d\ndef init(): ...\n",
        "def init(): ...\nasync def run(d): ...\n",
        "async def init(): ...\nasync def run(d): yield d\n",
        "def init(): ...\nimport numpy as driver_module\n",
        "if True:\n    def init(): ...\nelse:\n    pass\ntry:\n    def run(d): ...\nexcept OSError:\n    run = None\n",
    ],
)
def test_legal_forms_pass(text):
    """Everything that the runtime can call is accepted, and what only running could tell."""
    assert check(text) == []


def test_a_model_that_is_not_given_is_refused():
    """A literal name must be one of the image's models."""
    text = "from azureml.core.model import Model\ndef init():\n    Model.get_model_path('diabtes')\ndef run(d): ...\n"

    assert check(text, models=["diabetes", "other"]) == [
        "score.py:3: no model named 'diabtes' in the image, it has diabetes, other; did you mean 'diabetes'?"
    ]
    assert check(text, models=[]) == [
        "score.py:3: no model named 'diabtes' in the image, it has none; add it to models"
    ]


@pytest.mark.parametrize(
    "call",
    [
        "Model.get_model_path(model_name='m')",
        "Model.get_model_path(name)",
        "Model.get_model_path('local.pkl')",
        "Model.get_model_path('folder')",
        "x if y else Model.get_model_path('absent')",
    ],
)
def test_given_computed_local_and_conditional_models_pass(call):
    """v1 also finds files of the source directory by that call."""
    text = f"def init():\n    {call}\ndef run(d): ...\n"

    assert check(text, models=["m"], more={"local.pkl": "", "folder/a": ""}) == []


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ("score.txt", "not a Python file"),
        ("my-score.py", "not a name that Python can import"),
        ("class.py", "not a name that Python can import"),
        ("../score.py", "not inside the source directory"),
        ("/score.py", "not inside the source directory"),
        ("absent.py", "absent.py: there is no such file"),
    ],
)
def test_a_bad_name_is_refused(entry, expected):
    """The rules for names are Azure ML v1's."""
    (problem,) = check_entry_script({"score.py": GOOD}, entry)

    assert problem.message.startswith(expected)


def test_a_windows_path_is_understood():
    """Backslashes separate folders."""
    assert check_entry_script({"src/score.py": GOOD}, "src\\score.py", modules={"numpy"}) == []


@pytest.mark.parametrize(("module", "since"), [("distutils", "3.12"), ("cgi", "3.13")])
def test_modules_that_left_python_are_refused_with_the_version(module, since):
    """The answer does not depend on the Python that checks."""
    assert check(f"import {module}" + REST, python="3.11") == []
    assert check(f"import {module}" + REST, python="3.13", modules=None) == [
        f"score.py:1: module {module!r} left Python in {since}; replace it, or set an older Python"
    ]


def test_modules_that_joined_python_later_are_missing_before():
    """Tomllib is part of Python since 3.11."""
    assert check("import tomllib" + REST, python="3.11") == []
    assert "no module named 'tomllib'" in check("import tomllib" + REST, python="3.10")[0]


def test_a_relative_import_in_the_script_is_refused():
    """An entry script belongs to no package."""
    assert check("from . import helper\nfrom .features import x" + REST, more={"helper.py": "", "features.py": ""}) == [
        "score.py:1: a relative import needs a package, and an entry script has none; write import helper",
        "score.py:2: a relative import needs a package, and an entry script has none; write import features",
    ]


def test_every_problem_is_reported_at_once_in_order():
    """Imports, models and functions together."""
    text = "import xgboost\nimport lightgbm\ndef init():\n    Model.get_model_path('a')\ndef run(): ...\n"

    assert [problem.split(": ")[0] for problem in check(text, models=["b"])] == [
        "score.py:1",
        "score.py:2",
        "score.py:4",
        "score.py:5",
    ]


def test_a_folder_is_checked_like_a_mapping(tmp_path):
    """The source directory on disk gives the same answers."""
    (tmp_path / "features").mkdir()
    (tmp_path / "features" / "text.py").write_text("import nltk\n")
    (tmp_path / "score.py").write_bytes(b"# coding: latin-1\n# \xe9\nfrom features import text" + REST.encode())
    (tmp_path / "m.pkl").write_bytes(b"")

    assert [problem.message for problem in check_entry_script(tmp_path, "score.py", modules=set())] == [
        (
            "features/text.py:1: no module named 'nltk' in the environment; "
            "name a conda_file or requirements_file that asks for nltk"
        )
    ]
    (tmp_path / "score.py").write_text("def init():\n    Model.get_model_path('m.pkl')\ndef run(d): ...\n")
    assert check_entry_script(tmp_path, "score.py", models=[]) == []


def test_checking_is_fast():
    """A script of 2,000 lines with 20 local modules takes well under 100 ms of processor time."""
    body = "".join(f"def f{number}(a, b):\n    return a + b * {number}\n" for number in range(1000))
    more = {f"part{number}.py": "import numpy\n" + "x = 1\n" * 100 for number in range(20)}
    text = "".join(f"import part{number}\n" for number in range(20)) + body + REST
    gc.disable()  # a collection takes as long as what other tests have imported is much
    try:
        started = time.process_time()
        problems = check(text, more=more, models=["m"])
        taken = time.process_time() - started
    finally:
        gc.enable()

    assert problems == []
    assert taken < 0.5  # generous: other tests share the processor's caches


def test_modules_of_azure_ml_are_there_unless_the_stand_ins_are_not():
    """Then only the real packages bring them."""
    text = "import azureml.core" + REST

    assert check(text) == []
    assert check(text, standins=False)[0].startswith("score.py:1: no module named 'azureml' in the environment")
    assert check(text, standins=False, modules={"azureml"}) == []


def test_a_module_that_lies_elsewhere_is_pointed_at():
    """A module of the user's own that the script cannot import is no package to be added."""
    found = check(f"import features\n{REST}", more={"lib/features.py": ""})

    where = "in the source directory or the environment, but there is lib/features.py"
    assert [f"score.py:1: no module named 'features' {where}; move it to where the script can import it"] == found


def test_a_module_beside_the_source_directory_is_pointed_at(tmp_path):
    """What was in the folder of the notebook is not deployed."""
    (tmp_path / "src").mkdir()
    (tmp_path / "helpers").mkdir()
    (tmp_path / "helpers" / "__init__.py").touch()
    (tmp_path / "src" / "score.py").write_text(f"import helpers\n{REST}")
    (problem,) = check_entry_script(tmp_path / "src", "score.py", modules=set())

    assert "but there is ../helpers/__init__.py; move it" in problem.message


LOST = "def init():\n    {init}\ndef run(data):\n    return {run}\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (LOST.format(init="model = 1", run="model"), 2),
        (LOST.format(init="with open('m') as model: pass", run="[model for _ in data]"), 2),
        ("import json\n" + LOST.format(init="model: int = 1", run="(lambda: model)()"), 3),
        ("try:\n    x = 1\nfinally: pass\n" + LOST.format(init="for model in [1]: pass", run="model"), 5),
    ],
)
def test_what_init_keeps_to_itself_is_told(text, line):
    """The forgotten `global` is an error of every request, which scripts that catch everything hide."""
    assert [
        f"score.py:{line}: init() keeps 'model' to itself, and run() asks for it; add 'global model' to init()"
    ] == (check(text))


@pytest.mark.parametrize(
    "text",
    [
        LOST.format(init="global model; model = 1", run="model"),
        "model = None\n" + LOST.format(init="model = 1", run="model"),
        LOST.format(init="model = 1", run="1") + "def other():\n    global model\n    model = 2\n",
        LOST.format(init="model = 1; globals()['model'] = model", run="model"),
        "from json import *\n" + LOST.format(init="model = 1", run="model"),
        LOST.format(init="max = 1", run="max(data)"),
        LOST.format(init="model = 1", run="[model for model in data]"),
        "if True:\n    model = 1\n" + LOST.format(init="model = 1", run="model"),
        "class model: pass\n" + LOST.format(init="model = 1", run="model"),
        LOST.format(init="model = 1", run="1").replace("run(data)", "run(model)"),
        "import json as model\n" + LOST.format(init="model = 1", run="model"),
    ],
)
def test_what_run_finds_somewhere_is_not_told(text):
    """A check that is wrong would be worse than none."""
    assert [] == check(text)


GITIGNORE = (
    ".gitignore leaves {!r} out of the image; change the pattern, or write .amlignore, which is read in its place"
)


@pytest.mark.parametrize(
    ("ignored", "entry", "why"),
    [
        ({".gitignore": "score.py"}, "score.py", GITIGNORE.format("score.py")),
        ({".gitignore": "src/"}, "src/score.py", GITIGNORE.format("src")),
        ({".amlignore": "*.py"}, "score.py", ".amlignore leaves 'score.py' out of the image; change the pattern"),
        ({}, "node_modules/score.py", "no image gets 'node_modules'; put the file elsewhere"),
    ],
)
def test_a_script_that_no_image_gets_is_refused(ignored, entry, why):
    """It lies there, and would be missing in the container."""
    assert [f"{entry}: {why}"] == check(GOOD, entry, rules=IgnoreRules.choose(ignored))


@pytest.mark.parametrize("file", ["helper.py", "helper/__init__.py"])
def test_a_module_that_no_image_gets_is_missing(file):
    """What it imports is not looked at then."""
    rules = IgnoreRules.choose({".gitignore": "helper*"})
    (problem,) = check("import helper" + REST, more={file: "import absent"}, rules=rules)

    why = GITIGNORE.format(file.partition("/")[0])
    assert f"score.py:1: no module named 'helper' in the image: {why}" == problem


def test_what_is_kept_by_a_later_pattern_is_there():
    """As git reads the lines."""
    rules = IgnoreRules.choose({".gitignore": "*.py\n!score.py\n!helper.py"})

    assert [] == check("import helper" + REST, more={"helper.py": ""}, rules=rules)


def test_the_rules_hold_for_folders_on_the_disk(tmp_path):
    """As for files that are given as texts."""
    (tmp_path / "score.py").write_text("import helper, data" + REST)
    for folder in ("helper", "data"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "__init__.py").write_text("")
    rules = IgnoreRules.choose({".amlignore": "data/"})
    (problem,) = check_entry_script(tmp_path, "score.py", modules={"numpy"}, python=HOST, rules=rules)

    expected = "score.py:1: no module named 'data' in the image: .amlignore leaves 'data' out of the image"
    assert problem.message.startswith(expected)
