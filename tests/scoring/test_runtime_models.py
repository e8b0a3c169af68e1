"""Models of scikit-learn, LightGBM, XGBoost and MLflow without a script: what they take, and what they answer."""

from __future__ import annotations

import json
import logging
import pickle
import re
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import joblib
import lightgbm
import numpy as np
import pytest
import skops.io
import xgboost
from learned_kit import COLUMNS, manifest_of, numbers, pipeline, quietly, root, table
from mlserve_scoring.errors import InvalidRequestError, StartError
from mlserve_scoring.models.files import load_model
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.port_schema import schema_of
from mlserve_scoring.models.sklearn_model import SklearnModel
from mlserve_scoring.scorers.results import to_json
from sklearn.cluster import DBSCAN, KMeans
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multioutput import MultiOutputClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler
from sklearn.svm import SVC

PATIENT = {"age": 61.0, "bmi": 27.5, "sex": "m", "visits": 2}


def loaded(path, content=None, write=joblib.dump):
    """The model in a file, which is written first if its content is given."""
    if content is not None:
        write(content, path)
    return load_model(root(), manifest_of(path), threads=1, providers={"cpu": {}})


def answer(model, body):
    """What a model answers a body with."""
    values = model.run(read_inputs(body, model.inputs))
    return json.loads(to_json(dict(zip([port.name for port in model.outputs], values, strict=True))))


def test_a_pipeline_of_mixed_columns_answers_as_the_library_does(tmp_path):
    """Labels and probabilities; the columns' types are known from its encoders."""
    estimator = quietly(pipeline)
    model = loaded(tmp_path / "m.joblib", estimator)
    frame, _ = table()
    found = answer(model, json.loads(frame.to_json(orient="records")))

    assert found["prediction"] == estimator.predict(frame).tolist()
    assert (
        found["probabilities"] == estimator.set_params(randomforestclassifier__n_jobs=1).predict_proba(frame).tolist()
    )
    assert [(port.name, port.dtype) for port in model.inputs] == list(
        zip(COLUMNS, ["float64", "float64", "object", "int64"], strict=True)
    )
    assert model.outputs[1].note == "in the order ill, well"
    assert schema_of(model.outputs)["properties"]["probabilities"]["description"] == "in the order ill, well"


def test_a_category_that_the_model_does_not_know_is_the_callers_mistake(tmp_path):
    """In the words of the library."""
    model = loaded(tmp_path / "m.joblib", quietly(pipeline))
    with pytest.raises(InvalidRequestError, match="the model refused the input: Found unknown categories"):
        answer(model, [{**PATIENT, "sex": "x"}])


X, Y = numbers()
FITTED = {
    "regressor": (lambda: LinearRegression().fit(X, Y), {"data": [[0, 0, 0]]}),
    "two outputs": (lambda: Ridge().fit(X, np.c_[Y, 1 - Y]), {"data": [[0, 0, 0]]}),
    "classifier": (lambda: LogisticRegression().fit(X, Y), {"data": [[0, 0, 0]]}),
    "without probabilities": (lambda: SVC().fit(X, Y), {"data": [[0, 0, 0]]}),
    "clusterer": (lambda: KMeans(2, n_init=1).fit(X), {"data": [[0, 0, 0]]}),
    "several classifiers": (
        lambda: MultiOutputClassifier(LogisticRegression()).fit(X, np.c_[Y, 1 - Y]),
        {"data": [[0, 0, 0]]},
    ),
    "texts": (
        lambda: make_pipeline(TfidfVectorizer(), MultinomialNB()).fit(["a bad day", "good"], [0, 1]),
        {"data": [""]},
    ),
    "objects": (
        lambda: make_pipeline(DictVectorizer(), LinearRegression()).fit([{"a": 1}, {"b": 2}], [0, 1]),
        {"data": [{}]},
    ),
    "words": (
        lambda: make_pipeline(OneHotEncoder(), LinearRegression()).fit(
            np.array([["a", "x"], ["b", "y"]], object), [0, 1]
        ),
        {"data": [["a", "x"]]},
    ),
    "words and numbers": (
        lambda: make_pipeline(OneHotEncoder(), LinearRegression()).fit(np.array([["a", 1], ["b", 2]], object), [0, 1]),
        {"data": [["a", 1]]},
    ),
    "search": (
        lambda: GridSearchCV(pipeline(), {"randomforestclassifier__max_depth": [2]}, cv=2).fit(*table()),
        {"age": [0], "bmi": [0], "sex": ["f"], "visits": [0]},
    ),
    "named numbers": (
        lambda: make_pipeline(StandardScaler(), Ridge()).fit(table()[0][["age", "bmi"]], np.arange(80.0)),
        {"age": [0], "bmi": [0]},
    ),
    "histogram boosting": (
        lambda: HistGradientBoostingClassifier(max_iter=2).fit(table()[0].astype({"sex": "category"}), table()[1]),
        {"age": [0], "bmi": [0], "sex": ["f"], "visits": [0]},
    ),
    "lightgbm of categories": (
        lambda: lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(
            table()[0].astype({"sex": "category"}), table()[1]
        ),
        {"age": [0], "bmi": [0], "sex": ["f"], "visits": [0]},
    ),
    "xgboost of categories": (
        lambda: xgboost.XGBRegressor(n_estimators=2, enable_categorical=True).fit(
            table()[0].astype({"sex": "category"}), np.arange(80)
        ),
        {"age": [0], "bmi": [0], "sex": ["f"], "visits": [0]},
    ),
    "xgboost of categories, dart": (
        lambda: xgboost.XGBClassifier(n_estimators=2, enable_categorical=True, booster="dart").fit(
            table()[0].astype({"sex": "category"}), Y
        ),
        {"age": [0], "bmi": [0], "sex": ["f"], "visits": [0]},
    ),
    "one column of unknown type": (
        lambda: make_pipeline(FunctionTransformer(np.log1p), Ridge()).fit(table()[0][["age"]], Y),
        {"age": [0]},
    ),
    "xgboost": (lambda: xgboost.XGBClassifier(n_estimators=2).fit(X, Y), {"data": [[0, 0, 0]]}),
}


