"""What the change-control plan says of a challenger, added to the decision of the gate."""

from typing import TYPE_CHECKING

from mammo_core.datasets.tables import read_table
from mammo_core.duel.inputs import DecisionInputs
from mammo_core.duel.kinds import DuelFacts
from mammo_core.duel.run_duel import CHALLENGER, CHAMPION, LEFT_OUT
from mammo_core.packaging.kinds import CANDIDATE
from mammo_core.registry.champions import ChampionRef, champion
from mammo_core.registry.change_plan.performance import Compared
from mammo_core.registry.change_plan.review import (
    describe_candidate,
    describe_version,
    review,
)
from mammo_core.registry.gate import GateResult
from mammo_core.registry.version_files import released_by
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd


def review_changes(
    store: Store,
    inputs: DecisionInputs,
    facts: DuelFacts,
    compared: "pd.DataFrame | None",
    result: GateResult,
) -> GateResult:
    """Return a decision with what the plan says: one forbidden change stops the release.

    Args:
        store: The object store.
        inputs: What the gate decides on.
        facts: The facts of the duel.
        compared: Its images that both scored; None if there was nothing to compare.
        result: The decision without the plan.

    Raises:
        ModelError: A file of one of the packages was changed.
        RecordError: The plan names a metric that cannot be judged.
    """
    plan = inputs.gate.plan
    current = champion(store, inputs.name)
    if current is not None and facts.state == "already the champion":
        return result
    if plan is None and (current is None or not _has_plan(store, current)):
        return result
    if plan is not None and plan.model != inputs.name:
        reason = f"the change plan {plan.name} is of the model {plan.model}, not of {inputs.name}"
        return _stopped(result, [reason])
    candidate = CANDIDATE.read(store, inputs.duel.lineage["candidate"])
    changes = review(
        plan,
        describe_version(store, current) if current is not None else None,
        describe_candidate(store, candidate, inputs.gate.conditions()),
        _compared(store, inputs, facts, compared),
    )
    forbidden = [change.text for change in changes if not change.allowed]
    count = len(changes) - len(forbidden)
    name = f"the change plan {plan.name}" if plan is not None else "no change plan"
    reasons = [f"{name}: {count} changes and limits are met, {len(forbidden)} are not", *forbidden]
    changed = result.model_copy(update={"changes": changes})
    if forbidden:
        return _stopped(changed, reasons)
    return changed.model_copy(update={"reasons": [*result.reasons, *reasons]})


def _has_plan(store: Store, current: ChampionRef) -> bool:
    decision = released_by(store, current)
    return decision is not None and decision.plan is not None


def _stopped(result: GateResult, reasons: list[str]) -> GateResult:
    update = {"passed": False, "decision": "stop", "reasons": [*result.reasons, *reasons]}
    return result.model_copy(update=update)


def _compared(
    store: Store, inputs: DecisionInputs, facts: DuelFacts, compared: "pd.DataFrame | None"
) -> Compared | None:
    """The predictions of both on the images that both scored; without a champion, on all."""
    tested = read_table(store, inputs.evaluation, "test.parquet")
    first, second = tested, None
    if facts.champion is not None:
        if compared is None or compared.empty:
            return None
        first, second = (predictions_of(compared, role) for role in (CHALLENGER, CHAMPION))
        # What subgroups are made by is in the table of the evaluation.
        columns = [name for name in tested.columns if name not in first.columns]
        first = first.merge(tested[["image_id", *columns]], on="image_id", how="left")
        second = second.sort_values("image_id", ignore_index=True)
    challenger, theirs = facts.challenger, facts.champion
    units = {challenger.unit, theirs.unit if theirs is not None else challenger.unit}
    return Compared(
        challenger=first.sort_values("image_id", ignore_index=True),
        champion=second,
        settings=inputs.config.metric_settings("none"),
        replicates=inputs.gate.bootstrap_replicates,
        seed=inputs.seed,
        unit="breast" if "breast" in units else "image",
        aggregation=challenger.aggregation,
        champion_aggregation=theirs.aggregation if theirs is not None else None,
    )


def predictions_of(compared: "pd.DataFrame", role: str) -> "pd.DataFrame":
    """Return the predictions of one of the two, columns as in `evaluation.evaluate`.

    Args:
        compared: The table of a duel.
        role: Column with its probabilities.
    """
    return compared.drop(columns=[CHALLENGER, CHAMPION, LEFT_OUT]).assign(
        probability=compared[role]
    )
