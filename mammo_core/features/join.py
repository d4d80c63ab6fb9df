"""The point-in-time join: what the feature store knew of images and lesions at a time."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mammo_core.errors import RecordError
from mammo_core.features import definitions, parts, stored_registry
from mammo_core.features.definitions import View
from mammo_core.store import Store

_NAMED = 5


@dataclass(frozen=True)
class Wanted:
    """What is joined.

    Attributes:
        folder: Folder of the feature store.
        image_ids: The images.
        lesion_ids: The lesions.
        assignment_id: The way of splitting.
        dataset_id: The image dataset that the statistics are of.
    """

    folder: str
    image_ids: tuple[str, ...]
    lesion_ids: tuple[str, ...]
    assignment_id: str
    dataset_id: str


def project_of(folder: str) -> str:
    """The name of a folder's project in Feast: letters, digits and underscores."""
    name = folder.removeprefix("features/")
    return "mammo" if name == "main" else f"mammo_{name.replace('-', '_').replace('/', '_')}"


def join(
    store: Store, wanted: Wanted, at: datetime | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the features of the images and of the lesions as they were known at a time.

    Metadata, annotations and labels are those of that time. Splits and statistics belong to
    their assignment and dataset, whose ids say what they hold: they have no past.
    The caller holds the lease of the folder: the registry has one writer.

    Args:
        store: The object store.
        wanted: Which images and lesions.
        at: The time; default now.

    Returns:
        One row for each image id (assignment_id, dataset_id and all features of images), and
        for each lesion id, sorted by id; integers are int64 again.

    Raises:
        RecordError: Names the images or lesions that the store does not know, or not yet.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-features-") as place:
        workspace = Path(place)
        newest = parts.mirror(store, wanted.folder, workspace, definitions.FRAME_VIEWS)
        feast = open_applied(store, wanted.folder, workspace)
        # Events can be microseconds ahead of our clock: see `append`.
        now = max([pd.Timestamp(datetime.now(UTC)), *newest.values()])
        then = now if at is None else pd.Timestamp(at)
        ids = pd.DataFrame({"image_id": sorted(wanted.image_ids)})
        known = _historical(
            feast, ids, then, [definitions.IMAGE_METADATA, definitions.IMAGE_LABEL], newest
        )
        ids = ids.assign(assignment_id=wanted.assignment_id, dataset_id=wanted.dataset_id)
        fixed = _historical(
            feast,
            ids,
            now,
            [definitions.SPLIT_ASSIGNMENT, definitions.INTENSITY_STATISTICS],
            newest,
        )
        images = known.merge(fixed, on="image_id", validate="one_to_one")
        views = [definitions.LESION_ANNOTATION, definitions.LESION_LABEL]
        if not wanted.lesion_ids:
            columns = dict.fromkeys(name for view in views for name in view.columns)
            return images, pd.DataFrame(columns=list(columns))
        ids = pd.DataFrame({"lesion_id": sorted(wanted.lesion_ids)})
        return images, _historical(feast, ids, then, views, newest)


def open_applied(
    store: Store, folder: str, workspace: Path, online: dict[str, Any] | None = None
) -> Any:
    """Open Feast on a mirrored folder, with a registry made of our definitions.

    The registry is written to the store as well, for Feast's own clients; it is never read.

    Args:
        store: The object store.
        folder: Folder of the feature store; the caller holds its lease.
        workspace: Where the folder was mirrored to.
        online: Feast's configuration of the online store; None for none.

    Raises:
        RecordError: A registry in the store that carries code.
    """
    stored_registry.require_no_code(store, folder)
    feast = definitions.open_feast(workspace, project_of(folder), online)
    definitions.apply(feast)
    store.put_file(stored_registry.key_of(folder), workspace / "registry.db")
    return feast


def _historical(
    feast: Any,
    ids: pd.DataFrame,
    at: pd.Timestamp,
    views: Sequence[View],
    newest: dict[View, pd.Timestamp],
) -> pd.DataFrame:
    """Join the views to the ids; Feast gives NaN for what it does not know, we refuse it."""
    key = str(ids.columns[0])
    absent = [view for view in views if view not in newest]
    if absent:
        raise _unknown(list(ids[key]), len(ids), absent, key, at)
    names = [f"{view.name}:{name}" for view in views for name, _ in view.fields]
    entities = ids.assign(event_timestamp=at)
    table = feast.get_historical_features(entity_df=entities, features=names).to_df()
    if not table[key].is_unique or not ids[key].is_unique:
        several = ids[key] if not ids[key].is_unique else table[key]
        raise RecordError(
            f"The join of {', '.join(view.name for view in views)} has an id twice",
            expected=f"one row for each {key}",
            received=f"several for {several[several.duplicated()].iloc[0]}",
        )
    # Where Feast knows nothing as old as that of any id, it gives no rows at all.
    table = ids[[key]].merge(table, on=key, how="left")
    for view in views:
        required = [name for name, _ in view.fields if name not in view.optional]
        lacking = table.loc[table[required].isna().any(axis=1), key]
        if len(lacking):
            raise _unknown(sorted(lacking), len(ids), [view], key, at)
        for name, kind in view.fields:
            if kind == "integer":  # labels come back as floats
                table[name] = table[name].astype("int64")
            elif kind == "text" and name in view.optional:
                table[name] = table[name].fillna("")
    return table.drop(columns="event_timestamp").sort_values(key).reset_index(drop=True)


def _unknown(
    ids: list[str], total: int, views: Sequence[View], key: str, at: pd.Timestamp
) -> RecordError:
    named = ", ".join(ids[:_NAMED]) + (" …" if len(ids) > _NAMED else "")
    return RecordError(
        f"The feature store has no {' and no '.join(view.name for view in views)} of "
        f"{len(ids)} of {total} {key}: {named}",
        expected=f"rows for all of them at {at:%Y-%m-%dT%H:%M:%SZ}",
        received=f"none for {len(ids)}, the first {ids[0]}",
        hint="publish their features first, or ask for a frame of a later time",
    )
