"""Who may not be on which side: the test sets of a lineage, and what its ancestors saw.

A lineage is a model's name and every model that it was started from. Whoever was in one of its test
sets never enters its training or validation; whoever an ancestor was fitted to never enters its
test set.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mammo_core.datasets.tables import read_table
from mammo_core.features.assignments import (
    Assignment,
    assignment_of,
    current_assignment,
    draws_of_lineage,
    lineage_of,
)
from mammo_core.features.data_checks.contamination import (
    FITTED_SPLITS,
    patients_seen,
    with_namespace,
)
from mammo_core.features.kinds import FRAME
from mammo_core.registry.champions import champion
from mammo_core.registry.lineage.ancestry import Ancestry, StartReader, ancestry
from mammo_core.registry.versions import versions
from mammo_core.sources.splitting.sides import Sides, Vault
from mammo_core.sources.splitting.splits import SplitConfig
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class AdoptedSides:
    """The sides of a champion that is older than stored assignments.

    Attributes:
        assignment: Its patients with their sides; None: they are drawn anew.
        text: Where they are from, or why there are none; empty where nothing is to be said.
    """

    assignment: Assignment | None = None
    text: str = ""


def find_vault(
    store: Store,
    images: "pd.DataFrame",
    config: SplitConfig,
    model_name: str,
    starts: Mapping[str, Ancestry],
    read_starts: StartReader,
) -> Vault:
    """Find the patients of images who may not be on every side.

    Args:
        store: The object store.
        images: image_id, patient_key, namespace.
        config: The recipe's split.
        model_name: Its model's name.
        starts: URI of each package that the run starts from → its ancestry.
        read_starts: Returns the packages that a run of a store started from.
    """
    tested: set[str] = set()
    fitted: set[str] = set()
    names = [lineage_of(config, model_name), *_names(starts.values())]
    for lineage in dict.fromkeys(names):
        for draw, fold in draws_of_lineage(store, lineage):
            state = current_assignment(store, draw)
            sides = {} if state is None else state.known(images)
            tested |= {key for key, side in sides.items() if side[fold] == "test"}
    for origin in [*starts.values(), *_older_versions(store, config, model_name, read_starts)]:
        for frame in origin.frames:
            tested |= _patients_of(images, frame.images, ("test",))
        for _, patients in origin.lists:
            tested |= patients.patients_in(images, ("test",))
    for origin in starts.values():
        for frame in origin.frames:
            fitted |= _patients_of(images, frame.images, FITTED_SPLITS)
        for _, patients in origin.lists:
            fitted |= patients.patients_in(images, FITTED_SPLITS)
    return Vault(frozenset(tested), frozenset(fitted))


def adopted_sides(
    store: Store,
    images: "pd.DataFrame",
    config: SplitConfig,
    model_name: str,
    read_starts: StartReader,
) -> AdoptedSides:
    """Return the sides that a champion without a stored assignment had.

    They are those of the frame in its lineage; for a champion from elsewhere, whose frame is not
    here, those of the list of patients in its package.

    Args:
        store: The object store.
        images: image_id, patient_key, namespace.
        config: The recipe's split.
        model_name: Its model's name.
        read_starts: Returns the packages that a run of a store started from.
    """
    current = champion(store, model_name)
    if current is None or config.assignment not in ("", model_name):
        return AdoptedSides()
    if draws_of_lineage(store, lineage_of(config, model_name)):
        return AdoptedSides()
    id = str(current.lineage(store).get("frame_id", ""))
    frame = FRAME.find(store, id)
    if frame is None:
        sides: Sides = {}
        if config.name not in ("folds", "given"):
            sides = inherited_sides(images, {"": ancestry(current.uri, store, read_starts)})
        if sides:
            known = images[images["patient_key"].isin(sides)]
            text = f"list of patients of the champion {current.name}/{current.version}"
            return AdoptedSides(assignment_of(known, sides, None), text)
        return AdoptedSides(
            text=f"the sides of the champion {current.uri} are unknown: its frame is not here"
        )
    theirs = FRAME.facts_of(frame).split
    draw = [(key, theirs.get(key, value)) for key, value in _draw(config)]
    if config.name == "folds" or draw != _draw(config):
        return AdoptedSides()
    rows = with_namespace(read_table(store, frame, "images.parquet"))
    splits = dict(zip(rows["patient_key"], rows["split"], strict=True))
    theirs_by_key = {str(key): (str(split),) for key, split in splits.items()}
    text = f"frame {frame.id} of the champion {current.name}/{current.version}"
    return AdoptedSides(assignment_of(rows, theirs_by_key, None), text)


def inherited_sides(images: "pd.DataFrame", starts: Mapping[str, Ancestry]) -> Sides:
    """Return the sides that patients of images had for the models that training starts from.

    Args:
        images: image_id, patient_key, namespace.
        starts: As for `find_vault`.

    Returns:
        Patients who were on one side only.
    """
    by_key: dict[str, set[str]] = {}
    for split in (*FITTED_SPLITS, "test"):
        for origin in starts.values():
            keys = {key for _, each in origin.lists for key in each.patients_in(images, (split,))}
            for frame in origin.frames:
                keys |= _patients_of(images, frame.images, (split,))
            for key in keys:
                by_key.setdefault(key, set()).add(split)
    return {key: (min(sides),) for key, sides in by_key.items() if len(sides) == 1}


def has_earlier_sides(store: Store, config: SplitConfig, model_name: str) -> bool:
    """Whether models of this name have been given sides before.

    Args:
        store: The object store.
        config: The recipe's split.
        model_name: Its model's name.
    """
    lineage = lineage_of(config, model_name)
    return bool(draws_of_lineage(store, lineage)) or (
        config.name != "folds" and champion(store, model_name) is not None
    )


def _draw(config: SplitConfig) -> list[tuple[str, object]]:
    return [("name", config.name), ("seed", config.seed)]


def _patients_of(
    ours: "pd.DataFrame", theirs: "pd.DataFrame", splits: Sequence[str]
) -> frozenset[str]:
    return patients_seen(ours, with_namespace(theirs[theirs["split"].isin(splits)]))


def _names(origins: Iterable[Ancestry]) -> Iterator[str]:
    """The names of the models in ancestries: their draws are of the lineage too."""
    for origin in origins:
        for label in [*(frame.package for frame in origin.frames), *dict(origin.lists)]:
            name, slash, version = label.rpartition("/")
            if slash and version.isdecimal():
                yield name


def _older_versions(
    store: Store, config: SplitConfig, model_name: str, read_starts: StartReader
) -> Iterator[Ancestry]:
    """The ancestries of versions whose sides are not stored as an assignment."""
    if config.name == "folds":  # each fold is a lineage of its own
        return
    for ref in versions(store, model_name):
        lineage = ref.lineage(store)
        frame = FRAME.find(store, str(lineage.get("frame_id", "")))
        if frame is None or "sides" not in frame.lineage:
            # By its URI: a version from elsewhere has a list of patients of its own.
            yield ancestry(ref.uri, store, read_starts)
