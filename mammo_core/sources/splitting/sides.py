"""Sides of patients that stay: known patients keep theirs, and only new ones are drawn.

New patients are drawn against what is there: each class (malignant, not malignant) gets its share,
and within a class the stratum (lesion types) that has too few. Without known patients this is the
draw of `splits`.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mammo_core.errors import SourceError
from mammo_core.sources.splitting.splits import (
    SplitConfig,
    Strata,
    assign,
    official_splits,
    random_order,
    strata_of,
)

if TYPE_CHECKING:
    import pandas as pd

#: Patient → her side in each fold; one side where there are no folds.
Sides = dict[str, tuple[str, ...]]
TEST: Final = "test"
EXCLUDED: Final = "excluded"


@dataclass(frozen=True)
class Vault:
    """Patients who may not be on every side, whatever is drawn.

    Attributes:
        tested: Patients of a test set of this lineage: never in training or validation.
        fitted: Patients that an ancestor was fitted to: never in the test set.
    """

    tested: frozenset[str] = frozenset()
    fitted: frozenset[str] = frozenset()


def all_sides(
    images: "pd.DataFrame",
    config: SplitConfig,
    known: Mapping[str, tuple[str, ...]],
    vault: Vault | None = None,
) -> Sides:
    """Return the sides of all patients: those of known patients as they are, new ones drawn.

    A new patient of the vault is drawn only for sides that she may be on; one who may be on none
    is `excluded`, and so is one whose official or given side is training.

    Args:
        images: As for `splits.assign`.
        config: How patients are assigned.
        known: Patients with a side; they may be more than those of the images.
        vault: Limits for new patients.

    Raises:
        SourceError: As `splits.assign`; or a given split moves a known patient.
    """
    vault = vault or Vault()
    strata = strata_of(images)
    kept = {key: known[key] for key in strata if key in known}
    limited = (vault.tested | vault.fitted) & strata.keys()
    if config.name == "given":
        return _given(images, config, kept, vault)
    # The folds share one draw, and each is a lineage with limits of its own.
    if not kept and (not limited or config.name == "folds"):
        return _first_draw(images, config)
    if config.name == "folds":
        return _folds(strata, config, kept)
    if config.name == "stratified":
        fixed = {key: sides[0] for key, sides in kept.items()}
        for key in limited - fixed.keys():
            if key in vault.tested:
                fixed[key] = EXCLUDED if key in vault.fitted else TEST
        new = [key for key in strata if key not in fixed]
        free = [key for key in new if key not in vault.fitted]
        drawn = _complete(strata, config.test, config.seed, TEST, fixed, free, remain=2)
        sides = {**fixed, **dict.fromkeys(drawn, TEST)}
    else:
        sides = _official(images, config, kept, vault)
        new = [key for key in strata if key not in kept and sides.get(key) == "train"]
        sides = {key: side for key, side in sides.items() if key not in new}
    own_validation = any("validation" in names for names in official_splits(images).values())
    if config.name == "stratified" or not own_validation:
        new = [key for key in new if key not in sides]
        chosen = _complete(strata, config.validation, config.seed, "validation", sides, new)
        sides |= dict.fromkeys(chosen, "validation")
    return {key: (sides.get(key, "train"),) for key in strata}


def _first_draw(images: "pd.DataFrame", config: SplitConfig) -> Sides:
    folds = range(config.folds) if config.name == "folds" else [config.fold]
    draws = [assign(images, config.model_copy(update={"fold": fold})).patients for fold in folds]
    columns = [dict(zip(d["patient_key"], d["split"], strict=True)) for d in draws]
    return {str(key): tuple(str(column[key]) for column in columns) for key in columns[0]}


def _given(
    images: "pd.DataFrame",
    config: SplitConfig,
    kept: Mapping[str, tuple[str, ...]],
    vault: Vault,
) -> Sides:
    sides = _first_draw(images, config)
    moved = [key for key, side in kept.items() if sides[key] not in (side, (EXCLUDED,))]
    if moved:
        raise SourceError(
            f"The given split moves {len(moved)} patients whose side is stored",
            expected="every known patient on the side where she is",
            received=f"{len(moved)} of {len(kept)} known patients on another side",
            hint="name another split.assignment, or another split.seed, for a new draw",
        )
    return {
        key: (EXCLUDED,) if key in vault.tested and side not in ((TEST,), (EXCLUDED,)) else side
        for key, side in sides.items()
    }


def _official(
    images: "pd.DataFrame",
    config: SplitConfig,
    kept: Mapping[str, tuple[str, ...]],
    vault: Vault,
) -> dict[str, str]:
    """The official sides of new patients, before validation is drawn, and those that are known."""
    kept_side = "train" if config.leak == "drop_from_test" else TEST
    sides: dict[str, str] = {}
    for key, names in official_splits(images).items():
        side = next(iter(names)) if len(names) == 1 else kept_side
        sides[key] = EXCLUDED if key in vault.tested and side != TEST else side
    if config.name == "official":
        assign(images, config)  # refuses leaking patients
    return {**sides, **{key: side[0] for key, side in kept.items()}}


def _folds(strata: Strata, config: SplitConfig, kept: Mapping[str, tuple[str, ...]]) -> Sides:
    """Deal new patients to the folds that have the fewest of their kind."""
    count = config.folds
    dealt = {key: sides.index(TEST) for key, sides in kept.items() if TEST in sides}
    new = [key for key in strata if key not in kept]
    for key in random_order(new, strata, config.seed, "folds"):
        crowds = [_crowd(number, key, dealt, strata) for number in range(count)]
        dealt[key] = crowds.index(min(crowds))
    columns: list[dict[str, str]] = []
    for number in range(count):
        sides = {key: each[number] for key, each in kept.items()}
        sides |= {key: TEST for key in new if dealt[key] == number}
        free = [key for key in new if key not in sides]
        purpose = f"validation of fold {number} of {count}"
        chosen = _complete(strata, config.validation, config.seed, purpose, sides, free)
        columns.append({**sides, **dict.fromkeys(chosen, "validation")})
    return {key: tuple(column.get(key, "train") for column in columns) for key in strata}


def _crowd(fold: int, key: str, dealt: Mapping[str, int], strata: Strata) -> tuple[int, int, int]:
    """How many patients like this one a fold has: in her stratum, in her class, in all."""
    members = [strata[other] for other, number in dealt.items() if number == fold]
    same = sum(stratum == strata[key] for stratum in members)
    return same, sum(m[0] == strata[key][0] for m in members), len(members)


def _complete(
    strata: Strata,
    share: float,
    seed: int,
    purpose: str,
    sides: Mapping[str, str],
    free: Collection[str],
    remain: int = 1,
) -> set[str]:
    """Draw free patients until a split has its share of each class, as far as they go.

    Args:
        strata: The stratum of each patient.
        share: Share of the patients that may be drawn and of those on the side.
        seed: Seed of the draw.
        purpose: Name of the draw; it begins with the name of the split.
        sides: The patients with a side.
        free: The patients that may be drawn.
        remain: How many patients of a class are left for other sides.
    """
    if share <= 0:
        return set()
    split = purpose.split()[0]
    ordered = random_order(free, strata, seed, purpose)
    left_out = {EXCLUDED} if split == TEST else {EXCLUDED, TEST}
    counted = [key for key in strata if sides.get(key) not in left_out]
    chosen: set[str] = set()
    for malignant in (0, 1):
        members = [key for key in counted if strata[key][0] == malignant]
        have = sum(sides.get(key) == split for key in members)
        lacking_count = min(max(1, round(share * len(members))), len(members) - remain) - have
        pool = [key for key in ordered if strata[key][0] == malignant]
        for _ in range(min(lacking_count, len(pool))):
            lacking = _lack(strata, share, split, sides, chosen, members)
            key = max(pool, key=lambda each, lacking=lacking: lacking(strata[each]))  # type: ignore[misc]
            pool.remove(key)
            chosen.add(key)
    return chosen


def _lack(
    strata: Strata,
    share: float,
    split: str,
    sides: Mapping[str, str],
    chosen: Collection[str],
    members: Collection[str],
) -> Callable[[tuple[int, str]], float]:
    """Return how many patients a stratum lacks on a side; of equal ones the first is drawn."""
    lacks: dict[tuple[int, str], float] = {}
    for key in members:
        on_side = key in chosen or sides.get(key) == split
        lacks[strata[key]] = lacks.get(strata[key], 0.0) + share - on_side
    return lambda stratum: round(lacks.get(stratum, 0.0), 9)
