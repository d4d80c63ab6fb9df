"""Outlines of the regions of a heatmap, in pixels of the file."""

from typing import TYPE_CHECKING, Final

import numpy as np
import numpy.typing as npt

from mammo_core.scoring.images import DecodedImage
from mammo_core.scoring.model import ScoringModel

if TYPE_CHECKING:
    from mammo_core.evaluation.explanation import Explanation, HotRegion

Points = npt.NDArray[np.float64]
#: A closed polygon, its last point the first: row and column of each in pixel indices of the file.
Outline = list[list[float]]
#: Points of an outline; of more, those that matter least are left out.
MAXIMUM_POINTS: Final = 200
#: The heat at which a region of an explanation begins; of an occlusion map, the share of its peak.
_CUTOFF: Final = 0.5


def outlines_in_file(
    model: ScoringModel, image: DecodedImage, explanation: "Explanation"
) -> list[Outline]:
    """Return the outlines of the regions of an explanation.

    Args:
        model: The model.
        image: The image.
        explanation: Its explanation, by `explain.explain_image`.

    Returns:
        For each region its outline, half a pixel of the heatmap around the outermost pixels and
        within the image of the file.
    """
    from mammo_core.evaluation.explanation import hot_regions

    heat, source = explanation.heat, image.maps[0]
    patches = explanation.kind == "patch classifier"
    cutoff = _CUTOFF if patches else _CUTOFF * float(heat.max())
    # The same regions again, whose coordinates may be those of the file by now.
    regions = hot_regions(heat, cutoff=cutoff)[: len(explanation.regions)]
    outlines = []
    for points in _contours(heat, regions, cutoff):
        if model.shared_input is not None:
            placed = source.points_to_source(points)
        else:
            step = -(-max(source.rows, source.columns) // max(heat.shape))
            placed = np.clip(
                points * step + (step - 1) / 2, -0.5, [source.rows - 0.5, source.columns - 0.5]
            )
        outlines.append([[round(float(row), 2), round(float(at), 2)] for row, at in placed])
    return outlines


def _contours(
    heat: npt.NDArray[np.float32], regions: "tuple[HotRegion, ...]", cutoff: float
) -> list[Points]:
    """Return for each region `(n, 2) float64`, row and column in pixel indices of the heatmap."""
    from skimage.measure import approximate_polygon, find_contours, label

    labels = label(np.asarray(heat, np.float64) >= cutoff)
    traced = []
    for region in regions:
        box = labels[region.top : region.bottom + 1, region.left : region.right + 1]
        mask = np.pad(box == _label(box), 1).astype(np.float64)
        contours = find_contours(mask, 0.5, fully_connected="high")
        # The outer one: those of holes begin further down.
        contour = min(contours, key=lambda points: float(points[:, 0].min()))
        points, tolerance = contour, 0.5
        while len(points) > MAXIMUM_POINTS:
            points, tolerance = approximate_polygon(contour, tolerance), 2 * tolerance
        traced.append(points + np.array([region.top - 1, region.left - 1]))
    return traced


def _label(box: npt.NDArray[np.int64]) -> int:
    """Return the label of the region that the box was drawn around.

    It alone touches all four sides: where it goes from left to right, no other goes past it from
    top to bottom.
    """
    sides = (box[0], box[-1], box[:, 0], box[:, -1])
    touching: set[int] = set.intersection(*(set(side[side > 0].tolist()) for side in sides))
    return min(touching)
