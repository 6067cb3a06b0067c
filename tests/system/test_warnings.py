"""A warning points at the line of the user's that called fastprop, however many frames lie between."""

import warnings

import numpy as np
import pytest

import fastprop as fp

X = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32)
Y = X[:, :1] * 2
TOO_SHORT = fp.SGD(fp.schedules.Cosine(0.01, steps=2))


def too_short_a_schedule():
    fp.Network([3, 4, 1], seed=0).fit(X, Y, loss="mse", optimizer=TOO_SHORT, epochs=9)


def too_short_for_an_ensemble():
    fp.Ensemble(2, [3, 4, 1], seed=0).fit(X, Y, loss="mse", optimizer=TOO_SHORT, epochs=9)


def a_nan_is_watched():
    how = fp.EarlyStopping(monitor="nothing", mode="max")
    metrics = {"nothing": lambda y, outputs: float("nan")}
    fp.Network([3, 4, 1], seed=0).fit(X, Y, loss="mse", metrics=metrics, early_stopping=how, epochs=2)


def a_nan_is_watched_under_lbfgs():
    pytest.importorskip("scipy")
    how = fp.EarlyStopping(monitor="nothing", mode="max")
    metrics = {"nothing": lambda y, outputs: float("nan")}
    fp.Network([3, 4, 1], seed=0).fit(
        X, Y, loss="mse", optimizer=fp.LBFGS(), metrics=metrics, early_stopping=how, epochs=2
    )


def an_estimator_does_not_converge():
    pytest.importorskip("sklearn")
    fp.MLPRegressor(max_iter=1, random_state=0).fit(X, Y[:, 0])


def estimators_of_a_cross_validation_do_not_converge():
    pytest.importorskip("sklearn.model_selection").cross_val_score(
        fp.MLPRegressor(max_iter=1, random_state=0), X, Y[:, 0], cv=2
    )


CASES = (
    too_short_a_schedule,
    too_short_for_an_ensemble,
    a_nan_is_watched,
    pytest.param(a_nan_is_watched_under_lbfgs, marks=pytest.mark.peer),
    pytest.param(an_estimator_does_not_converge, marks=pytest.mark.peer),
    pytest.param(estimators_of_a_cross_validation_do_not_converge, marks=pytest.mark.peer),
)


@pytest.mark.parametrize("case", CASES)
def test_warning_points_at_the_users_line(case):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        case()
    assert caught
    assert {one.filename for one in caught} == {__file__}
    lines = range(case.__code__.co_firstlineno, max(last for *_, last in case.__code__.co_lines() if last) + 1)
    assert all(one.lineno in lines for one in caught)


def test_warning_in_a_callback_points_into_the_callback():
    """A user's function between two frames of fastprop is the user's line that is nearest."""

    def callback(run):
        too_short_a_schedule()

    with pytest.warns(UserWarning, match="next to nothing") as caught:
        fp.Network([3, 4, 1], seed=0).fit(X, Y, loss="mse", epochs=1, callbacks=callback)
    assert caught[0].lineno == too_short_a_schedule.__code__.co_firstlineno + 1
