"""FROC against a direct computation, by hand, and the coverage of its intervals."""

import os

import numpy as np
import pytest

from mammo_core.errors import RecordError
from mammo_core.metrics.localization.froc import RATES, UNMARKED, MarkedLesions, froc


def simulated(rng, patients=80, skill=1.2):
    """Patients of two images each; some have lesions, which a mark hits if it is suspicious."""
    lesions, lesion_images, marks, mark_images, counted, keys = [], [], [], [], [], []
    for patient in range(patients):
        level = rng.normal(0, 0.5)  # the images of a patient are alike
        is_ill = rng.random() < 0.5
        for _ in range(2):
            image = len(keys)
            keys.append(f"p{patient}")
            counted.append(not is_ill)
            for _ in range(rng.integers(1, 3) if is_ill else 0):
                is_marked = rng.random() < 0.85
                lesions.append(_score(rng.normal(skill + level)) if is_marked else UNMARKED)
                lesion_images.append(image)
            for _ in range(rng.poisson(1.0)):
                marks.append(_score(rng.normal(level)))
                mark_images.append(image)
    return MarkedLesions(
        np.array(lesions),
        np.array(lesion_images, np.int64),
        np.array(marks),
        np.array(mark_images, np.int64),
        np.array(counted),
        np.array(keys),
    )


def _score(x):
    return float(np.round(1 / (1 + np.exp(-x)), 2))  # with ties


def direct(marked, rates):
    """The definition, pair by pair."""
    n_images = marked.counted.sum()
    false = [
        score
        for score, image in zip(marked.marks, marked.mark_images, strict=True)
        if marked.counted[image]
    ]
    curve = []
    for threshold in sorted({*marked.lesions[marked.lesions >= 0], *false}, reverse=True):
        hit = sum(score >= threshold for score in marked.lesions)
        wrong = sum(score >= threshold for score in false)
        curve.append((threshold, hit / len(marked.lesions), wrong / n_images))
    at_rates = {
        rate: max([hit for _, hit, wrong in curve if wrong <= rate + 1e-12], default=0.0)
        for rate in rates
    }
    merit = 0.0
    for image in np.flatnonzero(marked.counted):
        highest = max(
            (s for s, i in zip(marked.marks, marked.mark_images, strict=True) if i == image),
            default=UNMARKED,
        )
        for score in marked.lesions:
            merit += 1.0 if score > highest else 0.5 if score == highest else 0.0
    return curve, at_rates, merit / n_images / len(marked.lesions)


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_definition(seed):
    marked = simulated(np.random.default_rng(seed))
    result = froc(marked, replicates=20)
    curve, at_rates, merit = direct(marked, RATES)
    points = zip(result.thresholds, result.sensitivity, result.false_marks, strict=True)
    np.testing.assert_allclose(np.array(list(points)), np.array(curve), atol=1e-12)
    assert {rate: share.value for rate, share in result.at_rates.items()} == pytest.approx(at_rates)
    assert result.figure_of_merit.value == pytest.approx(merit, abs=1e-12)
    assert result.n_marked == (marked.lesions >= 0).sum() < result.n_lesions


def by_hand():
    """Two patients with three lesions, one without; false marks of 0.6 and 0.2 on the latter."""
    return MarkedLesions(
        lesions=np.array([0.9, 0.4, UNMARKED]),
        lesion_images=np.array([0, 0, 1]),
        marks=np.array([0.6, 0.2, 0.95]),
        mark_images=np.array([2, 3, 0]),
        counted=np.array([False, False, True, True]),
        patients=np.array(["a", "b", "c", "c"]),
    )


def test_by_hand():
    result = froc(by_hand(), rates=(0.0, 0.5, 1.0), replicates=200)
    # Thresholds 0.9, 0.6, 0.4, 0.2; the mark of 0.95 is on an image that does not count.
    assert result.thresholds == (0.9, 0.6, 0.4, 0.2)
    assert result.sensitivity == pytest.approx((1 / 3, 1 / 3, 2 / 3, 2 / 3))
    assert result.false_marks == (0.0, 0.5, 0.5, 1.0)
    values = [interval.value for interval in result.at_rates.values()]
    assert values == pytest.approx([1 / 3, 2 / 3, 2 / 3])
    # 0.9 beats both images, 0.4 one of them, the unmarked one none.
    assert result.figure_of_merit.value == pytest.approx(3 / 6)
    assert (result.n_lesions, result.n_marked, result.n_images, result.n_patients) == (3, 2, 2, 3)


def test_the_order_of_the_marks_changes_nothing():
    marked = simulated(np.random.default_rng(1))
    rng = np.random.default_rng(2)
    lesions, marks = rng.permutation(len(marked.lesions)), rng.permutation(len(marked.marks))
    shuffled = MarkedLesions(
        marked.lesions[lesions],
        marked.lesion_images[lesions],
        marked.marks[marks],
        marked.mark_images[marks],
        marked.counted,
        marked.patients,
    )
    assert froc(shuffled, replicates=100) == froc(marked, replicates=100)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lesions": np.array([]), "lesion_images": np.array([], np.int64)}, "a lesion"),
        ({"counted": np.zeros(4, bool)}, "whose false marks count"),
        ({"mark_images": np.array([2, 3, 4])}, "indices from 0 to 3"),
        ({"lesions": np.array([0.9, -0.4, UNMARKED])}, "at least 0"),
        ({"marks": np.array([0.6, np.nan, 0.95])}, "at least 0"),
        ({"marks": np.array([0.6, 0.2])}, "as many images as scores"),
    ],
)
def test_what_has_no_curve_is_refused(change, message):
    with pytest.raises(RecordError, match=message):
        froc(MarkedLesions(**{**vars(by_hand()), **change}))


def test_the_intervals_cover_the_truth():
    """At 0.5 false marks per image, and the figure of merit: 95 % within the binomial error."""
    whole = bool(os.environ.get("MAMMO_VERIFY_STATISTICS"))
    sets, replicates = (2000, 1000) if whole else (150, 400)
    truth = froc(simulated(np.random.default_rng(999), patients=40_000), (0.5,), replicates=2)
    expected = [truth.at_rates[0.5].value, truth.figure_of_merit.value]
    covered = np.zeros((sets, 2), bool)
    for number in range(sets):
        marked = simulated(np.random.default_rng(number), patients=100)
        result = froc(marked, (0.5,), replicates=replicates, seed=number)
        intervals = (result.at_rates[0.5], result.figure_of_merit)
        covered[number] = [
            interval.low <= value <= interval.high
            for interval, value in zip(intervals, expected, strict=True)
        ]
    share = covered.mean(axis=0)
    print(f"coverage of {sets} sets: sensitivity {share[0]:.4f}, figure of merit {share[1]:.4f}")
    low, high = (0.925, 0.97) if whole else (0.89, 1.0)
    assert (share >= low).all() and (share <= high).all(), share
