"""The data that a champion was trained on."""

from mammo_core.datasets import Manifest
from mammo_core.features.frame import Frame, frame_from_manifest
from mammo_core.features.kinds import FRAME
from mammo_core.ingest.kinds import IMAGE_DATASET
from mammo_core.registry.versions import VersionRef
from mammo_core.sources.kinds import TABLES
from mammo_core.store import Store


def champion_frame(store: Store, current: VersionRef | None) -> tuple[Frame | None, str]:
    """Return the champion's frame, or None and why there is nothing to compare with."""
    if current is None:
        return None, "There is no champion yet: nothing to compare with."
    id = str(current.lineage(store).get("frame_id", ""))
    manifest = FRAME.find(store, id)
    if manifest is None:
        name = f"frame {id}" if id else "frame"
        return None, f"The {name} of the champion {current.uri} is not in this store: not compared."
    return frame_from_manifest(store, manifest), ""


def champion_tables(store: Store, current: VersionRef) -> Manifest | None:
    """Return the source tables of the champion, or None if they are gone."""
    return TABLES.find(store, str(current.lineage(store).get("tables_id", "")))


def has_same_conversion(store: Store, images: Manifest, current: VersionRef) -> bool:
    """Whether the champion's records were converted like these; True if they are gone."""
    manifest = IMAGE_DATASET.find(store, str(current.lineage(store).get("image_dataset_id", "")))
    if manifest is None:
        return True
    old, new = IMAGE_DATASET.facts_of(manifest), IMAGE_DATASET.facts_of(images)
    return (old.conversion, old.geometry) == (new.conversion, new.geometry)
