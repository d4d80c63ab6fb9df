"""Evaluation of a trained classifier on patients that it was not fitted to."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
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
        Decisions,
        LevelRules,
        NamedPoint,
        apply_rules,
        fit_rules,
    )
    from mammo_core.evaluation.levels import LevelResult, PointResult
    from mammo_core.evaluation.patches import PatchEvaluation, patch_evaluation
    from mammo_core.evaluation.predictions import validate_predictions
    from mammo_core.evaluation.report.comparison import comparison_report, decision_report
    from mammo_core.evaluation.report.run import report
    from mammo_core.evaluation.second_stage.config import SecondStageConfig
    from mammo_core.evaluation.subgroups import Subgroup
    from mammo_core.evaluation.whole_image import EvaluationResult, evaluate

__all__ = [
    "LEVELS",
    "Aggregation",
    "ComparisonResult",
    "DecisionRules",
    "Decisions",
    "EvaluationConfig",
    "EvaluationResult",
    "Level",
    "LevelComparison",
    "LevelResult",
    "LevelRules",
    "NamedPoint",
    "PatchEvaluation",
    "PointResult",
    "SecondStageConfig",
    "Subgroup",
    "apply_rules",
    "at_level",
    "compare",
    "comparison_report",
    "decision_report",
    "evaluate",
    "fit_rules",
    "patch_evaluation",
    "per_breast",
    "per_patient",
    "report",
    "validate_predictions",
]

import_lazily(
    __name__,
    {
        "aggregate": ["LEVELS", "Aggregation", "Level", "at_level", "per_breast", "per_patient"],
        "comparison": ["ComparisonResult", "LevelComparison", "compare"],
        "config": ["EvaluationConfig"],
        "decisions": [
            "DecisionRules",
            "Decisions",
            "LevelRules",
            "NamedPoint",
            "apply_rules",
            "fit_rules",
        ],
        "levels": ["LevelResult", "PointResult"],
        "patches": ["PatchEvaluation", "patch_evaluation"],
        "predictions": ["validate_predictions"],
        "report.comparison": ["comparison_report", "decision_report"],
        "report.run": ["report"],
        "second_stage.config": ["SecondStageConfig"],
        "subgroups": ["Subgroup"],
        "whole_image": ["EvaluationResult", "evaluate"],
    },
)
