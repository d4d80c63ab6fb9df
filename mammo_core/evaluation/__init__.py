"""Evaluation of a trained classifier: what it gave on a set it was never fitted to."""

from mammo_core.evaluation.aggregate import (
    LEVELS,
    Aggregation,
    Level,
    at_level,
    per_breast,
    per_patient,
)
from mammo_core.evaluation.comparison import ComparisonResult, LevelComparison, compare
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.decisions import (
    DecisionRules,
    LevelRules,
    NamedPoint,
    Reading,
    fit_rules,
    read,
)
from mammo_core.evaluation.levels import LevelResult, PointResult
from mammo_core.evaluation.patches import PatchEvaluation, patch_evaluation
from mammo_core.evaluation.predictions import check_predictions
from mammo_core.evaluation.report.comparison import comparison_report, decision_report
from mammo_core.evaluation.report.run import report
from mammo_core.evaluation.second_stage.report import SecondStageConfig
from mammo_core.evaluation.subgroups import Subgroup
from mammo_core.evaluation.whole_image import EvaluationResult, evaluate

__all__ = [
    "LEVELS",
    "Aggregation",
    "ComparisonResult",
    "DecisionRules",
    "EvaluationConfig",
    "EvaluationResult",
    "Level",
    "LevelComparison",
    "LevelResult",
    "LevelRules",
    "NamedPoint",
    "PatchEvaluation",
    "PointResult",
    "Reading",
    "SecondStageConfig",
    "Subgroup",
    "at_level",
    "check_predictions",
    "compare",
    "comparison_report",
    "decision_report",
    "evaluate",
    "fit_rules",
    "patch_evaluation",
    "per_breast",
    "per_patient",
    "read",
    "report",
]
