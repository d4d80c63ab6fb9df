import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mammo_core.errors import ModelError, RecordError
from mammo_core.metrics import (
    auc,
    auc_difference,
    auc_interval,
    counts_at,
    operating_point,
    roc_curve,
    sensitivity_at_specificity,
)
from mammo_core.metrics.checks import require_unique

# By hand: 6 pairs (3 positive x 2 negative) of which 4 are ordered correctly and 1 is a tie.
LABELS = [1, 1, 1, 0, 0]
SCORES = [0.9, 0.4, 0.3, 0.4, 0.2]


def sample(patients: int, seed: int, gain: float = 1.0):
    random = np.random.default_rng(seed)
    groups = np.repeat([f"P_{n:05d}" for n in range(patients)], 2)
    labels = np.repeat(random.random(patients) < 0.4, 2).astype(int)
    # The two images of a patient share half of their score, as two views of a breast do.
    shared = np.repeat(random.normal(size=patients), 2)
    return labels, labels * gain + shared + random.normal(size=2 * patients), groups


def test_auc_by_hand():
    assert auc(LABELS, SCORES) == pytest.approx(4.5 / 6)


@pytest.mark.parametrize(
    ("labels", "scores", "kind", "words"),
    [
        ([1, 1], [0.1, 0.2], RecordError, "both classes"),
        ([0, 2], [0.1, 0.2], RecordError, "labels 0 and 1"),
        ([], [], RecordError, "both classes"),
        ([0, 1, 1], [0.1, 0.2], RecordError, "do not match"),
        ([[0, 1]], [[0.1, 0.2]], RecordError, "do not match"),
        ([0, 1, 1], [0.1, math.nan, 0.2], ModelError, "position 1"),
        ([0, 1], [math.inf, 0.2], ModelError, "finite"),
    ],
)
def test_invalid_labels_or_scores_are_an_error(labels, scores, kind, words):
    for metric in (
        auc,
        roc_curve,
        lambda y, s: operating_point(y, s, 0.8),
        lambda y, s: auc_interval(y, s, np.arange(len(y)), 10, 0),
    ):
        with pytest.raises(kind, match=words):
            metric(labels, scores)


def test_duplicate_ids_are_an_error():
    with pytest.raises(RecordError, match=r"Duplicate image_id.*b"):
        require_unique(["a", "b", "b"], "image_id")


def test_roc_curve_is_finite_complete_and_thinned():
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 3000)
    scores = labels + random.normal(size=3000)
    curve = roc_curve(labels, scores)
    assert 100 < len(curve.thresholds) <= 200
    assert np.isfinite(curve.thresholds).all()
    assert (np.diff(curve.thresholds) < 0).all()
    assert (curve.false_positive_rate[0], curve.true_positive_rate[0]) == (0, 0)
    assert (curve.false_positive_rate[-1], curve.true_positive_rate[-1]) == (1, 1)
    thinned = np.trapezoid(curve.true_positive_rate, curve.false_positive_rate)
    assert thinned == pytest.approx(roc_auc_score(labels, scores), abs=2e-3)
    # The rates at a point are those of the counts at its threshold.
    index = 50
    counts = counts_at(labels, scores, curve.thresholds[index])
    assert counts.sensitivity == pytest.approx(curve.true_positive_rate[index])
    assert 1 - counts.specificity == pytest.approx(curve.false_positive_rate[index])


def test_first_threshold_calls_nothing_malignant():
    curve = roc_curve(LABELS, SCORES)
    counts = counts_at(LABELS, SCORES, curve.thresholds[0])
    assert (counts.true_positives, counts.false_positives) == (0, 0)


@pytest.mark.parametrize(
    ("specificity", "threshold", "sensitivity", "kept"),
    [(1.0, 0.9, 1 / 3, 1.0), (0.5, 0.3, 1.0, 0.5), (0.8, 0.9, 1 / 3, 1.0), (0.0, 0.3, 1.0, 0.5)],
)
def test_operating_point_by_hand(specificity, threshold, sensitivity, kept):
    point = operating_point(LABELS, SCORES, specificity)
    assert point.threshold == pytest.approx(threshold)
    assert point.sensitivity == pytest.approx(sensitivity)
    assert point.specificity == pytest.approx(kept)
    assert sensitivity_at_specificity(LABELS, SCORES, specificity) == point.sensitivity
    counts = counts_at(LABELS, SCORES, point.threshold)
    assert (counts.sensitivity, counts.specificity) == pytest.approx((sensitivity, kept))


