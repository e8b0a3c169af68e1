"""Estimators of several targets answer as scikit-learn does, in whichever form they give their probabilities."""

from __future__ import annotations

import json

import numpy as np
import pytest
from learned_kit import numbers, quietly
from mlserve_scoring.models.inputs import read_inputs
from mlserve_scoring.models.sklearn_model import SklearnModel
from mlserve_scoring.models.written import written
from sklearn.base import BaseEstimator
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, RidgeClassifier
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.multioutput import ClassifierChain, MultiOutputClassifier, MultiOutputRegressor, RegressorChain
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

X, Y = numbers()
TWO = np.c_[Y, (X[:, 1] > 0).astype(int)]
THREE = np.c_[TWO, np.digitize(X[:, 2], [-0.5, 0.5])]
ROWS = X[:4].round(3).tolist()
ORDER = "in the order 0, 1"
EACH = "one for each target"


class Untold(BaseEstimator):
    """A step that does not say of how many columns it was fitted."""

    def fit(self, *_):
        """Learn nothing."""
        self.fitted_ = True
        return self

    def transform(self, rows):
        """Return the rows."""
        return np.asarray(rows)


FITTED = {
    "chain": (lambda: ClassifierChain(LogisticRegression()).fit(X, TWO), [EACH]),
    "chain of trees": (lambda: ClassifierChain(DecisionTreeClassifier(), order=[1, 0]).fit(X, TWO), [EACH]),
    "chain of one": (lambda: ClassifierChain(LogisticRegression()).fit(X, TWO[:, :1]), [EACH]),
    "chain behind a scaler": (
        lambda: make_pipeline(StandardScaler(), ClassifierChain(LogisticRegression())).fit(X, TWO),
        [EACH],
    ),
    "search of chains": (
        lambda: GridSearchCV(ClassifierChain(LogisticRegression()), {"order": [[1, 0]]}).fit(X, TWO),
        [EACH],
    ),
    "one by one": (lambda: MultiOutputClassifier(LogisticRegression()).fit(X, THREE), [ORDER, ORDER, f"{ORDER}, 2"]),
    "one by one, of one": (lambda: MultiOutputClassifier(LogisticRegression()).fit(X, TWO[:, :1]), [ORDER]),
    "one by one, without probabilities": (lambda: MultiOutputClassifier(RidgeClassifier()).fit(X, TWO), []),
    "forest": (lambda: RandomForestClassifier(3).fit(X, THREE), [ORDER, ORDER, f"{ORDER}, 2"]),
    "extra trees": (lambda: ExtraTreesClassifier(3).fit(X, TWO), [ORDER, ORDER]),
    "tree": (lambda: DecisionTreeClassifier().fit(X, TWO), [ORDER, ORDER]),
    "neighbours": (lambda: KNeighborsClassifier().fit(X, TWO), [ORDER, ORDER]),
    "network": (lambda: MLPClassifier(max_iter=20).fit(X, TWO), [ORDER]),
    "one against the rest": (lambda: OneVsRestClassifier(LogisticRegression()).fit(X, TWO), [ORDER]),
    "ridge": (lambda: RidgeClassifier().fit(X, TWO), []),
    "chain of regressors": (lambda: RegressorChain(Ridge()).fit(X, X[:, :2]), []),
    "regressors": (lambda: MultiOutputRegressor(Ridge()).fit(X, X[:, :2]), []),
}


LASTS = {
    "chain": (lambda: ClassifierChain(LogisticRegression()), TWO),
    "one by one": (lambda: MultiOutputClassifier(LogisticRegression()), TWO),
    "one target": (LogisticRegression, Y),
    "numbers": (Ridge, TWO),
}


def given_by(estimator):
    """What scikit-learn gives, by the names of the outputs."""
    rows = np.array(ROWS)
    given = {"prediction": estimator.predict(rows)}
    if hasattr(estimator, "predict_proba"):
        found = estimator.predict_proba(rows)
        by_target = {f"probabilities_{number}": array for number, array in enumerate(found)}
        given |= by_target if isinstance(found, list) else {"probabilities": found}
    return given


def answered_by(model):
    """What is answered over HTTP."""
    values = model.run(read_inputs({"data": ROWS}, model.inputs))
    return json.loads(written([port.name for port in model.outputs], values))


@pytest.mark.parametrize("name", FITTED)
def test_every_kind_of_several_targets_answers_as_the_library_does(name):
    """Value by value; the outputs say what they are of."""
    make, notes = FITTED[name]
    estimator = quietly(make)
    model = SklearnModel(estimator, name)
    given = given_by(estimator)

    assert {name: array.tolist() for name, array in given.items()} == answered_by(model)
    assert ["", *notes] == [port.note for port in model.outputs]
    assert [(None, *array.shape[1:]) for array in given.values()] == [port.shape for port in model.outputs]
    assert [array.dtype.name for array in given.values()] == [port.dtype for port in model.outputs]


@pytest.mark.parametrize("last", ["chain", "one by one", "one target", "numbers"])
@pytest.mark.parametrize("is_searched", [False, True])
def test_what_no_sample_is_known_of_has_the_outputs_that_it_gives(last, is_searched):
    """Its first step does not say how many columns it takes."""
    make, targets = LASTS[last]
    steps = make_pipeline(Untold(), make())
    estimator = (GridSearchCV(steps, {}, cv=2) if is_searched else steps).fit(X, targets)
    model = SklearnModel(estimator, "m")
    given = given_by(estimator)

    assert {name: array.tolist() for name, array in given.items()} == answered_by(model)
