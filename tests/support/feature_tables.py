"""Small tables for the feature store."""

import hashlib
from dataclasses import replace

import pandas as pd

from mammo_core.features import FeatureTables


def make_tables(**changes):
    """Return sixteen images of eight patients (four malignant), with a lesion on each MLO view."""
    images, lesions = [], []
    for number in range(8):
        patient, malignant = f"P_{number:05d}", int(number % 2)
        kind = "mass" if number < 4 else "calc"
        for view in ("CC", "MLO"):
            image_id = hashlib.sha256(f"{patient}{view}".encode()).hexdigest()
            images.append(
                {
                    "image_id": image_id,
                    "path": f"{patient}_{view}.dcm",
                    "patient_key": patient,
                    "exam_key": "",
                    "laterality": "LEFT",
                    "view": view,
                    "view_class": view,
                    "exam_day": 10.0 * number,
                    "implant": (True, False, None)[number % 3],
                    "area_mm2": None,
                    "view_id": f"{patient}_LEFT_{view}",
                    "source": "cbis_ddsm",
                    "official_split": "train",
                    "official_splits": "train",
                    "breast_density": 1 + number % 4,
                    "malignant": malignant,
                    "label_origin": "biopsy" if malignant else "",
                    "birads": 5.0 if malignant else None,
                    "invasive": True if malignant else None,
                    "site": str(number % 2),
                    "years_to_cancer": 0.0 if malignant else None,
                    "lesion_types": kind,
                    "manufacturer": "hologic",
                    "bits_stored": 16,
                    "rows": 100,
                    "columns": 80,
                }
            )
        lesions.append(
            {
                "lesion_id": f"{patient}_LEFT_MLO_{kind}_1",
                "image_id": image_id,
                "view_id": f"{patient}_LEFT_MLO",
                "patient_key": patient,
                "abnormality_id": 1,
                "lesion_type": kind,
                "pathology": "MALIGNANT" if malignant else "BENIGN",
                "malignant": malignant,
                "assessment": 4,
                "subtlety": 3,
                "mass_shape": "OVAL" if kind == "mass" else "",
                "mass_margins": "",
                "calc_type": "",
                "calc_distribution": "",
            }
        )
    images = pd.DataFrame(images)
    statistics = pd.DataFrame(
        {
            "image_id": images["image_id"],
            "mean": [1000.0 * (1 + index) for index in range(16)],
            "standard_deviation": 5.0,
            "maximum": 65535,
        }
    )
    # Patients 0 to 3 are in train, 4 and 5 in validation, 6 and 7 in test.
    names = ["train"] * 4 + ["validation"] * 2 + ["test"] * 2
    splits = {row.image_id: names[int(row.patient_key[2:])] for row in images.itertuples()}
    tables = FeatureTables(
        images=images,
        lesions=pd.DataFrame(lesions),
        statistics=statistics,
        splits=splits,
        patients=pd.DataFrame(
            [(f"P_{number:05d}", name) for number, name in enumerate(names)],
            columns=["patient_key", "split"],
        ),
        assignment_id="by-number",
        dataset_id="d1",
        facts={"leaking_patients": []},
        shuffle_labels=False,
        seed=3,
        inputs={"tables": "t1", "images": "d1"},
    )
    return replace(tables, **changes)


def correct_tables(tables, patient="P_00000"):
    """Return the tables after a benign lesion turned out to be malignant."""
    images, lesions = tables.images.copy(), tables.lesions.copy()
    images.loc[images["patient_key"] == patient, "malignant"] = 1
    of_patient = lesions["patient_key"] == patient
    lesions.loc[of_patient, ["pathology", "malignant"]] = ["MALIGNANT", 1]
    return replace(tables, images=images, lesions=lesions, inputs={**tables.inputs, "tables": "t2"})