@pytest.mark.parametrize("name", FITTED)
def test_what_was_fitted_tells_its_inputs(tmp_path, name):
    """And answers its own sample; the outputs are those that it was seen to give."""
    make, sample = FITTED[name]
    model = loaded(tmp_path / "m.pkl", quietly(make), lambda value, path: path.write_bytes(pickle.dumps(value)))
    values = model.run(read_inputs(sample, model.inputs))

    assert model.sample == sample
    assert len(values) == len(model.outputs)
    assert all(port.shape[0] is None and port.dtype for port in model.outputs)


@pytest.mark.parametrize(
    ("estimator", "message"),
    [
        (lambda: StandardScaler().fit(X), "StandardScaler, which transforms and does not predict; .*one Pipeline"),
        (lambda: DBSCAN().fit(X), "DBSCAN, which does not predict"),
        (Ridge, "Ridge that was not fitted; fit it before it is registered"),
    ],
)
def test_what_does_not_predict_is_refused(tmp_path, estimator, message):
    """With advice."""
    with pytest.raises(StartError, match=message):
        loaded(tmp_path / "m.joblib", estimator())


def test_another_version_of_the_library_is_told(tmp_path, caplog):
    """Answers may differ; whoever reads the log should know."""
    content = pickle.dumps(Ridge().fit(X, Y))
    version = re.search(rb"_sklearn_version\x94\x8c.(\d+\.\d+\.\d+)", content).group(1)
    (tmp_path / "m.pkl").write_bytes(content.replace(version, b"0" * (len(version) - 4) + b".1.2"))
    with caplog.at_level(logging.WARNING, "mlserve.model"):
        loaded(tmp_path / "m.pkl")

    assert "InconsistentVersionWarning: Trying to unpickle estimator Ridge" in caplog.text


def test_skops_files_hold_only_what_is_trusted(tmp_path):
    """Others are refused by their types' names."""
    model = loaded(tmp_path / "m.skops", Ridge().fit(X, Y), skops.io.dump)

    assert len(answer(model, [[1, 2, 3]])["prediction"]) == 1
    other = quietly(lambda: lightgbm.LGBMRegressor(n_estimators=1, verbose=-1).fit(X, Y))
    with pytest.raises(StartError, match=r"does not trust, .*lightgbm.*LGBMRegressor; give an entry script"):
        loaded(tmp_path / "o.skops", other, skops.io.dump)


def test_forests_use_the_processors_they_are_given(tmp_path):
    """As many as asked for at training would fight over them, and add up in an order that changes."""
    joblib.dump(RandomForestRegressor(3, n_jobs=-1).fit(X, Y), tmp_path / "m.joblib")
    model = load_model(root(), manifest_of(tmp_path / "m.joblib"), threads=2, providers={})

    assert model._estimator.n_jobs == 2


