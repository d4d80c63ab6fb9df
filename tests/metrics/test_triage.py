"""Guaranteed rates hold over many sites, and are refused where too few cases can give them."""

import numpy as np
import pytest

from mammo_core.errors import RecordError
from mammo_core.metrics.delong import delong_interval
from mammo_core.metrics.power import drop_power
from mammo_core.metrics.triage import fit_triage, smallest_rate


def site(rng, malignant, benign, shift=0.0):
    """Scores of a site: one case a patient."""
    labels = np.r_[np.ones(malignant, int), np.zeros(benign, int)]
    scores = rng.normal(1.5 * labels - shift * labels)
    return labels, scores, np.arange(len(labels)).astype(str)


@pytest.mark.parametrize(
    ("malignant", "miss_rate", "false_alarm_rate"), [(60, 0.05, 0.1), (19, 0.05, 0.25)]
)
def test_the_rates_hold_over_a_thousand_sites(malignant, miss_rate, false_alarm_rate):
    rng = np.random.default_rng(0)
    missed, alarmed = [], []
    for _ in range(1000):
        triage = fit_triage(
            *site(rng, malignant, 120), miss_rate=miss_rate, false_alarm_rate=false_alarm_rate
        )
        labels, scores, _ = site(rng, 200, 200)  # the site's next cases
        groups = np.array(triage.groups(scores))
        missed.append((groups[labels == 1] == "low").mean())
        alarmed.append((groups[labels == 0] == "high").mean())
    for rates, limit, count in ((missed, miss_rate, malignant), (alarmed, false_alarm_rate, 120)):
        error = np.std(rates) / np.sqrt(len(rates))
        # Guaranteed on average over sites, and not much better than stated.
        assert np.mean(rates) <= limit + 3 * error
        assert np.mean(rates) >= limit - smallest_rate(count) - 3 * error


def test_under_a_shift_the_rates_fail():
    """The guarantee is for cases like the fitted ones: a drawn shift breaks it."""
    rng = np.random.default_rng(1)
    missed = []
    for _ in range(200):
        triage = fit_triage(*site(rng, 100, 100), miss_rate=0.05, false_alarm_rate=0.1)
        labels, scores, _ = site(rng, 200, 200, shift=1.0)
        missed.append((np.array(triage.groups(scores))[labels == 1] == "low").mean())
    assert np.mean(missed) > 0.1


def test_by_hand():
    labels = [1] * 9 + [0] * 9
    scores = [*range(11, 20), *range(1, 10)]
    patients = [f"p{k}" for k in range(18)]
    triage = fit_triage(labels, scores, patients, miss_rate=0.2, false_alarm_rate=0.2)
    # The second smallest of nine malignant is 12, the eighth of nine benign 8: they are apart,
    # so one limit between them decides everything.
    assert triage.low == triage.high == pytest.approx(10.0)
    assert triage.groups([9.9, 10.1]) == ["low", "high"]
    mixed = [*range(3, 12), *range(1, 10)]
    triage = fit_triage(labels, mixed, patients, miss_rate=0.1, false_alarm_rate=0.1)
    assert triage.low == 3 and triage.high == pytest.approx(9)
    assert triage.groups([2, 3, 9, 9.1]) == ["low", "unsure", "unsure", "high"]


def test_a_patient_counts_once_with_her_worst_case():
    labels = [1] * 6 + [0] * 4
    scores = [0.9, 0.1, 0.8, 0.7, 0.6, 0.5, 0.2, 0.3, 0.05, 0.4]
    patients = ["a", "a", "b", "c", "d", "e", "f", "g", "h", "i"]
    triage = fit_triage(labels, scores, patients, miss_rate=1 / 6, false_alarm_rate=0.2)
    assert triage.n_malignant == 5 and triage.low == 0.1


@pytest.mark.parametrize("rate", [0.0, 0.01, 1 / 11.5, 1.0])
def test_rates_that_cannot_be_guaranteed_are_refused_with_the_smallest(rate):
    rng = np.random.default_rng(2)
    cases = site(rng, 10, 500)
    with pytest.raises(RecordError, match=r"at least 0\.0909, the smallest that 10 malignant"):
        fit_triage(*cases, miss_rate=rate, false_alarm_rate=0.1)
    assert fit_triage(*cases, miss_rate=1 / 11, false_alarm_rate=0.1).n_malignant == 10


@pytest.mark.parametrize(("malignant", "drop"), [(40, 0.1), (80, 0.08), (150, 0.05)])
def test_power_is_the_share_of_sets_that_show_a_drop(malignant, drop):
    """Binormal scores; seen: DeLong's one-sided 95 % limit is below the reference."""
    from scipy.stats import norm

    auc, benign = 0.85, 2 * malignant
    rng = np.random.default_rng(malignant)
    distance = np.sqrt(2) * norm.ppf(auc - drop)
    labels = np.r_[np.ones(malignant, int), np.zeros(benign, int)]
    shown = 0
    for _ in range(400):
        interval = delong_interval(labels, rng.normal(distance * labels))
        shown += interval.value + 1.645 * interval.standard_error < auc
    assert shown / 400 == pytest.approx(drop_power(auc, drop, malignant, benign), abs=0.12)


def test_power_grows_with_cases_and_drop():
    assert drop_power(0.85, 0, 100, 100) == pytest.approx(0.05, abs=1e-6)
    assert drop_power(0.85, 0.1, 400, 400) > drop_power(0.85, 0.1, 40, 40)
    assert drop_power(0.85, 0.2, 40, 40) > drop_power(0.85, 0.1, 40, 40)
    with pytest.raises(RecordError, match="power"):
        drop_power(0.4, 0.1, 40, 40)
