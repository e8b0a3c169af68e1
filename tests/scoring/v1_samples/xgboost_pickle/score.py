import json
import os
import pickle
import numpy as np
import xgboost as xgb


def init():
    global booster
    path = os.path.join(os.environ["AZUREML_MODEL_DIR"], "xgb.pkl")
    with open(path, "rb") as f:
        booster = pickle.load(f)


def run(data):
    rows = np.array(json.loads(data)["data"])
    try:
        result = booster.predict(xgb.DMatrix(rows))
    except Exception as e:
        return {"error": str(e)}
    return {"predict": result.tolist()}
