import json
import logging
import os
import time

logger = logging.getLogger(__name__)


def init():
    logging.basicConfig(level=logging.DEBUG)
    print("model folder is", repr(os.environ.get("AZUREML_MODEL_DIR")))
    logger.info("Init complete")


def run(raw_data, request_headers):
    logger.info("Request received")
    print(json.dumps({"input": raw_data, "time": time.strftime("%H:%M:%S")}))
    return {"client": request_headers["User-Agent"], "length": len(raw_data)}
