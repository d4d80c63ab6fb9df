"""The trials of the leak laboratory, one a seed, and what they show together."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from mammo_core.errors import RecordError
from mammo_core.experiments.leak_network import EPOCHS, SIDE, lesion_crop, train_and_score
from mammo_core.experiments.leaks import HONEST, MISTAKES, REVISION, arrange
from mammo_core.experiments.plan import Trial
from mammo_core.experiments.results import ExperimentResult
from mammo_core.metrics import Interval, auc, mean_auc_interval

if TYPE_CHECKING:
    from mammo_core.datasets import Manifest
    from mammo_core.store import Store

_REPLICATES: Final = 2000
#: Images in memory at once: 0.4 GB of 1152x896 with their masks.
_AT_ONCE: Final = 128


def leak_trials(seeds: Sequence[int], epochs: int = EPOCHS) -> list[Trial]:
    """Plan the laboratory: each trial trains the network under every arrangement.

    Args:
        seeds: Seeds of weights, order and left-out images. The sides are the same in all trials.
        epochs: Epochs of a network.
    """
    facts = {"epochs": epochs, "revision": REVISION, "size": f"{SIDE}x{SIDE}"}
    return [
        Trial(f"leaks-seed-{seed}", HONEST, (), False, {"seed": seed, **facts}) for seed in seeds
    ]


def leak_scores(
    store: "Store", tables: "Manifest", images: "Manifest", trial: Trial, seed: int
) -> pd.DataFrame:
    """Train and test under each arrangement.

    Args:
        store: The store.
        tables: The tables of the source.
        images: Its image dataset.
        trial: The trial.
        seed: Seed of the sides.

    Returns:
        arm, image_id, patient_key, label, probability, trained_on: a row for each arrangement and
        test image.
    """
    from mammo_core.datasets.tables import read_table

    table = read_table(store, tables, "images.parquet")
    sides = dict(zip(table["image_id"], table["laterality"].astype(str), strict=True))
    pixels = _crops(store, images, sides)
    known = table["image_id"].isin(pixels)
    print(f"[{trial.name}] {known.sum()} images have lesions, {(~known).sum()} are left out")
    table = table[known]
    labels = dict(zip(table["image_id"], table["malignant"].astype(int), strict=True))
    patients = dict(zip(table["image_id"], table["patient_key"], strict=True))
    parts = []
    for name, arrangement in arrange(table, seed, trial.facts["seed"]).items():
        scores = train_and_score(
            arrangement, pixels, labels, trial.facts["seed"], trial.facts["epochs"]
        )
        ids = list(scores)
        columns = {
            "arm": name,
            "image_id": ids,
            "patient_key": [patients[id] for id in ids],
            "label": [labels[id] for id in ids],
            "probability": list(scores.values()),
            "trained_on": len(arrangement.train),
        }
        parts.append(pd.DataFrame(columns))
        value = auc(parts[-1]["label"], parts[-1]["probability"])
        print(f"[{trial.name}] {name}: AUC {value:.3f}", flush=True)
    return pd.concat(parts, ignore_index=True)


def _crops(
    store: "Store", images: "Manifest", sides: Mapping[str, str]
) -> dict[str, npt.NDArray[np.float32]]:
    """Cut the crops, with few whole images in memory at a time."""
    from mammo_core.evaluation.image_records import read_images

    crops = {}
    ids = sorted(sides)
    for start in range(0, len(ids), _AT_ONCE):
        records = read_images(store, images, ids[start : start + _AT_ONCE])
        for id, record in records.items():
            crop = lesion_crop(record, sides[id])
            if crop is not None:
                crops[id] = crop
    return crops


def summarize_leaks(
    trials: Sequence[Trial], scores: Mapping[str, pd.DataFrame], seed: int = 0
) -> ExperimentResult:
    """Combine the trials: what each mistake adds to the AUC.

    The difference is paired: the same test images and seeds, with and without the mistake. Its
    interval resamples patients, with the seeds averaged in each draw. A mistake shows if that is
    above 0, and the difference is more than twice its standard error between the seeds.

    Args:
        trials: The plan.
        scores: Trial name → its scores.
        seed: Seed of the bootstrap.

    Raises:
        RecordError: The scores of a trial are missing.
    """
    missing = [trial.name for trial in trials if trial.name not in scores]
    if missing:
        raise RecordError(
            "The experiment is not complete",
            expected=f"the scores of {len(trials)} trials",
            received=f"no scores of {', '.join(missing)}",
        )
    tables = [scores[trial.name] for trial in trials]
    arms = [arm for arm in (HONEST, *MISTAKES) if arm in set(tables[0]["arm"])]
    rows: list[dict[str, Any]] = []
    summary = []
    for arm in arms:
        parts = [_of(table, arm) for table in tables]
        honest = [
            _same(_of(table, HONEST), part) for table, part in zip(tables, parts, strict=True)
        ]
        for trial, part, reference in zip(trials, parts, honest, strict=True):
            value, base = (auc(t["label"], t["probability"]) for t in (part, reference))
            rows.append(
                {
                    "trial": f"{arm}-{trial.facts['seed']}",
                    "arm": arm,
                    "seed": trial.facts["seed"],
                    "auc": value,
                    "honest_auc": base,
                    "difference": value - base,
                }
            )
        differences = [row["difference"] for row in rows if row["arm"] == arm]
        summary.append(_summarize(arm, parts, honest, differences, seed))
    shown = [row["arm"] for row in summary if row["shows"] == "yes"]
    hidden = [row["arm"] for row in summary if row["shows"] == "no"]
    absent = [arm for arm in MISTAKES if arm not in arms]
    conclusion = "; ".join(
        f"{text}: {', '.join(names)}"
        for text, names in (
            ("adds to the AUC", shown),
            ("no addition is shown", hidden),
            ("not possible on this source", absent),
        )
        if names
    )
    return ExperimentResult("leaks", rows, summary, None, conclusion)


def _of(table: pd.DataFrame, arm: str) -> pd.DataFrame:
    return table[table["arm"] == arm].sort_values("image_id", ignore_index=True)


def _same(honest: pd.DataFrame, part: pd.DataFrame) -> pd.DataFrame:
    """The honest scores of the images that a mistake is tested on."""
    return honest[honest["image_id"].isin(part["image_id"])].reset_index(drop=True)


def _summarize(
    arm: str,
    parts: Sequence[pd.DataFrame],
    honest: Sequence[pd.DataFrame],
    differences: Sequence[float],
    seed: int,
) -> dict[str, Any]:
    first = parts[0]

    def interval(references: Sequence[pd.DataFrame]) -> Interval:
        return mean_auc_interval(
            first["label"],
            [part["probability"] for part in parts],
            [reference["probability"] for reference in references],
            first["patient_key"],
            _REPLICATES,
            seed,
        )

    mistaken = interval([])
    row: dict[str, Any] = {
        "arm": arm,
        "runs": len(parts),
        "trained_on": int(first["trained_on"].iloc[0]),
        "test_images": len(first),
        "auc": mistaken.value,
        "low": mistaken.low,
        "high": mistaken.high,
    }
    if arm == HONEST:
        nothing = dict.fromkeys(("adds", "adds_low", "adds_high", "adds_between_runs"))
        return {**row, **nothing, "shows": ""}
    added = interval(honest)
    spread = float(np.std(differences, ddof=1)) if len(differences) > 1 else None
    error = spread / len(differences) ** 0.5 if spread is not None else 0.0
    return {
        **row,
        "adds": added.value,
        "adds_low": added.low,
        "adds_high": added.high,
        "adds_between_runs": spread,
        "shows": "yes" if added.low > 0 and added.value > 2 * error else "no",
    }
