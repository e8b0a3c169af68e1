import json
import joblib
import numpy as np
from azureml.core.model import Model
from azureml.monitoring import ModelDataCollector


def init():
    global model, inputs_dc, prediction_dc
    model = joblib.load(Model.get_model_path('best_model'))
    inputs_dc = ModelDataCollector("best_model", designation="inputs", feature_names=["feat1", "feat2"])
    prediction_dc = ModelDataCollector("best_model", designation="predictions", feature_names=["prediction1"])


def run(raw_data):
    data = np.array(json.loads(raw_data)["data"])
    correlations = inputs_dc.collect(data)
    result = model.predict(data)
    predictions = prediction_dc.add_correlations(result.reshape(-1, 1), correlations)
    prediction_dc.collect(predictions)
    return result.tolist()
