"""Evaluation of a trained classifier: what it gave on a set it was never fitted to."""

from mammo_core.evaluation.aggregate import (
    LEVELS,
    Aggregation,
    Level,
    at_level,
    per_breast,
    per_patient,
)
from mammo_core.evaluation.decisions import (
    DecisionRules,
    LevelRules,
    NamedPoint,
    Reading,
    fit_rules,
    read,
)
from mammo_core.evaluation.patches import PatchEvaluation, patch_evaluation
from mammo_core.evaluation.run_report import report
from mammo_core.evaluation.whole_image import (
    EvaluationConfig,
    EvaluationResult,
    check_predictions,
    evaluate,
)

__all__ = [
    "LEVELS",
    "Aggregation",
    "DecisionRules",
    "EvaluationConfig",
    "EvaluationResult",
    "Level",
    "LevelRules",
    "NamedPoint",
    "PatchEvaluation",
    "Reading",
    "at_level",
    "check_predictions",
    "evaluate",
    "fit_rules",
    "patch_evaluation",
    "per_breast",
    "per_patient",
    "read",
    "report",
]
