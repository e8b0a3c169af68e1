"""Collected data of real services: both formats, drain, kills, several processes and samples."""

from __future__ import annotations

import http.client
import json
import os
import signal
import threading
import time
from pathlib import Path

import pytest
from collection_kit import objects, parts, rows, settings, until
from grpc_kit import asked, client
from onnx import TensorProto, helper
from scoring_kit import PATIENCE

MODEL = """
    import json
    import numpy as np
    from inference_schema.schema_decorators import input_schema, output_schema
    from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    import pandas as pd

    def init(): pass

    @input_schema("data", PandasParameterType(pd.DataFrame({"age": [1.5], "note": ["x"]})))
    @output_schema(NumpyParameterType(np.array([1.5])))
    def run(data):
        return (data["age"] * 2).to_numpy()
"""
ECHO = """
    import json
    def init(): pass
    def run(data):
        value = json.loads(data)
        if value == "fail":
            raise ValueError("inside")
        return value
"""


CHOOSES = """
    import numpy as np
    from azureml.contrib.services.aml_response import AMLResponse
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.schema_decorators import input_schema

    def init(): pass

    @input_schema("data", NumpyParameterType(np.array([1.0])))
    def run(data):
        return AMLResponse("too large", 422) if data[0] > 1 else data
"""


@pytest.fixture
def two_columns(tmp_path):
    """An ONNX model that adds two columns."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 1])
    axes = helper.make_tensor("axes", TensorProto.INT64, [1], [1])
    graph = helper.make_graph([helper.make_node("ReduceSum", ["x", "axes"], ["y"])], "add", [x], [y], [axes])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    file = tmp_path / "add.onnx"
    file.write_bytes(model.SerializeToString())
    return file


def test_inputs_and_predictions_are_kept_without_code(image, start, tmp_path):
    """Rows have the contract's columns behind v1's, with the ids of real requests, in v1's path."""
    begun = time.time()
    service = start(image({"score.py": MODEL}), **settings(tmp_path, workspace="Sub/RG/Ws", version="7"))
    one = service.score({"data": [{"age": 3, "note": "=1+1"}]}, headers={"x-request-id": "first"})
    service.score({"data": [{"age": 4, "note": 'é,"\n'}, {"age": 5, "note": None}]}, headers={"x-request-id": "second"})
    assert service.stop() == 0
    inputs, predictions = rows(tmp_path, "inputs"), rows(tmp_path, "predictions")
    path = parts(tmp_path, "inputs")[0].relative_to(tmp_path)
    month = inputs[0]["$aml_dc_scoring_timestamp"][:7].replace("-", "/")

    assert [6.0] == one.json
    assert f"modeldata/sub/rg/ws/diabetes/test/7/inputs/{month}/" in str(path)
    assert month in {time.strftime("%Y/%m", time.gmtime(moment)) for moment in (begun, time.time())}
    assert [("3", "'=1+1"), ("4", 'é,"\n'), ("5", "")] == [(row["age"], row["note"]) for row in inputs]
    assert ["6.0", "8.0", "10.0"] == [row["prediction"] for row in predictions]
    assert ["first", "second/0", "second/1"] == [row["$aml_dc_correlation_id"] for row in inputs]
    assert [row["$aml_dc_correlation_id"] for row in inputs] == [row["$aml_dc_correlation_id"] for row in predictions]
    assert ["first", "second", "second"] == [row["$aml_request_id"] for row in predictions]
    assert list(inputs[0])[:8] == [
        "$aml_dc_correlation_id",
        "$aml_dc_scoring_timestamp",
        "$aml_dc_boundary",
        "$aml_workspace",
        "$aml_service_name",
        "$aml_model_name",
        "$aml_model_version",
        "$aml_request_id",
    ]
    assert ("1440", "sub/rg/ws", "diabetes", "test", "7") == tuple(list(inputs[0].values())[2:7])


