"""The release gate: a model must be good enough, and not worse than the champion."""

from operator import not_
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.errors import RecordError
from mammo_core.evaluation import Aggregation, at_level, validate_predictions
from mammo_core.evaluation.aggregate import Unit, cc_and_mlo_views
from mammo_core.evaluation.predictions import class_patients, require_same_records
from mammo_core.metrics import auc, auc_difference
from mammo_core.registry.change_plan.changes import Change
from mammo_core.registry.config import GateConfig

if TYPE_CHECKING:
    import pandas as pd

#: `cannot compare`: too few test patients are left that neither model has seen.
Decision = Literal["push", "stop", "cannot compare"]


class GateResult(BaseModel):
    """The decision of the gate, with its reasons.

    Attributes:
        passed: Whether the challenger may be pushed.
        decision: What was decided.
        reasons: One line per condition.
        unit: What is compared: images, or breasts if one of the models sees both views.
        auc: AUC of the challenger on the whole test set.
        compared_auc: AUC of the challenger on what it was compared on; None if it was not.
        champion_auc: AUC of the champion there; None if there is no champion.
        difference: Challenger minus champion.
        difference_ci95: Its interval (low, high).
        changes: The changes that a change-control plan decided about; left out without one.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    passed: bool
    decision: Decision = "stop"
    reasons: list[str]
    auc: float
    unit: Unit = "image"
    compared_auc: float | None = None
    champion_auc: float | None = None
    difference: float | None = None
    difference_ci95: tuple[float, float] | None = None
    changes: tuple[Change, ...] = Field(default=(), exclude_if=not_)


def decide(
    challenger: "pd.DataFrame",
    champion: "pd.DataFrame | None",
    config: GateConfig,
    seed: int,
    *,
    tested: "pd.DataFrame | None" = None,
    challenger_id: str | None = None,
    champion_id: str | None = None,
    unit: Unit = "image",
    aggregation: Aggregation | None = None,
    champion_aggregation: Aggregation | None = None,
) -> GateResult:
    """Decide whether a challenger may be pushed. The test set is used for nothing else.

    Args:
        challenger: Its predictions on what both were tested on, columns as in
            `evaluation.evaluate`; it may be empty.
        champion: The champion's on the same images; None if there is no champion yet.
        config: The conditions.
        seed: Seed of the bootstrap.
        tested: The challenger's predictions on the whole test set, for the floor; None: those of
            `challenger`.
        challenger_id: Its model id.
        champion_id: The champion's model id; a model is never worse than itself.
        unit: `breast` if one of them sees both views: both are then judged by breasts, on the
            CC and MLO images.
        aggregation: How images of the challenger are aggregated to breasts.
        champion_aggregation: How those of the champion are; None: as the challenger's.

    Raises:
        RecordError: The two are not predictions of the same images with the same labels, or a
            table cannot be evaluated.
        ModelError: A probability is not in [0, 1].
    """
    floor = _decide_floor(challenger if tested is None else tested, config, unit, aggregation)
    if challenger_id is not None and challenger_id == champion_id:
        return _with(
            floor,
            floor.passed,
            "already the champion",
            compared_auc=floor.auc,
            champion_auc=floor.auc,
            difference=0.0,
            difference_ci95=(0.0, 0.0),
        )
    if champion is None:
        return _with(floor, floor.passed, "no champion to compare with")
    if unit == "breast":
        challenger, champion = cc_and_mlo_views(challenger), cc_and_mlo_views(champion)
    if challenger.empty and champion.empty:
        return cannot_compare(floor, config, "no test image is left to compare on")
    records = validate_predictions(challenger, "challenger's")
    reference = validate_predictions(champion, "champion's")
    require_same_records(records, reference, ("Challenger", "champion"))
    judged = at_level(records, unit, aggregation)
    judged_champion = at_level(reference, unit, champion_aggregation or aggregation)
    malignant, benign = class_patients(judged)
    if min(malignant, benign) < config.min_patients:
        left = f"{malignant} malignant and {benign} benign test patients are left to compare on"
        return cannot_compare(floor, config, f"{left}, at least {config.min_patients} are needed")
    labels = judged["label"].to_numpy()
    scores, champion_scores = (
        table["probability"].to_numpy() for table in (judged, judged_champion)
    )
    patients = judged["patient_key"].to_numpy()
    try:
        difference = auc_difference(
            labels, scores, champion_scores, patients, config.bootstrap_replicates, seed
        )
    except RecordError as error:  # almost every replicate lacks a class
        return cannot_compare(floor, config, error.problem)
    by_interval = config.non_inferiority == "interval"
    compared = difference.low if by_interval else difference.value
    not_worse = compared > -config.margin or compared == 0
    quantity = "lower end of the 95 % interval of the difference" if by_interval else "difference"
    return _with(
        floor,
        floor.passed and not_worse,
        f"{quantity} to the champion {compared:+.4f} "
        f"{'>' if not_worse else '≤'} {-config.margin:+.4f}, the margin",
        compared_auc=auc(labels, scores),
        champion_auc=auc(labels, champion_scores),
        difference=difference.value,
        difference_ci95=(difference.low, difference.high),
    )


def cannot_compare(floor: GateResult, config: GateConfig, why: str) -> GateResult:
    """Return the decision about two models that cannot be compared.

    Args:
        floor: The decision without a champion.
        config: The conditions, which say whether such a model is pushed.
        why: Why not, in a clause.
    """
    result = _with(
        floor,
        floor.passed and config.cannot_compare == "push",
        f"cannot compare with the champion: {why} (gate.cannot_compare: {config.cannot_compare})",
    )
    return result.model_copy(update={"decision": "cannot compare"})


def _decide_floor(
    table: "pd.DataFrame", config: GateConfig, unit: Unit, aggregation: Aggregation | None
) -> GateResult:
    table = cc_and_mlo_views(table) if unit == "breast" else table
    judged = at_level(validate_predictions(table, "challenger's"), unit, aggregation)
    value = auc(judged["label"].to_numpy(), judged["probability"].to_numpy())
    good = value >= config.min_auc
    name = "AUC" if unit == "image" else f"AUC per {unit}"
    reason = f"{name} {value:.4f} {'≥' if good else '<'} {config.min_auc:.4f}, the floor"
    return GateResult(passed=good, reasons=[reason], auc=value, unit=unit)


def _with(floor: GateResult, passed: bool, reason: str, **values: object) -> GateResult:
    """Return the result of a comparison: the reasons of the floor and one more."""
    return floor.model_copy(
        update={
            "passed": passed,
            "decision": "push" if passed else "stop",
            "reasons": [*floor.reasons, reason],
            **values,
        }
    )
