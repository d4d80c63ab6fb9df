"""Heatmaps of a patch classifier at every pixel of an image."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import keras

    from mammo_core.models.heatmaps.edges import Extension

Heat = npt.NDArray[np.float32]


def upsample_heat(
    heat: npt.NDArray[Any],
    rows: npt.NDArray[np.float64],
    columns: npt.NDArray[np.float64],
    shape: tuple[int, int],
) -> Heat:
    """Resize a heatmap to the image, given the centers of its cells.

    Args:
        heat: `(r, c) float, [0, 1]`.
        rows: `(r,) float64`, centers of the cells in pixels, rising.
        columns: `(c,) float64`, likewise.
        shape: `(h, w)` of the image.

    Returns:
        `(h, w) float32, [0, 1]`, linear between the centers; beyond the outermost ones, theirs.
    """
    down = np.stack([np.interp(np.arange(shape[0]), rows, line) for line in heat.T], axis=1)
    across = [np.interp(np.arange(shape[1]), columns, line) for line in down]
    return np.stack(across).astype(np.float32)


def patch_heatmap(
    patch_model: "keras.Model",
    images: npt.NDArray[np.float32],
    patch_size: int | tuple[int, int],
    classes: Sequence[int] | None = None,
    *,
    extension: "Extension" = "reflect",
) -> npt.NDArray[np.float32]:
    """Return the patch classifier's probability of some classes at each pixel of images.

    Patches are centered up to the edges of the image (docs/heatmaps.md, "The edges").

    Args:
        patch_model: The patch classifier, or the result of `models.fully_convolutional`.
        images: `(n, h, w, channels) float32`, after `Preprocessing.to_network`.
        patch_size: Patch side or `(h, w)` it was trained on, pixels.
        classes: Indices of the classes to sum; default: all but 0, the background.
        extension: What a patch sees beyond the edge, as in `models.extended_heatmap`.

    Returns:
        `(n, h, w) float32, [0, 1]`.

    Raises:
        ModelError: The images are smaller than a patch.
    """
    kept = None if classes is None else [list(classes)]
    return patch_heatmaps(patch_model, images, patch_size, kept, extension=extension)[0]


def patch_heatmaps(
    patch_model: "keras.Model",
    images: npt.NDArray[np.float32],
    patch_size: int | tuple[int, int],
    classes: Sequence[Sequence[int]] | None = None,
    *,
    extension: "Extension" = "reflect",
) -> list[npt.NDArray[np.float32]]:
    """Return several of the maps of `patch_heatmap`, from one pass over the images.

    Args:
        patch_model: As in `patch_heatmap`.
        images: As in `patch_heatmap`.
        patch_size: As in `patch_heatmap`.
        classes: For each map the indices of the classes to sum; default: one map of all but 0.
        extension: As in `patch_heatmap`.

    Returns:
        For each map `(n, h, w) float32, [0, 1]`.

    Raises:
        ModelError: The images are smaller than a patch.
    """
    from mammo_core.models import extended_heatmap

    maps, rows, columns = extended_heatmap(patch_model, images, patch_size, extension=extension)
    shape = (images.shape[1], images.shape[2])
    results = []
    for kept in classes if classes is not None else [range(1, maps.shape[-1])]:
        hot = np.clip(maps[..., list(kept)].sum(axis=-1), 0, 1)
        results.append(np.stack([upsample_heat(heat, rows, columns, shape) for heat in hot]))
    return results
