"""The record of a run in the store: its recipe, the status of each step, its summary and pages."""

from mammo_core.runs.run import Run, read_start_packages, run_id_of, start_packages_of
from mammo_core.runs.summary import summarize

__all__ = ["Run", "read_start_packages", "run_id_of", "start_packages_of", "summarize"]