@pytest.mark.parametrize("is_named", [True, False])
def test_a_lightgbm_file_answers_as_the_booster_does(tmp_path, is_named):
    """By name where it was trained on names; nothing is a number that is missing."""
    frame = table()[0][["age", "bmi"]] if is_named else X
    booster = quietly(lambda: lightgbm.train({"verbose": -1, "min_data_in_leaf": 2}, lightgbm.Dataset(frame, Y), 3))
    booster.save_model(tmp_path / "m.txt")
    model = loaded(tmp_path / "m.txt")
    rows = np.asarray(frame)[:5]

    assert answer(model, {"data": rows.tolist()}) == {"prediction": booster.predict(rows).tolist()}
    assert model.inputs[0].columns == (("age", "bmi") if is_named else ())
    assert answer(model, [[None] * rows.shape[1]])["prediction"] == booster.predict(rows[:1] * np.nan).tolist()


def test_categories_of_lightgbm_are_texts(tmp_path):
    """They are in the file; one that is unknown is a value that is missing, as in the library."""
    frame = table()[0].astype({"sex": "category"})
    parameters = {"verbose": -1, "min_data_in_leaf": 1, "min_data_per_group": 1, "cat_smooth": 0}
    sexes = (frame["sex"] == "f").astype(int)
    booster = quietly(lambda: lightgbm.train(parameters, lightgbm.Dataset(frame, sexes), 3))
    booster.save_model(tmp_path / "m.txt")
    model = loaded(tmp_path / "m.txt")
    body = json.loads(frame.astype({"sex": str})[:6].to_json(orient="records"))

    assert answer(model, body)["prediction"] == booster.predict(frame[:6]).tolist()
    assert model.inputs[2].words == ("f", "m")
    assert answer(model, [{**PATIENT, "sex": "x"}]) == answer(model, [{**PATIENT, "sex": None}])


@pytest.mark.parametrize("name", ["m.json", "m.ubj"])
@pytest.mark.parametrize("booster", ["gbtree", "dart", "gblinear"])
def test_an_xgboost_file_answers_as_the_booster_does(tmp_path, name, booster):
    """Whatever kind it is."""
    trained = xgboost.train({"booster": booster}, xgboost.DMatrix(X, Y), 3)
    trained.save_model(tmp_path / name)
    model = loaded(tmp_path / name)

    assert answer(model, {"data": X[:5].tolist()})["prediction"] == pytest.approx(
        trained.predict(xgboost.DMatrix(X[:5])).tolist(), rel=1e-6
    )


def test_columns_of_xgboost_have_the_types_that_it_keeps(tmp_path):
    """Categories, whole numbers, and yes or no."""
    frame = table()[0].astype({"sex": "category"})
    frame["ok"] = frame["visits"] > 1
    trained = xgboost.train({}, xgboost.DMatrix(frame, Y, enable_categorical=True), 3)
    trained.save_model(tmp_path / "m.ubj")
    model = loaded(tmp_path / "m.ubj")
    body = json.loads(frame.astype({"sex": str})[:6].to_json(orient="records"))
    expected = trained.predict(xgboost.DMatrix(frame[:6], enable_categorical=True)).tolist()

    assert answer(model, body)["prediction"] == pytest.approx(expected)
    assert [port.dtype for port in model.inputs] == ["float32", "float32", "object", "int64", "bool"]
    with pytest.raises(InvalidRequestError, match="sex: 'x' is unknown to the model; it knows 'f', 'm'"):
        answer(model, [{**body[0], "sex": "x"}])
    with pytest.raises(InvalidRequestError, match=r"\[0\]\['ok'\]: expected true or false, got 1"):
        answer(model, [{**body[0], "ok": 1}])


def test_an_estimator_of_xgboost_knows_its_categories(tmp_path):
    """As its booster does: their order in a request says nothing, and an unknown one is the caller's mistake."""
    frame = table()[0].astype({"sex": "category"})
    trained = xgboost.XGBClassifier(n_estimators=3, enable_categorical=True).fit(frame, Y)
    model = loaded(tmp_path / "m.joblib", trained)
    body = json.loads(frame.astype({"sex": str})[:6].to_json(orient="records"))

    assert trained.predict(frame[:6]).tolist() == answer(model, body)["prediction"]
    assert [answer(model, [row])["prediction"][0] for row in body] == answer(model, body)["prediction"]
    with pytest.raises(InvalidRequestError, match="sex: 'x' is unknown to the model; it knows 'f', 'm'"):
        answer(model, [{**body[0], "sex": "x"}])


def test_an_estimator_of_an_old_xgboost_has_no_categories(tmp_path, monkeypatch):
    """To count those of a request instead would be another answer."""
    trained = xgboost.XGBClassifier(n_estimators=3, enable_categorical=True).fit(
        table()[0].astype({"sex": "category"}), Y
    )
    monkeypatch.delattr(xgboost.Booster, "get_categories")
    with pytest.raises(StartError, match=r"only xgboost 3.1 and later keep in the file; train and save it"):
        loaded(tmp_path / "m.joblib", trained)


