"""Publish features, and the frame that a point-in-time join makes of them."""

import hashlib
import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.outputs import Attempt, Draft, make_output
from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecordError
from mammo_core.features import definitions, stored_registry, view_files
from mammo_core.features.assemble import COMPUTED_FACTS, assemble_frame
from mammo_core.features.frame import frame_from_manifest
from mammo_core.features.join import JoinKeys, join
from mammo_core.features.kinds import FRAME
from mammo_core.features.labels import with_corrections
from mammo_core.features.shuffle import shuffle_labels
from mammo_core.preprocessing import IntensityConfig
from mammo_core.store import (
    MAXIMUM_NOTE_BYTES,
    Store,
    read_object,
)

MAIN = "features/main"
_STAMP = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True)
class FeatureTables:
    """The tables that a run publishes to the feature store.

    Attributes:
        images: The images table (sources).
        lesions: The lesions table (sources).
        statistics: image_id, mean, standard_deviation, maximum of the image records; the
            means after equalization if `intensity` needs them.
        splits: image_id → split (train, validation, test, excluded).
        patients: patient_key, split; published with the frame.
        assignment_id: Id of the assignment to splits.
        dataset_id: The image dataset of the statistics.
        facts: Facts of the frame about the split: leaking_patients, split (configuration).
        shuffle_labels: Whether labels are permuted over patients, as a check.
        seed: Seed of the permutation.
        inputs: Ids of what the tables were made from.
        sides_id: Content address of the state of the assignment that the split is from; the same
            split of another state is the same frame.
        intensity: How gray levels become numbers; the frame's mean depends on it.
        locations: image_id, shard, position of each record; None to publish no locations.
    """

    images: pd.DataFrame
    lesions: pd.DataFrame
    statistics: pd.DataFrame
    splits: dict[str, str]
    patients: pd.DataFrame
    assignment_id: str
    dataset_id: str
    facts: dict[str, Any]
    shuffle_labels: bool
    seed: int
    inputs: dict[str, str]
    sides_id: str = ""
    intensity: IntensityConfig = field(default_factory=IntensityConfig)
    locations: pd.DataFrame | None = None

    @property
    def folder(self) -> str:
        """Folder of the feature store; permuted labels have a folder of their own."""
        return f"features/shuffled-{self.seed}" if self.shuffle_labels else MAIN


def find_frame(store: Store, tables: FeatureTables, at: datetime | None = None) -> Manifest | None:
    """Return the frame that was made from the same tables and features, or None.

    Args:
        store: The object store.
        tables: What would be published; only its ids and options are compared.
        at: The time of the join (UTC); default now.

    Raises:
        RecordError: The registry in the store contains code; all functions here raise it.
    """
    stored_registry.require_no_code(store, tables.folder)
    key = _memo_key(store, tables, at)
    if not store.exists(key):
        return None
    return FRAME.find(store, read_object(store, key, MAXIMUM_NOTE_BYTES)["frame"])


def publish_features(store: Store, tables: FeatureTables) -> dict[str, int]:
    """Publish the features of a run; rows that are already published are not written again.

    Returns:
        Feature view → rows written.
    """
    with stored_registry.leased(store, tables.folder):
        return _publish_rows(store, tables)


def publish_frame(store: Store, tables: FeatureTables, at: datetime | None = None) -> Manifest:
    """Publish the features of a run, and the frame of them: see `make_frame`."""
    name = f"{FRAME.folder}/of-{tables.dataset_id}"
    return make_output(store, name, lambda attempt: make_frame(attempt, tables, at))


def make_frame(attempt: Attempt, tables: FeatureTables, at: datetime | None = None) -> Draft:
    """Publish the features of a run, and make the frame that a point-in-time join gives.

    Rows that are already published are not written again.

    Args:
        attempt: The attempt to make the frame.
        tables: What to publish.
        at: The time of the join (UTC), not in the future; default now.

    Raises:
        RecordError: An image or lesion has no features at that time, or the time is in the
            future.
        SourceError: A patient is in two splits.
    """
    _require_past(at)
    store = attempt.store
    with stored_registry.leased(store, tables.folder):
        _publish_rows(store, tables)
        image_ids = set(tables.statistics["image_id"])
        lesions = tables.lesions[tables.lesions["image_id"].isin(image_ids)]
        if tables.shuffle_labels:  # rejected patients have lesions, but no label to permute
            lesions = lesions[lesions["patient_key"].isin(set(tables.images["patient_key"]))]
        keys = JoinKeys(
            tables.folder,
            tuple(image_ids),
            tuple(lesions["lesion_id"]),
            tables.assignment_id,
            tables.dataset_id,
        )
        image_features, lesion_features = join(store, keys, at)
        draft = assemble_frame(
            attempt,
            image_features,
            lesion_features,
            keys,
            patients=tables.patients,
            facts={**tables.facts, "shuffled_labels": tables.shuffle_labels},
            intensity=tables.intensity,
            lineage=tables.inputs | ({"sides": tables.sides_id} if tables.sides_id else {}),
        )
        memo_key = _memo_key(store, tables, at)

    def finish(frame: Manifest) -> None:
        store.write(memo_key, json.dumps({"frame": frame.id}).encode())
        if at is None:  # a frame of the past is not the current one
            _note_current(store, tables.folder, frame.id)

    return replace(draft, finish=finish)