def test_json_lines_hold_a_request_and_its_answer(image, start, tmp_path):
    """One object a request: ids, trace, what was asked and answered, how long and with which status."""
    service = start(image({"score.py": ECHO}), **settings(tmp_path, format="jsonl"))
    trace = "0af7651916cd43dd8448eb211c80319c"
    service.score({"a": [1, None]}, headers={"x-request-id": "r", "traceparent": f"00-{trace}-b7ad6b7169203331-01"})
    service.score("fail")
    service.request("POST", "/score", b"NaN")
    service.request("POST", "/score", b"\xff\xfe")
    service.get("/score?x=1&y=a")
    service.get("/swagger.json")
    service.stop()
    found = objects(tmp_path)

    assert [{"a": [1, None]}, "fail", None, {"x": "1", "y": "a"}] == [entry["input"] for entry in found]
    assert [200, 500, 200, 200] == [entry["status"] for entry in found]
    assert ("r", trace, "diabetes", "r0") == tuple(
        found[0][name] for name in ("request_id", "trace_id", "service", "revision")
    )
    assert {"a": [1, None]} == found[0]["prediction"]
    assert found[1]["request_id"]
    assert found[0]["ms"] > 0


def test_what_was_refused_is_not_kept(image, start, tmp_path):
    """Whoever has no key cannot fill the disk."""
    keys = tmp_path / "keys.json"
    keys.write_text('{"primary": "first-key", "secondary": "second-key"}', encoding="utf-8")
    service = start(image({"score.py": ECHO}), keys_file=str(keys), **settings(tmp_path / "kept", format="jsonl"))
    refused = service.score(1)
    service.score(2, headers={"Authorization": "Bearer first-key"})
    service.stop()

    assert 401 == refused.status
    assert [2] == [entry["input"] for entry in objects(tmp_path / "kept")]


def test_large_and_binary_bodies_are_cut_with_a_note(image, start, tmp_path):
    """Of what is too large the first part stays as text; what is no text is left out."""
    script = """
        from azureml.contrib.services.aml_request import AMLRequest, rawhttp
        from azureml.contrib.services.aml_response import AMLResponse
        def init(): pass
        @rawhttp
        def run(request):
            return AMLResponse(b"\\x89PNG\\x00", 201, {"Content-Type": "image/png"})
    """
    service = start(image({"score.py": script}), **settings(tmp_path, format="jsonl"))
    service.score("é" * 1_000_000)
    service.request("POST", "/score", b"\x00\x01", {"Content-Type": "application/octet-stream"})
    service.stop()
    large, binary = objects(tmp_path)

    assert '"' + "\\u00e9" * 10 == large["input"][:61]
    assert "truncated, 6000002 bytes" == large["input_note"]
    assert "binary, application/octet-stream, 2 bytes left out" == binary["input_note"]
    assert (None, "binary, image/png, 5 bytes left out", 201) == (
        binary["prediction"],
        binary["prediction_note"],
        binary["status"],
    )


def test_a_drain_writes_what_waits(image, start, tmp_path):
    """Nothing of what was answered is missing, though nothing was due to be written yet."""
    service = start(image({"score.py": ECHO}), **settings(tmp_path, format="jsonl", flush_s=3600))
    for number in range(50):
        service.score(number)
    before = objects(tmp_path)
    service.stop()

    assert [] == before
    assert list(range(50)) == [entry["input"] for entry in objects(tmp_path)]


def test_after_a_kill_every_line_is_whole(image, start, tmp_path):
    """What was written stays; a torn last line is cut off by the next process, which never writes to the same part."""
    root = image({"score.py": ECHO})
    service = start(root, **settings(tmp_path, format="csv"))
    service.score({"a": 1})
    part = until(lambda: parts(tmp_path, "inputs"))[0]
    until(lambda: len(rows(tmp_path, "predictions")))
    service.process.send_signal(signal.SIGKILL)
    service.process.wait()
    whole = part.read_bytes()
    part.write_bytes(whole + b'torn,"with\r\n a line end')
    again = start(root, **settings(tmp_path))
    again.score({"a": 2})
    again.stop()

    assert whole == part.read_bytes()
    # Parts that two processes began in one second have no order.
    assert ['{"a":1}', '{"a":2}'] == sorted(row["input"] for row in rows(tmp_path, "inputs"))
    assert 2 == len(parts(tmp_path, "inputs"))
    assert "a torn last line was cut off" in again.log
    assert [] == list((tmp_path / ".mlserve-open").iterdir())


def test_kills_under_load_tear_no_line_of_others(image, start, tmp_path):
    """Two processes write at once to parts of their own; the one that lives loses nothing."""
    root = image({"score.py": ECHO})
    first, second = (start(root, **settings(tmp_path, format="jsonl")) for _ in range(2))
    sent = {first: 0, second: 0}

    def load(service):
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
        try:
            for number in range(300):
                connection.request("POST", "/score", json.dumps([service.settings["revision"], number, "x" * 999]))
                connection.getresponse().read()
                sent[service] += 1
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=load, args=(service,)) for service in sent]
    for thread in threads:
        thread.start()
    until(lambda: sent[first] > 50)
    first.process.kill()
    for thread in threads:
        thread.join()
    second.stop()
    start(root, **settings(tmp_path, format="jsonl")).stop()
    kept = [tuple(entry["input"][:2]) for entry in objects(tmp_path)]

    assert 300 == sent[second]
    assert [("r1", number) for number in range(300)] == [entry for entry in kept if entry[0] == "r1"]
    assert len(kept) == len(set(kept))


