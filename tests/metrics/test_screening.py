"""Screening terms: by hand, and what a prevalence changes."""

import numpy as np
import pytest
from scipy import stats

from mammo_core.errors import RecordError
from mammo_core.metrics.screening import (
    Prevalence,
    net_benefit,
    screening_rates,
    threshold_by_flagged,
)

#: 4 of 5 cancers and 2 of 10 others are at or above 0.5.
LABELS = np.array([1] * 5 + [0] * 10)
SCORES = np.array([0.9, 0.8, 0.7, 0.6, 0.1] + [0.6, 0.5] + [0.3] * 8)
PATIENTS = np.arange(15).astype(str)


def test_rates_by_hand():
    rates = screening_rates(LABELS, SCORES, PATIENTS, 0.5, Prevalence(0.01), replicates=500)
    assert (rates.sensitivity.value, rates.specificity.value) == pytest.approx((0.8, 0.8))
    # Of 1,000 exams: 10 cancers, 8 detected; 198 of 990 others flagged.
    assert (rates.detected.value, rates.missed.value) == pytest.approx((8, 2))
    assert rates.false_alarms.value == pytest.approx(198)
    assert rates.recall_rate.value == pytest.approx(0.206)
    assert rates.ppv.value == pytest.approx(8 / 206)
    assert rates.npv.value == pytest.approx(792 / 794)
    assert rates.ppv.low < rates.ppv.value < rates.ppv.high


def test_an_uncertain_prevalence_widens_what_depends_on_it():
    labels, scores = np.tile(LABELS, 20), np.tile(SCORES, 20)
    patients = np.arange(len(labels)).astype(str)
    exact, counted = (
        screening_rates(labels, scores, patients, 0.5, Prevalence(0.01, exams), replicates=1000)
        for exams in (None, 300)
    )
    assert counted.sensitivity == exact.sensitivity and counted.specificity == exact.specificity
    for name in ("ppv", "npv", "detected", "missed"):
        one, other = getattr(exact, name), getattr(counted, name)
        assert other.value == one.value and other.high - other.low > 1.1 * (one.high - one.low)


def test_what_all_patients_agree_on_is_not_certain():
    """All 5 cancers are flagged: Jeffreys' interval of 5 of 5."""
    low = float(stats.beta.ppf(0.025, 5.5, 0.5))
    scores = np.where(LABELS == 1, 0.9, SCORES)
    rates = screening_rates(LABELS, scores, PATIENTS, 0.5, Prevalence(0.01), replicates=20_000)
    assert rates.sensitivity.value == rates.sensitivity.high == 1.0
    assert rates.sensitivity.low == pytest.approx(low, abs=0.01)
    assert rates.missed.value == rates.missed.low == 0.0
    assert rates.missed.high == pytest.approx(10 * (1 - low), abs=0.1)
    assert rates.npv.low < rates.npv.value == 1.0
    # Two exams of each patient are no more patients.
    twice = screening_rates(
        np.repeat(LABELS, 2), np.repeat(scores, 2), np.repeat(PATIENTS, 2), 0.5, Prevalence(0.01)
    )
    assert twice.sensitivity.low == pytest.approx(low, abs=0.03)
    # No false alarm, either: the recall rate is not exactly that of the cancers.
    perfect = screening_rates(LABELS, 1.0 * LABELS, PATIENTS, 0.5, Prevalence(0.01))
    assert perfect.false_alarms.value == 0 and perfect.false_alarms.high > 100


def test_at_the_prevalence_of_the_set_they_are_its_own():
    rates = screening_rates(LABELS, SCORES, PATIENTS, 0.5, Prevalence(1 / 3), replicates=100)
    assert rates.ppv.value == pytest.approx(4 / 6) and rates.npv.value == pytest.approx(8 / 9)
    assert rates.recall_rate.value == pytest.approx(6 / 15)


def test_nothing_flagged_has_no_predictive_value():
    rates = screening_rates(LABELS, SCORES, PATIENTS, 0.95, Prevalence(0.01), replicates=100)
    assert rates.ppv is None and rates.recall_rate.value == 0
    assert rates.npv.value == pytest.approx(0.99)


@pytest.mark.parametrize("share", [0.0, 0.032, 0.111, 0.25, 1.0])
def test_thresholds_by_the_share_flagged(share):
    prevalence = Prevalence(0.01)
    threshold = threshold_by_flagged(LABELS, SCORES, share, prevalence)
    rates = screening_rates(LABELS, SCORES, PATIENTS, threshold, prevalence, replicates=100)
    assert rates.recall_rate.value <= share + 1e-9
    lower = [score for score in SCORES if score < threshold]
    if lower:  # the next lower threshold flags too many
        more = screening_rates(LABELS, SCORES, PATIENTS, max(lower), prevalence, replicates=100)
        assert more.recall_rate.value > share


def test_the_decision_curve_is_the_definition():
    # Probabilities that are calibrated in this set of one third: moved to 1 in 100 by the odds.
    prevalence = Prevalence(0.01)
    thresholds = (0.005, 0.02, 0.05)
    with_model, everyone = net_benefit(LABELS, SCORES, thresholds, prevalence)
    for threshold, value, all_recalled in zip(thresholds, with_model, everyone, strict=True):
        odds = SCORES / (1 - SCORES) * (0.01 / 0.99) / (1 / 2)
        called = odds / (1 + odds) >= threshold
        true, false = called[LABELS == 1].mean(), called[LABELS == 0].mean()
        weight = threshold / (1 - threshold)
        assert value == pytest.approx(0.01 * true - 0.99 * false * weight)
        assert all_recalled == pytest.approx(0.01 - 0.99 * weight)


def test_at_the_prevalence_of_the_set_nothing_is_moved():
    with_model, _ = net_benefit(LABELS, SCORES, (0.5,), Prevalence(1 / 3))
    assert with_model[0] == pytest.approx(4 / 15 - 2 / 15)


@pytest.mark.parametrize(("value", "exams"), [(0.0, None), (1.0, None), (0.01, 0), (-1.0, 5)])
def test_what_is_no_prevalence_is_refused(value, exams):
    with pytest.raises(RecordError, match="Not a prevalence"):
        Prevalence(value, exams)
