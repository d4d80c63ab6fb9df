"""The release gate: a model must be good enough, and not worse than the champion."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict

from mammo_core.evaluation import Aggregation, at_level, validate_predictions
from mammo_core.evaluation.aggregate import Unit, cc_and_mlo_views
from mammo_core.evaluation.predictions import require_same_records
from mammo_core.metrics import auc, auc_difference
from mammo_core.registry.config import GateConfig

if TYPE_CHECKING:
    import pandas as pd


class GateResult(BaseModel):
    """The decision of the gate, with its reasons.

    Attributes:
        passed: Whether the challenger may be pushed.
        reasons: One line per condition.
        unit: What is compared: images, or breasts if one of the models sees both views.
        auc: AUC of the challenger.
        champion_auc: AUC of the champion on the same test set; None if there is no champion.
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
    """Decide whether a challenger may be pushed. The test set is used for nothing else.

    Args:
        challenger: Its predictions on the test set, columns as in `evaluation.evaluate`.
        champion: The champion's on the same images; None if there is no champion yet.
        config: The conditions.
        seed: Seed of the bootstrap.
        challenger_id: Its model id.
        champion_id: The champion's model id; a model is never worse than itself.
        unit: `breast` if one of them sees both views: both are then judged by breasts, on the
            CC and MLO images.
        aggregation: How images are aggregated to breasts.

    Raises:
        RecordError: The two are not predictions of the same images with the same labels, or a
            table cannot be evaluated.
        ModelError: A probability is not in [0, 1].
    """

    def select(table: "pd.DataFrame", name: str) -> "pd.DataFrame":
        return validate_predictions(cc_and_mlo_views(table) if unit == "breast" else table, name)

    records = select(challenger, "challenger's")
    judged = at_level(records, unit, aggregation)
    labels = judged["label"].to_numpy()
    challenger_auc = auc(labels, judged["probability"].to_numpy())
    good = challenger_auc >= config.min_auc
    name = "AUC" if unit == "image" else f"AUC per {unit}"
    reasons = [
        f"{name} {challenger_auc:.4f} {'≥' if good else '<'} {config.min_auc:.4f}, the floor"
    ]
    if challenger_id is not None and challenger_id == champion_id:
        return GateResult(
            passed=good,
            reasons=[*reasons, "already the champion"],
            auc=challenger_auc,
            unit=unit,
            champion_auc=challenger_auc,
            difference=0.0,
            difference_ci95=(0.0, 0.0),
        )
    if champion is None:
        return GateResult(
            passed=good,
            reasons=[*reasons, "no champion to compare with"],
            auc=challenger_auc,
            unit=unit,
        )

    reference = select(champion, "champion's")
    require_same_records(records, reference, ("Challenger", "champion"))
    judged_champion = at_level(reference, unit, aggregation)
    difference = auc_difference(
        labels,
        judged["probability"].to_numpy(),
        judged_champion["probability"].to_numpy(),
        judged["patient_key"].to_numpy(),
        config.bootstrap_replicates,
        seed,
    )
    by_interval = config.non_inferiority == "interval"
    compared = difference.low if by_interval else difference.value
    not_worse = compared > -config.margin or compared == 0
    quantity = "lower end of the 95 % interval of the difference" if by_interval else "difference"
    reasons.append(
        f"{quantity} to the champion {compared:+.4f} "
        f"{'>' if not_worse else '≤'} {-config.margin:+.4f}, the margin"
    )
    return GateResult(
        passed=good and not_worse,
        reasons=reasons,
        auc=challenger_auc,
        unit=unit,
        champion_auc=auc(labels, judged_champion["probability"].to_numpy()),
        difference=difference.value,
        difference_ci95=(difference.low, difference.high),
    )
