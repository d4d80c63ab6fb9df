"""The point-in-time join: the features of images and lesions as they were at some time."""

import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mammo_core.errors import RecordError
from mammo_core.features import definitions, stored_registry, view_files
from mammo_core.features.definitions import ViewDefinition
from mammo_core.processes import give_back_memory
from mammo_core.store import Store

#: How many ids an error lists.
_LISTED = 5
#: How many ids are joined at a time: Feast takes about 8 kB of memory for each.
_PART = 20_000
_DATED_IMAGE_VIEWS = (definitions.IMAGE_METADATA, definitions.IMAGE_LABEL)
_UNDATED_IMAGE_VIEWS = (definitions.SPLIT_ASSIGNMENT, definitions.INTENSITY_STATISTICS)
_LESION_VIEWS = (definitions.LESION_ANNOTATION, definitions.LESION_LABEL)


@dataclass(frozen=True)
class JoinKeys:
    """The keys of a join.

    Attributes:
        folder: Folder of the feature store.
        image_ids: The images.
        lesion_ids: The lesions.
        assignment_id: The assignment to splits.
        dataset_id: The image dataset of the statistics.
    """

    folder: str
    image_ids: tuple[str, ...]
    lesion_ids: tuple[str, ...]
    assignment_id: str
    dataset_id: str


def project_of(folder: str) -> str:
    """Return the name of a folder's Feast project: letters, digits and underscores."""
    name = folder.removeprefix("features/")
    return "mammo" if name == "main" else f"mammo_{name.replace('-', '_').replace('/', '_')}"


