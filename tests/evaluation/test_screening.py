"""What a model would do in screening: thresholds of validation, measured on test."""

import json

import pytest
from pydantic import ValidationError

from mammo_core.evaluation import EvaluationConfig, evaluate, per_patient, report
from mammo_core.evaluation.config import ScreeningConfig
from mammo_core.evaluation.screening import evaluate_screening

READERS = {"the first reader": {"sensitivity": 0.75, "specificity": 0.9}}
CONFIG = EvaluationConfig(
    bootstrap_replicates=200,
    screening=ScreeningConfig(prevalence=0.006, exams=50_000, readers=READERS),
)


@pytest.fixture(scope="module")
def evaluated(predictions):
    test, validation = predictions(200, 1), predictions(150, 2, "V")
    result = evaluate(test, validation, CONFIG, 0)
    screening = evaluate_screening(test, validation, result.rules, CONFIG, 0)
    return test, validation, result, screening


def test_thresholds_come_from_validation_and_numbers_from_test(evaluated):
    test, validation, _, screening = evaluated
    names = [point.name for point in screening.points]
    assert names == [
        "3.2% of exams flagged",
        "11.1% of exams flagged",
        "sensitivity 0.90",
        "specificity of the first reader (0.900)",
    ]
    exams, fitted = per_patient(test), per_patient(validation)
    for point in screening.points:
        threshold = point.rates.threshold
        assert threshold in set(fitted["probability"]) or threshold > 1
        called = exams["probability"] >= threshold
        assert point.rates.sensitivity.value == pytest.approx(called[exams["label"] == 1].mean())
        assert point.rates.specificity.value == pytest.approx((~called)[exams["label"] == 0].mean())
    assert (screening.n_exams, screening.n_malignant) == (200, int(exams["label"].sum()))
    # On validation, the aims hold: flagged at the prevalence, sensitivity, specificity.
    for point, least in zip(screening.points[2:], (0.9, 0.9), strict=True):
        called = fitted["probability"] >= point.rates.threshold
        share = called[fitted["label"] == 1].mean()
        if point.reader_sensitivity is not None:
            share = (~called)[fitted["label"] == 0].mean()
        assert share >= least - 1e-9
    assert screening.points[-1].reader_sensitivity == 0.75


def test_the_decision_curve_is_worth_more_than_recalling_everyone_or_nobody(evaluated):
    curve = evaluated[3].decision_curve
    at_prevalence = min(range(60), key=lambda k: abs(curve.thresholds[k] - 0.006))
    assert curve.model[at_prevalence] > max(curve.everyone[at_prevalence], 0) + 0.5
    assert max(curve.model) <= 6  # cancers in 1,000 exams


def test_it_is_in_the_report_and_stays_json(evaluated):
    _, _, result, screening = evaluated
    html = report(title="t", facts={}, result=result, screening=screening)
    assert "In screening" in html and "6 in 1,000 (counted in 50,000 exams)" in html
    assert "the reader&#39;s 0.750" in html or "the reader's 0.750" in html
    assert "In screening" not in report(title="t", facts={}, result=result)
    text = json.dumps(screening.model_dump(mode="json"), allow_nan=False)
    assert json.loads(text)["n_exams"] == 200


def test_without_the_option_nothing_is_said(evaluated):
    test, validation, result, _ = evaluated
    assert evaluate_screening(test, validation, result.rules, EvaluationConfig(), 0) is None
    benign = test.assign(label=0)
    assert evaluate_screening(benign, validation, result.rules, CONFIG, 0) is None


@pytest.mark.parametrize("change", [{"prevalence": 0}, {"exams": 0}, {"recall": 1}])
def test_settings_are_validated(change):
    with pytest.raises(ValidationError):
        ScreeningConfig(**change)
