"""Marks on a heatmap, and the lesions that they hit."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Mask = npt.NDArray[np.bool_]
Matching = Literal["center", "overlap"]


@dataclass(frozen=True)
class Mark:
    """A place where a heatmap is locally highest.

    Attributes:
        score: The heat there, [0, 1].
        row: Its row, pixels.
        column: Its column, pixels.
        box: Rows and columns of the region around it, as slices of the image.
        region: `(r, c) bool`, the connected pixels around it with at least half of its heat, in
            the box.
    """

    score: float
    row: int
    column: int
    box: tuple[slice, slice]
    region: Mask


def marks_of(
    heat: npt.NDArray[Any], *, distance: int, floor: float = 0.05, limit: int = 20
) -> list[Mark]:
    """Return the marks of a heatmap, highest first.

    Args:
        heat: `(h, w) float, [0, 1]`.
        distance: Least distance between two marks, pixels.
        floor: Least heat of a mark.
        limit: Number of marks at most.
    """
    from skimage.feature import peak_local_max
    from skimage.measure import regionprops
    from skimage.segmentation import watershed

    values = np.asarray(heat, np.float64)
    peaks = peak_local_max(
        values, min_distance=distance, threshold_abs=floor, exclude_border=False, num_peaks=limit
    )
    if not len(peaks):
        return []
    # Equally high marks are ordered by position, so the order is always the same.
    peaks = peaks[np.lexsort((peaks[:, 1], peaks[:, 0], -values[tuple(peaks.T)]))]
    markers = np.zeros(values.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    basins = watershed(-values, markers, mask=values >= floor / 2)
    boxes = {region.label: region.slice for region in regionprops(basins)}
    marks = []
    for number, (row, column) in enumerate(peaks.tolist(), 1):
        box = boxes[number]
        score = float(values[row, column])
        region = (basins[box] == number) & (values[box] >= score / 2)
        marks.append(Mark(score, row, column, box, region))
    return marks


def hits(mark: Mark, lesion: Mask, matching: Matching, overlap: float = 0.5) -> bool:
    """Return whether a mark hits a lesion.

    Args:
        mark: The mark.
        lesion: `(h, w) bool`, true inside the lesion.
        matching: `center`: its highest point lies in the lesion. `overlap`: its region shares at
            least a part with the lesion.
        overlap: This part, of the smaller one of the two.
    """
    if matching == "center":
        return bool(lesion[mark.row, mark.column])
    area, whole = int(mark.region.sum()), int(lesion.sum())
    shared = int((mark.region & lesion[mark.box]).sum())
    return shared > 0 and shared >= overlap * min(area, whole)


def match(
    marks: Sequence[Mark], lesions: Sequence[Mask], matching: Matching, unmarked: float
) -> tuple[list[float], list[float]]:
    """Divide marks into hits and false marks.

    Args:
        marks: The marks of an image.
        lesions: `(h, w) bool` each, its lesions.
        matching: As in `hits`.
        unmarked: The score of a lesion that no mark hits.

    Returns:
        The highest score of a mark that hits it for each lesion, and the scores of the marks that
        hit none.
    """
    scores = [unmarked] * len(lesions)
    false = []
    for mark in marks:
        hit = [number for number, lesion in enumerate(lesions) if hits(mark, lesion, matching)]
        for number in hit:
            scores[number] = max(scores[number], mark.score)
        if not hit:
            false.append(mark.score)
    return scores, false
