"""The overlap of patches and a lesion, for many patches at once."""

import numpy as np
import numpy.typing as npt

#: `(n, 2) int64`, row and column (pixels).
Centers = npt.NDArray[np.int64]


class OverlapTable:
    """Overlap of square patches with a mask, by a summed-area table of the mask's bounding box.

    Args:
        mask: `(h, w) bool`, true inside the lesion.
        patch_size: Side of the patches (pixels). A patch with center (r, c) covers rows
            r - side // 2 … r - side // 2 + side - 1, likewise columns.
        margin: Width of the empty border around the image that counts as area of a patch.
            Half a patch by default, as the original pads its images: then every patch with
            its center in the image has its full area.
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
        # 32 bits are enough for images of up to 46,340² pixels.
        self._table = cv2.integral(inside) if inside.size else np.zeros((1, 1), np.int32)
        self.area = int(self._table[-1, -1])

    def covered(self, centers: Centers) -> npt.NDArray[np.int64]:
        """Return the number of mask pixels in each patch.

        Args:
            centers: `(n, 2) int64`, row and column (pixels).

        Returns:
            `(n,) int64`, pixels.
        """
        table, side = self._table, self._side
        top = centers[:, 0] - (side // 2 + self._top)
        left = centers[:, 1] - (side // 2 + self._left)
        height, width = table.shape[0] - 1, table.shape[1] - 1
        r0, r1 = _clip(top, 0, height), _clip(top + side, 0, height)
        c0, c1 = _clip(left, 0, width), _clip(left + side, 0, width)
        inside = table[r1, c1] - table[r0, c1] - table[r1, c0] + table[r0, c0]
        return np.asarray(inside, np.int64)

    def overlap(self, centers: Centers) -> npt.NDArray[np.float64]:
        """Return the overlap of each patch: covered / the smaller of mask area and patch area.

        The original accepts a patch if covered / mask area or covered / patch area exceeds the
        cutoff, which means that this overlap exceeds it.

        Args:
            centers: `(n, 2) int64`, row and column (pixels).

        Returns:
            `(n,) float64`, [0, 1].

        Source: docs/original-system.md, "Patch sampling".
        """
        smaller = np.minimum(max(self.area, 1), np.maximum(self._patch_area(centers), 1))
        return np.asarray(self.covered(centers) / smaller, np.float64)

    def _patch_area(self, centers: Centers) -> npt.NDArray[np.int64]:
        low = centers - self._side // 2
        end = np.array(self._size) + self._margin
        sides = _clip(low + self._side, -self._margin, end) - _clip(low, -self._margin, end)
        return np.asarray(sides[:, 0] * sides[:, 1], np.int64)


def _clip(values: Centers, low: int, high: int | npt.NDArray[np.int64]) -> Centers:
    # np.clip takes several times as long for few values.
    return np.asarray(np.minimum(np.maximum(values, low), high), np.int64)
