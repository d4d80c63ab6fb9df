import time

import numpy as np
import pytest
from sklearn.metrics import (
    average_precision_score,
    brier_score_loss,
    roc_auc_score,
    roc_curve,
)
from sklearn.metrics import (
    precision_recall_curve as sklearn_curve,
)

from mammo_core.errors import ModelError, RecordError
from mammo_core.metrics import (
    auc,
    average_precision,
    counts_at,
    intervals,
    partial_auc,
    precision_recall_curve,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)
from mammo_core.metrics.binary.auc import weighted_auc
from mammo_core.metrics.binary.average_precision import weighted_average_precision
from mammo_core.metrics.binary.brier import weighted_brier
from mammo_core.metrics.binary.partial_auc import weighted_partial_auc
from mammo_core.metrics.binary.sensitivity_at_specificity import (
    weighted_sensitivity_at_specificity,
)
from mammo_core.metrics.binary.specificity_at_sensitivity import (
    weighted_specificity_at_sensitivity,
)
from mammo_core.metrics.weighted import (
    Weighted,
    resampled,
    sensitivity_at,
    specificity_at,
    unweighted,
)

METRICS = {
    "auc": weighted_auc,
    "average_precision": weighted_average_precision,
    "partial_auc": weighted_partial_auc(0.8),
    "sensitivity_at_specificity": weighted_sensitivity_at_specificity(0.8),
    "specificity_at_sensitivity": weighted_specificity_at_sensitivity(0.9),
    "sensitivity_at": sensitivity_at(0.5),
    "specificity_at": specificity_at(0.5),
    "brier": weighted_brier,
}


def scored(seed=0, count=300, digits=9):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    scores = 1 / (1 + np.exp(-(labels - 0.5 + random.normal(size=count))))
    return labels, scores.round(digits)


def by_scikit_learn(labels, scores):
    """Each metric computed by scikit-learn alone."""
    false_rate, true_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
    called = scores >= 0.5
    # With classes swapped, the part of the curve above a sensitivity is the part below a false
    # positive rate: scikit-learn's standardized partial area, converted back to an area.
    standard = roc_auc_score(1 - labels, -scores, max_fpr=0.2)
    return {
        "auc": roc_auc_score(labels, scores),
        "average_precision": average_precision_score(labels, scores),
        "partial_auc": 0.02 + (2 * standard - 1) * (0.2 - 0.02),
        "sensitivity_at_specificity": true_rate[false_rate <= 0.2 + 1e-12].max(),
        "specificity_at_sensitivity": 1 - false_rate[true_rate >= 0.9 - 1e-12].min(),
        "sensitivity_at": called[labels == 1].mean(),
        "specificity_at": 1 - called[labels == 0].mean(),
        "brier": brier_score_loss(labels, scores),
    }


@pytest.mark.parametrize("digits", [9, 1])
def test_every_metric_equals_scikit_learn(digits):
    labels, scores = scored(digits=digits)
    expected = by_scikit_learn(labels, scores)
    records = unweighted(labels, scores)
    for name, metric in METRICS.items():
        assert metric(records)[0] == pytest.approx(expected[name]), name
    assert average_precision(labels, scores) == pytest.approx(expected["average_precision"])
    assert partial_auc(labels, scores) == pytest.approx(expected["partial_auc"])
    assert partial_auc(labels, scores, 0) == pytest.approx(expected["auc"])
    specificity = specificity_at_sensitivity(labels, scores, 0.9)
    assert specificity == pytest.approx(expected["specificity_at_sensitivity"])
    sensitivity = sensitivity_at_specificity(labels, scores, 0.8)
    assert sensitivity == pytest.approx(expected["sensitivity_at_specificity"])


@pytest.mark.parametrize("digits", [9, 1])
def test_a_weight_is_how_often_a_record_counts(digits):
    labels, scores = scored(1, 60, digits)
    weights = np.random.default_rng(2).integers(0, 4, (20, 60)).astype(float)
    records = Weighted(labels, scores, weights)
    values = {name: metric(records) for name, metric in METRICS.items()}
    for row, times in enumerate(weights.astype(int)):
        expected = by_scikit_learn(np.repeat(labels, times), np.repeat(scores, times))
        for name, value in expected.items():
            assert values[name][row] == pytest.approx(value), name


