import json
import os
import joblib
import numpy as np
from azureml.core.model import Model


def init():
    global first_model, second_model
    # several models: the folder holds one for each name, then one for each version
    model_dir = os.path.join(os.getenv('AZUREML_MODEL_DIR'))
    first_model = joblib.load(os.path.join(model_dir, 'first_model', '1', 'first.pkl'))
    second_model = joblib.load(Model.get_model_path(model_name='second_model', version=1))


def run(raw_data):
    data = np.array(json.loads(raw_data)['data'])
    first = first_model.predict(data)
    second = second_model.predict(data)
    return {'first': first.tolist(), 'second': second.tolist()}
