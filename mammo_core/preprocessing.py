"""`Preprocessing`: the one way pixels reach a network.

Built once from a dataset (geometry, bit depth) and a frame (mean, rescale factor), frozen
into the model package, used by training, evaluation, scoring and serving alike.
"""

from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from mammo_core.errors import RecipeError
from mammo_core.imaging import (
    FULL_RANGE,
    Interpolation,
    Resize,
    equalize_hist,
    output_size,
    resize,
    resize_mask,
)

RESCALE_FACTOR = 255 / FULL_RANGE
"""Brings the full 16-bit range to [0, 255] (original system: 0.003891)."""

Images = np.ndarray[Any, np.dtype[np.uint16]]
Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]


class Geometry(BaseModel):
    """The size images are brought to, and how.

    Args:
        height: Rows, in pixels.
        width: Columns, in pixels; not used when `resize` is `height`.
        resize: `forced` (aspect ratio not kept, as the published models), `height` (kept,
            the width follows) or `pad` (kept, zeros at the bottom and at the right).
        interpolation: `area`, `cubic` or `linear`; masks always take the nearest pixel.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    height: int = Field(ge=1, le=32768)
    width: int = Field(ge=1, le=32768)
    resize: Resize = "forced"
    interpolation: Interpolation = "area"

    def apply(self, pixels: Pixels) -> Pixels:
        """Resize an image.

        Args:
            pixels: (h, w) uint8, uint16 or float32.

        Returns:
            (height, width), dtype of `pixels`.
        """
        return resize(pixels, self.height, self.width, self.resize, self.interpolation)

    def apply_mask(self, mask: Pixels) -> Pixels:
        """Resize a mask.

        Args:
            mask: (h, w) uint8, uint16 or bool.

        Returns:
            (height, width), dtype of `mask`, no new values.
        """
        return resize_mask(mask, self.height, self.width, self.resize)

    def scale(self, rows: int, columns: int) -> tuple[float, float]:
        """Return how source coordinates map to the result.

        Args:
            rows: Rows of the source image.
            columns: Columns of the source image.

        Returns:
            (vertical, horizontal) factor; the origin stays where it is.
        """
        picture, _ = output_size((rows, columns), self.height, self.width, self.resize)
        return picture[0] / rows, picture[1] / columns


class Preprocessing(BaseModel):
    """Everything between a decoded image and a network's input.

    Args:
        geometry: Size and resize mode.
        bit_depth: Gray levels kept: 16, or 8 (256 levels, still spread over the full
            range, so the other numbers need no change).
        mean: Mean pixel of the rescaled training images, in units of the rescaled range.
        rescale_factor: What a full-range pixel is multiplied with.
        equalize: Whether to equalise the histogram of each image first.
        channels: 1, or 3 equal channels.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    geometry: Geometry
    bit_depth: Literal[8, 16] = 16
    mean: float
    rescale_factor: float = Field(default=RESCALE_FACTOR, gt=0)
    equalize: bool = False
    channels: Literal[1, 3] = 1

    def to_geometry(self, pixels: Pixels) -> Images:
        """Resize an image to what a dataset stores.

        Args:
            pixels: (h, w) uint16, full range [0, 65535].

        Returns:
            (H, W) uint16, [0, 65535].

        Raises:
            RecipeError: Not a gray uint16 image.
        """
        _require(pixels, 2)
        sized = self.geometry.apply(pixels)
        if self.bit_depth == 8:
            sized = ((sized.astype(np.uint32) + 128) // 257 * 257).astype(np.uint16)
        return sized

    def to_network(self, batch: Pixels) -> np.ndarray[Any, np.dtype[np.float32]]:
        """Turn stored images into a network's input: x * rescale_factor - mean.

        Args:
            batch: (n, H, W) uint16, [0, 65535].

        Returns:
            (n, H, W, channels) float32.

        Raises:
            RecipeError: Not a batch of gray uint16 images.
        """
        _require(batch, 3)
        if self.equalize:
            # 256 levels spread over the full range: the rescale factor keeps its meaning.
            levels = [equalize_hist(image).astype(np.float32) * 257 for image in batch]
            values = np.stack(levels) if levels else batch.astype(np.float32)
        else:
            values = batch.astype(np.float32)
        values *= np.float32(self.rescale_factor)
        values -= np.float32(self.mean)
        return np.repeat(values[..., np.newaxis], self.channels, axis=-1)


def _require(pixels: Pixels, axes: int) -> None:
    if pixels.ndim != axes or pixels.dtype != np.uint16:
        raise RecipeError(
            "These pixels cannot be preprocessed",
            expected="(h, w) uint16" if axes == 2 else "(n, h, w) uint16",
            received=f"shape {pixels.shape}, {pixels.dtype}",
        )