def test_a_draw_of_one_class_is_undefined():
    labels, scores = np.array([0, 0, 1]), np.array([0.2, 0.6, 0.7])
    records = Weighted(labels, scores, np.array([[1.0, 1, 0], [0, 0, 2.0]]))
    undefined = {name: np.isnan(metric(records)).tolist() for name, metric in METRICS.items()}
    both = [True, True]
    assert undefined == {
        "auc": both,
        "average_precision": [True, False],
        "partial_auc": both,
        "sensitivity_at_specificity": both,
        "specificity_at_sensitivity": both,
        "sensitivity_at": [True, False],
        "specificity_at": [False, True],
        "brier": [False, False],
    }


def test_partial_auc_by_hand():
    # Malignant 4, 2; benign 3, 1. The curve: up to 0.5 at 0, along to 0.5, up to 1, along to 1.
    # Above 0.8: specificity 0.5 over a width of 0.2.
    assert partial_auc([1, 1, 0, 0], [4, 2, 3, 1], 0.8) == pytest.approx(0.1)
    # All tied: the diagonal, (1 - 0.8)² / 2.
    assert partial_auc([0, 1], [1, 1], 0.8) == pytest.approx(0.02)
    assert partial_auc([0, 1], [0, 1], 0.8) == pytest.approx(0.2)
    with pytest.raises(RecordError, match="Not a sensitivity"):
        partial_auc([0, 1], [0, 1], 80)


def test_precision_recall_curve_equals_scikit_learn_with_finite_thresholds():
    labels, scores = scored(3)
    curve = precision_recall_curve(labels, scores, points=1000)
    precision, recall, thresholds = sklearn_curve(labels, scores, drop_intermediate=True)
    assert curve.precision == pytest.approx(precision[::-1])
    assert curve.recall == pytest.approx(recall[::-1])
    assert curve.thresholds[1:] == pytest.approx(thresholds[::-1])
    assert np.isfinite(curve.thresholds).all()
    assert counts_at(labels, scores, curve.thresholds[0]).true_positives == 0
    counts = counts_at(labels, scores, curve.thresholds[40])
    assert counts.sensitivity == pytest.approx(curve.recall[40])
    assert len(precision_recall_curve(labels, scores, points=50).recall) == 50


def test_intervals_of_all_metrics_come_from_the_same_draws():
    labels, scores = scored(4, 200)
    groups = np.arange(200) // 2
    values = intervals(labels, scores, groups, METRICS, 300, seed=1)
    assert values == intervals(labels, scores, groups, METRICS, 300, seed=1)
    for name, value in by_scikit_learn(labels, scores).items():
        assert values[name].value == pytest.approx(value)
        assert values[name].low <= value <= values[name].high
        assert values[name].replicates == 300
    order = np.random.default_rng(0).permutation(200)
    again = intervals(labels[order], scores[order], groups[order], METRICS, 300, seed=1)
    assert again["auc"] == values["auc"]


def test_invalid_input_is_an_error():
    for labels, scores, kind in (
        ([1, 1], [0.1, 0.2], RecordError),
        ([0, 1, 1], [0.1, 0.2], RecordError),
        ([0, 1], [0.1, np.nan], ModelError),
    ):
        for metric in (average_precision, partial_auc, precision_recall_curve):
            with pytest.raises(kind):
                metric(labels, scores)


def test_eight_metrics_of_six_hundred_images_take_seconds():
    labels, scores = scored(5, 600)
    started = time.process_time()
    intervals(labels, scores, np.arange(600) // 2, METRICS, 2000, seed=0)
    assert time.process_time() - started < 6


def test_a_plain_function_is_resampled_like_its_weighted_form():
    labels, scores = scored(6, 60, digits=1)
    weights = np.random.default_rng(3).integers(0, 3, (20, 60)).astype(float)
    weights[0, labels == 1] = 0  # a draw without malignant records
    records = Weighted(labels, scores, weights)
    assert resampled(auc)(records) == pytest.approx(weighted_auc(records), nan_ok=True)
    assert np.isnan(resampled(auc)(records)[0])


def test_an_optional_metric_may_be_undefined():
    labels, scores = scored(7, 60)
    groups = np.arange(60)

    def undefined(records):
        return np.full(len(records.positives), np.nan)

    metrics = {"auc": weighted_auc, "undefined": undefined}
    assert set(intervals(labels, scores, groups, metrics, 100, optional={"undefined"})) == {"auc"}
    with pytest.raises(RecordError, match="Too few patients"):
        intervals(labels, scores, groups, metrics, 100)