def frame_as_of(store: Store, frame_id: str | None = None, at: datetime | None = None) -> Manifest:
    """Publish the frame of some time: with the labels and metadata as they were then.

    Args:
        store: The object store.
        frame_id: The published frame whose images, lesions, split and dataset are used; by
            default the current frame at that time.
        at: The time (UTC), not in the future; default now.

    Returns:
        The frame; the same one if nothing differs.

    Raises:
        RecordError: There is no such frame, the time is in the future, or images have no
            features at that time.
    """
    _require_past(at)
    stored_registry.require_no_code(store, MAIN)
    template = _template(store, frame_id, at)
    frame = frame_from_manifest(store, template)
    folder = str(template.config["folder"])
    keys = JoinKeys(
        folder,
        tuple(frame.images["image_id"]),
        tuple(frame.lesions["lesion_id"]),
        str(template.config["assignment_id"]),
        str(template.config["dataset_id"]),
    )
    facts = {key: value for key, value in template.facts.items() if key not in COMPUTED_FACTS}

    def make(attempt: Attempt) -> Draft:
        with stored_registry.leased(store, folder):
            images, lesions = join(store, keys, at)
        return assemble_frame(
            attempt,
            images,
            lesions,
            keys,
            patients=read_table(store, template, "splits.parquet"),
            facts=facts,
            intensity=frame.intensity,
            lineage=template.lineage,
        )

    return make_output(store, f"{FRAME.folder}/of-{keys.dataset_id}", make)


def _template(store: Store, frame_id: str | None, at: datetime | None) -> Manifest:
    if frame_id is None:
        history = _current_frames(store, MAIN)
        earlier = [id for since, id in history if at is None or since <= at]
        if not history:
            raise RecordError(
                f"No frame was published in {store.uri} yet",
                expected="a frame from the step publish-features of a run",
                received="none",
                hint="run a pipeline first, or name a frame",
            )
        if not earlier:
            raise RecordError(
                f"There was no frame in {store.uri} at that time",
                expected=f"{history[0][0]:%Y-%m-%dT%H:%M:%SZ} or later",
                received=f"{at:%Y-%m-%dT%H:%M:%SZ}",
                hint="name the frame whose images are used",
            )
        frame_id = earlier[-1]
    manifest = FRAME.find(store, frame_id)
    if manifest is None:
        raise RecordError(
            f"There is no frame {frame_id} in {store.uri}",
            expected="the id of a published frame",
            received=frame_id,
            hint=f"`mammo store ls {store.uri}` lists the frames under {FRAME.folder}/",
        )
    return manifest


def _note_current(store: Store, folder: str, id: str) -> None:
    """Note that a frame is the current one from now on."""
    history = _current_frames(store, folder)
    if not history or history[-1][1] != id:
        now = datetime.now(UTC)
        if history:  # by the clock of another machine, the last one may be of the future
            now = max(now, history[-1][0] + timedelta(microseconds=1))
        note = json.dumps({"frame": id, "published": now.isoformat()}).encode()
        store.write_if(f"{folder}/frames/{now:{_STAMP}}-{id}.json", note, None)


def _current_frames(store: Store, folder: str) -> list[tuple[datetime, str]]:
    """Return since when which frame was the current one, oldest first."""
    names = [key.rpartition("/")[2] for key in store.list(f"{folder}/frames/")]
    stamped = [name.removesuffix(".json").partition("-") for name in names]
    return [(datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC), id) for stamp, _, id in stamped]


def _require_past(at: datetime | None) -> None:
    now = datetime.now(UTC)
    if at is not None and at > now:
        raise RecordError(
            "A frame cannot be made for a time in the future",
            expected=f"a time before {now:%Y-%m-%dT%H:%M:%SZ}",
            received=at.isoformat(),
        )


def _memo_key(store: Store, tables: FeatureTables, at: datetime | None) -> str:
    content: dict[str, Any] = {
        "revision": FRAME.revision,
        "inputs": tables.inputs,
        "intensity": tables.intensity.model_dump(mode="json"),
        "shuffle_seed": tables.seed if tables.shuffle_labels else None,
        "state": view_files.frame_state(store, tables.folder),
    }
    if at is not None:
        content["at"] = at.isoformat()
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:32]
    return FRAME.note("memos", digest)


def _publish_rows(store: Store, tables: FeatureTables) -> dict[str, int]:
    now = datetime.now(UTC)
    images, lesions = tables.images, tables.lesions
    if tables.shuffle_labels:
        images, lesions = shuffle_labels(images, lesions, tables.splits, tables.seed)
    images = images.copy(deep=False)
    images["assignment_id"] = tables.assignment_id
    images["split"] = images["image_id"].map(tables.splits).fillna("excluded")
    lesions = lesions.rename(
        columns={"image_id": "lesion_image_id", "malignant": "lesion_malignant"}
    )
    image_labels, lesion_labels = with_corrections(
        store, tables.folder, _columns(images, definitions.IMAGE_LABEL), lesions
    )
    rows_by_view = [
        (definitions.IMAGE_METADATA, images),
        (definitions.IMAGE_LABEL, image_labels),
        (definitions.SPLIT_ASSIGNMENT, images),
        (
            definitions.INTENSITY_STATISTICS,
            _columns(tables.statistics, definitions.INTENSITY_STATISTICS).assign(
                dataset_id=tables.dataset_id
            ),
        ),
        (definitions.LESION_ANNOTATION, lesions),
        (definitions.LESION_LABEL, lesion_labels),
    ]
    if tables.locations is not None:
        locations = tables.locations.assign(dataset_id=tables.dataset_id)
        rows_by_view.append((definitions.RECORD_LOCATION, locations))
    return {
        view.name: view_files.append_rows(store, tables.folder, view, rows, now)
        for view, rows in rows_by_view
    }


def _columns(table: pd.DataFrame, view: definitions.ViewDefinition) -> pd.DataFrame:
    """Return a copy of the columns that a view has, and of no others."""
    return table[[name for name in view.columns if name in table]]
