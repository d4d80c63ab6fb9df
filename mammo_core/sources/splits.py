"""Training, validation and test patients; no patient on two sides.

Sets of patients are drawn class by class (malignant, not malignant) at even steps through a
list that is sorted by lesion type and then at random: every stratum gets its share, give or
take one patient, and nothing needs a minimum size. Small sets: a class of at least three
patients has one in every split; fewer patients are drawn together, so that three patients
still fill three splits. Two patients make training and test, one makes training.
"""

from dataclasses import dataclass
from typing import Literal, Self

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from mammo_core.errors import SourceError
from mammo_core.seeds import generator


class SplitConfig(BaseModel):
    """How patients are divided.

    Args:
        name: `official` (as the case tables; refused while patients are on both sides),
            `official-without-leak`, `stratified` (the tables' sides are not used; by default
            85:15, then 90:10, as Shen et al. 2019 did), `folds` (cross-validation: the tests
            of all folds together are all patients, each once), or `given` (as `patients`
            says).
        leak: On which side `official-without-leak` drops the leaking patients; the images
            of the side that lost are excluded.
        validation: Share of the patients that are not in test; 0 for none. Not drawn by the
            official splits of a source that names validation patients itself.
        test: Share of all patients; `stratified` only.
        folds: How many folds; `folds` only.
        fold: Which of them is the test set, from 0; `folds` only.
        seed: Seed of the draw.
        patients: patient_key → split; `given` only. Patients not named are excluded.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Literal["official", "official-without-leak", "stratified", "folds", "given"]
    leak: Literal["drop_from_test", "drop_from_train"] = "drop_from_test"
    validation: float = Field(default=0.1, ge=0, lt=1)
    test: float = Field(default=0.15, gt=0, lt=1)
    folds: int = Field(default=5, ge=2)
    fold: int = Field(default=0, ge=0)
    seed: int = 12345
    patients: dict[str, Literal["train", "validation", "test"]] = {}

    @model_validator(mode="after")
    def _fold_of_the_folds(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"fold goes from 0 to {self.folds - 1} with {self.folds} folds")
        return self


@dataclass(frozen=True)
class SplitResult:
    """Who is where.

    Args:
        patients: patient_key, split (train|validation|test|excluded), one row a patient.
        leaking: Patients that the official split has on both sides.
        images: image_id, patient_key, split: as the patient, except that images of a
            leaking patient from the side that lost are `excluded`.
    """

    patients: pd.DataFrame
    leaking: list[str]
    images: pd.DataFrame


def assign(images: pd.DataFrame, config: SplitConfig) -> SplitResult:
    """Assign every patient to one split.

    Args:
        images: image_id, patient_key, malignant, lesion_types, official_splits.
        config: How.

    Returns:
        The patients, the leaking ones, and the images.

    Raises:
        SourceError: No image; `official` with leaking patients; an official side without
            patients; fewer patients than folds; a patient on two sides.
    """
    if images.empty:
        raise SourceError("There is no image to split", expected="at least one", received="none")
    sides = official_sides(images)
    leaking = sorted(key for key, names in sides.items() if len(names) > 1)
    if config.name == "official" and leaking:
        raise SourceError(
            f"The official split has {len(leaking)} patients in train and in test",
            expected="patients on one side only",
            received=", ".join(leaking[:5]) + (" …" if len(leaking) > 5 else ""),
            hint="Choose official-without-leak, or stratified",
        )
    strata = _strata(images)
    if config.name == "stratified":
        patients = _stratified(strata, config)
    elif config.name == "folds":
        patients = _folds(strata, config)
    elif config.name == "given":
        patients = _given(strata, config)
    else:
        patients = _official(strata, sides, config)
    table = pd.DataFrame(
        sorted(patients.items()), columns=pd.Index(["patient_key", "split"]), dtype="object"
    )
    by_image = images[["image_id", "patient_key"]].reset_index(drop=True).copy()
    by_image["split"] = by_image["patient_key"].map(patients)
    if config.name == "official-without-leak":
        kept = "train" if config.leak == "drop_from_test" else "test"
        lost = [
            str(key) in leaking and kept not in str(names).split("+")
            for key, names in zip(images["patient_key"], images["official_splits"], strict=True)
        ]
        by_image.loc[lost, "split"] = "excluded"
    require_disjoint(by_image)
    return SplitResult(patients=table, leaking=leaking, images=by_image)


def official_sides(images: pd.DataFrame) -> dict[str, set[str]]:
    """Return on which sides of the official split each patient is.

    Args:
        images: Rows with patient_key and official_splits.
    """
    sides: dict[str, set[str]] = {}
    for key, names in zip(images["patient_key"], images["official_splits"], strict=True):
        sides.setdefault(str(key), set()).update(str(names).split("+"))
    return sides


def _strata(images: pd.DataFrame) -> dict[str, tuple[int, str]]:
    """Return (malignant, lesion types) of each patient."""
    strata: dict[str, tuple[int, set[str]]] = {}
    columns = (images["patient_key"], images["malignant"], images["lesion_types"])
    for key, malignant, types in zip(*columns, strict=True):
        before = strata.get(str(key), (0, set()))
        strata[str(key)] = (
            max(before[0], int(malignant)),
            before[1] | set(str(types).split("+")),
        )
    return {key: (malignant, "+".join(sorted(types))) for key, (malignant, types) in strata.items()}


def _official(
    strata: dict[str, tuple[int, str]], sides: dict[str, set[str]], config: SplitConfig
) -> dict[str, str]:
    kept = "train" if config.leak == "drop_from_test" else "test"
    patients = {key: next(iter(names)) if len(names) == 1 else kept for key, names in sides.items()}
    for side in ("train", "test"):
        if side not in patients.values():
            raise SourceError(
                f"The official split has no {side} patient here",
                expected="patients on both sides",
                received=f"{len(patients)} patients, all on the other side",
                hint="Choose stratified for a part of the data set",
            )
    if "validation" in patients.values():
        return patients  # the source says itself who validates
    train = [key for key, side in patients.items() if side == "train"]
    drawn = _draw(train, strata, config.validation, config.seed, "validation", remain=1)
    return {**patients, **dict.fromkeys(drawn, "validation")}


def _given(strata: dict[str, tuple[int, str]], config: SplitConfig) -> dict[str, str]:
    unknown = sorted(set(config.patients) - set(strata))
    if unknown or not config.patients:
        raise SourceError(
            "The given split names patients that have no image here"
            if unknown
            else "The given split names no patient",
            expected="patient keys of the source under split.patients",
            received=", ".join(unknown[:5]) or "none",
        )
    return {key: config.patients.get(key, "excluded") for key in strata}


def _stratified(strata: dict[str, tuple[int, str]], config: SplitConfig) -> dict[str, str]:
    remain = 2 if config.validation > 0 and len(strata) > 2 else 1
    test = _draw(list(strata), strata, config.test, config.seed, "test", remain)
    rest = [key for key in strata if key not in test]
    validation = _draw(rest, strata, config.validation, config.seed, "validation", remain=1)
    patients = dict.fromkeys(strata, "train")
    patients.update(dict.fromkeys(test, "test"))
    patients.update(dict.fromkeys(validation, "validation"))
    return patients


def _folds(strata: dict[str, tuple[int, str]], config: SplitConfig) -> dict[str, str]:
    """Deal the patients, sorted by stratum and then at random, to the folds in turn."""
    if len(strata) <= config.folds:
        raise SourceError(
            "There are not enough patients for the folds",
            expected=f"more than {config.folds}",
            received=str(len(strata)),
        )
    ordered = _ordered(list(strata), strata, config.seed, "folds")
    test = {key for place, key in enumerate(ordered) if place % config.folds == config.fold}
    rest = [key for key in strata if key not in test]
    what = f"validation of fold {config.fold} of {config.folds}"
    validation = _draw(rest, strata, config.validation, config.seed, what, remain=1)
    return {
        key: "test" if key in test else "validation" if key in validation else "train"
        for key in strata
    }


def _draw(
    keys: list[str],
    strata: dict[str, tuple[int, str]],
    share: float,
    seed: int,
    what: str,
    remain: int,
) -> set[str]:
    """Draw a share of the patients, leaving at least `remain` of them, one at least."""
    if share <= 0 or len(keys) <= remain:
        return set()
    drawn: set[str] = set()
    for malignant in (0, 1):
        own = [key for key in keys if strata[key][0] == malignant]
        if len(own) > remain:
            count = min(max(1, round(share * len(own))), len(own) - remain)
            drawn.update(_steps(own, strata, count, seed, what))
    # Classes too small to be drawn on their own: together they must not leave a hole.
    return drawn or _steps(keys, strata, 1, seed, what)


def _steps(
    keys: list[str], strata: dict[str, tuple[int, str]], count: int, seed: int, what: str
) -> set[str]:
    ordered = _ordered(keys, strata, seed, what)
    return {ordered[int((place + 0.5) * len(ordered) / count)] for place in range(count)}


def _ordered(
    keys: list[str], strata: dict[str, tuple[int, str]], seed: int, what: str
) -> list[str]:
    """Sort by stratum, and at random inside a stratum."""
    ranks = {key: float(generator(seed, "split", what, key).random()) for key in keys}
    return sorted(keys, key=lambda key: (strata[key], ranks[key], key))


def require_disjoint(images: pd.DataFrame) -> None:
    """Refuse a table in which a patient has images in two splits.

    Args:
        images: Table with the columns patient_key and split; excluded images do not count.

    Raises:
        SourceError: Contains the number of such patients and the first of them.
    """
    used = images[images["split"] != "excluded"]
    splits = used.groupby("patient_key")["split"].nunique()
    both = splits[splits > 1].index
    if len(both):
        first = used.loc[used["patient_key"] == both[0], "split"]
        raise SourceError(
            f"{len(both)} patients are in more than one split, the first is {both[0]}",
            expected="every patient in one split",
            received=f"{sorted(first)}",
        )
