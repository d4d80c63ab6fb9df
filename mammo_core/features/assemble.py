"""From joined features to a frame."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from mammo_core.datasets.outputs import Attempt, Draft
from mammo_core.datasets.tables import EncodedTable
from mammo_core.errors import RecordError
from mammo_core.features.definitions import INTENSITY_STATISTICS, MEANING, TARGETS
from mammo_core.features.frame import PATCH_CLASSES, SPLITS
from mammo_core.features.join import JoinKeys
from mammo_core.features.kinds import FRAME, FrameFacts
from mammo_core.preprocessing import RESCALE_FACTOR, IntensityConfig
from mammo_core.sources.several.names import EXTERNAL, NAME_COLUMN, name_of
from mammo_core.sources.splitting.splits import require_disjoint

#: The facts that `assemble_frame` computes; the others are given.
COMPUTED_FACTS = frozenset({"mean", "rescale_factor", "intensity", "splits"})
_STATISTICS = [name for name, _ in INTENSITY_STATISTICS.fields]
#: Column of the joined features → column of the frame's images.
_COLUMNS = {
    "image_id": "image_id",
    "view_id": "view_id",
    "patient_key": "patient_key",
    "laterality": "laterality",
    "view": "view",
    **{name: name for name, _ in MEANING},
    "source": "source",
    "breast_density": "breast_density",
    "manufacturer": "manufacturer",
    "bits_stored": "bits_stored",
    "mean": "intensity_mean",
    "standard_deviation": "intensity_standard_deviation",
    "lesion_types": "lesion_types",
    "malignant": "label",
    "label_origin": "label_origin",
    **{name: name for name, _ in TARGETS},
    "split": "split",
}


def assemble_frame(
    attempt: Attempt,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    keys: JoinKeys,
    *,
    patients: pd.DataFrame,
    facts: dict[str, Any],
    intensity: IntensityConfig,
    lineage: dict[str, str],
) -> Draft:
    """Make the frame of joined features.

    The mean of the training images is computed here and nowhere else.

    Args:
        attempt: The attempt to make the frame.
        images: One row per image (`join`).
        lesions: One row per lesion (`join`).
        keys: What was joined.
        patients: patient_key, split; published with the frame.
        facts: The other facts of the frame: shuffled_labels, leaking_patients, split, sources.
        intensity: How gray levels become numbers.
        lineage: Ids of what the features were made from.

    Raises:
        RecordError: There is no training image, or a lesion has no class.
        SourceError: A patient is in two splits.
    """
    excluded = images["split"] == "excluded"
    included = images[~excluded] if excluded.any() else images
    require_disjoint(included)
    frame_images = included[list(_COLUMNS)].rename(columns=_COLUMNS).reset_index(drop=True)
    for name, kind in (*MEANING, *TARGETS):
        if kind == "flag":
            frame_images[name] = _flags(frame_images[name])
    sources = facts.get("sources", {})
    if sources:
        frame_images[NAME_COLUMN] = [name_of(key) for key in frame_images["patient_key"]]
        facts = {**facts, "sources": _by_source(frame_images, sources)}
    frame_lesions = _lesions(lesions, included)
    train = included.loc[included["split"] == "train", _STATISTICS]
    if not len(train):
        raise RecordError(
            "The training split is empty",
            expected="at least one image to train on",
            received=f"images by split: {included['split'].value_counts().to_dict()}",
            hint="choose another split in the recipe",
        )
    all_facts = FrameFacts(
        **facts,
        mean=round(_mean(train, intensity), 6),
        rescale_factor=RESCALE_FACTOR,
        intensity=intensity,
        splits={name: _counts(frame_images, name) for name in SPLITS},
    )
    tables = [
        EncodedTable.of("images.parquet", frame_images),
        EncodedTable.of("lesions.parquet", frame_lesions),
        EncodedTable.of("splits.parquet", patients[["patient_key", "split"]]),
    ]
    digests = [table.digest for table in tables]
    id = FRAME.content_id(all_facts.model_dump(mode="json"), digests)
    manifest = FRAME.manifest(
        id,
        config={
            "assignment_id": keys.assignment_id,
            "dataset_id": keys.dataset_id,
            "folder": keys.folder,
        },
        counts={"images": len(frame_images), "lesions": len(frame_lesions)},
        facts=all_facts,
        lineage=lineage,
    )
    folder = attempt.folder(manifest.folder)
    files = tuple(table.put(attempt.store, folder) for table in tables)
    return Draft(manifest.model_copy(update={"files": files}))


def _by_source(images: pd.DataFrame, sources: Mapping[str, Any]) -> dict[str, Any]:
    """Add the numbers of each source by split to what is known of it."""
    result: dict[str, Any] = {}
    for name, source in sources.items():
        rows = images[images[NAME_COLUMN] == name]
        splits = (EXTERNAL,) if source["role"] == EXTERNAL else SPLITS
        result[name] = {**source, "splits": {split: _counts(rows, split) for split in splits}}
    return result


def _lesions(lesions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    by_image = images.set_index("image_id")
    included = lesions[lesions["lesion_image_id"].isin(by_image.index)]
    table = pd.DataFrame(
        {
            "lesion_id": included["lesion_id"],
            "image_id": included["lesion_image_id"],
            "patient_key": included["lesion_image_id"].map(by_image["patient_key"]),
            "lesion_type": included["lesion_type"],
            "pathology": included["pathology"],
            "patch_class": [
                f"{row.lesion_type}_{'mal' if row.lesion_malignant else 'ben'}"
                for row in included.itertuples()
            ],
            "split": included["lesion_image_id"].map(by_image["split"]),
        }
    ).reset_index(drop=True)
    unknown = table[~table["patch_class"].isin(PATCH_CLASSES)]
    if len(unknown):
        raise RecordError(
            f"The lesion {unknown['lesion_id'].iloc[0]} has a type without a patch class",
            expected=", ".join(PATCH_CLASSES),
            received=", ".join(sorted(set(unknown["patch_class"]))),
        )
    return table


def _flags(values: "pd.Series[float]") -> "pd.Series[object]":
    """Return 1, 0 and NaN as True, False and None."""
    return pd.Series(
        [None if value != value else bool(value) for value in values], values.index, dtype="object"
    )


def _mean(train: pd.DataFrame, intensity: IntensityConfig) -> float:
    """Return the mean pixel of the training images, as a network receives them."""
    value = intensity.mean({str(name): train[name].to_numpy() for name in train.columns})
    if value != value:
        raise RecordError(
            "The mean of the training images is unknown",
            expected="the intensity statistics that the recipe's `intensity` needs",
            received="none: the dataset was converted without them",
        )
    return value


def _counts(images: pd.DataFrame, split: str) -> dict[str, int]:
    rows = images[images["split"] == split]
    return {
        "images": len(rows),
        "views": int(rows["view_id"].nunique()),
        "patients": int(rows["patient_key"].nunique()),
        "malignant": int(rows["label"].sum()),
    }
