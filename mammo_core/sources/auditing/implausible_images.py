"""Images of a source whose gray levels no mammogram has: rejected or warned of, by policy."""

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mammo_core.errors import SourceError
from mammo_core.imaging import Fault
from mammo_core.sources.auditing.gray_levels import rejection
from mammo_core.sources.auditing.policy import PlausibilityPolicy
from mammo_core.sources.files.file_inspection import FileInspection
from mammo_core.sources.selection import meaning_of, remaining_tables
from mammo_core.sources.tables.source_tables import (
    Rejects,
    Row,
    SourceTables,
    rows_of,
)

if TYPE_CHECKING:  # quick to load: see the package
    import pandas as pd


@dataclass(frozen=True)
class ImplausibleImage:
    """An image whose gray levels no mammogram has.

    Args:
        image_id: Its id.
        path: Its file.
        fault: The first of its faults that is not accepted.
        action: What the policy says: warn or reject.
    """

    image_id: str
    path: str
    fault: Fault
    action: str


def find_implausible(
    images: "pd.DataFrame", inspection: FileInspection, policy: PlausibilityPolicy
) -> list[ImplausibleImage]:
    """Return the images whose gray levels the policy rejects or warns of.

    Args:
        images: Table of images.
        inspection: What the files show.
        policy: What is done about each fault.
    """
    implausible = []
    for image_id, path in zip(images["image_id"], images["path"], strict=True):
        if image_id in inspection.faults:
            faults = inspection.faults[image_id]
            for action in ("reject", "warn"):
                fault = next((f for f in faults if policy.action(f.code) == action), None)
                if fault is not None:
                    implausible.append(ImplausibleImage(image_id, path, fault, action))
                    break
    return implausible


def apply_plausibility(
    tables: SourceTables, inspection: FileInspection, policy: PlausibilityPolicy
) -> SourceTables:
    """Leave out the images whose gray levels the policy rejects; add what pixels warn of.

    Args:
        tables: The tables of a source.
        inspection: What its files show.
        policy: What is done about each fault.

    Raises:
        SourceError: No image is left.
    """
    import numpy as np

    listed = find_implausible(tables.images, inspection, policy)
    implausible = {item.image_id: item for item in listed}
    rejects = Rejects()
    images = tables.images.copy(deep=False)
    concerned = images["image_id"].isin({*implausible, *inspection.warnings})
    warnings, is_kept = images["warnings"].tolist(), [True] * len(images)
    rows = rows_of(images[concerned])
    for at, row in zip(concerned.to_numpy().nonzero()[0].tolist(), rows, strict=True):
        item = implausible.get(row["image_id"])
        error = None if item is None else rejection([item.fault], policy, row["path"])
        if error is not None:
            rejects.add(row["path"], "image", str(error))
            is_kept[at] = False
            continue
        listed_warnings = _warnings(row, inspection, item)
        warnings[at] = json.dumps(listed_warnings) if listed_warnings else ""
    images["warnings"] = np.array(warnings, "object")
    if not rejects.rows:
        return replace(tables, images=images)
    images = images[is_kept].reset_index(drop=True)
    if images.empty:
        raise SourceError(
            "No image of the source has the gray levels of a mammogram",
            expected="at least one plausible image",
            received=f"{len(rejects.rows)} rejects, the first: {rejects.rows[0]['reason']}",
        )
    return remaining_tables(tables, images, rejects.rows)


def _warnings(
    row: Row, inspection: FileInspection, item: ImplausibleImage | None
) -> list[dict[str, str]]:
    """Return the warnings of a row with those of its pixels, each once."""
    meaning = meaning_of(row)
    warnings = [warning.model_dump() for warning in meaning.warnings]
    warnings += [w.model_dump() for w in inspection.warnings.get(row["image_id"], ())]
    if item is not None:
        warnings.append({"code": item.fault.code, "message": item.fault.message})
    return [warning for at, warning in enumerate(warnings) if warning not in warnings[:at]]
