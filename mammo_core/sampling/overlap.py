"""How much of a lesion is in a patch, for many patches at once."""

import numpy as np
import numpy.typing as npt

Centres = npt.NDArray[np.int64]


class OverlapTable:
    """Overlap of square patches with a mask, by a summed-area table of the mask's box.

    Args:
        mask: `(h, w) bool`, true inside the lesion.
        patch_size: Side of the patches (pixels). A patch of centre (r, c) covers rows
            r - side // 2 … r - side // 2 + side - 1, likewise columns.
        margin: Empty pixels around the mask that patches may cover; what lies further out
            is no part of a patch. Half a patch by default, as the original pads its images:
            then every patch with its centre in the image is whole.
    """

    def __init__(
        self, mask: npt.NDArray[np.bool_], patch_size: int, margin: int | None = None
    ) -> None:
        import cv2

        self._side = patch_size
        self._margin = (patch_size + 1) // 2 if margin is None else margin
        self._size = mask.shape
        bits = np.ascontiguousarray(mask).view(np.uint8)
        self._left, self._top, width, height = cv2.boundingRect(bits)
        inside = bits[self._top : self._top + height, self._left : self._left + width]
        # 32 bits count every pixel of an image of up to 46,340² pixels.
        self._table = cv2.integral(inside) if inside.size else np.zeros((1, 1), np.int32)
        self.area = int(self._table[-1, -1])

    def covered(self, centres: Centres) -> npt.NDArray[np.int64]:
        """Return the mask's pixels inside each patch.

        Args:
            centres: `(n, 2) int64`, row and column (pixels).

        Returns:
            `(n,) int64`, pixels.
        """
        table, side = self._table, self._side
        top = centres[:, 0] - (side // 2 + self._top)
        left = centres[:, 1] - (side // 2 + self._left)
        height, width = table.shape[0] - 1, table.shape[1] - 1
        r0, r1 = _clip(top, 0, height), _clip(top + side, 0, height)
        c0, c1 = _clip(left, 0, width), _clip(left + side, 0, width)
        inside = table[r1, c1] - table[r0, c1] - table[r1, c0] + table[r0, c0]
        return np.asarray(inside, np.int64)

    def share(self, centres: Centres) -> npt.NDArray[np.float64]:
        """Return the larger of covered / mask area and covered / patch area, [0, 1].

        The original's overlap test accepts when either exceeds the cutoff, which is when the
        larger does (original-system.md §3.4).
        """
        smaller = np.minimum(max(self.area, 1), np.maximum(self._patch_area(centres), 1))
        return np.asarray(self.covered(centres) / smaller, np.float64)

    def _patch_area(self, centres: Centres) -> npt.NDArray[np.int64]:
        low = centres - self._side // 2
        end = np.array(self._size) + self._margin
        sides = _clip(low + self._side, -self._margin, end) - _clip(low, -self._margin, end)
        return np.asarray(sides[:, 0] * sides[:, 1], np.int64)


def _clip(values: Centres, low: int, high: int | npt.NDArray[np.int64]) -> Centres:
    # np.clip costs several times as much on the few values of a batch.
    return np.asarray(np.minimum(np.maximum(values, low), high), np.int64)
