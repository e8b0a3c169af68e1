"""Writes every model, its requests and the answers of plain onnxruntime to them; runs in the environment `models`.

A model's folder holds the model, and for each request N `rows-N.json` (as v1 scripts take it), `v2-N.json` (the Open
Inference Protocol) and `expected-N.json`, a flat list of numbers.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import joblib
import numpy as np
import onnx
import onnxruntime
import pandas as pd
from onnx import TensorProto, helper, numpy_helper
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

RANDOM = np.random.default_rng(7)
FEATURES = 64
IMAGE_WIDTH = 96


class Graph:
    """Nodes and weights in the order in which they are added; each method returns the name of its result."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def node(self, kind: str, *inputs: str, **attributes: object) -> str:
        """Adds any node with one result."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], **attributes))
        return name

    def weight(self, *shape: int, fan_in: int) -> str:
        """Adds random weights that keep the size of what passes through."""
        name = f"w{len(self.weights)}"
        values = RANDOM.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def dense(self, source: str, inputs: int, outputs: int) -> str:
        """Adds a linear layer."""
        weight = self.weight(inputs, outputs, fan_in=inputs)
        return self.node("Gemm", source, weight, self.weight(outputs, fan_in=2))

    def conv(self, source: str, inputs: int, outputs: int, *, size: int = 3, stride: int = 1) -> str:
        """Adds a convolution that keeps the picture's size, or divides it by the stride."""
        weight = self.weight(outputs, inputs, size, size, fan_in=inputs * size * size)
        bias = self.weight(outputs, fan_in=200)
        edge = [size // 2] * 4
        return self.node("Conv", source, weight, bias, kernel_shape=[size] * 2, strides=[stride] * 2, pads=edge)

    def save(self, path: Path, result: str, shape: Sequence[int], outputs: int) -> None:
        """Writes the model; its first axis is free."""
        self.nodes.append(helper.make_node("Identity", [result], ["y"]))
        graph = helper.make_graph(
            self.nodes,
            path.parent.name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", outputs])],
            self.weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.checker.check_model(model)
        onnx.save(model, path)


def tabular(path: Path) -> None:
    """A linear model of 64 numbers."""
    graph = Graph()
    graph.save(path, graph.dense("x", FEATURES, 1), [FEATURES], 1)


def mlp(path: Path) -> None:
    """Three dense layers on 64 numbers."""
    graph = Graph()
    hidden = graph.node("Relu", graph.dense("x", FEATURES, 128))
    hidden = graph.node("Relu", graph.dense(hidden, 128, 64))
    graph.save(path, graph.dense(hidden, 64, 1), [FEATURES], 1)


def cnn(path: Path) -> None:
    """Three convolutions on 28 x 28 numbers, about 1 ms."""
    graph = Graph()
    hidden = graph.node("Relu", graph.conv("x", 1, 80))
    hidden = graph.node("Relu", graph.conv(hidden, 80, 144, stride=2))
    hidden = graph.node("Relu", graph.conv(hidden, 144, 288))
    hidden = graph.node("Flatten", graph.node("GlobalAveragePool", hidden))
    graph.save(path, graph.dense(hidden, 288, 10), [1, 28, 28], 10)


def image(path: Path) -> None:
    """The layers of a ResNet-18, half as wide again, with random weights: about 40 ms."""
    graph, width = Graph(), IMAGE_WIDTH
    hidden = graph.node("Relu", graph.conv("x", 3, width, size=7, stride=2))
    hidden = graph.node("MaxPool", hidden, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    for stage in range(4):
        for block in range(2):
            outputs, stride = IMAGE_WIDTH << stage, 2 if stage and not block else 1
            inner = graph.node("Relu", graph.conv(hidden, width, outputs, stride=stride))
            inner = graph.conv(inner, outputs, outputs)
            same = width == outputs
            skipped = hidden if same else graph.conv(hidden, width, outputs, size=1, stride=stride)
            hidden = graph.node("Relu", graph.node("Add", inner, skipped))
            width = outputs
    hidden = graph.node("Flatten", graph.node("GlobalAveragePool", hidden))
    graph.save(path, graph.dense(hidden, width, 1000), [3, 224, 224], 1000)


def write_requests(folder: Path, shape: Sequence[int], count: int) -> None:
    """Writes requests of one row each and what plain onnxruntime answers."""
    session = onnxruntime.InferenceSession(folder / "model.onnx", providers=["CPUExecutionProvider"])
    for number in range(count):
        values = RANDOM.uniform(0, 1, (1, *shape)).round(4)
        (answer,) = session.run(None, {"x": values.astype(np.float32)})
        v2 = {"name": "x", "shape": list(values.shape), "datatype": "FP32", "data": values.ravel().tolist()}
        write(folder / f"rows-{number}.json", {"data": values.tolist()})
        write(folder / f"v2-{number}.json", {"inputs": [v2]})
        write(folder / f"expected-{number}.json", answer.ravel().tolist())


def frame(folder: Path, count: int) -> None:
    """Writes a pipeline over a table of numbers and words, and requests of five records each."""
    words = np.array(["red", "green", "blue"])

    def table(rows: int) -> pd.DataFrame:
        numbers = {f"f{index}": RANDOM.normal(0, 1, rows).round(3) for index in range(8)}
        return pd.DataFrame({**numbers, "colour": words[RANDOM.integers(0, 3, rows)]})

    train = table(500)
    columns = make_column_transformer(
        (StandardScaler(), [f"f{index}" for index in range(8)]), (OneHotEncoder(), ["colour"])
    )
    model = make_pipeline(columns, Ridge()).fit(train, train["f0"] * 3 + train["f1"] ** 2)
    joblib.dump(model, folder / "model.joblib")
    for number in range(count):
        asked = table(5)
        write(folder / f"rows-{number}.json", {"data": asked.to_dict("records")})
        write(folder / f"expected-{number}.json", model.predict(asked).tolist())


def write(path: Path, value: object) -> None:
    """Writes JSON as short as clients do."""
    path.write_text(json.dumps(value, separators=(",", ":")), encoding="utf-8")


def main() -> None:
    """Makes everything below the folder given."""
    target = Path(sys.argv[1])
    for make, shape, count in (
        (tabular, [FEATURES], 16),
        (mlp, [FEATURES], 16),
        (cnn, [1, 28, 28], 16),
        (image, [3, 224, 224], 4),
    ):
        folder = target / make.__name__
        folder.mkdir(parents=True)
        make(folder / "model.onnx")
        write_requests(folder, shape, count)
    folder = target / "frame"
    folder.mkdir()
    frame(folder, 16)


if __name__ == "__main__":
    main()
