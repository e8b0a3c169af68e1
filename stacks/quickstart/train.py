"""Trains the model of this stack and writes model/ridge.onnx; the same --alpha gives the same bytes."""

import argparse
from pathlib import Path

from skl2onnx import convert_sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.datasets import load_diabetes
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score
from sklearn.model_selection import train_test_split

FEATURES = 10
OPSET = 17

arguments = argparse.ArgumentParser(description=__doc__)
arguments.add_argument("--alpha", type=float, default=0.4, help="strength of the regularisation")
arguments.add_argument("--output", type=Path, default=Path(__file__).parent / "model" / "ridge.onnx")
options = arguments.parse_args()

x, y = load_diabetes(return_X_y=True)
x_train, x_test, y_train, y_test = train_test_split(x, y, test_size=0.2, random_state=0)
ridge = Ridge(alpha=options.alpha).fit(x_train, y_train)

onnx = convert_sklearn(
    ridge,
    name="diabetes",  # a name of its own, or the converter makes up a random one
    initial_types=[("data", FloatTensorType([None, FEATURES]))],
    final_types=[("prediction", FloatTensorType([None, 1]))],
    target_opset=OPSET,
)
opsets = sorted(onnx.opset_import, key=lambda opset: opset.domain)  # the converter leaves them in any order
del onnx.opset_import[:]
onnx.opset_import.extend(opsets)
options.output.parent.mkdir(parents=True, exist_ok=True)
options.output.write_bytes(onnx.SerializeToString(deterministic=True))
print(f"{options.output.name}: alpha {options.alpha}, r2 on unseen rows {r2_score(y_test, ridge.predict(x_test)):.3f}")
