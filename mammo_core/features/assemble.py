"""From joined features to a published frame."""

import hashlib
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest, content_id, find, publish
from mammo_core.datasets.tables import put_table, to_parquet
from mammo_core.errors import RecordError
from mammo_core.features.frame import FRAME_KIND, FRAME_REVISION, PATCH_CLASSES, SPLITS
from mammo_core.features.join import Wanted
from mammo_core.preprocessing import RESCALE_FACTOR, IntensityConfig
from mammo_core.sources.splits import require_disjoint
from mammo_core.store import Store

_COLUMNS = {
    "image_id": "image_id",
    "view_id": "view_id",
    "patient_key": "patient_key",
    "laterality": "laterality",
    "view": "view",
    "source": "source",
    "breast_density": "breast_density",
    "manufacturer": "manufacturer",
    "bits_stored": "bits_stored",
    "mean": "intensity_mean",
    "standard_deviation": "intensity_standard_deviation",
    "lesion_types": "lesion_types",
    "malignant": "label",
    "split": "split",
}


def assemble(
    store: Store,
    images: pd.DataFrame,
    lesions: pd.DataFrame,
    wanted: Wanted,
    *,
    patients: pd.DataFrame,
    facts: dict[str, Any],
    intensity: IntensityConfig,
    lineage: dict[str, str],
) -> Manifest:
    """Publish the frame of joined features.

    The mean of the training images is computed here and nowhere else.

    Args:
        store: The object store.
        images: One row per image (`join`).
        lesions: One row per lesion (`join`).
        wanted: What was joined.
        patients: patient_key, split: goes with the frame.
        facts: What else the frame tells: shuffled_labels, leaking patients, the split.
        intensity: How gray levels become numbers.
        lineage: Ids of what the features were made from.

    Raises:
        RecordError: No training image, or a lesion without a class.
        SourceError: A patient is in two splits.
    """
    chosen = images[images["split"] != "excluded"]
    require_disjoint(chosen)
    frame_images = chosen[list(_COLUMNS)].rename(columns=_COLUMNS).reset_index(drop=True)
    frame_lesions = _lesions(lesions, chosen)
    train = chosen[chosen["split"] == "train"]
    if not len(train):
        raise RecordError(
            "The training split is empty",
            expected="at least one image to train on",
            received=f"images by split: {chosen['split'].value_counts().to_dict()}",
            hint="choose another split in the recipe",
        )
    told = {
        **facts,
        "mean": round(_mean(train, intensity), 6),
        "rescale_factor": RESCALE_FACTOR,
        "intensity": intensity.model_dump(mode="json"),
        "patch_classes": list(PATCH_CLASSES),
        "splits": {name: _counts(frame_images, name) for name in SPLITS},
    }
    rows = {
        "images.parquet": frame_images,
        "lesions.parquet": frame_lesions,
        "splits.parquet": patients[["patient_key", "split"]],
    }
    digests = [(n, hashlib.sha256(to_parquet(table)).hexdigest()) for n, table in rows.items()]
    id = content_id(FRAME_KIND, FRAME_REVISION, told, digests)
    found = find(store, FRAME_KIND, id)
    if found is not None:
        return found
    manifest = Manifest(
        kind=FRAME_KIND,
        id=id,
        revision=FRAME_REVISION,
        config={
            "assignment_id": wanted.assignment_id,
            "dataset_id": wanted.dataset_id,
            "folder": wanted.folder,
        },
        files=(),
        counts={"images": len(frame_images), "lesions": len(frame_lesions)},
        facts=told,
        lineage=lineage,
    )
    files = tuple(put_table(store, manifest.folder, n, table) for n, table in rows.items())
    return publish(store, manifest.model_copy(update={"files": files}))


def computed() -> frozenset[str]:
    """The names of the facts that `assemble` computes; the others are handed in."""
    return frozenset({"mean", "rescale_factor", "intensity", "patch_classes", "splits"})


def _lesions(lesions: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    by_image = images.set_index("image_id")
    inside = lesions[lesions["lesion_image_id"].isin(by_image.index)]
    table = pd.DataFrame(
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
    unknown = table[~table["patch_class"].isin(PATCH_CLASSES)]
    if len(unknown):
        raise RecordError(
            f"The lesion {unknown['lesion_id'].iloc[0]} has a type that no patch class stands for",
            expected=", ".join(PATCH_CLASSES),
            received=", ".join(sorted(set(unknown["patch_class"]))),
        )
    return table


def _mean(train: pd.DataFrame, intensity: IntensityConfig) -> float:
    """Mean pixel of the training images, as the networks get them."""
    value = intensity.mean({str(name): train[name].to_numpy() for name in train.columns})
    if value != value:
        raise RecordError(
            "The mean of the training images is not known",
            expected="the intensity statistics that the recipe's `intensity` needs",
            received="none: the dataset was converted without them",
        )
    return value


def _counts(images: pd.DataFrame, split: str) -> dict[str, int]:
    own = images[images["split"] == split]
    return {
        "images": len(own),
        "views": int(own["view_id"].nunique()),
        "patients": int(own["patient_key"].nunique()),
        "malignant": int(own["label"].sum()),
    }
