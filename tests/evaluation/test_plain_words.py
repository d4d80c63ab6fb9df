"""The summary for readers who are no statisticians: counts of this test set, no terms."""

import re

import pytest

from mammo_core.evaluation import EvaluationConfig, evaluate
from mammo_core.evaluation.config import Reader, ScreeningConfig
from mammo_core.evaluation.report.plain_words import plain_words
from mammo_core.evaluation.screening import evaluate_screening

CONFIG = EvaluationConfig(
    bootstrap_replicates=200,
    screening=ScreeningConfig(readers={"first": Reader(sensitivity=0.75, specificity=0.9)}),
)


@pytest.fixture(scope="module")
def result(predictions):
    return evaluate(predictions(60, 1), predictions(40, 2, "V"), CONFIG, 0)


def test_the_counts_are_those_of_the_patients(result):
    text = " ".join(plain_words(result))
    level = result.levels[-1]
    counts = level.operating_points[0].counts
    assert level.level == "patient"
    assert f"flags {counts.true_positives} of the {level.n_malignant} malignant patients" in text
    assert f"misses {level.n_malignant - counts.true_positives};" in text
    benign = level.n - level.n_malignant
    assert f"of the {benign} benign ones it flags {counts.false_positives} by mistake" in text
    assert f"score {100 * result.auc:.0f} times in 100" in text


def test_no_terms_of_statistics(result, predictions):
    screening = evaluate_screening(
        predictions(60, 1), predictions(40, 2, "V"), result.rules, CONFIG, 0
    )
    text = " ".join(plain_words(result, screening=screening))
    terms = r"AUC|interval|sensitivity|specificity|threshold of|bootstrap|confidence|p value|%"
    assert not re.search(
        rf"\b({terms})\b", text.replace("3.2% of exams flagged", ""), re.IGNORECASE
    )
    assert "If 6 of 1,000 women at screening have cancer" in text
    assert f"would find {screening.points[0].rates.detected.value:.1f} of them" in text
