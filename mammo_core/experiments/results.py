"""The result of an experiment: a row for each trial, their summary, and the conclusion."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from mammo_core.errors import RecordError
from mammo_core.experiments.plan import PATCH, SCRATCH, ExperimentKind, Trial
from mammo_core.metrics import Interval, auc, auc_interval, mean_auc_interval

_REPLICATES = 2000


@dataclass(frozen=True)
class ExperimentResult:
    """The result of an experiment.

    Attributes:
        kind: The kind of experiment.
        rows: One for each trial: its name, arm, facts, test AUC, numbers of images and patients.
        summary: One for each arm: AUC over its runs with the 95 % interval (patients
            resampled) and the standard deviation between runs.
        difference: For patch-pretraining, the mean paired AUC difference, patch-initialized minus
            from scratch, seeds averaged, patients resampled; else None.
        conclusion: The conclusion, in a sentence.
        comparisons: Further numbers with their intervals: name, value, low, high.
    """

    kind: ExperimentKind
    rows: list[dict[str, Any]]
    summary: list[dict[str, Any]]
    difference: Interval | None
    conclusion: str
    comparisons: list[dict[str, Any]] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        values = asdict(self)
        return (
            values if self.comparisons else {k: v for k, v in values.items() if k != "comparisons"}
        )


def summarize_trials(
    kind: ExperimentKind,
    trials: Sequence[Trial],
    predictions: Mapping[str, pd.DataFrame],
    seed: int = 0,
) -> ExperimentResult:
    """Combine the test scores of all trials.

    Args:
        kind: The kind of experiment.
        trials: Its plan.
        predictions: Trial name → a table with image_id, patient_key, label, probability of the
            test images, and `trained_on`, the number of training images (equal in all rows).
        seed: Seed of the bootstrap.

    Raises:
        RecordError: The scores of a trial are missing, or trials that are compared have other test
            images.
    """
    missing = [trial.name for trial in trials if trial.name not in predictions]
    if missing:
        raise RecordError(
            "The experiment is not complete",
            expected=f"the scores of {len(trials)} trials",
            received=f"no scores of {', '.join(missing)}",
        )
    tables = {name: table.sort_values("image_id") for name, table in predictions.items()}
    rows = [_row(trial, tables[trial.name]) for trial in trials]
    arms = list(dict.fromkeys(trial.arm for trial in trials))
    by_arm = {arm: [tables[trial.name] for trial in trials if trial.arm == arm] for arm in arms}
    if kind != "folds":
        _require_same_images(trials, tables)
    summary = [_summarize_arm(arm, by_arm[arm], rows, seed) for arm in arms]
    if kind == "folds":
        summary.append(_summarize_all_folds(by_arm, seed))
    difference, conclusion = None, f"{summary[-1]['arm']}: AUC {summary[-1]['auc']:.3f}"
    if kind == "patch-pretraining":
        difference = _difference(by_arm, seed)
        conclusion = _conclusion(difference)
    return ExperimentResult(kind, rows, summary, difference, conclusion)


def _row(trial: Trial, table: pd.DataFrame) -> dict[str, Any]:
    return {
        "trial": trial.name,
        "arm": trial.arm,
        **trial.facts,
        "auc": auc(table["label"], table["probability"]),
        "test_images": len(table),
        "test_patients": int(table["patient_key"].nunique()),
        "trained_on": int(table["trained_on"].iloc[0]),
    }


def _summarize_arm(
    arm: str, tables: list[pd.DataFrame], rows: list[dict[str, Any]], seed: int
) -> dict[str, Any]:
    arm_rows = [row for row in rows if row["arm"] == arm]
    first = tables[0]
    value = float(np.mean([row["auc"] for row in arm_rows]))
    try:
        interval = mean_auc_interval(
            first["label"],
            [table["probability"] for table in tables],
            [],
            first["patient_key"],
            _REPLICATES,
            seed,
        )
    except RecordError:  # a fold of a few patients has an AUC but no interval
        interval = Interval(value, float("nan"), float("nan"), 0)
    spread = float(np.std([row["auc"] for row in arm_rows], ddof=1)) if len(arm_rows) > 1 else None
    return {
        "arm": arm,
        **({"patients": arm_rows[0]["patients"]} if "patients" in arm_rows[0] else {}),
        "runs": len(arm_rows),
        "trained_on": round(float(np.mean([row["trained_on"] for row in arm_rows])), 1),
        "auc": interval.value,
        "low": interval.low,
        "high": interval.high,
        "between_runs": spread,
    }


def _summarize_all_folds(by_arm: Mapping[str, list[pd.DataFrame]], seed: int) -> dict[str, Any]:
    """All folds as one test set: each patient once, scored by a model not trained on her."""
    pooled = pd.concat([table for tables in by_arm.values() for table in tables])
    interval = auc_interval(
        pooled["label"], pooled["probability"], pooled["patient_key"], _REPLICATES, seed
    )
    aucs = [auc(t["label"], t["probability"]) for tables in by_arm.values() for t in tables]
    return {
        "arm": "all folds",
        "runs": len(aucs),
        "trained_on": round(float(pooled["trained_on"].mean()), 1),
        "auc": interval.value,
        "low": interval.low,
        "high": interval.high,
        "between_runs": float(np.std(aucs, ddof=1)),
    }


def _difference(by_arm: Mapping[str, list[pd.DataFrame]], seed: int) -> Interval:
    first = by_arm[PATCH][0]
    return mean_auc_interval(
        first["label"],
        [table["probability"] for table in by_arm[PATCH]],
        [table["probability"] for table in by_arm[SCRATCH]],
        first["patient_key"],
        _REPLICATES,
        seed,
    )


def _require_same_images(trials: Sequence[Trial], tables: Mapping[str, pd.DataFrame]) -> None:
    first = tables[trials[0].name]
    for trial in trials[1:]:
        other = tables[trial.name]
        if list(other["image_id"]) != list(first["image_id"]):
            raise RecordError(
                f"The trial {trial.name} was tested on other images than {trials[0].name}",
                expected=f"the same {len(first)} images",
                received=f"{len(other)}, {len(set(other['image_id']) & set(first['image_id']))} "
                "of them the same",
            )


def _conclusion(interval: Interval) -> str:
    text = (
        f"patch-initialized minus from scratch: AUC difference {interval.value:+.3f}, "
        f"95 % interval {interval.low:+.3f} to {interval.high:+.3f}: "
    )
    if interval.low > 0:
        return text + "patch training helps"
    if interval.high < 0:
        return text + "patch training harms"
    return text + "no difference is shown"
