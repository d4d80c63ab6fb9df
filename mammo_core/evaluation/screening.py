"""What a model would do in screening, per exam.

Thresholds are chosen on validation; the test set only measures them.
"""

from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict

from mammo_core.evaluation.aggregate import per_patient
from mammo_core.evaluation.config import EvaluationConfig, ScreeningConfig
from mammo_core.evaluation.decisions import DecisionRules
from mammo_core.metrics import operating_point, sensitive_operating_point
from mammo_core.metrics.screening import (
    Prevalence,
    ScreeningRates,
    net_benefit,
    screening_rates,
    threshold_by_flagged,
)

if TYPE_CHECKING:
    import pandas as pd


class ScreeningPoint(BaseModel):
    """A threshold, why it was chosen, and what it does.

    Attributes:
        name: How it was chosen on validation.
        rates: On the test set, at the stated prevalence.
        reader_sensitivity: That of the reader whose specificity was the aim; None for others.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    rates: ScreeningRates
    reader_sensitivity: float | None = None


class DecisionCurve(BaseModel):
    """Net benefit, in cancers detected per 1,000 exams.

    Attributes:
        thresholds: Probabilities of cancer from which one would recall.
        model: Recalling by the model's calibrated probability.
        everyone: Recalling everyone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    thresholds: tuple[float, ...]
    model: tuple[float, ...]
    everyone: tuple[float, ...]


class Screening(BaseModel):
    """What a model would do in screening.

    Attributes:
        config: The prevalence and what was asked for.
        n_exams: Number of exams in the test set.
        n_malignant: Number of them with a cancer.
        points: The thresholds.
        decision_curve: Net benefit at thresholds from a tenth of the prevalence to twenty times.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    config: ScreeningConfig
    n_exams: int
    n_malignant: int
    points: tuple[ScreeningPoint, ...]
    decision_curve: DecisionCurve


def evaluate_screening(
    test: "pd.DataFrame",
    validation: "pd.DataFrame",
    rules: DecisionRules,
    config: EvaluationConfig,
    seed: int,
) -> Screening | None:
    """Say what a model would do in screening.

    Args:
        test: Predictions of the test set, columns as in `evaluate`.
        validation: Those of the validation set.
        rules: The decision rules that were fitted on validation.
        config: How to evaluate; without `screening` nothing is computed.
        seed: Seed of the bootstrap.

    Returns:
        The result; None if nothing was asked for, or a set has exams of one class only.

    Raises:
        RecordError: Too few patients of one class for an interval.
    """
    settings = config.screening
    if settings is None:
        return None
    exams = per_patient(test, config.aggregation)
    fitted = per_patient(validation, config.aggregation)
    if exams["label"].nunique() < 2 or fitted["label"].nunique() < 2:
        return None
    prevalence = Prevalence(settings.prevalence, settings.exams)
    truth, scores = fitted["label"].to_numpy(), fitted["probability"].to_numpy()
    thresholds: list[tuple[str, float, float | None]] = [
        (
            f"{share:.1%} of exams flagged",
            threshold_by_flagged(truth, scores, share, prevalence),
            None,
        )
        for share in settings.flagged
    ]
    thresholds += [
        (
            f"sensitivity {aim:.2f}",
            sensitive_operating_point(truth, scores, aim).threshold,
            None,
        )
        for aim in settings.sensitivities
    ]
    thresholds += [
        (
            f"specificity of {name} ({reader.specificity:.3f})",
            operating_point(truth, scores, reader.specificity).threshold,
            reader.sensitivity,
        )
        for name, reader in settings.readers.items()
    ]
    labels, probabilities = exams["label"].to_numpy(), exams["probability"].to_numpy()
    points = tuple(
        ScreeningPoint(
            name=name,
            rates=screening_rates(
                labels,
                probabilities,
                exams["patient_key"],
                threshold,
                prevalence,
                config.bootstrap_replicates,
                seed,
            ),
            reader_sensitivity=reader,
        )
        for name, threshold, reader in thresholds
    )
    limits = np.geomspace(settings.prevalence / 10, min(20 * settings.prevalence, 0.9), 60)
    calibrated = rules.patient.calibration.apply(probabilities)
    with_model, everyone = net_benefit(labels, calibrated, limits.tolist(), prevalence)
    return Screening(
        config=settings,
        n_exams=len(exams),
        n_malignant=int(labels.sum()),
        points=points,
        decision_curve=DecisionCurve(
            thresholds=tuple(limits.tolist()),
            model=tuple((1000 * with_model).tolist()),
            everyone=tuple((1000 * everyone).tolist()),
        ),
    )
