import json
import numpy as np
import cv2
import xgboost as xgb
from azureml.core.model import Model


def init():
    global model
    model = xgb.Booster(model_file=Model.get_model_path('booster'))


def run(data):
    return model.predict(np.array(json.loads(data)))
