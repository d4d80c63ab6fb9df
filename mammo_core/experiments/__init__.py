"""Experiments: patch-pretraining, transfer curve, cross-validation.

This room plans the units of work and puts their results together; `mammo_core.experiments.units`
does the work.
"""

from mammo_core.experiments.page import files
from mammo_core.experiments.plan import Kind, Unit, folds, patch_pretraining, transfer_curve
from mammo_core.experiments.results import Result, conclude

__all__ = [
    "Kind",
    "Result",
    "Unit",
    "conclude",
    "files",
    "folds",
    "patch_pretraining",
    "transfer_curve",
]