def test_an_exact_specificity_is_not_lost_to_rounding():
    # 10 benign, 2 of them high: specificity 0.8 exactly, and 1 - 0.8 is below 0.2 in floats.
    labels = [0] * 10 + [1] * 2
    scores = [0.9, 0.8] + [0.1] * 8 + [0.7, 0.6]
    assert sensitivity_at_specificity(labels, scores, 0.8) == 1.0


def test_a_specificity_outside_zero_to_one_is_an_error():
    with pytest.raises(RecordError, match="Not a specificity"):
        operating_point(LABELS, SCORES, 80)


def test_interval_is_the_same_in_any_order_of_records():
    labels, scores, groups = sample(60, 1)
    interval = auc_interval(labels, scores, groups, 500, seed=7)
    order = np.random.default_rng(2).permutation(len(labels))
    again = auc_interval(labels[order], scores[order], groups[order], 500, seed=7)
    assert interval == again
    assert interval != auc_interval(labels, scores, groups, 500, seed=8)
    assert interval.low < interval.value < interval.high
    assert interval.value == pytest.approx(roc_auc_score(labels, scores))


def test_bootstrap_agrees_with_a_plain_loop_over_patients():
    labels, scores, groups = sample(40, 3)
    labels[::7] = 1 - labels[::7]  # patients with both labels
    scores = scores.round(1)  # ties
    interval = auc_interval(labels, scores, groups, 2000, seed=0)
    random = np.random.default_rng(0)
    keys = np.unique(groups)
    rows = {key: np.flatnonzero(groups == key) for key in keys}
    drawn = []
    for _ in range(2000):
        taken = np.concatenate([rows[key] for key in random.choice(keys, len(keys))])
        drawn.append(_plain_auc(labels[taken], scores[taken]))
    low, high = np.percentile(drawn, [2.5, 97.5])
    # Two Monte-Carlo runs of 2,000: their percentiles differ by less than a tenth of the width.
    assert interval.low == pytest.approx(low, abs=0.1 * (high - low))
    assert interval.high == pytest.approx(high, abs=0.1 * (high - low))


def _plain_auc(labels, scores):
    gaps = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return ((gaps > 0) + (gaps == 0) / 2).mean()


def test_interval_covers_the_truth():
    # Binormal: scores differ by 1, each of variance 2, so AUC = Phi(1 / sqrt(2 + 2)) = 0.6915.
    truth = 0.6915
    covered = 0
    for seed in range(100):
        interval = auc_interval(*sample(80, 1000 + seed), 300, seed=seed)
        covered += interval.low <= truth <= interval.high
    # 95 of 100 with a standard error of 2.2; percentile intervals run a little short.
    assert 87 <= covered <= 100


def test_drawing_images_instead_of_patients_would_be_too_narrow():
    labels, scores, groups = sample(80, 4)
    by_patient = auc_interval(labels, scores, groups, 1000, seed=0)
    by_image = auc_interval(labels, scores, np.arange(len(labels)), 1000, seed=0)
    assert by_patient.high - by_patient.low > 1.1 * (by_image.high - by_image.low)


def test_difference_is_paired():
    labels, scores, groups = sample(60, 5)
    same = auc_difference(labels, scores, scores, groups, 300, seed=0)
    assert (same.value, same.low, same.high) == (0, 0, 0)
    # Monotonic changes keep every rank.
    assert auc_difference(labels, np.exp(scores), scores, groups, 300, seed=0) == same
    better = auc_difference(labels, scores + labels, scores, groups, 300, seed=0)
    assert 0 < better.low < better.value < better.high


def test_one_patient_of_each_class_is_too_few_for_an_interval():
    with pytest.raises(RecordError, match="Too few patients"):
        auc_interval([0, 1] * 2, [0.1, 0.2] * 2, ["a", "b"] * 2, 2000, seed=1)
    with pytest.raises(RecordError, match="a patient for every record"):
        auc_interval([0, 1], [0.1, 0.2], ["a"], 2000, seed=1)


def test_one_malignant_patient_among_three_gives_a_wide_interval():
    interval = auc_interval([1, 0, 0], [0.5, 0.4, 0.6], ["a", "b", "c"], 2000, seed=1)
    assert (interval.low, interval.high) == (0, 1)
    assert 1300 < interval.replicates < 1500  # 1 - (2/3)^3 - (1/3)^3 = 0.667


def test_two_thousand_replicates_are_quick():
    import time

    labels, scores, groups = sample(100, 6)
    auc_interval(labels, scores, groups, 10, seed=0)  # imports
    started = time.perf_counter()
    auc_interval(labels, scores, groups, 2000, seed=0)
    assert time.perf_counter() - started < 3
