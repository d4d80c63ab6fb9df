"""Patients who share a picture are on one side, or all but those of one side are left out."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final

from mammo_core.errors import SourceError
from mammo_core.sources.several.names import NAME_COLUMN
from mammo_core.sources.splitting.sides import EXCLUDED, Sides, Vault, all_sides
from mammo_core.sources.splitting.splits import SplitConfig

if TYPE_CHECKING:
    import pandas as pd

#: What a model was fitted to most decides: copies of it cannot test the model.
_ORDER: Final = ("train", "validation", "test", "external")


def link_patients(pairs: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return patient → the one who stands for all patients linked with her, through any others.

    Args:
        pairs: Patients whose images show the same picture; a pair of one patient is ignored.
    """
    links: dict[str, str] = {}

    def find(key: str) -> str:
        while links.setdefault(key, key) != key:
            links[key] = links[links[key]]
            key = links[key]
        return key

    for first, second in pairs:
        if first != second:
            one, other = sorted((find(first), find(second)))
            links[other] = one
    return {key: find(key) for key in list(links)}


def linked_sides(
    images: "pd.DataFrame",
    config: SplitConfig,
    known: Mapping[str, tuple[str, ...]],
    vault: Vault,
    links: Mapping[str, str],
) -> Sides:
    """Return the sides of all patients as `all_sides`; new ones who are linked share theirs.

    Official and given sides stay as they are, and so do those of known patients. Patients of
    several sources are drawn for each source apart, so that every split has its share of each.

    Args:
        images: As for `all_sides`.
        config: How patients are assigned.
        known: Patients with a side.
        vault: Limits for new patients.
        links: As `link_patients` returns them.

    Raises:
        SourceError: As `all_sides`.
    """
    if not links or config.name not in ("stratified", "folds"):
        return _sides_by_source(images, config, known, vault)
    keys = images["patient_key"].astype(str)
    joined = images.assign(patient_key=keys.map(lambda key: links.get(key, key)))
    limits = Vault(_joined(vault.tested, links), _joined(vault.fitted, links))
    drawn = _sides_by_source(joined, config, _joined_sides(known, links), limits)
    return {key: known.get(key, drawn[links.get(key, key)]) for key in keys.unique()}


def _sides_by_source(
    images: "pd.DataFrame",
    config: SplitConfig,
    known: Mapping[str, tuple[str, ...]],
    vault: Vault,
) -> Sides:
    """As `all_sides`, for each source apart; a given split names patients of all sources."""
    if config.name == "given" or NAME_COLUMN not in images:
        return all_sides(images, config, known, vault)
    # Linked patients of several sources are drawn with the first of them.
    names = images.groupby("patient_key")[NAME_COLUMN].transform("min")
    sides: Sides = {}
    for name in sorted(names.unique()):
        try:
            sides |= all_sides(images[names == name], config, known, vault)
        except SourceError as error:
            raise SourceError(
                f"The patients of the source {name} cannot be assigned: {error.problem}",
                expected=error.expected,
                received=error.received,
                hint=error.hint,
            ) from error
    return sides


def _joined(keys: Iterable[str], links: Mapping[str, str]) -> frozenset[str]:
    return frozenset(links.get(key, key) for key in keys)


def _joined_sides(
    known: Mapping[str, tuple[str, ...]], links: Mapping[str, str]
) -> dict[str, tuple[str, ...]]:
    """The known sides of those who stand for a group: of its members, the most fitted."""
    sides: dict[str, tuple[str, ...]] = {}
    for key in sorted(known):
        name, mine = links.get(key, key), known[key]
        before = sides.get(name)
        sides[name] = mine if before is None else tuple(map(_most_fitted, before, mine))
    return sides


def left_out(sides: Mapping[str, str], links: Mapping[str, str]) -> frozenset[str]:
    """Return the patients whose pictures are also on a side that a model is fitted to more.

    Args:
        sides: Patient → her side.
        links: As `link_patients` returns them.
    """
    strongest: dict[str, str] = {}
    members = [key for key in links if sides.get(key, EXCLUDED) in _ORDER]
    for key in members:
        before = strongest.get(links[key], sides[key])
        strongest[links[key]] = _most_fitted(before, sides[key])
    return frozenset(key for key in members if sides[key] != strongest[links[key]])


def _most_fitted(one: str, other: str) -> str:
    ranks = {side: rank for rank, side in enumerate(_ORDER)}
    return min(one, other, key=lambda side: ranks.get(side, len(ranks)))
