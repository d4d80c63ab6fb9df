"""An image that patches are cut from, also across its edges."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.datasets import PatchRecord
from mammo_core.sampling.overlap import Centres


class Canvas:
    """Cuts square patches; what lies outside the image is 0.

    Args:
        image_id: The image.
        pixels: `(h, w) uint16, [0, 65535]`.
        patch_size: Side of a patch (pixels). A patch of centre (r, c) covers rows
            r - side // 2 … r - side // 2 + side - 1, likewise columns.
    """

    def __init__(self, image_id: str, pixels: npt.NDArray[np.uint16], patch_size: int) -> None:
        self.image_id, self.pixels, self.patch_size = image_id, pixels, patch_size

    def patch(self, row: int, column: int) -> npt.NDArray[np.uint16]:
        """Return the patch of a centre: `(side, side) uint16, [0, 65535]`, not to be changed."""
        side = self.patch_size
        top, left = row - side // 2, column - side // 2
        inside = self._inside(self.pixels, top, left)
        if inside.shape == (side, side):
            return inside
        whole = np.zeros((side, side), np.uint16)
        down, right = max(-top, 0), max(-left, 0)
        whole[down : down + inside.shape[0], right : right + inside.shape[1]] = inside
        return whole

    def count(self, mask: npt.NDArray[np.uint8], row: int, column: int) -> int:
        """Return how many pixels of a patch lie in a mask of the image's size."""
        import cv2

        side = self.patch_size
        inside = self._inside(mask, row - side // 2, column - side // 2)
        return int(cv2.countNonZero(inside)) if inside.size else 0

    def _inside(self, pixels: npt.NDArray[Any], top: int, left: int) -> npt.NDArray[Any]:
        side = self.patch_size
        return pixels[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)]

    def varies(self, row: int, column: int) -> bool:
        """Whether the patch of a centre holds more than one gray level."""
        patch = self.patch(row, column)
        first = patch[0, 0]
        middle = self.patch_size // 2
        # Two lines tell of nearly every patch that varies.
        return bool(
            (patch[middle] != first).any()
            or (patch[:, middle] != first).any()
            or (patch != first).any()
        )

    def records(
        self,
        centres: Centres,
        kind: str,
        lesion_id: str,
        shares: npt.NDArray[np.float64],
        cutoffs: Iterable[float],
        start: int = 0,
    ) -> list[PatchRecord]:
        """Cut patches as records, numbered in their order.

        Args:
            centres: `(n, 2) int64`, row and column (pixels).
            kind: See `PatchRecord`.
            lesion_id: See `PatchRecord`.
            shares: `(n,)` overlap of each, [0, 1].
            cutoffs: The cutoff each was accepted at, [0, 1].
            start: Number of the first one.
        """
        what = f"{lesion_id}-{kind}" if lesion_id else kind
        rows = zip(centres.tolist(), shares.tolist(), cutoffs, strict=True)
        return [
            PatchRecord(
                patch_id=f"{self.image_id[:20]}-{what}-{index:04d}",
                image_id=self.image_id,
                lesion_id=lesion_id,
                kind=kind,
                pixels=np.ascontiguousarray(self.patch(row, column)),
                row=row,
                column=column,
                overlap=share,
                cutoff=cutoff,
            )
            for index, ((row, column), share, cutoff) in enumerate(rows, start)
        ]