def join(
    store: Store, keys: JoinKeys, at: datetime | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the features of images and lesions as they were at some time.

    Metadata, annotations and labels are those of that time. Splits and statistics never change
    under their assignment id and dataset id, so the newest ones are used.
    The caller holds the lease of the folder, because the registry has one writer.

    Args:
        store: The object store.
        keys: The images and lesions.
        at: The time; default now.

    Returns:
        One row for each image id (assignment_id, dataset_id and all features of images), and
        for each lesion id, sorted by id; integers are int64 again.

    Raises:
        RecordError: Images or lesions have no features at that time.
    """
    views_of = {
        "image_id": (_DATED_IMAGE_VIEWS, _UNDATED_IMAGE_VIEWS),
        "lesion_id": (_LESION_VIEWS, ()),
    }
    with tempfile.TemporaryDirectory(prefix="mammo-features-") as temporary:
        parts_of, newest = {}, [pd.Timestamp(datetime.now(UTC))]
        for key, ids in (("image_id", keys.image_ids), ("lesion_id", keys.lesion_ids)):
            ordered = sorted(ids)
            parts = [ordered[at : at + _PART] for at in range(0, len(ordered), _PART)]
            workspace = Path(temporary) / key
            views = [view for group in views_of[key] for view in group]
            filled, event = view_files.mirror_parts(store, keys.folder, workspace, views, parts)
            parts_of[key] = [
                _Part(ids, workspace / f"part-{number}", frozenset(filled[number]))
                for number, ids in enumerate(parts)
            ]
            newest += [event] if event is not None else []
        workspace = Path(temporary) / "feast"
        for view in definitions.VIEWS:
            (workspace / view.name).mkdir(parents=True)
        feast = open_applied(store, keys.folder, workspace)
        # Events can be ahead of our clock: see `append_rows`.
        now = max(newest)
        time = now if at is None else pd.Timestamp(at)
        images = []
        for part in parts_of["image_id"]:
            part.show(workspace)
            ids = pd.DataFrame({"image_id": part.ids})
            dated = _historical_features(feast, ids, time, _DATED_IMAGE_VIEWS, part.views)
            ids = ids.assign(assignment_id=keys.assignment_id, dataset_id=keys.dataset_id)
            undated = _historical_features(feast, ids, now, _UNDATED_IMAGE_VIEWS, part.views)
            images.append(dated.merge(undated, on="image_id", validate="one_to_one"))
            give_back_memory()
        lesions = []
        for part in parts_of["lesion_id"]:
            part.show(workspace)
            ids = pd.DataFrame({"lesion_id": part.ids})
            lesions.append(_historical_features(feast, ids, time, _LESION_VIEWS, part.views))
    if not lesions:
        columns = dict.fromkeys(name for view in _LESION_VIEWS for name in view.columns)
        lesions = [pd.DataFrame(columns=list(columns))]
    return pd.concat(images, ignore_index=True), pd.concat(lesions, ignore_index=True)


@dataclass(frozen=True)
class _Part:
    """Some of the ids of a join, with the rows of their views.

    Attributes:
        ids: The ids, sorted.
        folder: Has the rows of each view.
        views: The views with rows.
    """

    ids: list[str]
    folder: Path
    views: frozenset[ViewDefinition]

    def show(self, workspace: Path) -> None:
        """Move the rows to where Feast reads them, in place of those of another part."""
        for view in self.views:
            (self.folder / view.name / "rows.parquet").replace(
                workspace / view.name / "rows.parquet"
            )


def open_applied(
    store: Store, folder: str, workspace: Path, online: dict[str, Any] | None = None
) -> Any:
    """Open Feast on a mirrored folder, with a registry of our definitions.

    The registry is also written to the store, for other clients of Feast; it is never read.

    Args:
        store: The object store.
        folder: Folder of the feature store; the caller holds its lease.
        workspace: The folder's local copy.
        online: Feast's configuration of the online store; None for no online store.

    Raises:
        RecordError: The registry in the store contains code.
    """
    key = stored_registry.key_of(folder)
    etag = stored_registry.etag_of(store, key)
    stored_registry.require_no_code(store, folder)
    feast = definitions.open_feast(workspace, project_of(folder), online)
    definitions.apply(feast)
    # Nobody reads it here; that of a process which took over the lease is as good.
    stored_registry.swap(store, key, workspace / "registry.db", etag)
    return feast


def _historical_features(
    feast: Any,
    ids: pd.DataFrame,
    at: pd.Timestamp,
    views: Sequence[ViewDefinition],
    filled: Collection[ViewDefinition],
) -> pd.DataFrame:
    """Join the views to the ids; refuse missing values, which Feast returns as NaN."""
    key = str(ids.columns[0])
    empty = [view for view in views if view not in filled]
    if empty:
        raise _missing_features_error(list(ids[key]), len(ids), empty, key, at)
    names = [f"{view.name}:{name}" for view in views for name, _ in view.fields]
    entities = ids.assign(event_timestamp=at)
    table = feast.get_historical_features(entity_df=entities, features=names).to_df()
    if not table[key].is_unique or not ids[key].is_unique:
        duplicates = ids[key] if not ids[key].is_unique else table[key]
        raise RecordError(
            f"The join of {', '.join(view.name for view in views)} has a duplicate id",
            expected=f"one row for each {key}",
            received=f"several for {duplicates[duplicates.duplicated()].iloc[0]}",
        )
    # If none of the ids has features that old, Feast returns no rows at all.
    table = ids[[key]].merge(table, on=key, how="left")
    for view in views:
        required = [name for name, _ in view.fields if name not in view.optional]
        missing = table.loc[table[required].isna().any(axis=1), key]
        if len(missing):
            raise _missing_features_error(sorted(missing), len(ids), [view], key, at)
        for name, kind in view.fields:
            if kind == "integer":  # Feast returns floats
                table[name] = table[name].astype("int64")
            elif kind == "text" and name in view.optional:
                table[name] = table[name].fillna("")
    return table.drop(columns="event_timestamp").sort_values(key).reset_index(drop=True)


def _missing_features_error(
    ids: list[str], total: int, views: Sequence[ViewDefinition], key: str, at: pd.Timestamp
) -> RecordError:
    listed = ", ".join(ids[:_LISTED]) + (" …" if len(ids) > _LISTED else "")
    return RecordError(
        f"The feature store has no {' and no '.join(view.name for view in views)} of "
        f"{len(ids)} of {total} {key}: {listed}",
        expected=f"rows for all of them at {at:%Y-%m-%dT%H:%M:%SZ}",
        received=f"none for {len(ids)}, the first {ids[0]}",
        hint="publish their features first, or choose a later time",
    )
