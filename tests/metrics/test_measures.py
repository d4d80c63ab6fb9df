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
    average_precision,
    counts_at,
    intervals,
    measures,
    partial_auc,
    precision_recall_curve,
    sensitivity_at_specificity,
    specificity_at_sensitivity,
)

MEASURES = {
    "auc": measures.area,
    "average_precision": measures.precision,
    "partial_auc": measures.partial_area(0.8),
    "sensitivity_given": measures.sensitivity_given(0.8),
    "specificity_given": measures.specificity_given(0.9),
    "sensitivity_at": measures.sensitivity_at(0.5),
    "specificity_at": measures.specificity_at(0.5),
    "brier": measures.brier,
}


def scored(seed=0, count=300, digits=9):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, count)
    scores = 1 / (1 + np.exp(-(labels - 0.5 + random.normal(size=count))))
    return labels, scores.round(digits)


def scikit_learns(labels, scores):
    """Every measure by scikit-learn alone."""
    false_rate, true_rate, _ = roc_curve(labels, scores, drop_intermediate=False)
    called = scores >= 0.5
    # Turned around, the part of the curve above a sensitivity is the part below a false rate:
    # scikit-learn's standardised partial area, brought back to an area.
    standard = roc_auc_score(1 - labels, -scores, max_fpr=0.2)
    return {
        "auc": roc_auc_score(labels, scores),
        "average_precision": average_precision_score(labels, scores),
        "partial_auc": 0.02 + (2 * standard - 1) * (0.2 - 0.02),
        "sensitivity_given": true_rate[false_rate <= 0.2 + 1e-12].max(),
        "specificity_given": 1 - false_rate[true_rate >= 0.9 - 1e-12].min(),
        "sensitivity_at": called[labels == 1].mean(),
        "specificity_at": 1 - called[labels == 0].mean(),
        "brier": brier_score_loss(labels, scores),
    }


@pytest.mark.parametrize("digits", [9, 1])
def test_every_measure_is_scikit_learns(digits):
    labels, scores = scored(digits=digits)
    expected = scikit_learns(labels, scores)
    whole = measures.Weighted(labels, scores, np.ones((1, len(labels))))
    for name, measure in MEASURES.items():
        assert measure(whole)[0] == pytest.approx(expected[name]), name
    assert average_precision(labels, scores) == pytest.approx(expected["average_precision"])
    assert partial_auc(labels, scores) == pytest.approx(expected["partial_auc"])
    assert partial_auc(labels, scores, 0) == pytest.approx(expected["auc"])
    found = specificity_at_sensitivity(labels, scores, 0.9)
    assert found == pytest.approx(expected["specificity_given"])
    found = sensitivity_at_specificity(labels, scores, 0.8)
    assert found == pytest.approx(expected["sensitivity_given"])


@pytest.mark.parametrize("digits", [9, 1])
def test_a_weight_is_how_often_a_record_is_there(digits):
    labels, scores = scored(1, 60, digits)
    weights = np.random.default_rng(2).integers(0, 4, (20, 60)).astype(float)
    drawn = measures.Weighted(labels, scores, weights)
    found = {name: measure(drawn) for name, measure in MEASURES.items()}
    for row, times in enumerate(weights.astype(int)):
        expected = scikit_learns(np.repeat(labels, times), np.repeat(scores, times))
        for name, value in expected.items():
            assert found[name][row] == pytest.approx(value), name


def test_a_draw_of_one_class_has_no_number():
    labels, scores = np.array([0, 0, 1]), np.array([0.2, 0.6, 0.7])
    drawn = measures.Weighted(labels, scores, np.array([[1.0, 1, 0], [0, 0, 2.0]]))
    found = {name: np.isnan(measure(drawn)).tolist() for name, measure in MEASURES.items()}
    both = [True, True]
    assert found == {
        "auc": both,
        "average_precision": [True, False],
        "partial_auc": both,
        "sensitivity_given": both,
        "specificity_given": both,
        "sensitivity_at": [True, False],
        "specificity_at": [False, True],
        "brier": [False, False],
    }


def test_partial_area_by_hand():
    # Malignant 4, 2; benign 3, 1. The curve: up to 0.5 at 0, along to 0.5, up to 1, along to 1.
    # Above 0.8: specificity 0.5 over a width of 0.2.
    assert partial_auc([1, 1, 0, 0], [4, 2, 3, 1], 0.8) == pytest.approx(0.1)
    # All tied: the diagonal, (1 - 0.8)² / 2.
    assert partial_auc([0, 1], [1, 1], 0.8) == pytest.approx(0.02)
    assert partial_auc([0, 1], [0, 1], 0.8) == pytest.approx(0.2)
    with pytest.raises(RecordError, match="Not a sensitivity"):
        partial_auc([0, 1], [0, 1], 80)


def test_precision_recall_curve_is_scikit_learns_with_finite_thresholds():
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


def test_intervals_of_all_measures_come_from_the_same_draws():
    labels, scores = scored(4, 200)
    groups = np.arange(200) // 2
    found = intervals(labels, scores, groups, MEASURES, 300, seed=1)
    assert found == intervals(labels, scores, groups, MEASURES, 300, seed=1)
    for name, value in scikit_learns(labels, scores).items():
        assert found[name].value == pytest.approx(value)
        assert found[name].low <= value <= found[name].high
        assert found[name].replicates == 300
    order = np.random.default_rng(0).permutation(200)
    again = intervals(labels[order], scores[order], groups[order], MEASURES, 300, seed=1)
    assert again["auc"] == found["auc"]


def test_wrong_input_is_told():
    for labels, scores, kind in (
        ([1, 1], [0.1, 0.2], RecordError),
        ([0, 1, 1], [0.1, 0.2], RecordError),
        ([0, 1], [0.1, np.nan], ModelError),
    ):
        for measure in (average_precision, partial_auc, precision_recall_curve):
            with pytest.raises(kind):
                measure(labels, scores)


def test_eight_measures_of_six_hundred_images_take_seconds():
    labels, scores = scored(5, 600)
    started = time.process_time()
    intervals(labels, scores, np.arange(600) // 2, MEASURES, 2000, seed=0)
    assert time.process_time() - started < 6
