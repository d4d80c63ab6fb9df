import numpy as np
import pytest
from scipy.stats import norm

from mammo_core.errors import ModelError, RecordError
from mammo_core.metrics import auc, auc_interval, delong_difference, delong_interval

# Hanley & McNeil 1982 (Radiology 143, 29), table 1: 109 CT images, rated from 1 (definitely
# normal) to 5 (definitely abnormal) by one reader.
NORMAL = (33, 6, 6, 11, 2)
ABNORMAL = (3, 2, 2, 11, 33)


def rated():
    scores = np.concatenate([np.repeat(range(1, 6), NORMAL), np.repeat(range(1, 6), ABNORMAL)])
    return np.repeat([0, 1], [sum(NORMAL), sum(ABNORMAL)]), scores


def test_a_published_example():
    # Stata's manual, [R] roctab, gives DeLong's numbers for these data: area 0.8932, standard
    # error 0.0307, 95 % interval 0.83295 to 0.95339.
    interval = delong_interval(*rated())
    assert round(interval.value, 4) == 0.8932
    assert round(interval.standard_error, 4) == 0.0307
    assert (round(interval.low, 5), round(interval.high, 5)) == (0.83295, 0.95339)


def psi(scores, labels):
    """DeLong's kernel for each pair, malignant records in rows."""
    gaps = scores[labels == 1][:, None] - scores[labels == 0][None, :]
    return (gaps > 0) + (gaps == 0) / 2


def pairwise_covariance(labels, sets):
    """DeLong 1988, equations 2 to 6, as written: O(n²)."""
    kernels = [psi(np.asarray(scores), labels) for scores in sets]
    v10 = np.array([kernel.mean(axis=1) for kernel in kernels])
    v01 = np.array([kernel.mean(axis=0) for kernel in kernels])
    return np.cov(v10) / v10.shape[1] + np.cov(v01) / v01.shape[1]


def pair(seed, count=120, ties=False):
    random = np.random.default_rng(seed)
    labels = (random.random(count) < 0.4).astype(int)
    shared = random.normal(size=count)
    first = labels + shared + random.normal(size=count)
    second = 0.6 * labels + shared + random.normal(size=count)
    return (labels, first.round(0), second.round(0)) if ties else (labels, first, second)


@pytest.mark.parametrize("ties", [False, True])
def test_against_the_definition_pair_by_pair(ties):
    labels, first, second = pair(1, ties=ties)
    covariance = pairwise_covariance(labels, [first, second])
    interval = delong_interval(labels, first)
    assert interval.value == pytest.approx(auc(labels, first))
    assert interval.standard_error == pytest.approx(np.sqrt(covariance[0, 0]))
    difference = delong_difference(labels, first, second)
    assert difference.value == pytest.approx(auc(labels, first) - auc(labels, second))
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert difference.standard_error == pytest.approx(np.sqrt(variance))
    assert difference.p_value == pytest.approx(
        2 * norm.sf(abs(difference.value) / np.sqrt(variance))
    )


def obuchowski(labels, scores, groups):
    """Variance of the AUC of clustered records, Obuchowski 1997, as written."""
    kernel = psi(scores, labels)
    theta = kernel.mean()
    v10, v01 = kernel.mean(axis=1), kernel.mean(axis=0)
    malignant, benign = groups[labels == 1], groups[labels == 0]
    m, n = len(malignant), len(benign)
    names = np.unique(groups)
    s10 = s01 = s11 = 0.0
    for name in names:
        x = v10[malignant == name].sum() - (malignant == name).sum() * theta
        y = v01[benign == name].sum() - (benign == name).sum() * theta
        s10, s01, s11 = s10 + x * x, s01 + y * y, s11 + x * y
    i10, i01, i = len(set(malignant)), len(set(benign)), len(names)
    return (
        i10 / ((i10 - 1) * m) * s10 / m
        + i01 / ((i01 - 1) * n) * s01 / n
        + 2 * i / (i - 1) * s11 / (m * n)
    )


def clustered(seed, patients=60, effect=1.0):
    """Two views of each breast; the images of a patient share half of their score."""
    random = np.random.default_rng(seed)
    groups = np.repeat([f"P_{n:05d}" for n in range(patients)], 4)
    labels = np.repeat(random.random(2 * patients) < 0.4, 2).astype(int)
    shared = np.repeat(random.normal(size=patients), 4)
    return labels, effect * labels + shared + random.normal(size=4 * patients), groups


def test_by_patient_equals_obuchowski():
    labels, scores, groups = clustered(3)
    scores = scores.round(1)  # ties
    interval = delong_interval(labels, scores, groups)
    assert interval.standard_error == pytest.approx(np.sqrt(obuchowski(labels, scores, groups)))
    alone = delong_interval(labels, scores, np.arange(len(labels)))
    assert alone == delong_interval(labels, scores)
    order = np.random.default_rng(0).permutation(len(labels))
    again = delong_interval(labels[order], scores[order], groups[order])
    assert again.standard_error == pytest.approx(interval.standard_error)


def test_by_patient_covers_the_truth_and_agrees_with_the_bootstrap():
    # Scores differ by 1, each of variance 2: AUC = Phi(1 / sqrt(2 + 2)) for two patients; pairs
    # within one patient share a component, but they are few among 60 patients.
    truth = norm.cdf(0.5)
    covered = sum(
        interval.low <= truth <= interval.high
        for interval in (delong_interval(*clustered(1000 + seed)) for seed in range(400))
    )
    assert 0.92 <= covered / 400 <= 0.98  # standard error 0.011
    sample = clustered(7)
    delong, bootstrap = delong_interval(*sample), auc_interval(*sample)
    assert delong.high - delong.low == pytest.approx(bootstrap.high - bootstrap.low, rel=0.12)


def test_two_equal_models_differ_by_chance_in_one_of_twenty():
    rejected = 0
    for seed in range(400):
        random = np.random.default_rng(seed)
        labels = np.repeat([0, 1], 40)
        shared = labels + random.normal(size=80)
        first, second = (shared + random.normal(size=80) for _ in range(2))
        rejected += delong_difference(labels, first, second).p_value < 0.05
    assert 0.02 <= rejected / 400 <= 0.08


def test_one_model_against_itself():
    labels, scores, groups = clustered(5)
    for by in (None, groups):
        interval = delong_difference(labels, scores, np.exp(scores), by)
        assert (interval.value, interval.low, interval.high, interval.p_value) == (0, 0, 0, 1)


def test_a_perfect_score_has_no_width():
    interval = delong_interval([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert (interval.value, interval.low, interval.high, interval.standard_error) == (1, 1, 1, 0)


@pytest.mark.parametrize(
    ("labels", "scores", "groups", "kind", "words"),
    [
        ([1, 1], [0.1, 0.2], None, RecordError, "both classes"),
        ([0, 0, 1], [0.1, 0.2, 0.3], None, RecordError, "at least 2 records of each class"),
        ([0, 0, 1, 1], [1, 2, 3, 4], list("abcc"), RecordError, "at least 2 patients"),
        ([0, 1, 1], [0.1, 0.2], None, RecordError, "do not match"),
        ([0, 0, 1, 1], [1, 2, 3, 4], list("abc"), RecordError, "a patient for every record"),
        ([0, 0, 1, 1], [1, 2, 3, np.nan], None, ModelError, "not finite"),
    ],
)
def test_input_without_an_interval_is_an_error(labels, scores, groups, kind, words):
    with pytest.raises(kind, match=words):
        delong_interval(labels, scores, groups)
    if kind is RecordError:
        with pytest.raises(kind, match=words):
            delong_difference(labels, scores, scores, groups)
