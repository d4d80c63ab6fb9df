"""Find test patients that a model was fitted to: their scores are not those of new patients."""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from mammo_core.dicom.meanings.manufacturers import is_phantom
from mammo_core.sources.adapter import registered_adapters
from mammo_core.sources.identity.patients import publisher_of
from mammo_core.sources.several.names import NAME_COLUMN, plain_id

#: Training fits the weights; validation chooses epoch, calibration and thresholds.
FITTED_SPLITS = ("train", "validation")
#: Keys are HMACs under a site key: equal keys mean the same patient if the site keys are equal.
_SITE = "site"
_PHANTOM = "phantom"
#: (namespace, key): a patient of any source.
Person = tuple[str, str]


@dataclass(frozen=True)
class PatientOverlap:
    """The test patients of one frame that are in the fitted splits of another frame.

    Attributes:
        test_patients: Number of test patients.
        shared: Keys of those in the training or validation set of the other frame.
        uncertainty: Why more patients may be shared; empty when the keys are comparable.
    """

    test_patients: int
    shared: frozenset[str]
    uncertainty: str = ""


def patient_overlap(
    ours: pd.DataFrame, theirs: pd.DataFrame, site_keys: tuple[str, str] = ("", "")
) -> PatientOverlap:
    """Find the test patients of a frame in the training and validation sets of another.

    A patient is the same if an image is the same file (its id is the digest of the file), or
    if the patient keys are equal and from the same source: P_00001 of a phantom is not
    P_00001 of CBIS-DDSM. All phantoms are one source.

    Args:
        ours: Images of the frame with the test set: image_id, patient_key, source,
            manufacturer, split.
        theirs: Images of the frame that a model was fitted to; the same columns.
        site_keys: Fingerprints of the site keys of both; empty where unknown.
    """
    ours, theirs = with_namespace(ours), with_namespace(theirs)
    test = ours[ours["split"] == "test"]
    fitted = theirs[theirs["split"].isin(FITTED_SPLITS)]
    uncertainty = ""
    if _SITE in set(test["namespace"]) & set(fitted["namespace"]):
        uncertainty = _why_not_comparable(ours, theirs, site_keys)
    shared = patients_seen(test, fitted)
    return PatientOverlap(int(test["patient_key"].nunique()), shared, uncertainty)


def patients_seen(ours: pd.DataFrame, theirs: pd.DataFrame) -> frozenset[str]:
    """Return our patients who are in another table too: by their keys, or by an exact image.

    Args:
        ours: image_id, patient_key, namespace.
        theirs: The same columns.
    """
    their_keys = set(persons(theirs))
    same_key = pd.Series(
        [person in their_keys for person in persons(ours)], index=ours.index, dtype=bool
    )
    same_file = ours["image_id"].isin(set(theirs["image_id"]))
    return frozenset(map(str, ours.loc[same_key | same_file, "patient_key"]))


def _why_not_comparable(
    ours: pd.DataFrame, theirs: pd.DataFrame, site_keys: tuple[str, str]
) -> str:
    """Return why keys of a site's data cannot be compared, or an empty text."""
    our_key, their_key = site_keys
    if our_key and their_key:
        return "" if our_key == their_key else "the patient keys were made with different site keys"
    our_patients, their_patients = (
        set(images.loc[images["namespace"] == _SITE, "patient_key"]) for images in (ours, theirs)
    )
    return (
        "" if our_patients & their_patients else "the site key of the patient keys is not recorded"
    )


def with_namespace(images: pd.DataFrame) -> pd.DataFrame:
    """Add the namespace within which a patient key identifies one patient.

    Args:
        images: patient_key, source, manufacturer; a table that has the namespace stays as it is.
    """
    if "namespace" in images:
        return images
    sources = images.get("source", pd.Series("", index=images.index))
    manufacturers = images.get("manufacturer", pd.Series("", index=images.index))
    rows = zip(images["patient_key"], sources, manufacturers, strict=True)
    return images.assign(namespace=[_namespace(*map(str, row)) for row in rows])


def persons(images: pd.DataFrame) -> Iterator[Person]:
    """Yield who each row is of.

    A published pseudonym is the same patient whatever its source is called in a run. Keys of
    sites and of phantoms keep the names of several sources: two sites may number their patients
    alike.

    Args:
        images: namespace, patient_key; source_name where there are several sources.
    """
    several = NAME_COLUMN in images
    for namespace, key in zip(images["namespace"], images["patient_key"], strict=True):
        is_published = several and namespace not in (_SITE, _PHANTOM)
        yield str(namespace), plain_id(str(key)) if is_published else str(key)


def same_patients(images: pd.DataFrame) -> list[tuple[str, str]]:
    """Return the pairs of keys of one run that are the same patient of a published data set.

    Args:
        images: namespace, patient_key.
    """
    keys: dict[Person, set[str]] = {}
    for person, key in zip(persons(images), images["patient_key"], strict=True):
        keys.setdefault(person, set()).add(str(key))
    groups = [sorted(group) for group in keys.values() if len(group) > 1]
    return sorted((group[0], other) for group in groups for other in group[1:])


def _namespace(key: str, source: str, manufacturer: str) -> str:
    if is_phantom(manufacturer):
        return _PHANTOM
    adapter = registered_adapters().get(source)
    if adapter is None:  # the keys of an adapter that is not installed here may be anybody's
        return _SITE
    if not adapter.needs_site_key:
        return source
    return (publisher_of(plain_id(key)) if adapter.keeps_pseudonyms else "") or _SITE
