from azureml.core.model import Model


def init():
    global path
    path = Model.get_model_path('diabetes_ridge')


def run(data, threshold):
    return path