def test_a_sample_keeps_the_whole_of_some_requests(image, start, tmp_path):
    """Inputs and predictions are of the same requests, about as many as asked for."""
    service = start(image({"score.py": ECHO}), **settings(tmp_path, sample=0.25))
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
    for number in range(400):
        connection.request("POST", "/score", str(number), {"x-request-id": "always the same"})
        connection.getresponse().read()
    connection.close()
    service.stop()
    inputs, predictions = rows(tmp_path, "inputs"), rows(tmp_path, "predictions")

    assert [row["input"] for row in inputs] == [row["prediction"] for row in predictions]
    assert 50 <= len(inputs) <= 160  # 100 expected; outside once in many millions


def test_an_hourly_boundary_makes_a_folder_for_each_hour(image, start, tmp_path):
    """The variable is v1's."""
    service = start(image({"score.py": ECHO}), variables={"AML_MODEL_DC_BOUNDARY": "hour"}, **settings(tmp_path))
    service.score(1)
    service.stop()
    (part,) = tmp_path.glob("modeldata/*/*/*/*/*/*/inputs/*/*/*/*/data.csv/*.csv")

    assert ",60,default/default/default," in part.read_text(encoding="utf-8")


def test_settings_that_cannot_work_are_refused_together(image, start, tmp_path):
    """Each problem names its setting."""
    wanted = {"target": "ftp://x", "workspace": "one", "options": {"a": "b"}}
    service = start(image({"score.py": ECHO}), wait=False, collection=wanted)
    with pytest.raises(AssertionError, match="collection") as failed:
        service.wait("ready")
    (tmp_path / "file").write_text("", encoding="utf-8")
    other = start(image({"score.py": ECHO}), wait=False, **settings(tmp_path / "file"))
    with pytest.raises(AssertionError, match="cannot be written to"):
        other.wait("ready")

    assert "collection.workspace: must be SUBSCRIPTION/RESOURCE_GROUP/WORKSPACE, got 'one'" in str(failed.value)
    assert "collection.target: must be a folder or an address" in str(failed.value)


def test_a_full_disk_loses_nothing_once_there_is_room_again(image, start, tmp_path):
    """Scoring goes on, the log says that writing fails, no line is torn, and what waited is written."""
    root, mounted = image({"score.py": ECHO}), tmp_path / "small"
    mounted.mkdir()
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    mount = ["sh", "-c", f'mount -t tmpfs -o size=64k tmpfs {mounted} && exec "$@"', "sh"]
    service = start(root, within=[*namespace, *mount], **settings(mounted, format="jsonl"))
    seen = Path(f"/proc/{service.process.pid}/root{mounted}")
    (seen / "filler").write_bytes(b"x" * 57_344)
    for number in range(10):
        assert 200 == service.score([number, "x" * 1000]).status
    until(lambda: "collected data is lost or not written: write_failures" in service.log)
    assert 200 == service.score([10, ""]).status
    (seen / "filler").unlink()
    kept = until(lambda: len(objects(seen)) == 11 and [entry["input"][0] for entry in objects(seen)])

    assert list(range(11)) == kept


def test_metrics_say_what_was_kept_and_lost(image, start, tmp_path):
    """Losses are seen without reading the log."""
    wanted = settings(tmp_path, format="jsonl", max_waiting_mb=0.1, flush_s=3600)
    service = start(image({"score.py": ECHO}), **wanted)
    for _ in range(40):
        service.score("x" * 5000)
    lines = service.get("/metrics").body.decode().splitlines()
    found = {line.split()[0]: float(line.split()[1]) for line in lines if line.startswith("mlserve_collection_")}
    service.stop()

    assert 40 == len(objects(tmp_path)) + found["mlserve_collection_lost_total"]


