"""Test patients that a package was fitted to, by what the package itself records."""

from dataclasses import dataclass
from typing import Final

import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.documents import read_bounded
from mammo_core.features.data_checks.contamination import FITTED_SPLITS, patient_overlap
from mammo_core.features.kinds import FRAME
from mammo_core.packaging import OpenedPackage
from mammo_core.packaging.contents import read_json
from mammo_core.packaging.patient_list import PATIENTS, PatientList
from mammo_core.registry.lineage.ancestry import recorded_site_key
from mammo_core.store import Store

#: Bytes of the list of some six million patients and images.
_MAXIMUM_LIST: Final = 2**28


@dataclass(frozen=True)
class SeenPatients:
    """The test patients that a package was fitted to.

    Attributes:
        keys: Their keys.
        unknown: Why there may be more, one sentence each.
    """

    keys: frozenset[str]
    unknown: tuple[str, ...] = ()


def seen_patients(
    store: Store, frame: Manifest, images: pd.DataFrame, name: str, package: OpenedPackage
) -> SeenPatients:
    """Find the test patients of a frame that a package was fitted to.

    The package names the frames that it and its ancestors were fitted to; an older package names
    its own alone. Its own list of patients has those of all of them, and holds where a frame is
    in another store, or was removed. Nothing but frames, tables and the package is read.

    Args:
        store: Where the frames are.
        frame: The frame with the test set.
        images: Its images.
        name: Name of the package in messages.
        package: The package, opened.
    """
    lineage = read_json(package.folder, "lineage.json")
    unknown = [str(text) for text in lineage.get("fitted_unknown", [])]
    site_key = recorded_site_key([store], frame)
    listed = _read_list(package, name, unknown)
    keys: set[str] = set()
    if listed is not None:
        test = images[images["split"] == "test"]
        keys |= listed.patients_in(test, FITTED_SPLITS)
        unknown += listed.unknown
        if listed.has_other_keys(site_key):
            unknown.append(f"the patient keys of {name} were made with another site key")
    ids = {str(id) for id in (lineage.get("frame_id"), *lineage.get("fitted_frames", [])) if id}
    if not ids and listed is None:
        unknown.append(f"{name} does not name the frame that it was fitted to")
    elif ids and "fitted_frames" not in lineage:
        unknown.append(f"{name} does not record what its training was started from")
    for id in sorted(ids):
        fitted = FRAME.find(store, id)
        if fitted is None:
            if listed is None:
                unknown.append(f"the frame {id} of {name} is not in the store")
            continue
        site_keys = (site_key, recorded_site_key([store], fitted))
        overlap = patient_overlap(images, read_table(store, fitted, "images.parquet"), site_keys)
        keys |= overlap.shared
        if overlap.uncertainty:
            unknown.append(f"{overlap.uncertainty} (frame {id} of {name})")
    return SeenPatients(frozenset(keys), tuple(dict.fromkeys(unknown)))


def _read_list(package: OpenedPackage, name: str, unknown: list[str]) -> PatientList | None:
    """Return the list of patients that a package has, or None; note why it cannot be read."""
    if PATIENTS not in package.digests:
        return None
    try:
        data = read_bounded(package.folder / PATIENTS, _MAXIMUM_LIST)
        return PatientList.model_validate_json(data)
    except ValueError:
        unknown.append(f"the list of patients of {name} cannot be read")
        return None
