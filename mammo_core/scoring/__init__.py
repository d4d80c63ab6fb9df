"""Scoring: mammogram files in, malignant probabilities out."""

from mammo_core.scoring.files import InputFile, list_files
from mammo_core.scoring.report import score_report
from mammo_core.scoring.results import ScoreSummary, output_files, rejects_path
from mammo_core.scoring.scorer import ScoreOptions, score

__all__ = [
    "InputFile",
    "ScoreOptions",
    "ScoreSummary",
    "list_files",
    "output_files",
    "rejects_path",
    "score",
    "score_report",
]
