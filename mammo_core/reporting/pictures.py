"""Images of mammograms and patches for reports."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import RecordError
from mammo_core.reporting.figures import figure, png, style

_SHOWN_HEIGHT = 760
"""Rows that a mammogram is shrunk to, so that a report stays within a few megabytes."""

_OUTLINE = "#22e3a0"
"""Visible on gray tissue and on the colors of the heatmap."""


@dataclass(frozen=True)
class Overlay:
    """The content of one heatmap figure.

    Attributes:
        image: `(h, w) uint16`, [0, 65535], the mammogram.
        heat: `(h', w') float, [0, 1]`, probability of a lesion, over the same field of view.
        mask: `(h, w) bool`, the annotated lesions; None if nothing is annotated.
        caption: For instance view, label and probability; shown by the page, not in the figure.
    """

    image: npt.NDArray[np.uint16]
    heat: npt.NDArray[Any]
    mask: npt.NDArray[Any] | None
    caption: str


def contact_sheet(
    groups: Mapping[str, npt.NDArray[np.uint16]], *, columns: int = 8, title: str = ""
) -> bytes:
    """Draw images in rows, one block of rows per class.

    Args:
        groups: Class → images, `(n, h, w) uint16`, [0, 65535]; n may be 0.
        columns: Images in a row.
        title: Above the sheet.

    Returns:
        PNG bytes.

    Raises:
        RecordError: No class is given, or images are not `(n, h, w)`.
    """
    wrong = {name: np.asarray(group).shape for name, group in groups.items() if np.ndim(group) != 3}
    if not groups or wrong:
        raise RecordError(
            "A contact sheet cannot be drawn",
            expected="images of shape (n, height, width) for at least one class",
            received=f"shapes {wrong}" if wrong else "no class",
        )
    rows = [
        (name if start == 0 else "", len(group), group[start : start + columns])
        for name, group in groups.items()
        for start in range(0, max(len(group), 1), columns)
    ]
    canvas = figure(10.5, 1.22 * len(rows) + (0.4 if title else 0.1))
    if title:
        canvas.suptitle(title, fontsize=11, fontweight="bold", x=0.01, ha="left")
    for row, (name, count, images) in enumerate(rows):
        for column in range(columns + 1):
            axes = canvas.add_subplot(len(rows), columns + 1, row * (columns + 1) + column + 1)
            axes.set_axis_off()
            if column == 0 and name:
                text = f"{name}\n{count} shown"
                axes.text(1, 0.5, text, ha="right", va="center", fontsize=9)
            elif 0 < column <= len(images):
                axes.imshow(_window(images[column - 1]), cmap="gray", vmin=0, vmax=1)
    return png(canvas)


def overlay(content: Overlay) -> bytes:
    """Draw a mammogram, and beside it the same with its heatmap; lesions are outlined in both.

    Args:
        content: Image, heat and mask.

    Returns:
        PNG bytes.

    Raises:
        RecordError: The mask does not have the image's shape.
    """
    image, mask = content.image, content.mask
    if mask is not None and mask.shape != image.shape:
        raise RecordError(
            "A lesion mask does not belong to its mammogram",
            expected=f"a mask of shape {image.shape}",
            received=f"shape {mask.shape}",
        )
    step = max(1, round(image.shape[0] / _SHOWN_HEIGHT))
    # Block means: taking every n-th pixel would alias the tissue.
    shown = _window(_shrink(np.asarray(image, dtype=np.float32), step))
    height, width = shown.shape
    extent = (-0.5, width - 0.5, height - 0.5, -0.5)
    heat = np.clip(np.asarray(content.heat, dtype=np.float32), 0, 1)

    canvas = figure(4.1 * 2 * min(1.3, max(0.6, width / height / 0.78)) + 0.8, 5.4)
    plain, with_heat = canvas.subplots(1, 2)
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
        # Unsuspicious tissue stays visible: opacity follows the heat.
        alpha=np.clip(heat * 1.2, 0, 0.65),
    )
    if mask is not None and np.any(mask):
        small = _shrink(np.asarray(mask, dtype=np.float32), step)
        for axes in (plain, with_heat):
            axes.contour(small, levels=[0.5], colors=[_OUTLINE], linewidths=1.4)
    bar = canvas.colorbar(layer, ax=with_heat, fraction=0.04, pad=0.02)
    bar.set_label("Probability of a lesion", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return png(canvas, dpi=100)


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
