from azureml.core.model import Model
import os, json, pickle

from preparation.scaling import scaled


def init():
    global centre, labels
    folder = Model.get_model_path(model_name='centres')
    with open(os.path.join(folder, 'centre.pkl'), 'rb') as file:
        centre = pickle.load(file)
    with open(os.path.join(folder, 'labels.txt')) as file:
        labels = file.read().split()
    with open('settings.json') as file:   # beside the script
        scaled.unit = json.load(file)['unit']


def run(data):
    values = scaled(json.loads(data)['values'])
    return {'label': labels[int(sum(values) > centre)]}
