"""MRMC: the published analysis of Van Dyke's study, and studies without a difference.

Van Dyke et al. 1993 (5 readers, 2 modalities, 69 normal and 45 abnormal cases): AUCs and results
as published by MRMCaov (README, "empirical AUC") and in the RJafroc book, chapter
"Obuchowski Rockette Applications".
"""

import numpy as np
import pytest

from mammo_core.errors import ModelError, RecordError
from mammo_core.metrics.delong import delong_difference
from mammo_core.metrics.reader_study import ErrorCovariances, analyze_aucs, reader_study

VAN_DYKE = (
    (0.9196457, 0.8587762, 0.9038647, 0.9731079, 0.8297907),
    (0.9478261, 0.9053140, 0.9217391, 0.9993559, 0.9299517),
)
COVARIANCES = ErrorCovariances(
    same_reader=0.0003466137,
    same_modality=(0.0004839618, 0.0002041879),  # their mean is the published 0.0003440748
    neither=0.0002390284,
)


def test_the_published_analysis():
    study = analyze_aucs(VAN_DYKE, COVARIANCES)
    assert study.f == pytest.approx(4.456319, rel=1e-5)
    assert study.degrees_of_freedom == pytest.approx((1, 15.25967), rel=1e-5)
    assert study.p_value == pytest.approx(0.05166569, rel=1e-5)
    difference = study.differences[(0, 1)]
    assert difference.value == pytest.approx(-0.04380032, abs=1e-7)
    assert difference.standard_error == pytest.approx(0.02074862, rel=1e-5)
    assert difference.low == pytest.approx(-0.0879594986, abs=1e-6)
    assert difference.high == pytest.approx(0.0003588544, abs=1e-6)
    assert difference.p_value == pytest.approx(study.p_value, rel=1e-9)  # t² = F
    first, second = study.modalities
    assert (first.value, second.value) == pytest.approx((0.8970370, 0.9408374), abs=1e-7)
    assert (first.standard_error, second.standard_error) == pytest.approx(
        (0.03317360, 0.02156637), rel=1e-5
    )
    assert (first.degrees_of_freedom, second.degrees_of_freedom) == pytest.approx(
        (12.74465, 12.71019), rel=1e-5
    )
    assert (first.low, first.high) == pytest.approx((0.8252236, 0.9688505), abs=1e-6)
    assert (second.low, second.high) == pytest.approx((0.8941378, 0.9875369), abs=1e-6)


def simulated(rng, readers=4, cases=60, gain=0.0):
    """Ratings of two modalities: case, reader and both vary; the second one gains."""
    labels = np.arange(cases) % 2
    case = rng.normal(0, 0.7, cases)
    scores = np.empty((2, readers, cases))
    for reader in range(readers):
        skill = 1.0 + rng.normal(0, 0.2)
        reader_effect = rng.normal(0, 0.4, cases)
        for modality in range(2):
            strength = skill + rng.normal(0, 0.1) + gain * modality
            noise = rng.normal(0, 0.6, cases)
            scores[modality, reader] = strength * labels + case + reader_effect + noise
    return labels, scores


def test_few_studies_without_a_difference_find_one():
    rng = np.random.default_rng(5)
    values = [reader_study(*simulated(rng)).p_value for _ in range(300)]
    # Of 300 at 5 %: 15 ± 3.8.
    assert 4 <= sum(value < 0.05 for value in values) <= 27


def test_a_difference_is_found_more_often_with_more_readers():
    rng = np.random.default_rng(6)
    few, many = (
        np.mean(
            [reader_study(*simulated(rng, readers, gain=0.5)).p_value < 0.05 for _ in range(60)]
        )
        for readers in (3, 10)
    )
    assert many > few + 0.1


def test_readers_who_agree_are_one_reader():
    """Without variation between readers the interval is DeLong's, but for t and normal."""
    rng = np.random.default_rng(7)
    labels, scores = simulated(rng, readers=2, cases=400)
    scores[:, 1] = scores[:, 0]
    study = reader_study(labels, scores)
    single = delong_difference(labels, scores[0, 0], scores[1, 0])
    assert study.differences[(0, 1)].value == pytest.approx(single.value)
    assert study.differences[(0, 1)].standard_error == pytest.approx(single.standard_error)
    assert study.p_value == pytest.approx(single.p_value, abs=1e-6)


def test_cases_of_one_patient_are_not_independent():
    labels, scores = simulated(np.random.default_rng(8), cases=80)
    twice, doubled = np.repeat(labels, 2), np.repeat(scores, 2, axis=2)
    patients = np.repeat(np.arange(80), 2).astype(str)
    one, grouped = reader_study(labels, scores), reader_study(twice, doubled, patients)
    assert grouped.p_value == pytest.approx(one.p_value, rel=0.05)
    assert reader_study(twice, doubled).p_value < one.p_value


def test_what_is_no_study_is_refused():
    labels, scores = simulated(np.random.default_rng(9))
    with pytest.raises(RecordError, match="two modalities and two readers"):
        reader_study(labels, scores[:1])
    with pytest.raises(RecordError, match="two modalities and two readers"):
        reader_study(labels, scores[:, 0])
    with pytest.raises(RecordError):
        reader_study(labels[:-1], scores)
    scores[0, 0, 0] = np.nan
    with pytest.raises(ModelError):
        reader_study(labels, scores)
