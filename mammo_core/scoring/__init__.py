"""Scoring: mammogram files in, malignant probabilities out."""

from mammo_core.scoring.files import FoundFile, find_files
from mammo_core.scoring.scorer import ScoreSummary, rejects_path, score

__all__ = ["FoundFile", "ScoreSummary", "find_files", "rejects_path", "score"]
