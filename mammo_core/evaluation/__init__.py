"""Evaluation of a trained classifier: what it gave on a set it was never fitted to."""

from mammo_core.evaluation.aggregate import per_breast, per_patient
from mammo_core.evaluation.patches import PatchEvaluation, patch_evaluation
from mammo_core.evaluation.run_report import report
from mammo_core.evaluation.whole_image import (
    EvaluationConfig,
    EvaluationResult,
    check_predictions,
    evaluate,
)

__all__ = [
    "EvaluationConfig",
    "EvaluationResult",
    "PatchEvaluation",
    "check_predictions",
    "evaluate",
    "patch_evaluation",
    "per_breast",
    "per_patient",
    "report",
]
