"""Assign patients to training, validation and test; no patient is in two splits.

Patients are drawn for each class (malignant, not malignant) at even steps through a list that
is sorted by lesion type and then at random: every stratum gets its share, within one patient,
and no stratum needs a minimum size. Small sets: a class of at least three patients has one in
every split; smaller classes are drawn together, so that three patients still fill three splits.
Two patients fill training and test, one fills training.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from mammo_core.errors import SourceError
from mammo_core.seeds import generator
from mammo_core.sources.several.names import EXTERNAL

if TYPE_CHECKING:
    import pandas as pd

#: Patient → (malignant, lesion types).
Strata = dict[str, tuple[int, str]]


class SplitConfig(BaseModel):
    """How patients are assigned to splits.

    Args:
        name: `official` (as in the case tables; refused if patients are in both splits),
            `official-without-leak`, `stratified` (the official splits are not used; by default
            85:15, then 90:10, as in Shen et al. 2019), `folds` (cross-validation: the test
            sets of all folds together are all patients, each once), or `given` (as in
            `patients`).
        leak: From which split `official-without-leak` drops the leaking patients; their
            images in that split are excluded.
        validation: Share of the patients that are not in test; 0 for none. Not drawn for the
            official split of a source with validation patients of its own.
        test: Share of all patients; `stratified` only.
        folds: Number of folds; `folds` only.
        fold: Number of the fold that is the test set, from 0; `folds` only.
        seed: Seed of the draw.
        patients: patient_key → split; `given` only. Patients not named are excluded.
        assignment: Name under which the sides of patients are stored; later runs of this name
            and seed keep them, and draw only new patients. Empty: the model's name.
        overlap: What is done with test patients that the start package, or a model that it was
            started from, was fitted to: `stop` the run before training, or `exclude` them, which
            the report, the card and the gate state.
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
    assignment: str = Field(default="", pattern=r"^([a-z0-9][a-z0-9_-]*)?$")
    overlap: Literal["stop", "exclude"] = "stop"

    @model_validator(mode="after")
    def _require_existing_fold(self) -> Self:
        if self.fold >= self.folds:
            raise ValueError(f"fold goes from 0 to {self.folds - 1} with {self.folds} folds")
        return self


@dataclass(frozen=True)
class SplitResult:
    """The split of each patient and image.

    Args:
        patients: patient_key, split (train|validation|test|external|excluded), one row a patient.
        leaking: Patients in several official splits.
        images: image_id, patient_key, split: that of the patient, except that images that a
            leaking patient loses are `excluded`.
    """

    patients: "pd.DataFrame"
    leaking: list[str]
    images: "pd.DataFrame"


def assign(
    images: "pd.DataFrame", config: SplitConfig, sides: Mapping[str, str] | None = None
) -> SplitResult:
    """Assign every patient to one split.

    Args:
        images: image_id, patient_key, malignant, lesion_types, official_splits.
        config: How patients are assigned.
        sides: The side of each patient, where they are known; None: they are drawn.

    Returns:
        The patients, the leaking ones, and the images.

    Raises:
        SourceError: There is no image, `official` has leaking patients or a split without
            patients, there are fewer patients than folds, or a patient is in two splits.
    """
    if images.empty:
        raise SourceError("There is no image to split", expected="at least one", received="none")
    official = official_splits(images)
    leaking = sorted(key for key, names in official.items() if len(names) > 1)
    patients = dict(sides) if sides is not None else _drawn(images, config, official, leaking)
    import pandas as pd

    table = pd.DataFrame(
        sorted(patients.items()), columns=pd.Index(["patient_key", "split"]), dtype="object"
    )
    by_image = images[["image_id", "patient_key"]].reset_index(drop=True).copy()
    by_image["split"] = by_image["patient_key"].map(patients)
    if config.name == "official-without-leak":
        lost = [
            str(key) in leaking
            and patients[str(key)] != EXTERNAL
            and ("test" if patients[str(key)] == "test" else "train") not in str(names).split("+")
            for key, names in zip(images["patient_key"], images["official_splits"], strict=True)
        ]
        by_image.loc[lost, "split"] = "excluded"
    require_disjoint(by_image)
    return SplitResult(patients=table, leaking=leaking, images=by_image)


def _drawn(
    images: "pd.DataFrame",
    config: SplitConfig,
    official: dict[str, set[str]],
    leaking: list[str],
) -> dict[str, str]:
    """Draw the side of every patient."""
    if config.name == "official" and leaking:
        raise SourceError(
            f"The official split has {len(leaking)} patients in train and in test",
            expected="every patient in one split",
            received=", ".join(leaking[:5]) + (" …" if len(leaking) > 5 else ""),
            hint="Choose official-without-leak, or stratified",
        )
    strata = strata_of(images)
    if config.name == "stratified":
        return _stratified(strata, config)
    if config.name == "folds":
        return _folds(strata, config)
    if config.name == "given":
        return _given(strata, config)
    return _official(strata, official, config)


