"""Why a probability is high: where in the image the evidence lies.

With a patch classifier the map is its own heatmap over the image (one pass of the fully
convolutional network). Without one, any model can be asked by occlusion: how far the
probability falls when a place is hidden (Zeiler & Fergus 2014).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError, RecordError

if TYPE_CHECKING:
    import keras

Heat = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint16]


@dataclass(frozen=True)
class HotRegion:
    """A connected place of a heatmap; coordinates are pixel indices of the image.

    Attributes:
        rank: 1 is the hottest.
        row: Centre, weighted by heat, from the top.
        column: Centre, from the left.
        top: First row of its box.
        left: First column of its box.
        bottom: Last row of its box.
        right: Last column of its box.
        area: Pixels.
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
    """Where the evidence lies.

    Attributes:
        kind: How the map was made.
        heat: `(h, w) float32, [0, 1]`, as large as the image.
        regions: The hottest places, hottest first.
    """

    kind: Literal["patch classifier", "occlusion"]
    heat: Heat
    regions: tuple[HotRegion, ...]


def spread(
    heat: npt.NDArray[Any],
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
    shape: tuple[int, int],
) -> Heat:
    """Bring a heatmap to image size by its cells' centres.

    Args:
        heat: `(r, c) float`.
        rows: `(r,)` centres of the cells, pixel indices, rising.
        columns: `(c,)` likewise.
        shape: `(h, w)` of the image.

    Returns:
        `(h, w) float32`, linear between the centres, 0 beyond the outermost ones: nothing is
        claimed where no patch was centred.
    """
    down = np.stack([np.interp(np.arange(shape[0]), rows, line, 0, 0) for line in heat.T], axis=1)
    across = [np.interp(np.arange(shape[1]), columns, line, 0, 0) for line in down]
    return np.stack(across).astype(np.float32)


def patch_heat(
    patch_model: "keras.Model",
    images: npt.NDArray[np.float32],
    patch_size: int | tuple[int, int],
    classes: Sequence[int] | None = None,
) -> npt.NDArray[np.float32]:
    """Return the patch classifier's probability of some classes at every place of images.

    Args:
        patch_model: The patch classifier, or what `models.fully_convolutional` made of it.
        images: `(n, h, w, channels) float32`, on the network's scale.
        patch_size: Patch side or `(h, w)` it was trained on, pixels.
        classes: Indices that are summed; default all but 0, the background.

    Returns:
        `(n, h, w) float32, [0, 1]`.

    Raises:
        ModelError: The images are smaller than a patch.
    """
    from mammo_core.models import coordinates, heatmap

    maps = heatmap(patch_model, images, patch_size)
    kept = list(classes) if classes is not None else list(range(1, maps.shape[-1]))
    hot = np.clip(maps[..., kept].sum(axis=-1), 0, 1)
    shape = (images.shape[1], images.shape[2])
    rows, columns = coordinates(patch_model, shape, patch_size)
    return np.stack([spread(one, rows, columns, shape) for one in hot])