@pytest.mark.parametrize(
    ("kind", "content"),
    [
        ("sklearn", pipeline),
        (
            "lightgbm",
            lambda: lightgbm.LGBMClassifier(n_estimators=2, verbose=-1).fit(table()[0].drop(columns="sex"), Y),
        ),
        ("xgboost", lambda: xgboost.XGBClassifier(n_estimators=2).fit(table()[0].drop(columns="sex"), Y)),
    ],
)
def test_libraries_answer_over_http(image, start, tmp_path, kind, content):
    """With the contract that follows from the model."""
    joblib.dump(quietly(content), tmp_path / "model.joblib")
    service = start(image(entry=None, models=[("m", tmp_path / "model.joblib")]))
    record = PATIENT if kind == "sklearn" else {key: value for key, value in PATIENT.items() if key != "sex"}
    model = loaded(tmp_path / "model.joblib")

    assert service.ask("status")["samples_answered"] == 1
    assert service.score({"data": [record]}).json == answer(model, [record])
    assert service.score({"data": [{**record, "age": "old"}]}).message.startswith("data[0]['age']: expected a number")
    assert "age" in service.get("/swagger.json").body.decode()


def test_the_form_of_power_bi_is_answered_as_every_other(image, start, tmp_path):
    """Without a script the contract alone says what the answer is: outputs by name, never within ``Results``."""
    joblib.dump(quietly(pipeline), tmp_path / "model.joblib")
    service = start(image(entry=None, models=[("m", tmp_path / "model.joblib")]))
    expected = service.score([PATIENT]).json
    inputs = {"data": [PATIENT]}

    assert {"prediction", "probabilities"} == set(expected)
    for parameters in ({}, None, 1.0, 0):
        assert expected == service.score({"Inputs": inputs, "GlobalParameters": parameters}).json
    assert expected == service.score({"Inputs": {"WebServiceInput0": [PATIENT]}}).json
    refused = service.score({"Inputs": inputs, "GlobalParameters": {"method": "predict"}})
    assert (400, "GlobalParameters.method: is no parameter; the model has no parameters") == (
        refused.status,
        refused.message,
    )
    assert set(expected) == set(service.get("/swagger.json").json["definitions"]["ServiceOutput"]["properties"])
    assert set(expected) == set(
        service.get("/openapi.json").json["components"]["schemas"]["ServiceOutput"]["properties"]
    )


@pytest.mark.parametrize("kind", ["pipeline", "lightgbm", "xgboost", "dart"])
def test_threads_at_a_time_get_the_answers_of_one(tmp_path, kind):
    """Whatever the library needs for that, a lock or nothing."""
    path = tmp_path / {"pipeline": "m.joblib", "lightgbm": "m.txt"}.get(kind, "m.ubj")
    if kind == "pipeline":
        joblib.dump(quietly(pipeline), path)
    elif kind == "lightgbm":
        quietly(lambda: lightgbm.train({"verbose": -1}, lightgbm.Dataset(X, Y), 5)).save_model(path)
    else:
        booster = "dart" if kind == "dart" else "gbtree"
        xgboost.train({"booster": booster}, xgboost.DMatrix(X, Y), 5).save_model(path)
    model = loaded(path)
    bodies = [
        [row] for row in (json.loads(table(60)[0].to_json(orient="records")) if kind == "pipeline" else X.tolist())
    ]
    expected = [answer(model, body) for body in bodies]
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(lambda body: answer(model, body), bodies * 2))

    assert found == expected * 2


def test_an_estimator_with_parts_of_ones_own_answers_one_at_a_time(tmp_path):
    """Nobody knows what its predict() changes."""

    class Own(Ridge):
        """Of somebody."""

    assert isinstance(SklearnModel(Own().fit(X, Y), "m")._lock, type(threading.Lock()))
    assert not isinstance(SklearnModel(Ridge().fit(X, Y), "m")._lock, type(threading.Lock()))


@pytest.mark.parametrize(
    ("name", "content", "module", "package"),
    [
        ("m.txt", b"tree\n", "lightgbm", "lightgbm"),
        ("m.ubj", b"", "xgboost", "xgboost"),
        ("m.skops", b"", "skops.io", "skops"),
        ("m.onnx", b"", "onnxruntime", "onnxruntime"),
        ("m.pkl", pickle.dumps(Ridge()), "sklearn.linear_model._ridge", "scikit-learn"),
    ],
)
def test_a_library_that_is_missing_is_named(tmp_path, monkeypatch, name, content, module, package):
    """With the package to add."""
    (tmp_path / name).write_bytes(content)
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(StartError) as caught:
        loaded(tmp_path / name)

    assert caught.value.stage == "import"
    assert caught.value.todo == f"add '{package}' to the environment"
