import json
import os


def init():
    global model
    path = os.path.join(os.getenv('AZUREML_MODEL_DIR'), 'model.json')
    with open(path) as file:
        model = json.load(file)


def run(raw_data):
    data = json.loads(raw_data)['data']
    return [model['factor'] * value for value in data]
