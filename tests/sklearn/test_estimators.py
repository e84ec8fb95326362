"""The estimators keep scikit-learn's contract, and what comes back is what went in."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

import unfog
from unfog.errors import ArgumentError, DataError, UnknownName
from unfog.sklearn import Augmented, Augmenter, Detector, Generator, Imputer

TINY = {"steps": 2, "settings": {"net.width": 16, "net.depth": 1}, "device": "cpu"}


ALL = [Generator(**TINY), Augmenter(**TINY), Imputer(**TINY), Detector(**TINY)]


@parametrize_with_checks(ALL)
def test_the_contract_of_scikit_learn(estimator, check):
    check(estimator)


def data(count=60, seed=0):
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(count) < 0.25, "b", "a")
    X = np.stack([rng.normal(size=count) + 3 * (y == "b"), rng.integers(0, 4, count)], 1)
    return X, y


def mixed(count=60):
    X, y = data(count)
    frame = pd.DataFrame({"size": X[:, 0], "kind": np.where(X[:, 1] > 1, "u", "v")})
    frame.loc[::5, "size"] = np.nan
    return frame, y


def test_import_is_lazy_and_by_attribute():
    assert unfog.sklearn.Generator is Generator


def test_rows_come_back_in_the_form_of_x():
    X, y = data()
    model = Generator(**TINY, random_state=3).fit(X)
    drawn = model.sample(7)
    assert drawn.shape == (7, 2)
    assert drawn.dtype == X.dtype
    assert set(drawn[:, 1]) <= {0.0, 1.0, 2.0, 3.0}
    np.testing.assert_array_equal(drawn, model.sample(7))
    assert not np.array_equal(drawn, model.sample(7, random_state=4))
    frame, y = mixed()
    drawn, labels = Generator(**TINY).fit(frame, y).sample(9, y="b")
    assert list(drawn.columns) == list(frame.columns)
    assert (drawn.dtypes == frame.dtypes).all()
    assert (labels == "b").all()


def test_running_numbers_in_an_array_are_no_keys():
    X = np.stack([np.arange(60), np.random.default_rng(0).integers(0, 9, 60)], 1)
    assert Generator(**TINY).fit(X).model_.borders.codec.roles["x0"].kind == "integer"


def test_conditions_are_refused_where_there_are_none():
    X, y = data()
    with pytest.raises(ArgumentError, match="fitted without y"):
        Generator(**TINY).fit(X).sample(2, y="a")
    with pytest.raises(UnknownName, match="'c'"):
        Generator(**TINY).fit(X, y).sample(2, y="c")


def test_rare_classes_are_filled_up_behind_the_real_rows():
    for X, y in (data(), mixed()):
        more, labels = Augmenter(**TINY, random_state=0).fit_resample(X, y)
        assert type(more) is type(X)
        assert (labels == "a").sum() == (labels == "b").sum() == (y == "a").sum()
        assert (labels[len(y) :] == "b").all()
        if isinstance(X, pd.DataFrame):
            pd.testing.assert_frame_equal(more[: len(y)], X)
        else:
            np.testing.assert_array_equal(more[: len(y)], X)
    X, y = data()
    whole = Augmenter(**TINY, whole=True, ratio=0.5).fit_resample(X, X[:, 0])
    assert len(whole[0]) == len(whole[1]) == 90
    even = np.repeat(["a", "b"], 30)
    same = Augmenter(**TINY).fit(X, even)
    assert same.model_ is None
    assert same.fit_resample(X, even)[0] is not None


def test_what_is_no_class_is_refused():
    X, _ = data()
    with pytest.raises(DataError, match="no classes"):
        Augmenter(**TINY).fit(X, np.where(X[:, 0] > 1, 0.5, 1.0))
    with pytest.raises(DataError, match="too many to be classes"):
        Augmenter(**TINY).fit(X, X[:, 0])


def test_pickled_and_back_it_draws_the_same_rows():
    X, y = data()
    model = Generator(**TINY, random_state=0).fit(X, y)
    again = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(model.sample(5)[0], again.sample(5)[0])
    assert clone(model).get_params() == model.get_params()


def test_pipelines_and_grid_search():
    X, y = data()
    piped = make_pipeline(StandardScaler(), Generator(**TINY, random_state=0)).fit(X)
    assert piped[-1].sample(3).shape == (3, 2)
    search = GridSearchCV(Generator(**TINY, random_state=0), {"recipe": ["flow", "edm"]}, cv=2)
    assert search.fit(X).best_params_["recipe"] in ("flow", "edm")
    learner = make_pipeline(
        StandardScaler(), Augmented(LogisticRegression(), Augmenter(**TINY, random_state=0))
    )
    grid = {"augmented__augmenter__ratio": [0.6, 1.0]}
    found = GridSearchCV(learner, grid, cv=2, scoring="balanced_accuracy").fit(X, y)
    assert found.best_score_ > 0.6
    assert found.predict_proba(X).shape == (60, 2)


def test_drawn_rows_obey_what_is_declared():
    rng = np.random.default_rng(0)
    first = rng.normal(size=80)
    X = np.stack([first, first + rng.exponential(0.3, 80), rng.normal(size=80)], 1)
    y = np.where(np.arange(80) % 4 == 0, "rare", "usual")
    rule = ["x0 <= x1"]
    free = Generator(**TINY, random_state=0).fit(X).sample(200)
    assert (free[:, 0] > free[:, 1]).mean() > 0.2  # two updates teach nothing
    for given in (None, y):
        made = Generator(**TINY, constraints=rule, random_state=0).fit(X, given)
        drawn = made.sample(200) if given is None else made.sample(200, y="rare")[0]
        assert (drawn[:, 0] <= drawn[:, 1]).all()
    again = pickle.loads(pickle.dumps(made)).sample(50)[0]
    assert (again[:, 0] <= again[:, 1]).all()
    more, labels = Augmenter(**TINY, constraints=rule[0], random_state=0).fit_resample(X, y)
    assert (more[:, 0] <= more[:, 1]).all()
    assert (labels == "rare").sum() == 60
    holes = X.copy()
    holes[::2, 0] = holes[1::4, 1] = np.nan
    filled = Imputer(**TINY, constraints=rule, random_state=0).fit(X).transform(holes)
    assert (filled[:, 0] <= filled[:, 1]).all()
    np.testing.assert_array_equal(filled[3::4], X[3::4])
    for wrong, said in ((["x0 <= z"], "'z'"), (["x0 <= x1", "x0 > x1"], "contradict"), (5, "5")):
        with pytest.raises((ArgumentError, UnknownName), match=said):
            Generator(**TINY, constraints=wrong).fit(X)
