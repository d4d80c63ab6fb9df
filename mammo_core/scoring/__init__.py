"""Scoring: mammogram files in, malignant probabilities out."""

from mammo_core.scoring.files import FoundFile, find_files
from mammo_core.scoring.report import score_report
from mammo_core.scoring.scorer import (
    ScoreOptions,
    ScoreSummary,
    own_files,
    rejects_path,
    score,
)

__all__ = [
    "FoundFile",
    "ScoreOptions",
    "ScoreSummary",
    "find_files",
    "own_files",
    "rejects_path",
    "score",
    "score_report",
]
