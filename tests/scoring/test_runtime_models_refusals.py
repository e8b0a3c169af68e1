"""What a caller is told when a library refuses the inputs: its words, and nothing of where it lies."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost
from mlserve_scoring.models.refusals import _without_places, refusal, told

ONNX = "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Add node. Name:'' Status Message: "
OPS = "/onnxruntime_src/onnxruntime/core/providers/cpu/math/element_wise_ops.h:563"
CATEGORY = "Found a category not in the training set for the 1th (0-based) column: `zz`"
LINK = "see https://scikit-learn.org/stable/x.html, 1/2 km/h"
HELPER = "/onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            f"{ONNX}{OPS} void onnxruntime::BroadcastIterator::Init(ptrdiff_t, ptrdiff_t) axis == 1 was false. 2 by 3",
            f"{ONNX}axis == 1 was false. 2 by 3",
        ),
        (
            f"{ONNX}{HELPER} onnxruntime::Helper::Helper(const onnxruntime::Shape&, bool) a == b was false. {{1,2}}",
            f"{ONNX}a == b was false. {{1,2}}",
        ),
        (f"{ONNX}matmul_helper.h:59 Compute MatMul dimension mismatch", f"{ONNX}MatMul dimension mismatch"),
        (
            f"[02:08:36] /workspace/src/../data/cat.h:29: {CATEGORY}\nStack trace:\n  [bt] (0) /usr/lib/x.so(+0x1)",
            CATEGORY,
        ),
        (r"[12:00:00] C:\agent\builds\xgboost\src\learner.cc:1289: Check failed: a <= b", "Check failed: a <= b"),
        ("[Errno 2] No such file: '/var/azureml-app/models/m/1/m.pkl'", "[Errno 2] No such file: '…'"),
        ('Traceback (most recent call last):\n  File "/usr/lib/python3.11/x.py", line 3', "ValueError"),
        ("", "ValueError"),
        ("Input X contains NaN.\nRidge does not accept missing values", "Input X contains NaN."),
        ("no ../../models/a.onnx, no ./m.onnx, no //host/share/m.pkl", "no …, no ./m.onnx, no …"),
        ("[12:00:00] /opt/lib/x.so: cannot open", "…: cannot open"),
        ("a=/opt/lib/x.so b=[/opt/lib/y.so]", "a=… b=[…"),
        ("could not convert string to float: 'a/b/c'", "could not convert string to float: 'a/b/c'"),
        (LINK, LINK),
    ],
)
def test_places_in_source_code_paths_and_stacks_stay_here(text, said):
    """What the library has to say itself is passed on."""
    assert said == told(ValueError(text))
    assert f"the model refused the input: {said}" == str(refusal(ValueError(text)))


def test_what_xgboost_says_itself_names_no_file():
    """Its errors carry its build's folders and its stack."""
    booster = xgboost.train({}, xgboost.DMatrix(np.ones((4, 3)), np.arange(4)), 1)
    with pytest.raises(xgboost.core.XGBoostError) as caught:
        booster.inplace_predict(np.ones((1, 2)), validate_features=False)

    assert "/" in str(caught.value)
    assert told(caught.value).startswith("Check failed: n_features_data == n_features_model (2 vs. 3)")
    assert "/" not in told(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "/.",
        "/",
        ".",
        "-/a",
        "-/a.h",
        "/a:1",
        "//a ",
        "../",
        "C:/a",
        "x.c:1 ",
        "x.c:1 b::",
        "x.c:1 b::(",
        "x.c:1 b::( [with ",
        "x.c:1 a ",
        "::",
        "a ",
        "a.h",
        "[00:00:00] ",
    ],
)
@pytest.mark.parametrize("begin", [" ", " /a", "x.c:1 ", "x.c:1 b::"])
def test_places_are_looked_for_in_one_pass(begin, text):
    """Of what a client may repeat: a second look at each sign would take hours here."""
    found = _without_places(begin + text * 100_000 + "é")

    assert found.endswith(("é", "…", "…)"))


@pytest.mark.parametrize("part", ["/", "\\", "a", "a/", "\n", ".", "/a/b:1 ", "x::", "a.h:1 x::(", "a.h:1 b b::("])
def test_a_message_may_quote_all_that_a_client_sent(part):
    """Its beginning is looked at, so a long request costs no more than a short one."""
    found = told(ValueError("x " + part * 1_000_000))

    assert len(found) <= 4_000