def official_splits(images: "pd.DataFrame") -> dict[str, set[str]]:
    """Return the official splits of each patient.

    Args:
        images: Rows with patient_key and official_splits.
    """
    splits: dict[str, set[str]] = {}
    for key, names in zip(images["patient_key"], images["official_splits"], strict=True):
        splits.setdefault(str(key), set()).update(str(names).split("+"))
    return splits


def strata_of(images: "pd.DataFrame") -> Strata:
    """Return (malignant, lesion types) of each patient.

    Args:
        images: Rows with patient_key, malignant and lesion_types.
    """
    strata: dict[str, tuple[int, set[str]]] = {}
    columns = (images["patient_key"], images["malignant"], images["lesion_types"])
    for key, malignant, types in zip(*columns, strict=True):
        other_malignant, other_types = strata.get(str(key), (0, set()))
        strata[str(key)] = (
            max(other_malignant, int(malignant)),
            other_types | set(str(types).split("+")),
        )
    return {key: (malignant, "+".join(sorted(types))) for key, (malignant, types) in strata.items()}


def _official(strata: Strata, official: dict[str, set[str]], config: SplitConfig) -> dict[str, str]:
    kept = "train" if config.leak == "drop_from_test" else "test"
    patients = {
        key: next(iter(names)) if len(names) == 1 else kept for key, names in official.items()
    }
    for split in ("train", "test"):
        if split not in patients.values():
            raise SourceError(
                f"The official split has no {split} patient in this source",
                expected="patients in both splits",
                received=f"{len(patients)} patients, all in the other split",
                hint="Choose stratified for a part of a collection",
            )
    if "validation" in patients.values():
        return patients  # the source has validation patients of its own
    train = [key for key, split in patients.items() if split == "train"]
    drawn = _draw(train, strata, config.validation, config.seed, "validation", remain=1)
    return {**patients, **dict.fromkeys(drawn, "validation")}


def _given(strata: Strata, config: SplitConfig) -> dict[str, str]:
    unknown = sorted(set(config.patients) - set(strata))
    if unknown or not config.patients:
        raise SourceError(
            "The given split names patients without an image in this source"
            if unknown
            else "The given split names no patient",
            expected="patient keys of the source under split.patients",
            received=", ".join(unknown[:5]) or "none",
        )
    return {key: config.patients.get(key, "excluded") for key in strata}


def _stratified(strata: Strata, config: SplitConfig) -> dict[str, str]:
    remain = 2 if config.validation > 0 and len(strata) > 2 else 1
    test = _draw(list(strata), strata, config.test, config.seed, "test", remain)
    rest = [key for key in strata if key not in test]
    validation = _draw(rest, strata, config.validation, config.seed, "validation", remain=1)
    patients = dict.fromkeys(strata, "train")
    patients.update(dict.fromkeys(test, "test"))
    patients.update(dict.fromkeys(validation, "validation"))
    return patients


def _folds(strata: Strata, config: SplitConfig) -> dict[str, str]:
    """Deal the patients, sorted by stratum and then at random, to the folds in turn."""
    if len(strata) <= config.folds:
        raise SourceError(
            "There are not enough patients for the folds",
            expected=f"more than {config.folds}",
            received=str(len(strata)),
        )
    ordered = random_order(list(strata), strata, config.seed, "folds")
    test = {key for at, key in enumerate(ordered) if at % config.folds == config.fold}
    rest = [key for key in strata if key not in test]
    purpose = f"validation of fold {config.fold} of {config.folds}"
    validation = _draw(rest, strata, config.validation, config.seed, purpose, remain=1)
    return {
        key: "test" if key in test else "validation" if key in validation else "train"
        for key in strata
    }


def _draw(
    keys: list[str],
    strata: Strata,
    share: float,
    seed: int,
    purpose: str,
    remain: int,
) -> set[str]:
    """Draw a share of the patients, at least one, and leave at least `remain` of them."""
    if share <= 0 or len(keys) <= remain:
        return set()
    drawn: set[str] = set()
    for malignant in (0, 1):
        members = [key for key in keys if strata[key][0] == malignant]
        if len(members) > remain:
            count = min(max(1, round(share * len(members))), len(members) - remain)
            drawn.update(_even_steps(members, strata, count, seed, purpose))
    # Classes too small to be drawn alone are drawn together, so that no split is empty.
    return drawn or _even_steps(keys, strata, 1, seed, purpose)


def _even_steps(keys: list[str], strata: Strata, count: int, seed: int, purpose: str) -> set[str]:
    ordered = random_order(keys, strata, seed, purpose)
    return {ordered[int((at + 0.5) * len(ordered) / count)] for at in range(count)}


def random_order(keys: Collection[str], strata: Strata, seed: int, purpose: str) -> list[str]:
    """Sort patients by stratum, and at random within a stratum.

    Args:
        keys: The patients.
        strata: The stratum of each patient.
        seed: Seed of the draw.
        purpose: Name of the draw.
    """
    ranks = {key: float(generator(seed, "split", purpose, key).random()) for key in keys}
    return sorted(keys, key=lambda key: (strata[key], ranks[key], key))


def require_disjoint(images: "pd.DataFrame") -> None:
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
