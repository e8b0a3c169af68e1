import json
import pickle
from azureml.core.model import Model


def init():
    global model
    with open(Model.get_model_path('ridge'), 'rb') as file:
        model = pickle.load(file)


def run(raw_data):
    return [value * 2 for value in json.loads(raw_data)['data']]
