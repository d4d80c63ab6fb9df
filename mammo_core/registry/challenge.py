"""A challenger against the champion: predictions of both, the gate's decision, and its page."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mammo_core.datasets import Manifest, StoredFile
from mammo_core.datasets.manifests import put_bytes
from mammo_core.datasets.tables import read_table
from mammo_core.evaluation.aggregate import LEVELS, Unit
from mammo_core.evaluation.breasts import assign_probabilities, record_source
from mammo_core.evaluation.config import EvaluationConfig
from mammo_core.evaluation.kinds import EVALUATION
from mammo_core.features.frame import frame_from_manifest
from mammo_core.ingest.kinds import IMAGE_DATASET
from mammo_core.models.backend import prepare_keras
from mammo_core.registry.config import GateConfig
from mammo_core.registry.gate import GateResult, decide
from mammo_core.registry.opening import open_package
from mammo_core.registry.versions import VersionRef
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = [
    *("image_id", "patient_key", "exam_key", "view_id", "laterality", "view", "view_class"),
    "label",
]


@dataclass(frozen=True)
class Challenge:
    """A challenger and what it is judged by.

    Attributes:
        name: Name of the model.
        images: The image dataset.
        frame: The frame.
        evaluation: The evaluation of the challenger.
        unit: What the challenger takes at once.
        champion: The champion; None if there is none.
        is_champion: Whether the challenger already is the champion.
        gate: The conditions.
        config: How predictions are averaged and aggregated; the same for both.
        seed: Seed of the bootstrap.
    """

    name: str
    images: Manifest
    frame: Manifest
    evaluation: Manifest
    unit: Unit
    champion: VersionRef | None
    is_champion: bool
    gate: GateConfig
    config: EvaluationConfig
    seed: int


@dataclass(frozen=True)
class _ChampionPredictions:
    """Predictions of the champion on the test split, or why there are none."""

    unit: Unit
    table: "pd.DataFrame | None" = None
    obstacle: str = ""


def judge(store: Store, challenge: Challenge, folder: str) -> tuple[GateResult, list[StoredFile]]:
    """Decide about a challenger, and write gate.json and comparison.html.

    Args:
        store: The object store.
        challenge: The challenger and what it is judged by.
        folder: Folder of the files.
    """
    result, reference = _decide(store, challenge)
    data = json.dumps(result.model_dump(mode="json"), sort_keys=True, indent=1).encode()
    page = _page(store, challenge, result, reference)
    return result, [
        put_bytes(store, folder, "gate.json", data),
        put_bytes(store, folder, "comparison.html", page.encode()),
    ]


def _decide(store: Store, challenge: Challenge) -> tuple[GateResult, "pd.DataFrame | None"]:
    """Return the decision, and the champion's predictions if it was compared with them."""
    predictions = read_table(store, challenge.evaluation, "test.parquet")
    facts = EVALUATION.facts_of(challenge.evaluation)
    if facts.shuffled_labels:
        reasons = ["labels were permuted: never pushed"]
        return GateResult(passed=False, reasons=reasons, auc=facts.summary.auc), None
    gate, seed, aggregation = challenge.gate, challenge.seed, challenge.config.aggregation
    floor = decide(predictions, None, gate, seed, unit=challenge.unit, aggregation=aggregation)
    if challenge.is_champion:
        reasons = [floor.reasons[0], "already the champion"]
        return floor.model_copy(update={"reasons": reasons, "champion_auc": floor.auc}), None
    if challenge.champion is None:
        return floor, None
    champion = _predict(store, challenge, challenge.champion)
    if champion.table is None:
        reasons = [floor.reasons[0], champion.obstacle]
        return floor.model_copy(update={"passed": False, "reasons": reasons}), None
    result = decide(
        predictions,
        champion.table,
        gate,
        seed,
        champion_id=challenge.champion.model_id,
        unit="breast" if "breast" in (challenge.unit, champion.unit) else "image",
        aggregation=aggregation,
    )
    if challenge.unit != champion.unit:
        reason = (
            f"judged per breast: the champion sees one {champion.unit} at once, this model one "
            f"{challenge.unit}"
        )
        result = result.model_copy(update={"reasons": [*result.reasons, reason]})
    return result, champion.table


def _predict(store: Store, challenge: Challenge, champion: VersionRef) -> _ChampionPredictions:
    """Score the test split with the champion."""
    prepare_keras()
    package = open_package(champion.uri).load()
    geometry = IMAGE_DATASET.facts_of(challenge.images).geometry
    if package.preprocessing.geometry != geometry:
        theirs = package.preprocessing.geometry.model_dump(mode="json")
        return _ChampionPredictions(
            package.unit,
            obstacle="the champion takes images of another geometry: "
            f"{theirs}, not {geometry.model_dump(mode='json')}",
        )
    rows = frame_from_manifest(store, challenge.frame).split("test")
    source = record_source(store, challenge.images, rows, package.unit)
    if not source.size:
        obstacle = "the champion sees CC and MLO views, and the test split has none"
        return _ChampionPredictions(package.unit, obstacle=obstacle)
    config = challenge.config
    probabilities: dict[str, float] = {}
    for batch in source.batches(0):
        values = package.predict(batch.pixels, flips=config.flips, translation=config.translation)
        probabilities.update(zip(batch.ids, map(float, values), strict=True))
    table = assign_probabilities(rows[_COLUMNS], probabilities, package.unit)
    return _ChampionPredictions(package.unit, table)


def _page(
    store: Store, challenge: Challenge, result: GateResult, reference: "pd.DataFrame | None"
) -> str:
    """Return the page of the decision: a comparison, if the two could be compared."""
    from mammo_core.evaluation import compare, comparison_report, decision_report

    verdict = "Passed the gate." if result.passed else "Did not pass the gate."
    reasons = [verdict, *(f"{reason[0].upper()}{reason[1:]}." for reason in result.reasons)]
    champion, title = challenge.champion, f"{challenge.name}: gate"
    facts = {
        "Evaluation": challenge.evaluation.id,
        "Frame": challenge.frame.id,
        "Champion": champion.uri if champion is not None else "none",
    }
    if champion is None or reference is None:
        return decision_report(title, reasons, facts)
    comparison = compare(
        read_table(store, challenge.evaluation, "test.parquet"),
        reference,
        challenge.config,
        challenge.seed,
        names=("challenger", f"champion {challenge.name} {champion.version}"),
        levels=LEVELS if result.unit == "image" else LEVELS[1:],
    )
    return comparison_report(comparison, title=title, facts=facts, reasons=reasons)
