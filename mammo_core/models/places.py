"""A heatmap with its coordinates."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Heatmap:
    """What a patch classifier says of every place of an image.

    Attributes:
        values: `(rows, cols, classes) float32, [0, 1]`.
        rows: `(rows,) float64`, pixel index of each row's middle in the image.
        columns: `(cols,) float64`, pixel index of each column's middle in the image.
    """

    values: npt.NDArray[np.float32]
    rows: npt.NDArray[np.float64]
    columns: npt.NDArray[np.float64]
