"""The trials of an experiment, which can run anywhere and in any order."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mammo_core.errors import RecipeError
from mammo_core.seeds import generator
from mammo_core.training.config import ImageTrainingConfig

ExperimentKind = Literal["patch-pretraining", "transfer-curve", "folds", "leaks", "sources"]
PATCH, SCRATCH = "patch-initialized", "from-scratch"
UNTRAINED = "as-it-is"


@dataclass(frozen=True)
class Trial:
    """A whole-image training, possibly after a patch training, with its test scores.

    Attributes:
        name: Name within the experiment.
        arm: The arm of the comparison that it belongs to.
        overrides: Overrides of the recipe, `key.key=value`.
        patch: Whether a patch classifier is trained first.
        facts: Its columns in the table: seed, fold, patients, …
    """

    name: str
    arm: str
    overrides: tuple[str, ...]
    patch: bool
    facts: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> str:
        """Return the trial as JSON, for another process."""
        return json.dumps(self.__dict__, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> "Trial":
        """Read a trial from JSON."""
        values = json.loads(text)
        return cls(**{**values, "overrides": tuple(values["overrides"])})


def patch_pretraining(seeds: Sequence[int], training: ImageTrainingConfig) -> list[Trial]:
    """Plan patch-initialized against from-scratch training, a pair for each seed.

    Both train on the same images in the same order, for the same number of steps and at the same
    learning rates. From scratch, all layers are trained from the first step, because frozen
    random layers would be a handicap.

    Args:
        seeds: The seeds of the pairs.
        training: The recipe's whole-image training.
    """
    _require_distinct(seeds, "seeds")
    stages = [
        {**stage.model_dump(mode="json"), "train": "all", "batch_norm": "train"}
        for stage in training.stages
    ]
    scratch = (f"image_training.stages={json.dumps(stages)}", "image_training.start=''")
    trials = []
    for seed in seeds:
        for arm, settings in ((PATCH, ("image_training.start=''",)), (SCRATCH, scratch)):
            overrides = (f"seed={seed}", *settings)
            trials.append(Trial(f"{arm}-{seed}", arm, overrides, arm == PATCH, {"seed": seed}))
    return trials


def folds(count: int) -> list[Trial]:
    """Plan a cross-validation, in which every patient is a test patient once.

    Args:
        count: Number of folds.
    """
    if count < 2:
        raise RecipeError(
            "A cross-validation needs folds", expected="2 or more", received=f"{count}"
        )
    return [
        Trial(
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
) -> list[Trial]:
    """Plan fine-tuning on increasing numbers of patients.

    This is the table of the original's poster (docs/original-system.md, "Reported results"). The
    subsets of a repeat are nested, and have the same fraction of malignant patients as all
    training patients, at least one. Validation and test patients stay the same.

    Args:
        counts: Numbers of training patients; 0: the model as it is.
        repeats: Number of draws of each subset.
        patients: Patient key → split, and 1 for malignant or 0.
        start: The model package to start from.
        seed: Seed of the draws.
    """
    _require_distinct(counts, "numbers of patients")
    training = {key: label for key, (split, label) in patients.items() if split == "train"}
    most = max(counts)
    if most > len(training) or min(counts) < 0 or min([c for c in counts if c] or [2]) < 2:
        raise RecipeError(
            "The transfer curve cannot be drawn with these numbers of patients",
            expected=f"0, or 2 to {len(training)}, the training patients of the split",
            received=", ".join(map(str, counts)),
        )
    held_out = {
        key: split for key, (split, _) in patients.items() if split in ("validation", "test")
    }
    start_setting = f"image_training.start={json.dumps(start)}"
    trials = []
    for count in sorted(set(counts)):
        for repeat in range(repeats if count else 1):
            facts = {"patients": count, "repeat": repeat}
            if not count:
                trials.append(Trial(UNTRAINED, UNTRAINED, (start_setting,), False, facts))
                continue
            subset = dict.fromkeys(_subset(training, count, repeat, seed), "train")
            split_patients = json.dumps({**held_out, **subset}, sort_keys=True)
            overrides = (start_setting, "split.name=given", f"split.patients={split_patients}")
            name = f"patients-{count}-repeat-{repeat}"
            trials.append(Trial(name, f"{count} patients", overrides, False, facts))
    return trials


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


def _require_distinct(values: Sequence[int], name: str) -> None:
    if not values or len(set(values)) != len(values):
        raise RecipeError(
            f"The {name} of the experiment are not valid",
            expected="one or more, each once",
            received=", ".join(map(str, values)) or "none",
        )
