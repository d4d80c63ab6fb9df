"""Test patients that a model was fitted to: their scores say nothing about new patients."""

import re
from dataclasses import dataclass

import pandas as pd

#: Training sets the weights; validation chose the epoch, the calibration and the thresholds.
FITTED_SPLITS = ("train", "validation")
#: What the headers of phantoms name as their maker (mammo_core.dicom.manufacturers).
_PHANTOM = "mammo pipelines"
#: The published form of CBIS-DDSM's pseudonyms, which phantoms use too.
_CBIS = re.compile(r"P_\d{5}")
_INBREAST = re.compile(r"[0-9a-f]{16}")
#: Keys are HMACs under a site key: equal ones are one patient, but only of one site key.
_SITE = "site"


@dataclass(frozen=True)
class PatientOverlap:
    """The test patients of one frame among the patients that another one was fitted to.

    Attributes:
        test_patients: How many test patients there are.
        seen: Keys of those that were in the other frame's training or validation set.
        unknown: Why there may be more of them than could be seen; empty where all are known.
    """

    test_patients: int
    seen: frozenset[str]
    unknown: str = ""


def patient_overlap(
    ours: pd.DataFrame, theirs: pd.DataFrame, site_keys: tuple[str, str] = ("", "")
) -> PatientOverlap:
    """Find the test patients of a frame in the training and validation sets of another.

    A patient is the same one where an image is the same file (its id is the file's digest), or
    where the patient keys are equal and of the same collection: the phantom's P_00001 is not
    that of CBIS-DDSM. Two phantoms are one collection.

    Args:
        ours: Images of the frame whose test set is asked about: image_id, patient_key, source,
            manufacturer, split.
        theirs: Images of the frame that a model was fitted to, with the same columns.
        site_keys: Fingerprints of the site keys of both; empty where they are not known.
    """
    ours, theirs = _with_collections(ours), _with_collections(theirs)
    test = ours[ours["split"] == "test"]
    fitted = theirs[theirs["split"].isin(FITTED_SPLITS)]
    unknown = ""
    if _SITE in set(test["collection"]) & set(fitted["collection"]):
        unknown = _why_not_comparable(ours, theirs, site_keys)
    known = set(zip(fitted["collection"], fitted["patient_key"], strict=True))
    pairs = zip(test["collection"], test["patient_key"], strict=True)
    same_key = pd.Series([pair in known for pair in pairs], index=test.index, dtype=bool)
    same_file = test["image_id"].isin(set(fitted["image_id"]))
    seen = frozenset(map(str, test.loc[same_key | same_file, "patient_key"]))
    return PatientOverlap(int(test["patient_key"].nunique()), seen, unknown)


def _why_not_comparable(
    ours: pd.DataFrame, theirs: pd.DataFrame, site_keys: tuple[str, str]
) -> str:
    """Why keys of own data cannot be compared, or an empty text."""
    mine, other = site_keys
    if mine and other:
        return "" if mine == other else "the patient keys were made with different site keys"
    keys = [set(one.loc[one["collection"] == _SITE, "patient_key"]) for one in (ours, theirs)]
    return "" if keys[0] & keys[1] else "the site key of the patient keys is not recorded"


def _with_collections(images: pd.DataFrame) -> pd.DataFrame:
    """The images, with the collection within which a patient key names one patient."""
    sources = images.get("source", pd.Series("", index=images.index))
    makers = images.get("manufacturer", pd.Series("", index=images.index))
    rows = zip(images["patient_key"], sources, makers, strict=True)
    return images.assign(collection=[_collection(*map(str, row)) for row in rows])


def _collection(key: str, source: str, manufacturer: str) -> str:
    if manufacturer == _PHANTOM:
        return "phantom"
    if source == "folders" and _CBIS.fullmatch(key):
        return "cbis_ddsm"
    if source == "folders" and _INBREAST.fullmatch(key):
        return "inbreast"
    return _SITE if source in ("table", "folders") else source
