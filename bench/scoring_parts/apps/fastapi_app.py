"""A FastAPI application as somebody who knows its costs writes it: no response model, orjson, threads for long models.

MODEL names the file; LONG is 1 for models that would hold up the event loop.
"""

import os

import numpy as np
import onnxruntime
import orjson
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

LONG = os.environ["LONG"] == "1"
app = FastAPI()
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
session = onnxruntime.InferenceSession(os.environ["MODEL"], options, providers=["CPUExecutionProvider"])


def answer(body: bytes) -> bytes:
    """Answer one body."""
    data = np.array(orjson.loads(body)["data"], dtype=np.float32)
    return orjson.dumps(session.run(None, {"x": data})[0], option=orjson.OPT_SERIALIZE_NUMPY)


@app.post("/score")
async def score(request: Request) -> Response:
    """Answer one request."""
    body = await request.body()
    content = await run_in_threadpool(answer, body) if LONG else answer(body)
    return Response(content, media_type="application/json")
