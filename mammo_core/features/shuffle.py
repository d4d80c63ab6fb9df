"""Labels permuted over patients: a check that must give AUC 0.5."""

import pandas as pd

from mammo_core.features.frame import SPLITS
from mammo_core.seeds import generator


def shuffled(
    images: pd.DataFrame, lesions: pd.DataFrame, splits: dict[str, str], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Give each patient the labels of another patient of the same split.

    A patient's images and lesions all become malignant or all benign, as one of the other
    patient's was or was not: nothing of the picture is left in the label, and the share of
    malignant patients in each split stays as it was.

    Args:
        images: image_id, patient_key, malignant, …
        lesions: patient_key, malignant, pathology, …
        splits: image_id → split; others are excluded.
        seed: Seed of the permutation.

    Returns:
        Images and lesions; lesions of patients without images are left out.
    """
    images, lesions = images.copy(), lesions.copy()
    malignant = images.groupby("patient_key")["malignant"].max().to_dict()
    # Sorted so that a patient with excluded and included images counts as included.
    sides = images["image_id"].map(splits).fillna("excluded")
    split_of = dict(sorted(zip(images["patient_key"], sides, strict=True), key=_excluded_first))
    given: dict[str, int] = {}
    for split in (*SPLITS, "excluded"):
        patients = sorted(patient for patient, side in split_of.items() if side == split)
        draw = generator(seed, "shuffle-labels", split)
        others = [patients[index] for index in draw.permutation(len(patients))]
        given.update({p: int(malignant[o]) for p, o in zip(patients, others, strict=True)})
    images["malignant"] = images["patient_key"].map(given)
    # Patients all of whose images were rejected have lesions, and no label here.
    lesions = lesions[lesions["patient_key"].isin(given)].copy()
    lesions["malignant"] = lesions["patient_key"].map(given)
    lesions["pathology"] = lesions["malignant"].map({0: "BENIGN", 1: "MALIGNANT"})
    return images, lesions


def _excluded_first(pair: tuple[str, str]) -> bool:
    return pair[1] != "excluded"
