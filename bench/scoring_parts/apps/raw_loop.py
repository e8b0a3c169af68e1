"""Runs a model as fast as plain onnxruntime does, without HTTP or JSON.

`raw_loop.py MODEL THREADS BODY...` reads numbers of seconds, one a line, and answers each with calls and seconds.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np
import onnxruntime


def main() -> None:
    """Runs until the input ends."""
    threads = int(sys.argv[2])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
    inputs = [
        {"x": np.array(json.loads(Path(body).read_text(encoding="utf-8"))["data"], dtype=np.float32)}
        for body in sys.argv[3:]
    ]
    for line in sys.stdin:
        begin = time.perf_counter()
        end = begin + float(line)
        counts: list[int] = []

        def run(end: float = end, counts: list[int] = counts) -> None:
            count = 0
            while time.perf_counter() < end:
                session.run(None, inputs[count % len(inputs)])
                count += 1
            counts.append(count)

        workers = [threading.Thread(target=run) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        print(sum(counts), time.perf_counter() - begin, flush=True)


if __name__ == "__main__":
    main()
