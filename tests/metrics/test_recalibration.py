"""A model's calibration, corrected for a site: little with few cases, fully with many."""

import numpy as np
import pytest
from scipy.special import expit, logit

from mammo_core.errors import RecordError
from mammo_core.metrics.calibration import Calibration, fit_calibration
from mammo_core.metrics.recalibration import at_prevalence, class_patients, recalibrate

MODEL = Calibration(method="platt", slope=1.5, intercept=-0.5)


def site(count, seed, *, shift=0.0, slope=1.0, curve=None):
    """Cases whose true logit is `shift + slope` times the one that the model states."""
    random = np.random.default_rng(seed)
    scores = expit(random.normal(0, 1.3, count))
    stated = logit(MODEL.apply(scores))
    true = expit(shift + slope * stated) if curve is None else curve(MODEL.apply(scores))
    labels = (random.random(count) < true).astype(int)
    return labels, scores, np.arange(count).astype(str), true


def test_many_cases_give_the_true_curve():
    labels, scores, patients, _ = site(40_000, 0, shift=-1.2, slope=0.6)
    result = recalibrate(labels, scores, patients, MODEL, isotonic_from=10**9)
    stated = logit(MODEL.apply(scores))
    np.testing.assert_allclose(
        logit(result.calibration.apply(scores)), -1.2 + 0.6 * stated, atol=0.12
    )
    assert min(result.shift_shrinkage, result.slope_shrinkage) > 0.99


def test_a_model_that_is_right_is_left_as_it_is():
    """Of sites without a difference, most take less than the fitted shift and slope."""
    kept, fitted = [], []
    for seed in range(200):
        labels, scores, patients, true = site(80, seed)
        shrunk = recalibrate(labels, scores, patients, MODEL).calibration.apply(scores)
        plain = fit_calibration("platt", labels, scores).apply(scores)
        kept.append(np.mean((shrunk - true) ** 2))
        fitted.append(np.mean((plain - true) ** 2))
    # A plain fit pays for its two parameters with 80 cases; shrinkage halves that at least.
    assert np.mean(kept) < 0.5 * np.mean(fitted)


def test_cases_of_one_patient_count_as_one():
    labels, scores, patients, _ = site(300, 5, shift=0.8)
    alone = recalibrate(labels, scores, patients, MODEL)
    repeated = recalibrate(*(np.repeat(each, 4) for each in (labels, scores, patients)), MODEL)
    assert repeated.shift_shrinkage == pytest.approx(alone.shift_shrinkage, abs=0.01)
    assert repeated.shift == pytest.approx(alone.shift, abs=0.05)


def test_an_isotonic_curve_takes_part_with_many_cases():
    def bent(stated):
        return np.where(stated < 0.5, 0.15, 0.6)

    labels, scores, patients, true = site(6000, 1, curve=bent)
    line = recalibrate(labels, scores, patients, MODEL, isotonic_from=10**9)
    mixed = recalibrate(labels, scores, patients, MODEL)
    assert line.isotonic_weight == 0 and 0.8 < mixed.isotonic_weight < 1
    errors = [np.mean((each.calibration.apply(scores) - true) ** 2) for each in (line, mixed)]
    assert errors[1] < 0.3 * errors[0]
    assert (np.diff(mixed.calibration.values) >= 0).all()


def test_the_curve_of_an_isotonic_model_bends_where_that_does():
    model = Calibration(method="isotonic", knots=(0.1, 0.5, 0.9), values=(0.05, 0.3, 0.8))
    random = np.random.default_rng(2)
    scores = random.random(20_000)
    labels = (random.random(20_000) < expit(logit(model.apply(scores)) - 1)).astype(int)
    result = recalibrate(labels, scores, np.arange(20_000), model, isotonic_from=10**9)
    assert result.calibration.knots == model.knots
    np.testing.assert_allclose(
        result.calibration.values, expit(logit(np.array(model.values)) - 1), atol=0.03
    )


def test_swapped_labels_are_refused():
    labels, scores, patients, _ = site(400, 3)
    with pytest.raises(RecordError, match=r"falling curve.*swapped"):
        recalibrate(1 - labels, scores, patients, MODEL)


@pytest.mark.parametrize(
    "calibration",
    [
        Calibration(),
        MODEL,
        Calibration(method="temperature", slope=0.5),
        Calibration(method="isotonic", knots=(0.0, 1.0), values=(0.2, 0.7)),
    ],
)
def test_another_prevalence_moves_the_odds(calibration):
    """By hand: 0.25 of the cases and 0.1 in use divide the odds by three."""
    knots = np.array([0.0, 1.0]) if calibration.method == "isotonic" else np.array([0.1, 0.5, 0.8])
    before, after = (
        each.apply(knots) for each in (calibration, at_prevalence(calibration, 0.25, 0.1))
    )
    np.testing.assert_allclose(after / (1 - after), before / (1 - before) / 3, rtol=1e-9)


@pytest.mark.parametrize(("cases", "prevalence"), [(0, 0.1), (0.5, 1)])
def test_shares_are_within_0_and_1(cases, prevalence):
    with pytest.raises(RecordError, match="is not valid"):
        at_prevalence(MODEL, cases, prevalence)


def test_patients_of_each_class():
    assert class_patients(np.array([1, 1, 0, 0]), ["a", "a", "a", "b"]) == (1, 2)
    with pytest.raises(RecordError, match="Every case needs a patient"):
        class_patients(np.array([1, 0]), ["a"])
