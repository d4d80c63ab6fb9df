"""Publishing features, and the point-in-time join that makes a frame of them."""

import hashlib
import json
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest, content_id, find, publish
from mammo_core.datasets.tables import put_table, to_parquet
from mammo_core.errors import RecordError
from mammo_core.features import definitions, parts
from mammo_core.features.frame import FRAME_KIND, FRAME_REVISION, PATCH_CLASSES, SPLITS
from mammo_core.preprocessing import RESCALE_FACTOR, IntensityConfig
from mammo_core.seeds import generator
from mammo_core.store import Store


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

    @property
    def folder(self) -> str:
        """Where the feature store lies: permuted labels never mix with real ones."""
        return f"features/shuffled-{self.seed}" if self.shuffle_labels else "features/main"


def _memo_key(store: Store, folder: str, inputs: dict[str, str]) -> str:
    told = {"revision": FRAME_REVISION, "inputs": inputs, "state": parts.state(store, folder)}
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]
    return f"{FRAME_KIND}/memos/{digest}.json"


def find_frame(store: Store, folder: str, inputs: dict[str, str]) -> Manifest | None:
    """Return the frame made before from the same inputs and the same features, or None.

    Args:
        store: The object store.
        folder: Folder of the feature store (FeatureTables.folder).
        inputs: Ids of what goes in (FeatureTables.inputs).
    """
    key = _memo_key(store, folder, inputs)
    if not store.exists(key):
        return None
    return find(store, FRAME_KIND, json.loads(store.read(key))["frame"])


def publish_frame(store: Store, tables: FeatureTables, at: datetime | None = None) -> Manifest:
    """Publish the features and the frame that a point-in-time join makes of them now.

    Rows that the store already holds are not written again. The training split's mean pixel
    is computed here, and nowhere else.

    Args:
        store: The object store.
        tables: What to publish.
        at: The time of the join (UTC); default now.

    Raises:
        RecordError: When an image or lesion has no features, or a patient two splits.
    """
    with store.lease(tables.folder):
        now = datetime.now(UTC)
        if tables.shuffle_labels:
            tables = _with_shuffled_labels(tables)
        for view, rows in _rows(tables):
            parts.append(store, tables.folder, view, rows, now)
        with tempfile.TemporaryDirectory(prefix="mammo-features-") as folder:
            workspace = Path(folder)
            parts.mirror(store, tables.folder, workspace)
            images, lesions = _join(workspace, tables, at or datetime.now(UTC))
            store.put_file(f"{tables.folder}/registry.db", workspace / "registry.db")
        manifest = _publish(store, tables, images, lesions)
        if at is None:  # what was true in the past is no answer for today
            memo = json.dumps({"frame": manifest.id}).encode()
            store.write(_memo_key(store, tables.folder, tables.inputs), memo)
    return manifest


def _rows(tables: FeatureTables) -> list[tuple[definitions.View, pd.DataFrame]]:
    images = tables.images.assign(assignment_id=tables.assignment_id)
    images["split"] = images["image_id"].map(tables.splits).fillna("excluded")
    lesions = tables.lesions.rename(
        columns={"image_id": "lesion_image_id", "malignant": "lesion_malignant"}
    )
    return [
        (definitions.IMAGE_METADATA, images),
        (definitions.IMAGE_LABEL, images),
        (definitions.IMAGE_SPLIT, images),
        (
            definitions.IMAGE_STATISTICS,
            tables.statistics.assign(dataset_id=tables.dataset_id),
        ),
        (definitions.LESION_ANNOTATION, lesions),
        (definitions.LESION_LABEL, lesions),
    ]


