"""Permute labels over patients: a check that must give an AUC of 0.5."""

import pandas as pd

from mammo_core.features.frame import SPLITS
from mammo_core.seeds import generator
from mammo_core.sources.several.names import EXTERNAL


def shuffle_labels(
    images: pd.DataFrame, lesions: pd.DataFrame, splits: dict[str, str], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each patient the labels of another patient of the same split.

    All images and lesions of a patient become malignant if any image of the other patient is,
    and benign otherwise. The labels no longer depend on the images, and each split keeps its
    fraction of malignant patients.

    Args:
        images: image_id, patient_key, malignant, …
        lesions: patient_key, malignant, pathology, …
        splits: image_id → split; other images are excluded.
        seed: Seed of the permutation.

    Returns:
        Images and lesions, without the lesions of patients without images.
    """
    images, lesions = images.copy(), lesions.copy()
    malignant = images.groupby("patient_key")["malignant"].max().to_dict()
    # Sorted, so that a patient with excluded and included images counts as included.
    image_splits = images["image_id"].map(splits).fillna("excluded")
    split_of = dict(
        sorted(zip(images["patient_key"], image_splits, strict=True), key=_excluded_first)
    )
    labels: dict[str, int] = {}
    for split in (*SPLITS, EXTERNAL, "excluded"):
        patients = sorted(patient for patient, name in split_of.items() if name == split)
        draw = generator(seed, "shuffle-labels", split)
        others = [patients[index] for index in draw.permutation(len(patients))]
        labels.update({p: int(malignant[o]) for p, o in zip(patients, others, strict=True)})
    images["malignant"] = images["patient_key"].map(labels)
    # If all images of a patient were rejected, her lesions have no label here.
    lesions = lesions[lesions["patient_key"].isin(labels)].copy()
    lesions["malignant"] = lesions["patient_key"].map(labels)
    lesions["pathology"] = lesions["malignant"].map({0: "BENIGN", 1: "MALIGNANT"})
    return images, lesions


def _excluded_first(pair: tuple[str, str]) -> bool:
    return pair[1] != "excluded"
