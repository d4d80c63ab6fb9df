"""What a new package records about everybody whom it and the models before it were fitted to."""

from typing import TYPE_CHECKING, Any

from mammo_core.packaging.patient_list import PatientList, patient_list
from mammo_core.registry.lineage.ancestry import Ancestry

if TYPE_CHECKING:
    import pandas as pd


def fitted_lineage(origin: Ancestry) -> dict[str, Any]:
    """Return what the lineage of a package says about its frames and those of models before it.

    Args:
        origin: The ancestry of the package.

    Returns:
        `fitted_frames`: their ids, also of those that are in no store here; `fitted_unknown`.
    """
    ids = {fitted.id for fitted in origin.frames}
    ids |= {id for _, listed in origin.lists for id in listed.frame_ids()}
    return {"fitted_frames": sorted(ids), "fitted_unknown": list(origin.unknown)}


def fitted_patients(
    frame_id: str, images: "pd.DataFrame", site_key: str, origin: Ancestry
) -> PatientList:
    """Return the list of patients of a package, with those of all models before it.

    Frames whose patient keys were made with another site key, and lists of packages whose frames
    are in no store here, stay lists of their own.

    Args:
        frame_id: The frame that the package was fitted to.
        images: Its images, as for `patient_list`.
        site_key: Fingerprint of the site key of its patient keys.
        origin: The ancestry of the package.
    """
    before = [fitted for fitted in origin.frames if fitted.id != frame_id]
    earlier = [
        patient_list(fitted.id, fitted.images, site_key=fitted.site_key)
        for fitted in before
        if fitted.site_key != site_key
    ]
    return patient_list(
        frame_id,
        images,
        [fitted.images for fitted in before if fitted.site_key == site_key],
        site_key=site_key,
        unknown=origin.unknown,
        earlier=[*earlier, *(listed for _, listed in origin.lists)],
    )
