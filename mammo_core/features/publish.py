"""Publishing features, and the frame that a point-in-time join makes of them."""

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest, find
from mammo_core.datasets.tables import read_table
from mammo_core.errors import RecordError
from mammo_core.features import definitions, parts, stored_registry
from mammo_core.features.assemble import assemble, computed
from mammo_core.features.frame import FRAME_KIND, FRAME_REVISION, from_manifest
from mammo_core.features.join import Wanted, join
from mammo_core.features.labels import with_corrections
from mammo_core.features.shuffle import shuffled
from mammo_core.preprocessing import IntensityConfig
from mammo_core.store import Store

MAIN = "features/main"
_STAMP = "%Y%m%dT%H%M%S%f"


@dataclass(frozen=True)
class FeatureTables:
    """What is published for one run.

    Attributes:
        images: The images table (sources).
        lesions: The lesions table (sources).
        statistics: image_id, mean, standard_deviation, maximum of the image records; the
            means after equalisation where `intensity` asks for it.
        splits: image_id → split (train, validation, test, excluded).
        patients: patient_key, split: the list that goes with the frame.
        assignment_id: Names the way of splitting.
        dataset_id: The image dataset the statistics are of.
        facts: What the frame should tell of the split (leaking patients, configuration).
        shuffle_labels: Whether labels are permuted over patients first.
        seed: The run's seed, for that permutation.
        inputs: Ids of what the tables were made from.
        intensity: How gray levels become numbers: what the frame's mean is the mean of.
        locations: image_id, shard, position: where in the dataset each record lies; None
            when that is not told.
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
    intensity: IntensityConfig = field(default_factory=IntensityConfig)
    locations: pd.DataFrame | None = None

    @property
    def folder(self) -> str:
        """Where the feature store lies: permuted labels never mix with real ones."""
        return f"features/shuffled-{self.seed}" if self.shuffle_labels else MAIN


def find_frame(
    store: Store, folder: str, inputs: dict[str, str], at: datetime | None = None
) -> Manifest | None:
    """Return the frame made before from the same inputs and the same features, or None.

    Args:
        store: The object store.
        folder: Folder of the feature store (FeatureTables.folder).
        inputs: Ids of what goes in (FeatureTables.inputs).
        at: The time of the join (UTC); default now.

    Raises:
        RecordError: The feature store's registry carries code (so do all functions here).
    """
    stored_registry.require_no_code(store, folder)
    key = _memo_key(store, folder, inputs, at)
    if not store.exists(key):
        return None
    return find(store, FRAME_KIND, json.loads(store.read(key))["frame"])


def publish_features(store: Store, tables: FeatureTables) -> dict[str, int]:
    """Publish the features of a run; rows that the store already holds are not written again.

    Returns:
        View → rows written.
    """
    with stored_registry.leased(store, tables.folder):
        return _publish_rows(store, tables)


def publish_frame(store: Store, tables: FeatureTables, at: datetime | None = None) -> Manifest:
    """Publish the features and the frame that a point-in-time join makes of them.

    Rows that the store already holds are not written again. The training split's mean pixel
    is computed here, and nowhere else.

    Args:
        store: The object store.
        tables: What to publish.
        at: The time of the join (UTC), not in the future; default now.

    Raises:
        RecordError: When an image or lesion has no features (at that time), a patient has two
            splits, or the time is to come.
    """
    _require_past(at)
    with stored_registry.leased(store, tables.folder):
        _publish_rows(store, tables)
        image_ids = set(tables.statistics["image_id"])
        inside = tables.lesions[tables.lesions["image_id"].isin(image_ids)]
        if tables.shuffle_labels:  # rejected patients have lesions, and no label to permute
            inside = inside[inside["patient_key"].isin(set(tables.images["patient_key"]))]
        wanted = Wanted(
            tables.folder,
            tuple(image_ids),
            tuple(inside["lesion_id"]),
            tables.assignment_id,
            tables.dataset_id,
        )
        images, lesions = join(store, wanted, at)
        manifest = assemble(
            store,
            images,
            lesions,
            wanted,
            patients=tables.patients,
            facts={**tables.facts, "shuffled_labels": tables.shuffle_labels},
            intensity=tables.intensity,
            lineage=tables.inputs,
        )
        memo = json.dumps({"frame": manifest.id}).encode()
        store.write(_memo_key(store, tables.folder, tables.inputs, at), memo)
        if at is None:  # what was true in the past is no answer for today
            _note(store, tables.folder, manifest.id)
    return manifest


def frame_as_of(store: Store, frame_id: str | None = None, at: datetime | None = None) -> Manifest:
    """Publish a frame with what was known at a time.

    Args:
        store: The object store.
        frame_id: A published frame: its images, lesions, split and dataset are taken; by
            default those of the frame that was the last one at that time.
        at: The time (UTC), not in the future; default now.

    Returns:
        The frame; the very same one where nothing differs.

    Raises:
        RecordError: No such frame, a time to come, or images not known at that time.
    """
    _require_past(at)
    stored_registry.require_no_code(store, MAIN)
    model = _template(store, frame_id, at)
    told = from_manifest(store, model)
    folder = str(model.config.get("folder", MAIN))
    wanted = Wanted(
        folder,
        tuple(told.images["image_id"]),
        tuple(told.lesions["lesion_id"]),
        str(model.config["assignment_id"]),
        str(model.config.get("dataset_id", model.lineage.get("images", ""))),
    )
    with stored_registry.leased(store, folder):
        images, lesions = join(store, wanted, at)
        return assemble(
            store,
            images,
            lesions,
            wanted,
            patients=read_table(store, model, "splits.parquet"),
            facts={key: value for key, value in model.facts.items() if key not in computed()},
            intensity=told.intensity,
            lineage=model.lineage,
        )


def _template(store: Store, frame_id: str | None, at: datetime | None) -> Manifest:
    if frame_id is None:
        noted = _noted(store, MAIN)
        known = [id for when, id in noted if at is None or when <= at]
        if not noted:
            raise RecordError(
                f"No frame was published in {store.uri} yet",
                expected="a frame from a run's step publish-features",
                received="none",
                hint="run a pipeline first, or name a frame",
            )
        if not known:
            raise RecordError(
                f"There was no frame in {store.uri} at that time",
                expected=f"a time from {noted[0][0]:%Y-%m-%dT%H:%M:%SZ} on",
                received=f"{at:%Y-%m-%dT%H:%M:%SZ}",
                hint="name the frame whose images are to be taken",
            )
        frame_id = known[-1]
    manifest = find(store, FRAME_KIND, frame_id)
    if manifest is None:
        raise RecordError(
            f"There is no frame {frame_id} in {store.uri}",
            expected="the id of a published frame",
            received=frame_id,
            hint=f"`mammo store ls {store.uri}` lists what lies under {FRAME_KIND}/",
        )
    return manifest


def _note(store: Store, folder: str, id: str) -> None:
    """Note since when a frame is the last one."""
    noted = _noted(store, folder)
    if not noted or noted[-1][1] != id:
        now = datetime.now(UTC)
        told = json.dumps({"frame": id, "published": now.isoformat()}).encode()
        store.write(f"{folder}/frames/{now:{_STAMP}}-{id}.json", told)


def _noted(store: Store, folder: str) -> list[tuple[datetime, str]]:
    """The frames that were published, and since when each was the last one."""
    names = [key.rpartition("/")[2] for key in store.list(f"{folder}/frames/")]
    stamped = [name.removesuffix(".json").partition("-") for name in names]
    return [(datetime.strptime(stamp, _STAMP).replace(tzinfo=UTC), id) for stamp, _, id in stamped]


def _require_past(at: datetime | None) -> None:
    now = datetime.now(UTC)
    if at is not None and at > now:
        raise RecordError(
            "A frame cannot be made of a time to come",
            expected=f"a time before {now:%Y-%m-%dT%H:%M:%SZ}",
            received=at.isoformat(),
        )


def _memo_key(store: Store, folder: str, inputs: dict[str, str], at: datetime | None) -> str:
    told: dict[str, Any] = {"revision": FRAME_REVISION, "inputs": inputs}
    told["state"] = parts.state(store, folder)
    if at is not None:
        told["at"] = at.isoformat()
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
    return f"{FRAME_KIND}/memos/{digest}.json"


def _publish_rows(store: Store, tables: FeatureTables) -> dict[str, int]:
    now = datetime.now(UTC)
    images, lesions = tables.images, tables.lesions
    if tables.shuffle_labels:
        images, lesions = shuffled(images, lesions, tables.splits, tables.seed)
    images = images.assign(assignment_id=tables.assignment_id)
    images["split"] = images["image_id"].map(tables.splits).fillna("excluded")
    lesions = lesions.rename(
        columns={"image_id": "lesion_image_id", "malignant": "lesion_malignant"}
    )
    image_labels, lesion_labels = with_corrections(store, tables.folder, images, lesions)
    published = [
        (definitions.IMAGE_METADATA, images),
        (definitions.IMAGE_LABEL, image_labels),
        (definitions.SPLIT_ASSIGNMENT, images),
        (
            definitions.INTENSITY_STATISTICS,
            tables.statistics.assign(dataset_id=tables.dataset_id),
        ),
        (definitions.LESION_ANNOTATION, lesions),
        (definitions.LESION_LABEL, lesion_labels),
    ]
    if tables.locations is not None:
        located = tables.locations.assign(dataset_id=tables.dataset_id)
        published.append((definitions.RECORD_LOCATION, located))
    return {
        view.name: parts.append(store, tables.folder, view, rows, now) for view, rows in published
    }
