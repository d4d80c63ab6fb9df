"""The gate's decision about a challenger, from what evaluation and duel wrote."""

import json
from typing import TYPE_CHECKING

from mammo_core.datasets import StoredFile
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.tables import read_table
from mammo_core.duel.inputs import DecisionInputs
from mammo_core.duel.kinds import DUEL, Contestant, DuelFacts
from mammo_core.duel.planned_changes import predictions_of, review_changes
from mammo_core.duel.run_duel import CHALLENGER, CHAMPION, LEFT_OUT, TABLE
from mammo_core.evaluation.aggregate import LEVELS
from mammo_core.evaluation.kinds import EVALUATION
from mammo_core.features.withheld import withheld_lines
from mammo_core.packaging.contents import TOLERANCE
from mammo_core.registry.gate import GateResult, decide
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd


def decide_from_duel(
    store: Store, inputs: DecisionInputs, folder: str
) -> tuple[GateResult, list[StoredFile]]:
    """Decide about a challenger, and write gate.json and comparison.html.

    Args:
        store: The object store.
        inputs: What the gate decides on.
        folder: Folder of the files.
    """
    facts = DUEL.facts_of(inputs.duel)
    compared = None
    if facts.state in ("compared", "no images"):
        table = read_table(store, inputs.duel, TABLE)
        compared = table[table[LEFT_OUT] == ""]
    result = _decide(store, inputs, facts, compared)
    if not EVALUATION.facts_of(inputs.evaluation).shuffled_labels:
        result = review_changes(store, inputs, facts, compared, result)
    withheld = withheld_lines(EVALUATION.facts_of(inputs.evaluation).withheld)
    result = result.model_copy(update={"reasons": [*result.reasons, *withheld]})
    data = json.dumps(result.model_dump(mode="json"), sort_keys=True, indent=1).encode()
    page = _page(inputs, facts, result, compared)
    return result, [
        put_bytes(store, folder, "gate.json", data),
        put_bytes(store, folder, "comparison.html", page.encode()),
    ]


def _decide(
    store: Store, inputs: DecisionInputs, facts: DuelFacts, compared: "pd.DataFrame | None"
) -> GateResult:
    evaluation = EVALUATION.facts_of(inputs.evaluation)
    if evaluation.shuffled_labels:
        reasons = ["labels were permuted: never pushed"]
        return GateResult(passed=False, reasons=reasons, auc=evaluation.summary.auc)
    tested = read_table(store, inputs.evaluation, "test.parquet")
    challenger, champion = facts.challenger, facts.champion
    if compared is None or champion is None:
        is_champion = facts.state == "already the champion"
        return decide(
            tested,
            None,
            inputs.gate,
            inputs.seed,
            challenger_id=challenger.model_id,
            champion_id=challenger.model_id if is_champion else "",
            unit=challenger.unit,
            aggregation=challenger.aggregation,
        )
    result = decide(
        predictions_of(compared, CHALLENGER),
        predictions_of(compared, CHAMPION),
        inputs.gate,
        inputs.seed,
        tested=tested,
        unit="breast" if "breast" in (challenger.unit, champion.unit) else "image",
        aggregation=challenger.aggregation,
        champion_aggregation=champion.aggregation,
    )
    reasons = [*result.reasons, *_remarks(facts, challenger, champion)]
    difference = _largest_difference(tested, compared)
    if difference > TOLERANCE:
        reasons.append(
            f"its package scores images otherwise than its evaluation, by up to {difference:.4f}: "
            "not pushed"
        )
        result = result.model_copy(update={"passed": False, "decision": "stop"})
    return result.model_copy(update={"reasons": reasons})


def _remarks(facts: DuelFacts, challenger: Contestant, champion: Contestant) -> list[str]:
    """What there is to know about a comparison, a line each."""
    lines = []
    if facts.left_out:
        lines.append(
            f"{facts.left_out} of {facts.test_patients} test patients are left out: the champion "
            f"was fitted to {champion.fitted_test_patients} of them, the challenger to "
            f"{challenger.fitted_test_patients}"
        )
    lines += [
        f"{contestant.not_scored} images are not scored by {contestant.name}, by its own policy "
        "and conversion"
        for contestant in (challenger, champion)
        if contestant.not_scored
    ]
    lines += [
        f"the training patients of {contestant.name} are not fully known: "
        f"{'; '.join(contestant.unknown)}"
        for contestant in (challenger, champion)
        if contestant.unknown
    ]
    if challenger.unit != champion.unit:
        lines.append(
            f"judged per breast: the champion sees one {champion.unit} at once, this model one "
            f"{challenger.unit}"
        )
    return lines


def _largest_difference(tested: "pd.DataFrame", compared: "pd.DataFrame") -> float:
    """How far the challenger's probabilities in the duel are from those of its evaluation."""
    both = compared.merge(tested[["image_id", "probability"]], on="image_id")
    return float((both[CHALLENGER] - both["probability"]).abs().max()) if len(both) else 0.0


def _page(
    inputs: DecisionInputs,
    facts: DuelFacts,
    result: GateResult,
    compared: "pd.DataFrame | None",
) -> str:
    """Return the page of the decision: a comparison, if the two could be compared."""
    from mammo_core.evaluation import compare, comparison_report, decision_report

    verdict = "Passed the gate." if result.passed else "Did not pass the gate."
    reasons = [verdict, *(f"{reason[0].upper()}{reason[1:]}." for reason in result.reasons)]
    title = f"{inputs.name}: gate"
    champion = facts.champion
    shown = {
        "Evaluation": inputs.evaluation.id,
        "Duel": inputs.duel.id,
        "Champion": champion.name if champion is not None else facts.state,
    }
    if champion is None or compared is None or result.compared_auc is None:
        return decision_report(title, reasons, shown)
    comparison = compare(
        predictions_of(compared, CHALLENGER),
        predictions_of(compared, CHAMPION),
        inputs.config,
        inputs.seed,
        names=("challenger", champion.name.removeprefix("the ")),
        levels=LEVELS if result.unit == "image" else LEVELS[1:],
        aggregations=(facts.challenger.aggregation, champion.aggregation),
    )
    return comparison_report(comparison, title=title, facts=shown, reasons=reasons)
