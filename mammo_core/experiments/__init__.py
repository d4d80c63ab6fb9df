"""Experiments: patch-pretraining, transfer curve, cross-validation.

`plan` lists the trials, `run` runs them, `results` combines their scores.
"""

from mammo_core.experiments.plan import (
    ExperimentKind,
    Trial,
    folds,
    patch_pretraining,
    transfer_curve,
)
from mammo_core.experiments.report import result_files
from mammo_core.experiments.results import ExperimentResult, summarize_trials

__all__ = [
    "ExperimentKind",
    "ExperimentResult",
    "Trial",
    "folds",
    "patch_pretraining",
    "result_files",
    "summarize_trials",
    "transfer_curve",
]
