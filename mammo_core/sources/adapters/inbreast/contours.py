"""Turn the XML contours of INbreast into lesions."""

from collections import Counter
from typing import Final, Literal

import numpy as np

from mammo_core.errors import DicomError, SourceError
from mammo_core.sources.files.source_files import SourceFiles
from mammo_core.sources.identity.cases import LesionCase
from mammo_core.sources.lesions.masks import Points, Region, read_regions
from mammo_core.sources.tables.source_tables import Rejects

#: Name of a region → lesion type. Other regions have no patch class.
REGIONS: Final[dict[str, Literal["mass", "calc"]]] = {
    "mass": "mass",
    "spiculated region": "mass",
    "spiculated mass": "mass",
    "calcification": "calc",
    "calcifications": "calc",
    "cluster": "calc",
}
#: Pixels of MammoNovation detectors are 0.07 mm wide.
_SPACING_MM: Final = 0.07
#: A calcification at most this wide is a single one (mm).
_SINGLE_MM: Final = 1.0


def list_contour_files(files: SourceFiles) -> dict[str, str]:
    """Return the contour file of each file number.

    Args:
        files: The files of the source.

    Raises:
        SourceError: There is none.
    """
    contours = {
        name.rsplit("/", 1)[-1][:-4]: name
        for name in files.names()
        if name.lower().endswith(".xml")
    }
    if not contours:
        raise SourceError(
            f"No contour file of INbreast is under {files.uri}",
            expected="AllXML/<file name>.xml",
            received="none",
            hint="For images without lesions set source.inbreast.contours to false",
        )
    return contours


def read_lesions(
    files: SourceFiles,
    contour: str | None,
    *,
    malignant: int,
    assessment: int,
    group_mm: float,
    other_regions: Counter[str],
    rejects: Rejects,
) -> tuple[LesionCase, ...]:
    """Read the lesions of an image from its contour file.

    Args:
        files: The files of the source.
        contour: The contour file; None for an image without lesions.
        malignant: Label of the image, and so of its lesions: 0 or 1.
        assessment: BI-RADS category.
        group_mm: See `group_calcifications`.
        other_regions: Names of regions that are not lesions; more are counted.
        rejects: What was left out; a file that cannot be read is added.
    """
    if contour is None:
        return ()
    try:
        regions = read_regions(files, contour)
    except DicomError as error:
        rejects.add(contour, "lesion", str(error))
        return ()
    kinds = [REGIONS.get(region.name.lower()) for region in regions]
    other_regions.update(
        region.name or "unnamed"
        for region, kind in zip(regions, kinds, strict=True)
        if kind is None
    )
    groups: list[tuple[Literal["mass", "calc"], list[int]]] = [
        ("mass", [number]) for number, kind in enumerate(kinds) if kind == "mass"
    ]
    calcifications = [number for number, kind in enumerate(kinds) if kind == "calc"]
    groups += [("calc", group) for group in group_calcifications(regions, calcifications, group_mm)]
    numbers: Counter[str] = Counter()
    lesions: list[LesionCase] = []
    for lesion_type, group in groups:
        numbers[lesion_type] += 1
        mask_path = f"{contour}#{'+'.join(map(str, group))}"
        spiculated = lesion_type == "mass" and "spiculated" in regions[group[0]].name.lower()
        lesions.append(
            LesionCase(
                item=mask_path,
                number=numbers[lesion_type],
                lesion_type=lesion_type,
                pathology="MALIGNANT" if malignant else "BENIGN",
                mask_path=mask_path,
                assessment=assessment,
                mass_margins="SPICULATED" if spiculated else "",
            )
        )
    return tuple(lesions)


def group_calcifications(
    regions: list[Region], calcifications: list[int], group_mm: float
) -> list[list[int]]:
    """Group the calcifications of an image into lesions.

    Radiologists marked thousands of single calcifications (a point, or an outline of at most
    1 mm). Those inside an outlined cluster are part of it; of the others, those closer
    together than `group_mm` are one lesion.

    Args:
        regions: All regions of the image.
        calcifications: Numbers of the regions that are calcifications.
        group_mm: Distance (mm); 0 leaves every region a lesion of its own.

    Returns:
        Region numbers of each lesion, ascending, sorted by the first.
    """
    import cv2

    if not group_mm:
        return [[number] for number in calcifications]
    single = [number for number in calcifications if _is_single(regions[number].points)]
    outlined = [number for number in calcifications if number not in set(single)]
    outlines = [regions[number].points.astype(np.float32) for number in outlined]
    centers = {number: regions[number].points.mean(axis=0) for number in single}

    def is_outlined(number: int) -> bool:
        center = (float(centers[number][0]), float(centers[number][1]))
        return any(cv2.pointPolygonTest(outline, center, False) >= 0 for outline in outlines)

    alone = [number for number in single if not is_outlined(number)]
    groups = [[number] for number in outlined]
    groups += _near_each_other(alone, centers, group_mm / _SPACING_MM)
    return sorted(groups)


def _near_each_other(
    numbers: list[int], centers: dict[int, Points], distance: float
) -> list[list[int]]:
    """Return the regions that are connected by steps of at most a distance (pixels)."""
    if not numbers:
        return []
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import KDTree

    points = np.array([centers[number] for number in numbers])
    pairs = KDTree(points).query_pairs(distance, output_type="ndarray")
    size = len(numbers)
    graph = coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(size, size))
    count, labels = connected_components(graph, directed=False)
    return [[numbers[at] for at in np.flatnonzero(labels == k)] for k in range(count)]


def _is_single(points: Points) -> bool:
    extent = np.ptp(points, axis=0).max() * _SPACING_MM
    return len(points) <= 2 or bool(extent <= _SINGLE_MM)
