import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.special import expit, logit
from sklearn.calibration import calibration_curve
from sklearn.isotonic import IsotonicRegression
from sklearn.metrics import brier_score_loss, roc_auc_score

from mammo_core.errors import ModelError, RecordError
from mammo_core.metrics import (
    Calibration,
    brier_score,
    fit_calibration,
    reliability_curve,
)

METHODS = ("temperature", "platt", "isotonic")


def overconfident(count=4000, seed=0, slope=3.0, intercept=1.0):
    """Scores whose logit is `slope` times the true one plus `intercept`."""
    random = np.random.default_rng(seed)
    true = random.normal(-0.5, 1.2, count)
    labels = (random.random(count) < expit(true)).astype(int)
    return labels, expit(slope * true + intercept)


@pytest.mark.parametrize("method", METHODS)
def test_calibration_corrects_an_overconfident_score(method):
    labels, scores = overconfident(intercept=0)
    fitted = fit_calibration(method, labels, scores)
    assert Calibration.model_validate_json(fitted.model_dump_json()) == fitted
    fresh_labels, fresh = overconfident(seed=1, intercept=0)
    calibrated = fitted.apply(fresh)
    before, after = (
        reliability_curve(fresh_labels, fresh),
        reliability_curve(fresh_labels, calibrated),
    )
    assert before.expected_error > 0.1 > 0.03 > after.expected_error
    assert brier_score(fresh_labels, calibrated) < brier_score(fresh_labels, fresh) - 0.02
    # The order is kept, so thresholds and ROC curves do not change (isotonic makes steps).
    order = np.argsort(fresh, kind="stable")
    assert (np.diff(calibrated[order]) >= 0).all()
    loss = 0.01 if method == "isotonic" else 1e-12
    assert roc_auc_score(fresh_labels, calibrated) == pytest.approx(
        roc_auc_score(fresh_labels, fresh), abs=loss
    )


def test_platt_recovers_the_true_slope_and_intercept():
    labels, scores = overconfident(40_000)
    fitted = fit_calibration("platt", labels, scores)
    # The true logit is (logit(score) - 1) / 3.
    assert fitted.slope == pytest.approx(1 / 3, rel=0.03)
    assert fitted.intercept == pytest.approx(-1 / 3, abs=0.03)


def test_platt_has_the_least_loss_for_platts_targets():
    labels, scores = overconfident(60, seed=5)
    fitted = fit_calibration("platt", labels, scores)
    malignant = labels.sum()
    target = np.where(
        labels == 1, (malignant + 1) / (malignant + 2), 1 / (len(labels) - malignant + 2)
    )

    def loss(line):
        log_odds = line[0] * logit(scores) + line[1]
        return (np.logaddexp(0, log_odds) - target * log_odds).sum()

    best = minimize(loss, [1.0, 0.0], method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-10})
    assert (fitted.slope, fitted.intercept) == pytest.approx(tuple(best.x), abs=1e-4)


def test_temperature_has_the_least_loss():
    labels, scores = overconfident(300, seed=3)
    fitted = fit_calibration("temperature", labels, scores)
    assert fitted.intercept == 0 and fitted.temperature > 1

    def loss(temperature):
        calibrated = expit(logit(scores) / temperature)
        return -np.log(np.where(labels == 1, calibrated, 1 - calibrated)).mean()

    grid = np.linspace(0.5, 10, 2000)
    assert fitted.temperature == pytest.approx(grid[np.argmin([loss(t) for t in grid])], abs=0.01)


def test_isotonic_equals_scikit_learn():
    labels, scores = overconfident(200, seed=2)
    fitted = fit_calibration("isotonic", labels, scores)
    expected = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip").fit(scores, labels)
    grid = np.linspace(0, 1, 101)
    assert fitted.apply(grid) == pytest.approx(expected.predict(grid))


def test_the_shape_is_kept_and_no_method_changes_nothing():
    array = np.array([[0.0, 0.25], [0.5, 1.0]], np.float32)
    assert (Calibration().apply(array) == array).all()
    hot = Calibration(method="temperature", slope=0.5)
    assert hot.apply(array).shape == (2, 2)
    assert hot.apply(0.5) == 0.5
    # Saturated probabilities of float32 stay finite.
    assert np.isfinite(hot.apply([0.0, 1.0])).all()


@pytest.mark.parametrize("method", METHODS)
def test_a_separable_set_gives_finite_numbers(method):
    fitted = fit_calibration(method, [0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    calibrated = fitted.apply([0.0, 0.1, 0.5, 0.9, 1.0])
    assert np.isfinite(calibrated).all() and (np.diff(calibrated) >= 0).all()


@pytest.mark.parametrize("method", METHODS)
def test_input_that_cannot_be_calibrated_is_an_error(method):
    for labels, scores, kind, words in (
        ([1, 1], [0.1, 0.2], RecordError, "both classes"),
        ([0, 1, 1], [0.1, 0.2], RecordError, "do not match"),
        ([0, 1], [0.1, np.nan], ModelError, "not finite"),
        ([0, 1], [0.1, 1.2], ModelError, "not probabilities"),
    ):
        with pytest.raises(kind, match=words):
            fit_calibration(method, labels, scores)
    with pytest.raises(ModelError, match="not probabilities"):
        Calibration().apply([2.0])


def test_a_score_worse_than_chance_is_not_inverted():
    labels, scores = overconfident(400)
    with pytest.raises(RecordError, match="worse than chance"):
        fit_calibration("platt", labels, 1 - scores)


@pytest.mark.parametrize(
    "invalid",
    [
        {"method": "platt", "slope": -1},
        {"method": "none", "slope": 2},
        {"method": "isotonic"},
        {"method": "isotonic", "knots": (0, 1), "values": (1, 0)},
        {"method": "platt", "knots": (0,), "values": (0,)},
        {"method": "platt", "intercept": float("nan")},
        {"method": "beta"},
        {"temperature": 2},
    ],
)
def test_a_damaged_calibration_is_refused(invalid):
    with pytest.raises(ValueError, match=r"for Calibration"):
        Calibration.model_validate(invalid)


def test_reliability_and_brier_equal_scikit_learn():
    labels, scores = overconfident(500, seed=7)
    curve = reliability_curve(labels, scores, bins=8)
    observed, predicted = calibration_curve(labels, scores, n_bins=8)
    assert curve.observed == pytest.approx(observed)
    assert curve.predicted == pytest.approx(predicted)
    assert sum(curve.counts) == 500
    low, observed, high = map(np.array, (curve.low, curve.observed, curve.high))
    assert (low <= observed).all() and (observed <= high).all()
    assert brier_score(labels, scores) == pytest.approx(brier_score_loss(labels, scores))


def test_reliability_by_hand():
    # Bins [0, 0.5] and (0.5, 1]: half of 0.2 and 0.4, all of 0.9.
    curve = reliability_curve([0, 1, 1], [0.2, 0.4, 0.9], bins=2)
    assert curve.predicted == pytest.approx((0.3, 0.9))
    assert curve.observed == (0.5, 1.0)
    assert curve.counts == (2, 1)
    assert curve.expected_error == pytest.approx((2 * 0.2 + 1 * 0.1) / 3)
    with pytest.raises(RecordError, match="needs bins"):
        reliability_curve([0, 1], [0.2, 0.4], bins=0)
