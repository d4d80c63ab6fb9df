"""Test patients that a package was fitted to, by what the package itself records."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.features.contamination import patient_overlap
from mammo_core.features.kinds import FRAME
from mammo_core.registry.ancestry import recorded_site_key
from mammo_core.store import Store


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
    store: Store, frame: Manifest, images: pd.DataFrame, name: str, lineage: Mapping[str, Any]
) -> SeenPatients:
    """Find the test patients of a frame that a package was fitted to.

    The package names the frames that it and its ancestors were fitted to; an older package names
    its own alone. Nothing but frames and tables is read.

    Args:
        store: Where the frames are.
        frame: The frame with the test set.
        images: Its images.
        name: Name of the package in messages.
        lineage: The lineage of the package.
    """
    ids = {str(id) for id in (lineage.get("frame_id"), *lineage.get("fitted_frames", [])) if id}
    unknown = [str(text) for text in lineage.get("fitted_unknown", [])]
    if not ids:
        unknown.append(f"{name} does not name the frame that it was fitted to")
    elif "fitted_frames" not in lineage:
        unknown.append(f"{name} does not record what its training was started from")
    site_key = recorded_site_key([store], frame)
    keys: set[str] = set()
    for id in sorted(ids):
        fitted = FRAME.find(store, id)
        if fitted is None:
            unknown.append(f"the frame {id} of {name} is not in the store")
            continue
        site_keys = (site_key, recorded_site_key([store], fitted))
        overlap = patient_overlap(images, read_table(store, fitted, "images.parquet"), site_keys)
        keys |= overlap.shared
        if overlap.uncertainty:
            unknown.append(f"{overlap.uncertainty} (frame {id} of {name})")
    return SeenPatients(frozenset(keys), tuple(dict.fromkeys(unknown)))
