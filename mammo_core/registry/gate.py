"""The gate before a push: good enough at all, and no worse than the champion."""

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.evaluation import Aggregation, at_level, validate_predictions
from mammo_core.evaluation.aggregate import Unit, cc_and_mlo_views
from mammo_core.evaluation.predictions import require_same_records
from mammo_core.metrics import auc, auc_difference

if TYPE_CHECKING:
    import pandas as pd


class GateConfig(BaseModel):
    """What a challenger must reach.

    Attributes:
        min_auc: The least AUC on the test set, whatever the champion has: per image, or per
            breast where a model sees both views.
        margin: How much worse than the champion still counts as no worse.
        non_inferiority: What must stay above -margin: the low end of the 95 % interval of the
            difference ("interval": no worse is shown), or the difference itself ("point": for
            test sets too small to show anything).
        bootstrap_replicates: Replicates of the interval (by patient, paired).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_auc: float = Field(ge=0, le=1)
    margin: float = Field(default=0.02, ge=0, le=1)
    non_inferiority: Literal["interval", "point"] = "interval"
    bootstrap_replicates: int = Field(default=2000, ge=100)


class GateResult(BaseModel):
    """What the gate decided, and why.

    Attributes:
        passed: Whether to push the challenger.
        reasons: One line per condition.
        unit: What the two are judged by: images, or breasts where one sees both views.
        auc: Of the challenger.
        champion_auc: Of the champion on the same test set; None when there is none.
        difference: Challenger minus champion.
        difference_ci95: Its interval (low, high).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    passed: bool
    reasons: list[str]
    auc: float
    unit: Unit = "image"
    champion_auc: float | None = None
    difference: float | None = None
    difference_ci95: tuple[float, float] | None = None


def decide(
    challenger: "pd.DataFrame",
    champion: "pd.DataFrame | None",
    config: GateConfig,
    seed: int,
    *,
    challenger_id: str | None = None,
    champion_id: str | None = None,
    unit: Unit = "image",
    aggregation: Aggregation | None = None,
) -> GateResult:
    """Decide whether a challenger may be pushed. The test set chooses nothing else.

    Args:
        challenger: Its predictions on the test set, columns as in `evaluation.evaluate`.
        champion: The champion's on the same images; None when there is no champion yet.
        config: The conditions.
        seed: Of the bootstrap.
        challenger_id: Its model id.
        champion_id: The champion's model id; the same one is no worse than itself.
        unit: `breast` where one of them sees both views: both are judged by breasts then, on
            the images of CC and MLO.
        aggregation: From images to breasts.

    Raises:
        RecordError: The two were not predicted on the same images with the same labels, or a
            table cannot be evaluated.
        ModelError: A probability is not in [0, 1].
    """

    def judged_by(table: "pd.DataFrame", name: str) -> "pd.DataFrame":
        return validate_predictions(cc_and_mlo_views(table) if unit == "breast" else table, name)

    records = judged_by(challenger, "challenger's")
    ours = at_level(records, unit, aggregation)
    labels = ours["label"].to_numpy()
    reached = auc(labels, ours["probability"].to_numpy())
    good = reached >= config.min_auc
    what = "AUC" if unit == "image" else f"AUC per {unit}"
    reasons = [f"{what} {reached:.4f} {'≥' if good else '<'} {config.min_auc:.4f}, the floor"]
    if challenger_id is not None and challenger_id == champion_id:
        return GateResult(
            passed=good,
            reasons=[*reasons, "already the champion"],
            auc=reached,
            unit=unit,
            champion_auc=reached,
            difference=0.0,
            difference_ci95=(0.0, 0.0),
        )
    if champion is None:
        return GateResult(
            passed=good,
            reasons=[*reasons, "no champion to compare with"],
            auc=reached,
            unit=unit,
        )

    reference = judged_by(champion, "champion's")
    require_same_records(records, reference, ("Challenger", "champion"))
    theirs = at_level(reference, unit, aggregation)
    difference = auc_difference(
        labels,
        ours["probability"].to_numpy(),
        theirs["probability"].to_numpy(),
        ours["patient_key"].to_numpy(),
        config.bootstrap_replicates,
        seed,
    )
    by_interval = config.non_inferiority == "interval"
    judged = difference.low if by_interval else difference.value
    no_worse = judged > -config.margin or judged == 0
    what = "low end of the 95 % interval of the difference" if by_interval else "difference"
    reasons.append(
        f"{what} to the champion {judged:+.4f} "
        f"{'>' if no_worse else '≤'} {-config.margin:+.4f}, the margin"
    )
    return GateResult(
        passed=good and no_worse,
        reasons=reasons,
        auc=reached,
        unit=unit,
        champion_auc=auc(labels, theirs["probability"].to_numpy()),
        difference=difference.value,
        difference_ci95=(difference.low, difference.high),
    )
