"""The result of any experiment, by its kind."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from mammo_core.experiments.leak_trials import summarize_leaks
from mammo_core.experiments.plan import ExperimentKind, Trial
from mammo_core.experiments.results import ExperimentResult, summarize_trials
from mammo_core.experiments.source_results import summarize_sources

if TYPE_CHECKING:
    import pandas as pd


def summarize(
    kind: ExperimentKind,
    trials: Sequence[Trial],
    predictions: Mapping[str, "pd.DataFrame"],
    seed: int,
) -> ExperimentResult:
    """Combine the test scores of all trials of an experiment.

    Args:
        kind: The kind of experiment.
        trials: Its plan.
        predictions: Trial name → its scores.
        seed: Seed of the bootstrap.

    Raises:
        RecordError: The scores of a trial are missing, or those of different trials do not fit.
    """
    if kind == "leaks":
        return summarize_leaks(trials, predictions, seed)
    if kind == "sources":
        return summarize_sources(trials, predictions, seed)
    return summarize_trials(kind, trials, predictions, seed)
