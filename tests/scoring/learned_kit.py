"""Models written in a moment, for the tests beside this file."""

from __future__ import annotations

import contextlib
import json
import warnings
from pathlib import Path

import numpy as np
from mlserve_scoring.manifest import Manifest, ModelEntry
from onnx import TensorProto, helper, numpy_helper, save

FLOAT, INT64, STRING, BOOL = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.BOOL
LOCAL = {"00000000", "0100007F"}  # any address, and that of this machine, as /proc/net has them
COLUMNS = ("age", "bmi", "sex", "visits")


def write_onnx(path, nodes, inputs, outputs, *, weights=None, external=False):
    """Write an ONNX model: inputs and outputs are (name, type, shape), weights arrays by name."""
    graph = helper.make_graph(
        nodes,
        "test",
        [helper.make_tensor_value_info(*entry) for entry in inputs],
        [helper.make_tensor_value_info(*entry) for entry in outputs],
        initializer=[numpy_helper.from_array(array, name) for name, array in (weights or {}).items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    options = {"save_as_external_data": True, "location": "weights.bin", "size_threshold": 0} if external else {}
    save(model, path, **options)
    return path


def in_process(path, **options):
    """An ONNX model loaded by the test itself, and a function that puts a body to it."""
    from mlserve_scoring.models.inputs import read_inputs  # noqa: PLC0415  # slow to import
    from mlserve_scoring.models.onnx_model import load_onnx  # noqa: PLC0415
    from mlserve_scoring.scorers.results import to_json  # noqa: PLC0415

    model = load_onnx(path, threads=1, **options)

    def answer(body):
        values = model.run(read_inputs(body, model.inputs))
        return json.loads(to_json(dict(zip([port.name for port in model.outputs], values, strict=True))))

    return model, answer


def table(count=80):
    """A table with numbers, texts and whole numbers, and what is to be said of each row."""
    import pandas as pd  # noqa: PLC0415  # slow to import

    draw = np.random.default_rng(0)
    frame = pd.DataFrame(
        {
            "age": draw.normal(50, 9, count),
            "bmi": draw.normal(25, 3, count),
            "sex": draw.choice(["f", "m"], count),
            "visits": draw.integers(0, 3, count),
        }
    )
    return frame, np.where(frame["age"] > 50, "ill", "well")


def pipeline():
    """A classifier of a table with columns of different types."""
    from sklearn.compose import make_column_transformer  # noqa: PLC0415  # slow to import
    from sklearn.ensemble import RandomForestClassifier  # noqa: PLC0415
    from sklearn.pipeline import make_pipeline  # noqa: PLC0415
    from sklearn.preprocessing import OneHotEncoder, StandardScaler  # noqa: PLC0415

    columns = make_column_transformer(
        (StandardScaler(), ["age", "bmi"]), (OneHotEncoder(), ["sex"]), (OneHotEncoder(), ["visits"])
    )
    return make_pipeline(columns, RandomForestClassifier(5, random_state=0, n_jobs=-1)).fit(*table())


def numbers(count=80):
    """Three columns of numbers without names, and 0 or 1 for each row."""
    rows = np.random.default_rng(0).normal(size=(count, 3))
    return rows, (rows[:, 0] > 0).astype(int)


def manifest_of(*paths, framework=None):
    """A manifest without an entry script whose models are files or folders somewhere."""
    entries = [
        ModelEntry(path.name, 1, "sha256:0", str(path.parent).lstrip("/"), path.name, framework) for path in paths
    ]
    return Manifest(image="i", recipe="r", python="3.11", models=tuple(entries))


def root():
    """The root that ``manifest_of`` counts from."""
    return Path("/")


def quietly(make):
    """Return what a function makes; libraries warn of much while they learn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def far_ends(pid):
    """The other ends of all sockets of a process, as /proc/net has them."""
    process = Path(f"/proc/{pid}")
    links = []
    for link in process.glob("fd/*"):
        with contextlib.suppress(FileNotFoundError):  # it was closed meanwhile
            links.append(link.readlink().name)
    inodes = {name[len("socket:[") : -1] for name in links if name.startswith("socket:")}
    rows = [
        line.split()
        for kind in ("tcp", "tcp6", "udp", "udp6")
        for line in (process / "net" / kind).read_text().splitlines()[1:]
    ]
    return {row[2].split(":")[0] for row in rows if row[9] in inodes}