def _with_shuffled_labels(tables: FeatureTables) -> FeatureTables:
    """Give each patient the labels of another patient of the same split.

    A patient's images and lesions all become malignant or all benign, as one of the other
    patient's was or was not: nothing of the picture is left in the label, and the share of
    malignant patients in each split stays as it was.
    """
    from dataclasses import replace

    images, lesions = tables.images.copy(), tables.lesions.copy()
    malignant = images.groupby("patient_key")["malignant"].max().to_dict()
    # Sorted so that a patient with excluded and included images counts as included.
    sides = images["image_id"].map(tables.splits).fillna("excluded")
    split_of = dict(sorted(zip(images["patient_key"], sides, strict=True), key=_excluded_first))
    given: dict[str, int] = {}
    for split in (*SPLITS, "excluded"):
        patients = sorted(patient for patient, side in split_of.items() if side == split)
        draw = generator(tables.seed, "shuffle-labels", split)
        others = [patients[index] for index in draw.permutation(len(patients))]
        given.update({p: int(malignant[o]) for p, o in zip(patients, others, strict=True)})
    images["malignant"] = images["patient_key"].map(given)
    # Patients all of whose images were rejected have lesions, and no label here.
    lesions = lesions[lesions["patient_key"].isin(given)].copy()
    lesions["malignant"] = lesions["patient_key"].map(given)
    lesions["pathology"] = lesions["malignant"].map({0: "BENIGN", 1: "MALIGNANT"})
    return replace(tables, images=images, lesions=lesions)


def _excluded_first(pair: tuple[str, str]) -> bool:
    return pair[1] != "excluded"


def _join(
    workspace: Path, tables: FeatureTables, at: datetime
) -> tuple[pd.DataFrame, pd.DataFrame]:
    feast = definitions.open_feast(workspace)
    feast.apply(definitions.feast_objects())
    image_ids = pd.DataFrame(
        {
            "image_id": tables.statistics["image_id"],
            "assignment_id": tables.assignment_id,
            "dataset_id": tables.dataset_id,
            "event_timestamp": pd.Timestamp(at),
        }
    )
    images = _historical(
        feast,
        image_ids,
        [
            definitions.IMAGE_METADATA,
            definitions.IMAGE_LABEL,
            definitions.IMAGE_SPLIT,
            definitions.IMAGE_STATISTICS,
        ],
    )
    inside = tables.lesions[tables.lesions["image_id"].isin(set(image_ids["image_id"]))]
    if not len(inside):
        empty = [*definitions.LESION_ANNOTATION.columns, *definitions.LESION_LABEL.columns[1:]]
        return images, pd.DataFrame(columns=empty)
    lesion_ids = pd.DataFrame(
        {"lesion_id": inside["lesion_id"], "event_timestamp": pd.Timestamp(at)}
    )
    lesions = _historical(
        feast, lesion_ids, [definitions.LESION_ANNOTATION, definitions.LESION_LABEL]
    )
    return images, lesions


def _historical(feast: Any, ids: pd.DataFrame, views: list[definitions.View]) -> pd.DataFrame:
    """Join the views to the ids; Feast gives NaN for what it does not know, we refuse it."""
    names = [f"{view.name}:{name}" for view in views for name, _ in view.fields]
    table = feast.get_historical_features(entity_df=ids, features=names).to_df()
    key = ids.columns[0]
    features = [name for view in views for name, _ in view.fields]
    lacking = table[table[features].isna().any(axis=1)]
    if len(lacking) or len(table) != len(ids):
        raise RecordError(
            "The feature store does not know everything of this frame",
            expected=f"a row of {', '.join(view.name for view in views)} for {len(ids)} ids",
            received=f"{len(table)} rows, {len(lacking)} of them incomplete"
            + (f", the first {lacking[key].iloc[0]}" if len(lacking) else ""),
            hint="publish the features of all images before the frame",
        )
    for view in views:
        for name, kind in view.fields:
            if kind == "integer":  # labels come back as floats
                table[name] = table[name].astype("int64")
    return table.sort_values(key).reset_index(drop=True)


