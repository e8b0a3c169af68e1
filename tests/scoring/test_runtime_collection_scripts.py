"""What scripts collect themselves with v1's and v2's classes, in real services."""

from __future__ import annotations

import pytest
from collection_kit import objects, rows, settings


def test_v1s_collector_keeps_what_a_script_gives(image, start, tmp_path):
    """Correlation columns of the running request tie predictions to inputs; samples before readiness are not kept."""
    script = """
        import json
        import numpy as np, pandas as pd
        from azureml.monitoring import ModelDataCollector

        def init():
            global inputs, predictions, table, signals
            inputs = ModelDataCollector("best", designation="inputs", feature_names=["a", "b"], model_version="3")
            predictions = ModelDataCollector("best", identifier="predictions", feature_names=["y"], model_version="3")
            table = ModelDataCollector("best", collection_name="mine")
            signals = ModelDataCollector("best", "signals")

        def run(data):
            values = np.array(json.loads(data)["data"])
            given = inputs.collect(values)
            result = values.sum(axis=1)
            predictions.collect(predictions.add_correlations(result, given))
            table.collect(table.add_correlations(pd.DataFrame({"n": [1], "t": ["@x"]}), given))
            signals.collect(object())
            return {"correlations": given, "result": result}
    """
    root = image({"score.py": script}, samples=[{"input": {"data": [[0, 0]]}}])
    service = start(root, **settings(tmp_path, workspace="s/g/w"))
    answer = service.score({"data": [[1, 2], [3, 4]]}, headers={"x-request-id": "mine"}).json
    service.stop()
    inputs, predictions, table = (
        rows(tmp_path, "inputs"),
        rows(tmp_path, "predictions"),
        rows(tmp_path, "general", "mine.csv"),
    )

    assert [3, 7] == answer["result"]
    assert [("1", "2"), ("3", "4")] == [(row["a"], row["b"]) for row in inputs]
    assert ["3", "7"] == [row["value[0]"] if "y" not in row else row["y"] for row in predictions]
    assert [("1", "'@x")] == [(row["n"], row["t"]) for row in table]
    for row in [*inputs, *predictions, *table]:
        assert answer["correlations"] == {name: row[name] for name in answer["correlations"]}
    assert ("mine", "3", "best", "s/g/w", "diabetes") == tuple(
        answer["correlations"][f"$aml_{name}"]
        for name in ("request_id", "model_version", "model_name", "workspace", "service_name")
    )
    assert 1 == service.log.count("object cannot be written and is not kept")


def test_v2s_collector_keeps_what_a_script_gives(image, start, tmp_path):
    """The context ties both tables together; what cannot be kept is told to on_error."""
    script = """
        import json
        import pandas as pd
        from azureml.ai.monitoring import Collector
        errors = []

        def init():
            global inputs, outputs
            inputs, outputs = Collector(name="model_inputs"), Collector(name="model_outputs", on_error=errors.append)

        def run(data):
            frame = pd.DataFrame(json.loads(data))
            context = inputs.collect(frame)
            outputs.collect(frame * 2, context)
            outputs.collect(pd.DataFrame({"x": [object()]}), context)
            return [context.get_id(), len(errors)]
    """
    service = start(image({"score.py": script}), **settings(tmp_path, format="jsonl"))
    answer = service.score([{"a": 1}, {"a": 2}], headers={"x-request-id": "mine"}).json
    service.stop()
    (asked,), (answered,) = objects(tmp_path, "model_inputs"), objects(tmp_path, "model_outputs")

    assert ["mine", 1] == answer
    assert [{"a": 1}, {"a": 2}] == asked["data"]
    assert [{"a": 2}, {"a": 4}] == answered["data"]
    assert ("mine", "mine") == (asked["correlation_id"], answered["correlation_id"])


@pytest.mark.parametrize("given", [{}, {"AML_MODEL_DC_STORAGE_ENABLED": "false"}, {"AML_MODEL_DC_DEBUG": "true"}])
def test_collectors_work_where_nothing_is_kept(image, start, tmp_path, given):
    """Off, switched off by v1's variable, or printed: run() goes on and correlations come back."""
    script = """
        from azureml.monitoring import ModelDataCollector
        def init():
            global inputs
            inputs = ModelDataCollector("m", "inputs", ["a"])
        def run(data):
            return sorted(inputs.collect([[5]], user_correlation_id="own"))
    """
    wanted = settings(tmp_path) if given else {}
    service = start(image({"score.py": script}), variables=given, **wanted)
    answer = service.score(1).json
    service.stop()

    assert "$aml_dc_correlation_id" in answer
    assert [] == rows(tmp_path, "inputs")
    assert ("AML_MODEL_DC_DEBUG" in given) == ("own," in service.log)


def test_a_forked_child_neither_writes_nor_hangs(image, start, tmp_path):
    """What it collects is its own loss; its parent goes on."""
    script = """
        import os
        from azureml.monitoring import ModelDataCollector
        def init():
            global inputs
            inputs = ModelDataCollector("m", "inputs", ["a"])
        def run(data):
            child = os.fork()
            if child == 0:
                inputs.collect([[1]])
                os._exit(7)
            status = os.waitpid(child, 0)[1]
            inputs.collect([[2]])
            return os.waitstatus_to_exitcode(status)
    """
    service = start(image({"score.py": script}), **settings(tmp_path))
    answer = service.score(1)
    service.stop()

    assert 7 == answer.json
    assert ["2"] == [row["a"] for row in rows(tmp_path, "inputs")]
