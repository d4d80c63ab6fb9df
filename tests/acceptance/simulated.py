"""Simulated sites: scores of a binormal model, without images."""

from datetime import date

import numpy as np
import pandas as pd
from scipy.special import expit

from mammo_core.acceptance.assess import AcceptedModel, assess
from mammo_core.acceptance.cases import CaseCounts, digest_of
from mammo_core.acceptance.config import AcceptanceConfig
from mammo_core.evaluation.decisions import DecisionRules, LevelRules
from mammo_core.metrics import Calibration

DAY = date(2026, 11, 30)
#: Distance of the logits of both classes: an AUC of 0.856 per image.
DISTANCE = 1.5
#: What the calibration of the package states for a third of malignant cases: for logits of
#: variance 1 around 0 and DISTANCE, the true logit is DISTANCE * x - DISTANCE^2 / 2 + log(1 / 2).
OWN = Calibration(method="platt", slope=DISTANCE, intercept=-(DISTANCE**2) / 2 - float(np.log(2)))
#: Images, breasts and patients are the same here.
RULES = DecisionRules(
    **{name: LevelRules(calibration=OWN) for name in ("image", "breast", "patient")}
)
MODEL = AcceptedModel("simulated", 1, "a" * 64, "image", RULES, {"patient": 0.856})
QUICK = AcceptanceConfig(replicates=100)


def draw(
    rng, malignant, benign, *, distance=DISTANCE, swapped=0.0, unlike=0.0, images=1, curve=None
):
    """Return the table of cases of a site, one exam a patient, one breast with `images` images.

    Args:
        rng: Draws everything.
        malignant: Patients with a cancer.
        benign: Other patients.
        distance: Distance of the logits of both classes.
        swapped: Share of the patients whose labels are exchanged.
        unlike: Share of the images that are unlike training images.
        images: Images of a patient, which share half of their variance.
        curve: What a gray curve does to the logits.
    """
    n = malignant + benign
    labels = np.r_[np.ones(malignant, int), np.zeros(benign, int)]
    shared, alone = rng.normal(size=(n, 1)), rng.normal(size=(n, images))
    mixed = shared if images == 1 else np.sqrt(0.5) * shared + np.sqrt(0.5) * alone
    logits = distance * labels[:, None] + mixed
    if curve is not None:
        logits = curve(logits)
    truth = np.where(rng.random(n) < swapped, 1 - labels, labels)
    patients = np.repeat([f"p{number:05d}" for number in range(n)], images)
    numbers = np.tile(np.arange(images), n)
    table = pd.DataFrame(
        {
            "image_id": [f"{p}-{number}" for p, number in zip(patients, numbers, strict=True)],
            "patient_key": patients,
            "exam_key": "",
            "laterality": "LEFT",
            "view_id": [f"{p}_{number}" for p, number in zip(patients, numbers, strict=True)],
            "label": np.repeat(truth, images),
            "probability": expit(logits).ravel(),
            "unlike_training": np.where(rng.random(n * images) < unlike, "outside_training", ""),
            "warnings": "",
        }
    )
    return table


def count(table):
    """Return the counts of a table, nothing left out."""
    codes = table["unlike_training"]
    exams = table.groupby("patient_key")["label"].max()
    return CaseCounts(
        images=len(table),
        patients=len(exams),
        exams=len(exams),
        malignant_exams=int(exams.sum()),
        faults=0,
        left_out={},
        unlike=codes[codes != ""].value_counts().to_dict(),
        unlike_images=int((codes != "").sum()),
        warnings={},
        fitted_patients=0,
        unknown=(),
        digest=digest_of(table),
    )


def assessed(table, config=QUICK, model=MODEL):
    """Return the assessment of a site."""
    return assess(table, count(table), model, "Site", DAY, config)
