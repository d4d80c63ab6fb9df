"""Who a model was fitted to and tested on, as keyed digests that travel with its package.

Whoever knows a patient's key, or has the file of an image, can ask whether she is in the list;
nobody can read keys out of it. Each package has a key of its own, so that two lists cannot be
matched with each other.
"""

import hashlib
import hmac
from collections.abc import Collection, Iterable, Mapping
from operator import not_
from typing import TYPE_CHECKING, Final

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.features.data_checks.contamination import persons, with_namespace

if TYPE_CHECKING:
    import pandas as pd

PATIENTS: Final = "patients.json"
#: Hexadecimal digits of a digest: 128 bits.
_LENGTH: Final = 32
_ANCESTORS: Final = " of a model before it"


class PatientList(BaseModel):
    """patients.json: the patients of a model by split.

    Attributes:
        frame_id: The frame that it was fitted to; the digests are keyed by it.
        site_key: Fingerprint of the site key of its patient keys; empty if there is none.
        patients: Split → digests of patients, sorted. The splits of models that training started
            from are there too, as `train of a model before it`.
        images: Split → digests of images.
        unknown: What is not known about the models before it, one sentence each.
        earlier: Lists of models before it that are keyed otherwise: by another site key, or of a
            package whose frame was in no store.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame_id: str
    site_key: str = ""
    patients: dict[str, tuple[str, ...]]
    images: dict[str, tuple[str, ...]]
    unknown: tuple[str, ...] = ()
    earlier: tuple["PatientList", ...] = Field(default=(), exclude_if=not_)

    def frame_ids(self) -> frozenset[str]:
        """Return the frames that key the digests of this list and of earlier ones."""
        return frozenset({self.frame_id}).union(*(each.frame_ids() for each in self.earlier))

    def has_other_keys(self, site_key: str) -> bool:
        """Whether patient keys under this site key cannot be compared with some of the list.

        Args:
            site_key: Fingerprint of a site key; empty if there is none.
        """
        differ = bool(site_key and self.site_key and site_key != self.site_key)
        return differ or any(each.has_other_keys(site_key) for each in self.earlier)

    def patients_in(self, images: "pd.DataFrame", splits: Collection[str]) -> frozenset[str]:
        """Return the patients of images who are in these splits, of the model or of one before it.

        Args:
            images: image_id, patient_key, source, manufacturer.
            splits: Names of splits.
        """
        names = [name for split in splits for name in (split, f"{split}{_ANCESTORS}")]
        patients = {each for name in names for each in self.patients.get(name, ())}
        files = {each for name in names for each in self.images.get(name, ())}
        rows = with_namespace(images)
        columns = (persons(rows), rows["patient_key"], rows["image_id"])
        listed = frozenset(
            str(key)
            for person, key, image_id in zip(*columns, strict=True)
            if _digest(self.frame_id, *person) in patients
            or _digest(self.frame_id, str(image_id)) in files
        )
        return listed.union(*(each.patients_in(rows, splits) for each in self.earlier))


def patient_list(
    frame_id: str,
    images: "pd.DataFrame",
    ancestors: Iterable["pd.DataFrame"] = (),
    *,
    site_key: str = "",
    unknown: Collection[str] = (),
    earlier: Iterable[PatientList] = (),
) -> PatientList:
    """Return the list of a package.

    Args:
        frame_id: The frame that the model was fitted to.
        images: Its images: image_id, patient_key, source, manufacturer, split.
        ancestors: The images of the frames of models that training started from.
        site_key: Fingerprint of the site key of the patient keys.
        unknown: What is not known about those models.
        earlier: Lists of those whose images are not at hand.
    """
    patients: dict[str, set[str]] = {}
    files: dict[str, set[str]] = {}
    for number, table in enumerate((images, *ancestors)):
        rows = with_namespace(table)
        columns = (rows["split"], persons(rows), rows["image_id"])
        for split, person, image_id in zip(*columns, strict=True):
            name = f"{split}{_ANCESTORS}" if number else str(split)
            patient = _digest(frame_id, *person)
            patients.setdefault(name, set()).add(patient)
            files.setdefault(name, set()).add(_digest(frame_id, str(image_id)))
    return PatientList(
        frame_id=frame_id,
        site_key=site_key,
        patients=_sorted(patients),
        images=_sorted(files),
        unknown=tuple(unknown),
        earlier=tuple(earlier),
    )


def knows_training_patients(lineage: Mapping[str, object]) -> bool:
    """Whether a package records everybody that it, and every model before it, was fitted to.

    Args:
        lineage: Its lineage.json.
    """
    return bool(lineage.get("fitted_frames")) and not lineage.get("fitted_unknown")


def _sorted(digests: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(sorted(digests[name])) for name in sorted(digests)}


def _digest(frame_id: str, *texts: str) -> str:
    key = f"mammo patients\0{frame_id}".encode()
    return hmac.new(key, "\0".join(texts).encode(), hashlib.sha256).hexdigest()[:_LENGTH]
