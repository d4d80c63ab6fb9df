"""How much of a lesion is in a patch, for many patches at once."""

import numpy as np
import numpy.typing as npt

Centres = npt.NDArray[np.int64]


class OverlapTable:
    """Overlap of square patches with a mask, by a summed-area table.

    Args:
        mask: `(h, w) bool`, true inside the lesion.
        patch_size: Side of the patches (pixels). A patch of centre (r, c) covers rows
            r - side // 2 … r - side // 2 + side - 1, likewise columns; what lies outside the
            image holds no lesion.
    """

    def __init__(self, mask: npt.NDArray[np.bool_], patch_size: int) -> None:
        import cv2

        self._side = patch_size
        # 32 bits count every pixel of an image of up to 46,340² pixels.
        self._table = cv2.integral(np.ascontiguousarray(mask).view(np.uint8))
        self.area = int(self._table[-1, -1])

    def covered(self, centres: Centres) -> npt.NDArray[np.int64]:
        """Return the mask's pixels inside each patch.

        Args:
            centres: `(n, 2) int64`, row and column (pixels).

        Returns:
            `(n,) int64`, pixels.
        """
        height, width = self._table.shape[0] - 1, self._table.shape[1] - 1
        top = centres[:, 0] - self._side // 2
        left = centres[:, 1] - self._side // 2
        r0, r1 = np.clip(top, 0, height), np.clip(top + self._side, 0, height)
        c0, c1 = np.clip(left, 0, width), np.clip(left + self._side, 0, width)
        table = self._table
        inside = table[r1, c1] - table[r0, c1] - table[r1, c0] + table[r0, c0]
        return np.asarray(inside, np.int64)

    def share(self, centres: Centres) -> npt.NDArray[np.float64]:
        """Return the larger of covered / mask area and covered / patch area, [0, 1].

        The original's overlap test accepts when either exceeds the cutoff, which is when the
        larger does (original-system.md §3.4).
        """
        smaller = min(max(self.area, 1), self._side**2)
        return self.covered(centres) / smaller
