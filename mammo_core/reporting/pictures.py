"""Mammograms and patches as pictures."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.reporting.figures import figure, png, style

_SHOWN_HEIGHT = 760
"""Pixels a mammogram is shrunk to, so that a report stays a few megabytes."""

_OUTLINE = "#22e3a0"
"""Seen on grey tissue and on the heat's colours alike."""


@dataclass(frozen=True)
class Overlay:
    """What one heatmap picture is drawn from.

    Attributes:
        image: `(h, w) uint16`, the mammogram.
        heat: `(h', w') float, [0, 1]`, probability of a lesion, over the same field of view.
        mask: `(h, w) bool`, the annotated lesions; None where nothing is annotated.
        caption: For instance view, label and probability; shown by the page, not painted.
    """

    image: npt.NDArray[np.uint16]
    heat: npt.NDArray[Any]
    mask: npt.NDArray[Any] | None
    caption: str


def contact_sheet(
    groups: Mapping[str, npt.NDArray[np.uint16]], *, columns: int = 8, title: str = ""
) -> bytes:
    """Draw pictures in rows, one block of rows per class.

    Args:
        groups: For every class the pictures, `(n, h, w) uint16`; n may be 0.
        columns: Pictures in a row.
        title: Above the sheet.

    Returns:
        PNG bytes.

    Raises:
        RecordError: No class is given, or pictures are not `(n, h, w)`.
    """
    wrong = {name: np.asarray(group).shape for name, group in groups.items() if np.ndim(group) != 3}
    if not groups or wrong:
        raise RecordError(
            "A contact sheet cannot be drawn",
            expected="pictures of shape (n, height, width) for at least one class",
            received=f"shapes {wrong}" if wrong else "no class",
        )
    rows = [
        (name if start == 0 else "", len(group), group[start : start + columns])
        for name, group in groups.items()
        for start in range(0, max(len(group), 1), columns)
    ]
    drawn = figure(10.5, 1.22 * len(rows) + (0.4 if title else 0.1))
    if title:
        drawn.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    for row, (name, count, pictures) in enumerate(rows):
        for column in range(columns + 1):
            axes = drawn.add_subplot(len(rows), columns + 1, row * (columns + 1) + column + 1)
            axes.set_axis_off()
            if column == 0 and name:
                text = f"{name}\n{count} shown"
                axes.text(1, 0.5, text, ha="right", va="center", fontsize=9)
            elif 0 < column <= len(pictures):
                axes.imshow(_window(pictures[column - 1]), cmap="gray", vmin=0, vmax=1)
    return png(drawn)


def overlay(picture: Overlay) -> bytes:
    """Draw a mammogram beside itself with the heatmap on it and the lesions outlined.

    Args:
        picture: Image, heat and mask.

    Returns:
        PNG bytes.

    Raises:
        RecordError: The mask does not have the image's shape.
    """
    image, mask = picture.image, picture.mask
    if mask is not None and mask.shape != image.shape:
        raise RecordError(
            "A lesion mask does not belong to its mammogram",
            expected=f"a mask of shape {image.shape}",
            received=f"shape {mask.shape}",
        )
    step = max(1, round(image.shape[0] / _SHOWN_HEIGHT))
    # Means over blocks: taking every n-th pixel would alias the tissue.
    shown = _window(_shrink(np.asarray(image, dtype=np.float32), step))
    height, width = shown.shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    heat = np.clip(np.asarray(picture.heat, dtype=np.float32), 0, 1)

    drawn = figure(4.1 * 2 * min(1.3, max(0.6, width / height / 0.78)) + 0.8, 5.4)
    plain, with_heat = drawn.subplots(1, 2)
    for axes in (plain, with_heat):
        style(axes, "")
        axes.imshow(shown, cmap="gray", vmin=0, vmax=1, extent=extent)
        axes.set_axis_off()
    layer = with_heat.imshow(
        heat,
        cmap="inferno",
        vmin=0,
        vmax=1,
        extent=extent,
        interpolation="bilinear",
        # Unsuspicious tissue stays visible: the layer is as opaque as it is hot.
        alpha=np.clip(heat * 1.2, 0, 0.65),
    )
    if mask is not None and np.any(mask):
        small = _shrink(np.asarray(mask, dtype=np.float32), step)
        for axes in (plain, with_heat):
            axes.contour(small, levels=[0.5], colors=[_OUTLINE], linewidths=1.4)
    bar = drawn.colorbar(layer, ax=with_heat, fraction=0.04, pad=0.02)
    bar.set_label("Probability of a lesion", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return png(drawn, dpi=100)


def _shrink(pixels: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.float32]:
    height, width = (size // step * step for size in pixels.shape)
    blocks = pixels[:height, :width].reshape(height // step, step, width // step, step)
    shrunk: npt.NDArray[np.float32] = blocks.mean(axis=(1, 3), dtype=np.float32)
    return shrunk


def _window(pixels: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Stretch to [0, 1] between percentiles of the tissue (pixels above 0)."""
    pixels = np.asarray(pixels, dtype=np.float32)
    tissue = pixels[pixels > 0]
    if not tissue.size:
        return np.zeros_like(pixels)
    low, high = np.percentile(tissue, [0.5, 99.7])
    stretched: npt.NDArray[np.float32] = np.clip((pixels - low) / max(high - low, 1.0), 0, 1)
    return stretched
