"""What an experiment found: a row for each unit, and what they say together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd

from mammo_core.errors import RecordError
from mammo_core.experiments.plan import PATCH, SCRATCH, Kind, Unit
from mammo_core.metrics import Interval, auc, auc_interval, mean_auc_interval

_REPLICATES = 2000


@dataclass(frozen=True)
class Result:
    """The end of an experiment.

    Attributes:
        kind: Of experiment.
        rows: One for each unit: its name, arm, facts, test AUC, numbers of images and patients.
        summary: One for each arm: AUC over its runs with the 95 % interval (patients
            resampled) and the standard deviation between runs.
        difference: patch-pretraining: mean paired AUC difference, patch-initialised minus
            from scratch, seeds averaged, patients resampled.
        conclusion: What that says, in a sentence.
    """

    kind: Kind
    rows: list[dict[str, Any]]
    summary: list[dict[str, Any]]
    difference: Interval | None
    conclusion: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def conclude(
    kind: Kind, units: Sequence[Unit], predictions: Mapping[str, pd.DataFrame], seed: int = 0
) -> Result:
    """Put the units' test scores together.

    Args:
        kind: Of experiment.
        units: Its plan.
        predictions: Unit name to a table with image_id, patient_key, label, probability of
            the test images, and `trained_on`, the training images (the same in every row).
        seed: Of the bootstrap.

    Raises:
        RecordError: A unit's scores are missing, or compared ones are of other images.
    """
    missing = [unit.name for unit in units if unit.name not in predictions]
    if missing:
        raise RecordError(
            "The experiment is not at its end",
            expected=f"the scores of {len(units)} units",
            received=f"none of {', '.join(missing)}",
        )
    tables = {name: table.sort_values("image_id") for name, table in predictions.items()}
    rows = [_row(unit, tables[unit.name]) for unit in units]
    arms = list(dict.fromkeys(unit.arm for unit in units))
    of_arm = {arm: [tables[unit.name] for unit in units if unit.arm == arm] for arm in arms}
    if kind != "folds":
        _same_images(units, tables)
    summary = [_arm(arm, of_arm[arm], rows, seed) for arm in arms]
    if kind == "folds":
        summary.append(_together(of_arm, seed))
    difference, conclusion = None, f"{summary[-1]['arm']}: AUC {summary[-1]['auc']:.3f}"
    if kind == "patch-pretraining":
        difference = _difference(of_arm, seed)
        conclusion = _told(difference)
    return Result(kind, rows, summary, difference, conclusion)


def _row(unit: Unit, table: pd.DataFrame) -> dict[str, Any]:
    return {
        "unit": unit.name,
        "arm": unit.arm,
        **unit.facts,
        "auc": auc(table["label"], table["probability"]),
        "test_images": len(table),
        "test_patients": int(table["patient_key"].nunique()),
        "trained_on": int(table["trained_on"].iloc[0]),
    }


def _arm(
    arm: str, tables: list[pd.DataFrame], rows: list[dict[str, Any]], seed: int
) -> dict[str, Any]:
    mine = [row for row in rows if row["arm"] == arm]
    first = tables[0]
    value = float(np.mean([row["auc"] for row in mine]))
    try:
        found = mean_auc_interval(
            first["label"],
            [table["probability"] for table in tables],
            [],
            first["patient_key"],
            _REPLICATES,
            seed,
        )
    except RecordError:  # a fold of a few patients has an AUC but no interval
        found = Interval(value, float("nan"), float("nan"), 0)
    spread = float(np.std([row["auc"] for row in mine], ddof=1)) if len(mine) > 1 else None
    return {
        "arm": arm,
        **({"patients": mine[0]["patients"]} if "patients" in mine[0] else {}),
        "runs": len(mine),
        "trained_on": round(float(np.mean([row["trained_on"] for row in mine])), 1),
        "auc": found.value,
        "low": found.low,
        "high": found.high,
        "between_runs": spread,
    }


def _together(of_arm: Mapping[str, list[pd.DataFrame]], seed: int) -> dict[str, Any]:
    """All folds as one test set: each patient once, scored by a model that did not see it."""
    whole = pd.concat([table for tables in of_arm.values() for table in tables])
    found = auc_interval(
        whole["label"], whole["probability"], whole["patient_key"], _REPLICATES, seed
    )
    aucs = [auc(t["label"], t["probability"]) for tables in of_arm.values() for t in tables]
    return {
        "arm": "all folds",
        "runs": len(aucs),
        "trained_on": round(float(whole["trained_on"].mean()), 1),
        "auc": found.value,
        "low": found.low,
        "high": found.high,
        "between_runs": float(np.std(aucs, ddof=1)),
    }


def _difference(of_arm: Mapping[str, list[pd.DataFrame]], seed: int) -> Interval:
    first = of_arm[PATCH][0]
    return mean_auc_interval(
        first["label"],
        [table["probability"] for table in of_arm[PATCH]],
        [table["probability"] for table in of_arm[SCRATCH]],
        first["patient_key"],
        _REPLICATES,
        seed,
    )


def _same_images(units: Sequence[Unit], tables: Mapping[str, pd.DataFrame]) -> None:
    first = tables[units[0].name]
    for unit in units[1:]:
        other = tables[unit.name]
        if list(other["image_id"]) != list(first["image_id"]):
            raise RecordError(
                f"The unit {unit.name} was tested on other images than {units[0].name}",
                expected=f"the same {len(first)} images",
                received=f"{len(other)}, {len(set(other['image_id']) & set(first['image_id']))} "
                "of them the same",
            )


def _told(found: Interval) -> str:
    said = (
        f"patch-initialised minus from scratch: AUC difference {found.value:+.3f}, "
        f"95 % interval {found.low:+.3f} to {found.high:+.3f}: "
    )
    if found.low > 0:
        return said + "patch training helps"
    if found.high < 0:
        return said + "patch training harms"
    return said + "no difference is shown"
