"""Experiments: patch-pretraining, transfer curve, cross-validation.

`plan` lists the units of work, `run` runs them, `results` combines their scores.
"""

from mammo_core.experiments.plan import (
    ExperimentKind,
    Unit,
    folds,
    patch_pretraining,
    transfer_curve,
)
from mammo_core.experiments.report import result_files
from mammo_core.experiments.results import ExperimentResult, summarize_units

__all__ = [
    "ExperimentKind",
    "ExperimentResult",
    "Unit",
    "folds",
    "patch_pretraining",
    "result_files",
    "summarize_units",
    "transfer_curve",
]
