"""The record of a run in the store: its recipe, the status of each step, its summary and pages."""

from mammo_core.runs.run import Run, run_id_of
from mammo_core.runs.summary import summarize

__all__ = ["Run", "run_id_of", "summarize"]
