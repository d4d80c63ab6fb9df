"""Why a probability is high: where in the image the evidence is.

With a patch classifier the map is its heatmap of the image (one pass of the fully convolutional
network). Without one, occlusion works for any model: the map shows how far the probability
falls when an area is hidden (Zeiler & Fergus 2014).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation.patch_heat import Heat, patch_heatmap

Pixels = npt.NDArray[np.uint16]
MapKind = Literal["patch classifier", "occlusion"]


@dataclass(frozen=True)
class HotRegion:
    """A connected region of a heatmap; coordinates are pixel indices of the image.

    Attributes:
        rank: 1 is the hottest.
        row: Center, weighted by heat, from the top.
        column: Center, weighted by heat, from the left.
        top: First row of the bounding box.
        left: First column of the bounding box.
        bottom: Last row of the bounding box.
        right: Last column of the bounding box.
        area: Area in pixels.
        peak: Highest heat, [0, 1].
        mean: Mean heat, [0, 1].
    """

    rank: int
    row: float
    column: float
    top: int
    left: int
    bottom: int
    right: int
    area: int
    peak: float
    mean: float


@dataclass(frozen=True)
class Explanation:
    """Where the evidence is.

    Attributes:
        kind: How the map was computed.
        heat: `(h, w) float32, [0, 1]`, of the size of the image.
        regions: The hottest regions, hottest first.
    """

    kind: MapKind
    heat: Heat
    regions: tuple[HotRegion, ...]


def occlusion(
    predict: Callable[[Pixels], npt.NDArray[np.float32]],
    pixels: Pixels,
    *,
    window: int | None = None,
    batch_size: int = 8,
) -> Heat:
    """Return how far the probability falls when an area is hidden by a black square.

    Args:
        predict: Takes `(n, h, w) uint16` and returns probabilities `(n,)`: `Package.predict`.
        pixels: `(h, w) uint16, [0, 65535]`, after `Preprocessing.to_geometry`.
        window: Side of the square in pixels, moved by half of it; default: an eighth of the
            shorter side of the image.
        batch_size: Images per prediction.

    Returns:
        `(h, w) float32, [0, 1]`: the mean fall over the squares that hide a pixel; 0 if hiding
        raises the probability. Squares without tissue are skipped. Those at the edges lie half
        outside, so that each pixel is hidden as often. Costs some 350 predictions.

    Raises:
        ModelError: The window does not fit the image.
    """
    height, width = pixels.shape
    side = window if window is not None else max(2, min(height, width) // 8)
    if not 2 <= side <= min(height, width):
        raise ModelError(
            "The occlusion window has the wrong size",
            expected=f"a side from 2 to {min(height, width)} pixels",
            received=str(side),
        )
    corners = [
        (top, left)
        for top in _starts(height, side)
        for left in _starts(width, side)
        if pixels[_square(top, left, side)].any()
    ]
    unhidden = float(predict(pixels[np.newaxis])[0])
    fall, count = np.zeros((height, width)), np.zeros((height, width))
    for start in range(0, len(corners), batch_size):
        batch = corners[start : start + batch_size]
        hidden = np.repeat(pixels[np.newaxis], len(batch), axis=0)
        for image, (top, left) in zip(hidden, batch, strict=True):
            image[_square(top, left, side)] = 0
        for (top, left), probability in zip(batch, predict(hidden), strict=True):
            square = _square(top, left, side)
            fall[square] += max(0.0, unhidden - float(probability))
            count[square] += 1
    return (fall / np.maximum(count, 1)).astype(np.float32)


def _starts(size: int, side: int) -> list[int]:
    """Positions of squares: every half side; the first and the last lie half outside."""
    half = side // 2
    return [*range(-half, size - side + half, max(1, half)), size - side + half]


def _square(top: int, left: int, side: int) -> tuple[slice, slice]:
    """The part of a square that lies in the image."""
    return slice(max(0, top), top + side), slice(max(0, left), left + side)


def hot_regions(
    heat: npt.NDArray[Any], *, cutoff: float = 0.5, limit: int = 3
) -> tuple[HotRegion, ...]:
    """Return the hottest regions of a heatmap.

    Args:
        heat: `(h, w) float, [0, 1]`.
        cutoff: A region is a set of connected pixels (by edge or corner) of at least this heat.
        limit: Number of regions at most, hottest (by peak) first.

    Raises:
        RecordError: The heatmap is not `(h, w)`, or a value is not finite.
    """
    from skimage.measure import label, regionprops

    values = np.asarray(heat, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise RecordError(
            "The regions of this heatmap cannot be computed",
            expected="finite numbers of shape (height, width)",
            received=f"shape {values.shape}"
            + ("" if np.isfinite(values).all() else ", some not finite"),
        )
    regions = regionprops(label(values >= cutoff), intensity_image=values)
    # Equally hot regions are ordered by position, so the order is always the same.
    regions.sort(key=lambda region: (-float(region.intensity_max), region.bbox))
    return tuple(
        HotRegion(
            rank=rank,
            row=float(region.centroid_weighted[0]),
            column=float(region.centroid_weighted[1]),
            top=int(region.bbox[0]),
            left=int(region.bbox[1]),
            bottom=int(region.bbox[2]) - 1,
            right=int(region.bbox[3]) - 1,
            area=int(region.area),
            peak=float(region.intensity_max),
            mean=float(region.intensity_mean),
        )
        for rank, region in enumerate(regions[:limit], start=1)
    )


def has_patch_map(package: Any, patch_size: int | None = None) -> bool:
    """Whether a package has a patch classifier, and the size of its patches is known.

    Args:
        package: A `packaging.Package`.
        patch_size: Side of the patches in pixels; default: the package's.
    """
    side = patch_size if patch_size is not None else getattr(package.manifest, "patch_size", None)
    return package.patch_model is not None and side is not None


def heat_of(
    package: Any,
    pixels: Pixels,
    kind: MapKind,
    *,
    patch_size: int | None = None,
    predict: Callable[[Pixels], npt.NDArray[np.float32]] | None = None,
) -> Heat:
    """Return the map of one kind of a package for one image.

    Args:
        package: A `packaging.Package`; `has_patch_map` says whether it has that of its patch
            classifier.
        pixels: `(h, w) uint16, [0, 65535]`, after `preprocessing.to_geometry`.
        kind: How the map is computed.
        patch_size: As in `explain`.
        predict: As in `explain`.

    Returns:
        `(h, w) float32, [0, 1]`.

    Raises:
        ModelError: The pixels do not match the model's geometry.
    """
    if kind == "occlusion":
        return occlusion(predict or package.predict, pixels)
    side = patch_size if patch_size is not None else package.manifest.patch_size
    images = package.preprocessing.to_network(pixels[np.newaxis])
    heat: Heat = patch_heatmap(package.patch_model, images, side)[0]
    return heat


def explanation_of(
    heat: Heat, kind: MapKind, *, cutoff: float = 0.5, limit: int = 3
) -> Explanation:
    """Return a map with its hottest regions.

    Args:
        heat: `(h, w) float32, [0, 1]`.
        kind: How it was computed.
        cutoff: As in `explain`.
        limit: As in `explain`.
    """
    if kind == "patch classifier":
        return Explanation(kind, heat, hot_regions(heat, cutoff=cutoff, limit=limit))
    peak = float(heat.max())
    # If the probability never falls, there is no evidence to show.
    regions = hot_regions(heat, cutoff=cutoff * peak, limit=limit) if peak > 0 else ()
    return Explanation(kind, heat, regions)


def explain(
    package: Any,
    pixels: Pixels,
    *,
    patch_size: int | None = None,
    predict: Callable[[Pixels], npt.NDArray[np.float32]] | None = None,
    cutoff: float = 0.5,
    limit: int = 3,
) -> Explanation:
    """Explain the prediction of a model package for one image.

    Args:
        package: A `packaging.Package`. Its `patch_model` is applied to the image if it has one
            and the size of its patches is known; otherwise `predict` is used with occlusion.
        pixels: `(h, w) uint16, [0, 65535]`, after `preprocessing.to_geometry`.
        patch_size: Side of the patches in pixels; default: the package's.
        predict: Predicts for occlusion, for a package that takes more than this image: from
            `(n, h, w) uint16` the probabilities `(n,)`.
        cutoff: Heat at which a region begins; for an occlusion map a share of its peak, whose
            absolute height depends on the window.
        limit: Number of regions at most.

    Raises:
        ModelError: The pixels do not match the model's geometry.
    """
    kind: MapKind = "patch classifier" if has_patch_map(package, patch_size) else "occlusion"
    heat = heat_of(package, pixels, kind, patch_size=patch_size, predict=predict)
    return explanation_of(heat, kind, cutoff=cutoff, limit=limit)
