"""The registry of layouts: how each published data set names, writes and lists its images."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.discovery import import_modules
from mammo_core.phantom.config import CBIS_LAYOUTS, PhantomConfig
from mammo_core.phantom.plan import ViewPlan

_PACKAGE: Final = "mammo_core.phantom.layouts"
Corners = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Header:
    """What the DICOM header of a file says; None and False are left out.

    Args:
        patient_id: Patient ID.
        study_uid: Study Instance UID.
        series_uid: Series Instance UID.
        sop_uid: SOP Instance UID.
        laterality: L or R in Image Laterality.
        view_position: View Position.
        view_code: CC or MLO in the View Code Sequence.
        described: Whether it has class, modality and image type; without them it has the few
            fields that a de-identified file of RSNA has.
        study_date: Study Date, YYYYMMDD.
        implant: Breast Implant Present.
        synthetic: Whether it is a synthetic picture.
    """

    patient_id: str
    study_uid: str
    series_uid: str
    sop_uid: str
    laterality: str = ""
    view_position: str = ""
    view_code: str = ""
    described: bool = True
    study_date: str = ""
    implant: bool | None = None
    synthetic: bool = False


@dataclass(frozen=True)
class PlannedImage:
    """An image file of a tree.

    Args:
        path: Relative to the root, posix.
        view: What is drawn.
        cells: What its rows in the tables say, by column.
        label: The label that its adapter gives it by default: 1, 0, or None for none.
        header: Its DICOM header; None for a picture (PGM or TIFF, by the path).
    """

    path: str
    view: ViewPlan
    cells: Mapping[str, Any]
    label: int | None
    header: Header | None = None


@dataclass(frozen=True)
class DrawnImage:
    """A planned image with the outlines of its lesions.

    Args:
        plan: The image.
        outlines: For each lesion of the view, (n, 2) int32: columns and rows of its corners.
    """

    plan: PlannedImage
    outlines: tuple[Corners, ...] = field(repr=False)


@dataclass(frozen=True)
class Layout:
    """How a data set is published.

    Args:
        name: The value of `--layout`.
        plan: Returns the images of a phantom.
        tables: Returns path → content of each table, of the drawn images.
        has_exams: Whether patients may have earlier exams (`--priors`).
    """

    name: str
    plan: Callable[[PhantomConfig], Sequence[PlannedImage]]
    tables: Callable[[PhantomConfig, Sequence[DrawnImage]], Mapping[str, bytes]]
    has_exams: bool = False


_LAYOUTS: Final[dict[str, Layout]] = {}


def register_layout(layout: Layout) -> Layout:
    """Add a layout, so that `mammo phantom create --layout` knows it.

    Args:
        layout: The layout.
    """
    _LAYOUTS[layout.name] = layout
    return layout


def published_layouts() -> Mapping[str, Layout]:
    """Return all layouts of published data sets by name, sorted."""
    import_modules(_PACKAGE)
    return dict(sorted(_LAYOUTS.items()))


def layout_names() -> list[str]:
    """Return the names of all layouts, those of CBIS-DDSM first."""
    return [*CBIS_LAYOUTS, *published_layouts()]


def box_of(corners: Corners) -> tuple[int, int, int, int]:
    """Return the box of an outline: left, top, right, bottom; the last two are outside it.

    Args:
        corners: (n, 2) int32: columns and rows.
    """
    left, top = corners.min(axis=0)
    right, bottom = corners.max(axis=0) + 1
    return int(left), int(top), int(right), int(bottom)
