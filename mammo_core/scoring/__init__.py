"""Scoring: mammogram files in, malignant probabilities out."""

from typing import TYPE_CHECKING

from mammo_core.lazy import import_lazily

if TYPE_CHECKING:
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

import_lazily(
    __name__,
    {
        "files": ["InputFile", "list_files"],
        "report": ["score_report"],
        "results": ["ScoreSummary", "output_files", "rejects_path"],
        "scorer": ["ScoreOptions", "score"],
    },
)
