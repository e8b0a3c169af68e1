import json
import os
import pickle
import sys

# the class of the network lies beside the script, as its pickle wants it
from network import TinyNet

net = None
labels = ['chicken', 'turkey']


def init():
    global net
    # AZUREML_MODEL_DIR is /var/azureml-app/azureml-models/$MODEL_NAME/$VERSION
    model_path = os.path.join(os.getenv('AZUREML_MODEL_DIR'), 'outputs', 'model.pt')
    with open(model_path, 'rb') as f:
        net = pickle.load(f)
    net.eval()
    print('loaded', type(net).__name__, 'from', model_path, file=sys.stdout)


def run(input_data):
    values = json.loads(input_data)['data']
    output = net(values)
    best = max(range(len(output)), key=lambda number: output[number])
    result = {"label": labels[best], "probability": str(output[best])}
    return result