def test_models_without_a_script_have_columns_by_their_inputs(image, start, tmp_path, two_columns):
    """Also when asked over the Open Inference Protocol, and answers have theirs by the outputs."""
    root = image({}, entry=None, models=[("ridge", two_columns)])
    service = start(root, **settings(tmp_path))
    service.score({"data": [[1, 2], [3, 4]]})
    tensor = {"name": "x", "shape": [1, 2], "datatype": "FP32", "data": [5, 6]}
    answer = service.request(
        "POST", "/v2/models/ridge/infer", json.dumps({"inputs": [tensor]}), {"Content-Type": "application/json"}
    )
    service.stop()
    inputs, predictions = rows(tmp_path, "inputs"), rows(tmp_path, "predictions")

    assert 200 == answer.status
    assert [("1", "2"), ("3", "4"), ("5", "6")] == [(row["x[0]"], row["x[1]"]) for row in inputs]
    assert ["3.0", "7.0", "11.0"] == [row["y"] for row in predictions]
    assert ("ridge", "1") == (inputs[0]["$aml_model_name"], inputs[0]["$aml_model_version"])


@pytest.mark.parametrize("accepted", ["gzip", "deflate"])
def test_answers_of_tensors_are_kept_however_they_were_sent(image, start, tmp_path, two_columns, accepted):
    """As bytes, whose values are kept, and compressed, which is undone."""
    service = start(image({}, entry=None, models=[("ridge", two_columns)]), **settings(tmp_path, format="jsonl"))
    tensor = {"name": "x", "shape": [900, 2], "datatype": "FP32", "data": [1] * 1800}
    for as_bytes in (True, False):
        asked = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": as_bytes}})
        answer = service.request("POST", "/v2/models/ridge/infer", asked, {"Accept-Encoding": accepted})
        assert answer.status == 200
    service.stop()
    first, second = (entry for entry in objects(tmp_path))

    assert (None, accepted) == (first.get("error"), answer.headers["Content-Encoding"])
    assert [2.0] * 900 == first["prediction"]["outputs"][0]["data"]
    assert first["prediction"] == second["prediction"]


def test_a_status_that_a_script_chose_is_kept_however_it_was_asked(image, start, tmp_path):
    """By /score, and by tensors over REST and gRPC; tensors that do not fit are not."""
    service = start(image({"score.py": CHOOSES}), grpc_port=0, **settings(tmp_path, format="jsonl"))
    service.score({"data": [2]}, headers={"x-request-id": "score"})
    for own, name in (("REST", "data"), ("unfit", "other")):
        tensor = {"name": name, "shape": [1], "datatype": "FP64", "data": [2]}
        body = json.dumps({"inputs": [tensor]})
        service.request("POST", "/v2/models/diabetes/infer", body, {"x-request-id": own})
    with client(service.ask("status")["grpc_port"]) as called:
        for own, name in (("gRPC", "data"), ("unfit", "other")):
            message = asked({name: ("FP64", [1], [2.0])})
            called.failure("ModelInfer", message, metadata=[("x-request-id", own)])
    service.stop()
    found = [(entry["request_id"], entry["status"], entry["prediction"]) for entry in objects(tmp_path)]
    said = {"error": "too large"}

    assert [("score", 422, "too large"), ("REST", 422, said), ("gRPC", 422, said)] == found


def test_memory_stays_within_its_bound_under_load(image, start):
    """A store that never answers, and far more requests than fit: the rest is lost, and the process stays small."""
    options = {"account_name": "a", "account_key": "aaaa", "endpoint": "http://127.0.0.1:9/a"}
    wanted = {"target": "az://none", "format": "jsonl", "max_waiting_mb": 8, "options": options}
    service = start(image({"score.py": ECHO}), collection=wanted)
    before = _resident(service)
    request = b"POST /score HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 3\r\n\r\n[1]"
    with service.connect() as client:
        for _ in range(300):
            client.sendall(request * 50)
            answered = b""
            while answered.count(b"\r\n\r\n[1]") < 50:
                answered += client.recv(65536)
    lines = service.get("/metrics").body.decode()

    assert _resident(service) - before < 24 << 20
    assert "mlserve_collection_lost_total 0\n" not in lines


def _resident(service):
    """Bytes of memory of a process."""
    pages = Path(f"/proc/{service.process.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def test_workers_write_parts_of_their_own(image, start, tmp_path):
    """Every request is kept once, whichever worker answered it."""
    service = start(image({"score.py": ECHO}), workers=2, **settings(tmp_path, format="jsonl"))
    for number in range(40):
        service.score(number)
    service.stop()

    assert list(range(40)) == sorted(entry["input"] for entry in objects(tmp_path))
