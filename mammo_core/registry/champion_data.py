"""The data that a champion was trained on."""

from typing import TYPE_CHECKING

from mammo_core.datasets import Manifest
from mammo_core.datasets.tables import read_table
from mammo_core.features.frame import Frame, frame_from_manifest
from mammo_core.features.kinds import FRAME
from mammo_core.ingest.kinds import IMAGE_DATASET
from mammo_core.registry.versions import VersionRef
from mammo_core.sources.kinds import TABLES
from mammo_core.sources.several.names import EXTERNAL, NAME_COLUMN
from mammo_core.store import Store

if TYPE_CHECKING:
    import pandas as pd

    from mammo_core.features.new_images import NewImages


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


def new_since_champion(
    store: Store, tables: Manifest, current: VersionRef | None, frame: Frame | None
) -> "NewImages":
    """Return the images of a source that are new, or have another label, since the champion.

    Args:
        store: The object store.
        tables: The tables of the source.
        current: The champion; None if there is none.
        frame: The champion's frame; None if it is gone.
    """
    from mammo_core.features import MAIN
    from mammo_core.features.new_images import new_images_since

    earlier = None
    if frame is not None and current is not None:
        earlier_tables = TABLES.find(store, str(current.lineage(store).get("tables_id", "")))
        if earlier_tables is not None:
            earlier = _training_images(store, earlier_tables)
    images = _training_images(store, tables)
    known = frame.without_external() if frame is not None else None
    return new_images_since(store, images, known, folder=MAIN, before=earlier)


def _training_images(store: Store, tables: Manifest) -> "pd.DataFrame":
    """The images of tables, without those of sources that are held out."""
    images = read_table(store, tables, "images.parquet")
    roles = TABLES.facts_of(tables).source.get("roles", {})
    held_out = {name for name, role in roles.items() if role == EXTERNAL}
    return images[~images[NAME_COLUMN].isin(held_out)] if held_out else images


def has_same_conversion(store: Store, images: Manifest, current: VersionRef) -> bool:
    """Whether the champion's records were converted like these; True if they are gone."""
    manifest = IMAGE_DATASET.find(store, str(current.lineage(store).get("image_dataset_id", "")))
    if manifest is None:
        return True
    old, new = IMAGE_DATASET.facts_of(manifest), IMAGE_DATASET.facts_of(images)
    return (old.conversion, old.geometry) == (new.conversion, new.geometry)
