import json
import os
import joblib
import numpy


def init():
    global model
    model = joblib.load(os.path.join(os.getenv('AZUREML_MODEL_DIR'), 'weights.joblib'))
    print('model is loaded')


def run(raw_data):
    data = numpy.array(json.loads(raw_data)['data'])
    return (data @ model).tolist()
