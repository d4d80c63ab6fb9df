"""The crop and flip of a source image."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a recipe is read without NumPy
    import numpy as np

    Pixels = np.ndarray[tuple[int, ...], np.dtype[Any]]


@dataclass(frozen=True)
class CropPlacement:
    """The crop and flip of a source image; masks are cropped and flipped alike.

    Attributes:
        box: The crop, (x, y, width, height) in source pixels; None for the whole image.
        flipped: Whether it is mirrored left to right, after cropping.
        notes: What was requested and could not be done: code and sentence.
    """

    box: tuple[int, int, int, int] | None = None
    flipped: bool = False
    notes: tuple[tuple[str, str], ...] = ()

    def apply(self, pixels: "Pixels") -> "Pixels":
        """Crop and mirror an image or mask of the source's size, (h, w); returns a view."""
        if self.box is not None:
            x, y, width, height = self.box
            pixels = pixels[y : y + height, x : x + width]
        return pixels[:, ::-1] if self.flipped else pixels
