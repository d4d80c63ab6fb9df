"""What an experiment is made of: units of work that can be done anywhere, in any order."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mammo_core.errors import RecipeError
from mammo_core.seeds import generator
from mammo_core.training.config import ImageTrainingConfig

Kind = Literal["patch-pretraining", "transfer-curve", "folds"]
PATCH, SCRATCH = "patch-initialised", "from-scratch"
UNTRAINED = "as-it-is"


@dataclass(frozen=True)
class Unit:
    """One training (or two, where a patch classifier comes first) with its test scores.

    Attributes:
        name: Within the experiment.
        arm: Which of the compared ways it belongs to.
        overrides: Of the recipe, `key.key=value`.
        patch: Whether a patch classifier is trained first.
        facts: What the table says of it: seed, fold, patients, …
    """

    name: str
    arm: str
    overrides: tuple[str, ...]
    patch: bool
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """The unit as it is handed to another process."""
        return json.dumps(self.__dict__, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Unit":
        """Read what `to_json` wrote."""
        told = json.loads(text)
        return cls(**{**told, "overrides": tuple(told["overrides"])})


def patch_pretraining(seeds: Sequence[int], training: ImageTrainingConfig) -> list[Unit]:
    """Plan patch-initialised against from-scratch training, a pair for each seed.

    Both see the same images in the same order for as many steps, at the same learning
    rates; from scratch all layers learn from the first step, since frozen random ones
    would be a handicap.

    Args:
        seeds: Of the pairs.
        training: The recipe's whole-image training.
    """
    _some(seeds, "seeds")
    stages = [
        {**stage.model_dump(mode="json"), "train": "all", "batch_norm": "train"}
        for stage in training.stages
    ]
    scratch = (f"image_training.stages={json.dumps(stages)}", "image_training.start=''")
    units = []
    for seed in seeds:
        for arm, more in ((PATCH, ("image_training.start=''",)), (SCRATCH, scratch)):
            overrides = (f"seed={seed}", *more)
            units.append(Unit(f"{arm}-{seed}", arm, overrides, arm == PATCH, {"seed": seed}))
    return units


def folds(count: int) -> list[Unit]:
    """Plan a cross-validation: every patient is a test patient once.

    Args:
        count: Number of folds.
    """
    if count < 2:
        raise RecipeError(
            "A cross-validation needs folds", expected="2 or more", received=f"{count}"
        )
    return [
        Unit(
            f"fold-{fold}",
            f"fold {fold}",
            ("split.name=folds", f"split.folds={count}", f"split.fold={fold}"),
            True,
            {"fold": fold},
        )
        for fold in range(count)
    ]


def transfer_curve(
    counts: Sequence[int],
    repeats: int,
    patients: Mapping[str, tuple[str, int]],
    start: str,
    seed: int,
) -> list[Unit]:
    """Plan fine-tuning on ever more patients (the poster's table, original-system.md §13.3).

    The subsets of one repeat are nested, and hold malignant patients in the share of all
    training patients, one at least. Validation and test patients stay the same.

    Args:
        counts: Numbers of training patients; 0 is the model as it is.
        repeats: Draws of each number.
        patients: Patient key to its split and 1 for malignant, 0 for not.
        start: The model package to begin with.
        seed: Of the draws.
    """
    _some(counts, "numbers of patients")
    training = {key: label for key, (split, label) in patients.items() if split == "train"}
    most = max(counts)
    if most > len(training) or min(counts) < 0 or min([c for c in counts if c] or [2]) < 2:
        raise RecipeError(
            "The transfer curve cannot be drawn with these numbers of patients",
            expected=f"0, or 2 to {len(training)}, the training patients there are",
            received=", ".join(map(str, counts)),
        )
    kept = {key: split for key, (split, _) in patients.items() if split in ("validation", "test")}
    begin = f"image_training.start={json.dumps(start)}"
    units = []
    for count in sorted(set(counts)):
        for repeat in range(repeats if count else 1):
            facts = {"patients": count, "repeat": repeat}
            if not count:
                units.append(Unit(UNTRAINED, UNTRAINED, (begin,), False, facts))
                continue
            chosen = dict.fromkeys(_subset(training, count, repeat, seed), "train")
            given = json.dumps({**kept, **chosen}, sort_keys=True)
            overrides = (begin, "split.name=given", f"split.patients={given}")
            name = f"patients-{count}-repeat-{repeat}"
            units.append(Unit(name, f"{count} patients", overrides, False, facts))
    return units


def _subset(patients: Mapping[str, int], count: int, repeat: int, seed: int) -> list[str]:
    draw = generator(seed, "transfer curve", repeat)
    by_class = {
        label: [
            str(key)
            for key in draw.permutation(sorted(k for k, v in patients.items() if v == label))
        ]
        for label in (0, 1)
    }
    malignant = round(count * len(by_class[1]) / len(patients))
    malignant = min(max(malignant, 1, count - len(by_class[0])), count - 1, len(by_class[1]))
    return by_class[1][:malignant] + by_class[0][: count - malignant]


def _some(given: Sequence[int], what: str) -> None:
    if not given or len(set(given)) != len(given):
        raise RecipeError(
            f"The experiment's {what} cannot be used",
            expected="one or more, each once",
            received=", ".join(map(str, given)) or "none",
        )
