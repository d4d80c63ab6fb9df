import numpy as np
import pandas as pd
import pytest


def predictions_of(patients, seed, prefix="T", gain=1.6):
    """Predictions of two breasts in two views; the views of a breast share most of their score."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(patients):
        key = f"{prefix}_{number:05d}"
        sick, density = random.random() < 0.5, int(random.integers(1, 5))
        for side in ("LEFT", "RIGHT"):
            label = int(sick and side == "LEFT")
            types = str(random.choice(["mass", "calc", "calc+mass"]))
            shared = random.normal(gain * label - 0.4)
            for view in ("CC", "MLO"):
                log_odds = shared + random.normal(scale=0.5)
                rows.append(
                    {
                        "image_id": f"{key}_{side}_{view}",
                        "patient_key": key,
                        "view_id": f"{key}_{side}_{view}",
                        "laterality": side,
                        "view": view,
                        "view_class": view,
                        "exam_key": "",
                        "label": label,
                        "probability": float(1 / (1 + np.exp(-2 * log_odds))),
                        "source": "cbis_ddsm",
                        "breast_density": density,
                        "lesion_types": types,
                    }
                )
    return pd.DataFrame(rows)


@pytest.fixture(scope="session")
def predictions():
    """Builds tables of predictions: patients, seed, prefix of the patient keys, gain."""
    return predictions_of
