"""Count the content of a source and of its splits."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # quick to load: see the package
    import pandas as pd

    from mammo_core.sources.splitting.splits import SplitResult


def audit(
    images: "pd.DataFrame",
    lesions: "pd.DataFrame",
    rejects: "pd.DataFrame",
    split: "SplitResult | None" = None,
) -> dict[str, Any]:
    """Count images, views, patients and lesions, overall and per split.

    Args:
        images: Table of images of a source.
        lesions: Table of its lesions.
        rejects: Table of its rejects.
        split: The split of each image; None counts by the official split.

    Returns:
        A plain dict (JSON-able): images, views, exams, patients, lesions, rejects by kind and by
        cause, leaking patients, sizes, and under splits, for each split that has images: images,
        views, exams, patients, malignant and other images and views, and images by lesion type,
        view, image type, laterality, density and bits stored, lesions by type and pathology.
    """
    from mammo_core.sources.splitting.splits import official_splits

    by_image = (
        images.set_index("image_id")["official_split"]
        if split is None
        else split.images.set_index("image_id")["split"]
    )
    splits = images["image_id"].map(by_image)
    lesion_splits = lesions["image_id"].map(by_image)
    order = [name for name in ("train", "validation", "test", "excluded") if (splits == name).any()]
    leaking = sorted(key for key, names in official_splits(images).items() if len(names) > 1)
    return {
        **_totals(images, lesions),
        "views_with_several_images": int((images.groupby("view_id").size() > 1).sum()),
        "rejects": _count_by(rejects[rejects["cause"] == ""], "kind"),
        "left_out": _count_by(rejects[rejects["cause"] != ""], "cause"),
        "leaking_patients": leaking,
        "splits": {
            name: {
                **_totals(images[splits == name], lesions[lesion_splits == name]),
                **_distributions(images[splits == name], lesions[lesion_splits == name]),
            }
            for name in order
        },
    }


def _totals(images: "pd.DataFrame", lesions: "pd.DataFrame") -> dict[str, int]:
    return {
        "images": len(images),
        "views": int(images["view_id"].nunique()),
        "exams": len(images[["patient_key", "exam_key"]].drop_duplicates()),
        "patients": int(images["patient_key"].nunique()),
        "lesions": len(lesions),
    }


def _distributions(images: "pd.DataFrame", lesions: "pd.DataFrame") -> dict[str, Any]:
    views = images.groupby("view_id")["malignant"].max()
    return {
        "label": {
            "malignant_images": int(images["malignant"].sum()),
            "other_images": int((images["malignant"] == 0).sum()),
            "malignant_views": int(views.sum()),
            "other_views": int((views == 0).sum()),
            "malignant_patients": int(images[images["malignant"] == 1]["patient_key"].nunique()),
        },
        "lesion_types": _count_by(images, "lesion_types"),
        "view": _count_by(images, "view"),
        "image_type": _count_by(images, "image_type"),
        "laterality": _count_by(images, "laterality"),
        "breast_density": _count_by(images, "breast_density"),
        "bits_stored": _count_by(images, "bits_stored"),
        "lesions_by_type": _count_by(lesions, "lesion_type"),
        "lesions_by_pathology": _count_by(lesions, "pathology"),
    }


def _count_by(table: "pd.DataFrame", column: str) -> dict[str, int]:
    counts = table[column].value_counts()
    return {
        str(value): int(count) for value, count in sorted(counts.items(), key=lambda x: str(x[0]))
    }
