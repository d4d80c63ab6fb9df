"""Cut patches from an image, also across its edges."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.datasets import PatchRecord
from mammo_core.sampling.overlap import Centers


class Canvas:
    """Cuts square patches from an image; pixels outside the image are 0.

    Args:
        image_id: The image.
        pixels: `(h, w) uint16, [0, 65535]`.
        patch_size: Side of a patch (pixels). A patch with center (r, c) covers rows
            r - side // 2 … r - side // 2 + side - 1, likewise columns.
    """

    def __init__(self, image_id: str, pixels: npt.NDArray[np.uint16], patch_size: int) -> None:
        self.image_id, self.pixels, self.patch_size = image_id, pixels, patch_size

    def patch(self, row: int, column: int) -> npt.NDArray[np.uint16]:
        """Return the patch at a center, which may be a view of the image: do not change it.

        Returns:
            `(side, side) uint16, [0, 65535]`.
        """
        side = self.patch_size
        top, left = row - side // 2, column - side // 2
        inside = self._crop(self.pixels, top, left)
        if inside.shape == (side, side):
            return inside
        padded = np.zeros((side, side), np.uint16)
        down, right = max(-top, 0), max(-left, 0)
        padded[down : down + inside.shape[0], right : right + inside.shape[1]] = inside
        return padded

    def count(self, mask: npt.NDArray[np.uint8], row: int, column: int) -> int:
        """Return the number of pixels of the patch at a center that are in a mask.

        Args:
            mask: `(h, w) uint8`, above 0 inside.
            row: Row of the center (pixels).
            column: Column of the center (pixels).
        """
        import cv2

        side = self.patch_size
        inside = self._crop(mask, row - side // 2, column - side // 2)
        return int(cv2.countNonZero(inside)) if inside.size else 0

    def _crop(self, pixels: npt.NDArray[Any], top: int, left: int) -> npt.NDArray[Any]:
        side = self.patch_size
        return pixels[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]

    def varies(self, row: int, column: int) -> bool:
        """Whether the patch at a center has more than one gray level."""
        patch = self.patch(row, column)
        first = patch[0, 0]
        middle = self.patch_size // 2
        # Two lines are enough for nearly every patch that varies.
        return bool(
            (patch[middle] != first).any()
            or (patch[:, middle] != first).any()
            or (patch != first).any()
        )

    def records(
        self,
        centers: Centers,
        kind: str,
        lesion_id: str,
        overlaps: npt.NDArray[np.float64],
        cutoffs: Iterable[float],
        start: int = 0,
    ) -> list[PatchRecord]:
        """Cut patches and return them as records, numbered in their order.

        Args:
            centers: `(n, 2) int64`, row and column (pixels).
            kind: See `PatchRecord`.
            lesion_id: See `PatchRecord`.
            overlaps: `(n,) float64`, overlap of each patch, [0, 1].
            cutoffs: The overlap cutoff that each patch was accepted with, [0, 1].
            start: Number of the first patch.
        """
        label = f"{lesion_id}-{kind}" if lesion_id else kind
        rows = zip(centers.tolist(), overlaps.tolist(), cutoffs, strict=True)
        return [
            PatchRecord(
                patch_id=f"{self.image_id[:20]}-{label}-{index:04d}",
                image_id=self.image_id,
                lesion_id=lesion_id,
                kind=kind,
                pixels=np.ascontiguousarray(self.patch(row, column)),
                row=row,
                column=column,
                overlap=overlap,
                cutoff=cutoff,
            )
            for index, ((row, column), overlap, cutoff) in enumerate(rows, start)
        ]
