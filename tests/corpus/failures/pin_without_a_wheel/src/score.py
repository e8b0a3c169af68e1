import json

from azureml.core.model import Model


def init():
    global model
    # the name under which the model was registered
    with open(Model.get_model_path('ridge')) as file:
        model = json.load(file)


def run(raw_data):
    data = json.loads(raw_data)['data']
    return [model['factor'] * value for value in data]
