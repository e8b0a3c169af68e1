import json
import logging
import os
import lightgbm as lgb
import pandas as pd


def init():
    global bst
    model_root = os.getenv("AZUREML_MODEL_DIR")
    # the model's folder holds the one file that was registered
    bst = lgb.Booster(model_file=os.path.join(model_root, os.listdir(model_root)[0]))
    logging.info("number of trees: %d", bst.num_trees())


def run(raw_data):
    columns = bst.feature_name()
    data = pd.DataFrame(json.loads(raw_data)["data"], columns=columns)
    return json.dumps({"result": bst.predict(data).tolist()})