def occlusion(
    predict: Callable[[Pixels], npt.NDArray[np.float32]],
    pixels: Pixels,
    *,
    window: int | None = None,
    batch_size: int = 8,
) -> Heat:
    """Return how far the probability falls when a place is hidden behind a black square.

    Args:
        predict: Of `(n, h, w) uint16` the probabilities `(n,)`: `Package.predict`.
        pixels: `(h, w) uint16, [0, 65535]`, after `Preprocessing.to_geometry`.
        window: Side of the square in pixels, moved by half of it; default an eighth of the
            shorter side of the image.
        batch_size: Images per prediction.

    Returns:
        `(h, w) float32, [0, 1]`: the mean fall over the squares that hide a pixel; where
        hiding raises the probability it is 0. Squares without tissue are not tried. Costs
        some 300 predictions.

    Raises:
        ModelError: The window does not fit the image.
    """
    height, width = pixels.shape
    side = window if window is not None else max(2, min(height, width) // 8)
    if not 2 <= side <= min(height, width):
        raise ModelError(
            "Nothing can be hidden by this window",
            expected=f"a side from 2 to {min(height, width)} pixels",
            received=str(side),
        )
    places = [
        (top, left)
        for top in _starts(height, side)
        for left in _starts(width, side)
        if pixels[top : top + side, left : left + side].any()
    ]
    whole = float(predict(pixels[np.newaxis])[0])
    fall, tried = np.zeros((height, width)), np.zeros((height, width))
    for start in range(0, len(places), batch_size):
        some = places[start : start + batch_size]
        hidden = np.repeat(pixels[np.newaxis], len(some), axis=0)
        for image, (top, left) in zip(hidden, some, strict=True):
            image[top : top + side, left : left + side] = 0
        for (top, left), probability in zip(some, predict(hidden), strict=True):
            place = (slice(top, top + side), slice(left, left + side))
            fall[place] += max(0.0, whole - float(probability))
            tried[place] += 1
    return (fall / np.maximum(tried, 1)).astype(np.float32)


def _starts(size: int, side: int) -> list[int]:
    """Where squares begin: every half side, and one that ends with the image."""
    return [*range(0, size - side, max(1, side // 2)), size - side]


def hot_regions(
    heat: npt.NDArray[Any], *, cutoff: float = 0.5, most: int = 3
) -> tuple[HotRegion, ...]:
    """Return the hottest places of a heatmap.

    Args:
        heat: `(h, w) float, [0, 1]`.
        cutoff: A place is made of connected pixels (by edge or corner) that are at least
            this hot.
        most: How many places, hottest (by peak) first.

    Raises:
        RecordError: The heatmap is not `(h, w)`, or holds what is no number.
    """
    from skimage.measure import label, regionprops

    values = np.asarray(heat, dtype=np.float64)
    if values.ndim != 2 or not np.isfinite(values).all():
        raise RecordError(
            "There are no regions in this heatmap",
            expected="finite numbers of shape (height, width)",
            received=f"shape {values.shape}"
            + ("" if np.isfinite(values).all() else ", some not finite"),
        )
    found = regionprops(label(values >= cutoff), intensity_image=values)
    # By position where two are equally hot, so that the order is always the same.
    found.sort(key=lambda region: (-float(region.intensity_max), region.bbox))
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
        for rank, region in enumerate(found[:most], start=1)
    )


def explain(
    package: Any,
    pixels: Pixels,
    *,
    patch_size: int | None = None,
    predict: Callable[[Pixels], npt.NDArray[np.float32]] | None = None,
    cutoff: float = 0.5,
    most: int = 3,
) -> Explanation:
    """Explain what a model package says of one image.

    Args:
        package: A `packaging.Package`: its `patch_model` is swept over the image where it has
            one and the size of its patches is known; else its `predict` is asked by occlusion.
        pixels: `(h, w) uint16, [0, 65535]`, after `preprocessing.to_geometry`.
        patch_size: Side of the patches; default what the package says.
        predict: What occlusion asks, for a package that sees more than this image: of
            `(n, h, w) uint16` the probabilities `(n,)`.
        cutoff: Heat at which a region begins; of an occlusion map it is the share of its
            peak, whose absolute height depends on the window.
        most: Regions.

    Raises:
        ModelError: The pixels do not fit the model.
    """
    known = getattr(package.manifest, "patch_size", None)
    side = patch_size if patch_size is not None else known
    if package.patch_model is not None and side is not None:
        images = package.preprocessing.to_network(pixels[np.newaxis])
        heat = patch_heat(package.patch_model, images, side)[0]
        return Explanation("patch classifier", heat, hot_regions(heat, cutoff=cutoff, most=most))
    heat = occlusion(predict or package.predict, pixels)
    peak = float(heat.max())
    # Without any fall there is no evidence to show.
    regions = hot_regions(heat, cutoff=cutoff * peak, most=most) if peak > 0 else ()
    return Explanation("occlusion", heat, regions)