def _publish(
    store: Store, tables: FeatureTables, images: pd.DataFrame, lesions: pd.DataFrame
) -> Manifest:
    chosen = images[images["split"] != "excluded"].rename(columns={"malignant": "label"})
    assert_disjoint(chosen)
    frame_images = chosen[
        [
            "image_id",
            "view_id",
            "patient_key",
            "laterality",
            "view",
            "source",
            "breast_density",
            "bits_stored",
            "lesion_types",
            "label",
            "split",
        ]
    ].reset_index(drop=True)
    by_image = chosen.set_index("image_id")
    inside = lesions[lesions["lesion_image_id"].isin(by_image.index)]
    frame_lesions = pd.DataFrame(
        {
            "lesion_id": inside["lesion_id"],
            "image_id": inside["lesion_image_id"],
            "patient_key": inside["lesion_image_id"].map(by_image["patient_key"]),
            "lesion_type": inside["lesion_type"],
            "pathology": inside["pathology"],
            "patch_class": [
                f"{row.lesion_type}_{'mal' if row.lesion_malignant else 'ben'}"
                for row in inside.itertuples()
            ],
            "split": inside["lesion_image_id"].map(by_image["split"]),
        }
    ).reset_index(drop=True)
    unknown = set(frame_lesions["patch_class"]) - set(PATCH_CLASSES)
    if unknown:
        raise RecordError(
            "A lesion has a type that no patch class stands for",
            expected=", ".join(PATCH_CLASSES),
            received=", ".join(sorted(unknown)),
        )
    train = chosen[chosen["split"] == "train"]
    if not len(train):
        raise RecordError(
            "The training split is empty",
            expected="at least one image to train on",
            received=f"images by split: {chosen['split'].value_counts().to_dict()}",
            hint="choose another split in the recipe",
        )
    facts = {
        **tables.facts,
        "mean": round(_mean(tables, train), 6),
        "rescale_factor": RESCALE_FACTOR,
        "intensity": tables.intensity.model_dump(mode="json"),
        "shuffled_labels": tables.shuffle_labels,
        "patch_classes": list(PATCH_CLASSES),
        "splits": {name: _counts(chosen[chosen["split"] == name]) for name in SPLITS},
    }
    rows = {
        "images.parquet": frame_images,
        "lesions.parquet": frame_lesions,
        "splits.parquet": tables.patients[["patient_key", "split"]],
    }
    digests = [(n, hashlib.sha256(to_parquet(table)).hexdigest()) for n, table in rows.items()]
    id = content_id(FRAME_KIND, FRAME_REVISION, facts, digests)
    found = find(store, FRAME_KIND, id)
    if found is not None:
        return found
    manifest = Manifest(
        kind=FRAME_KIND,
        id=id,
        revision=FRAME_REVISION,
        config={"assignment_id": tables.assignment_id},
        files=(),
        counts={"images": len(frame_images), "lesions": len(frame_lesions)},
        facts=facts,
        lineage=tables.inputs,
    )
    files = tuple(put_table(store, manifest.folder, n, table) for n, table in rows.items())
    return publish(store, manifest.model_copy(update={"files": files}))


def _mean(tables: FeatureTables, train: pd.DataFrame) -> float:
    """Mean pixel of the training images, as the networks get them."""
    own = tables.statistics.set_index("image_id").loc[train["image_id"]]
    columns = {name: own[name].to_numpy() for name in own.columns}
    # What the feature store knows comes from there.
    known = {name: train[name].to_numpy() for name in ("mean", "maximum")}
    return tables.intensity.mean({**columns, **known})


def _counts(images: pd.DataFrame) -> dict[str, int]:
    return {
        "images": len(images),
        "views": int(images["view_id"].nunique()),
        "patients": int(images["patient_key"].nunique()),
        "malignant": int(images["label"].sum()),
    }


def assert_disjoint(images: pd.DataFrame) -> None:
    """Refuse a table in which a patient has images in two splits.

    Args:
        images: With the columns patient_key and split.

    Raises:
        RecordError: Names how many patients and the first of them.
    """
    splits = images.groupby("patient_key")["split"].nunique()
    both = splits[splits > 1]
    if len(both):
        raise RecordError(
            f"{len(both)} patients are in more than one split, the first is {both.index[0]}",
            expected="every patient in one split",
            received=f"{sorted(images.loc[images['patient_key'] == both.index[0], 'split'])}",
        )
