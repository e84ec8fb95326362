"""The imputer draws what holes may be; the detector keeps its rate of false alarms."""

import pickle
import warnings

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from unfog.errors import ArgumentError, DataError
from unfog.sklearn import Detector, Imputer

SMALL = {"settings": {"net.width": 64, "net.depth": 2}, "device": "cpu", "random_state": 0}
TINY = {**SMALL, "settings": {"net.width": 16, "net.depth": 1}, "steps": 2}


def pairs(count, seed):
    """Two numbers with correlation 0.8, and a class that says the first one's sign."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=count)
    b = 0.8 * a + 0.6 * rng.normal(size=count)
    return pd.DataFrame({"a": a, "b": b, "side": np.where(a > 0, "up", "down")})


@pytest.fixture(scope="module")
def imputer():
    return Imputer(**SMALL, steps=400).fit(pairs(1500, 0))


def test_an_imputation_has_the_spread_of_what_is_missing(imputer):
    true = pairs(600, 1)
    holed = true.copy()
    holed.loc[:, "b"] = np.nan
    filled = imputer.transform(holed)
    pd.testing.assert_frame_equal(filled[["a", "side"]], true[["a", "side"]])
    rest = filled["b"] - 0.8 * true["a"]
    assert abs(rest.mean()) < 0.1
    assert 0.5 < rest.std() < 0.72  # 0.6; the mean of draws would have 0
    one, two = imputer.multiple(holed, 2)
    pd.testing.assert_frame_equal(one, filled)
    assert 0.6 < (one["b"] - two["b"]).std() < 1.05  # 0.85 of two draws apart


def test_words_are_drawn_and_single_rows_taken(imputer):
    row = pd.DataFrame({"a": [1.5], "b": [1.2], "side": [None]})
    assert imputer.transform(row)["side"].tolist() == ["up"]
    with pytest.raises(ArgumentError, match="draws"):
        imputer.multiple(row, 0)
    with pytest.raises(DataError, match="sideways"):
        imputer.transform(
            pd.DataFrame({"a": [1.5, 1.0], "b": [np.nan, 0.1], "side": ["sideways"] * 2})
        )


def test_arrays_stay_arrays_and_pickles_draw_the_same():
    X = pairs(80, 2)[["a", "b"]].to_numpy().copy()
    X[::7, 1] = np.nan
    model = Imputer(**TINY).fit(X)
    filled = model.transform(X)
    assert filled.dtype == X.dtype
    known = ~np.isnan(X)
    np.testing.assert_array_equal(filled[known], X[known])
    assert np.isfinite(filled).all()
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(model)).transform(X), filled)
    assert model.get_feature_names_out(["p", "q"]).tolist() == ["p", "q"]


def test_an_imputer_is_a_step_of_a_pipeline():
    rows = pairs(120, 3)
    X, y = rows[["a", "b"]].to_numpy().copy(), rows["side"].to_numpy()
    X[::5, 1] = np.nan
    learner = make_pipeline(Imputer(**TINY), LogisticRegression())
    found = GridSearchCV(learner, {"imputer__recipe": ["flow", "edm"]}, cv=2).fit(X, y)
    assert found.best_score_ > 0.8


@pytest.fixture(scope="module")
def detector():
    return Detector(**SMALL, steps=60, level=0.1).fit(pairs(1500, 4))


def test_false_alarms_are_as_rare_as_asked(detector):
    usual = detector.predict(pairs(1500, 5))
    # of 600 held-out rows: 0.1 within four standard errors of both samples
    assert abs((usual == -1).mean() - 0.1) < 4 * np.sqrt(0.1 * 0.9 * (1 / 1500 + 1 / 600))
    np.testing.assert_array_equal(
        detector.p_values(pairs(40, 6)) <= 0.1, detector.predict(pairs(40, 6)) < 0
    )


def test_strange_rows_are_found_and_explained(detector):
    strange = pd.DataFrame({"a": [0.2, -1.0], "b": [9.0, -0.8], "side": ["up", "up"]})
    assert detector.predict(strange).tolist() == [-1, -1]
    assert (detector.decision_function(strange) < 0).all()
    assert detector.scores(strange).strangest[0] == "b"
    again = pickle.loads(pickle.dumps(detector))
    np.testing.assert_array_equal(again.score_samples(strange), detector.score_samples(strange))


def test_too_few_rows_for_the_level_are_said():
    with pytest.warns(UserWarning, match="no row is called strange"):
        few = Detector(**TINY, level=0.01).fit(pairs(40, 7))
    assert (few.predict(pairs(20, 8)) == 1).all()
    with pytest.raises(ArgumentError, match="level"):
        Detector(**TINY, level=5).fit(pairs(40, 7))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Detector(**TINY, level=0.2).fit(pairs(40, 7))
