"""A metric of another package: this module is all that it takes.

A package names its module in the entry point group `mammo.metrics`; importing the module does
the same.
"""

import numpy as np
import numpy.typing as npt

from mammo_core.metrics import Metric, register_metric


def matthews(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> float:
    """Return Matthews' correlation coefficient at a probability of 0.5.

    Args:
        labels: `(n,)`, 0 or 1, both present.
        probabilities: `(n,) float64, [0, 1]`.
    """
    called = probabilities >= 0.5
    if called.all() or not called.any():
        return 0.0
    return float(np.corrcoef(labels, called)[0, 1])


MATTHEWS = register_metric(
    Metric(
        name="matthews",
        label="Matthews' correlation",
        description="Correlation of truth and call at a probability of 0.5; 0 is guessing.",
        function=matthews,
        bounds=(-1.0, 1.0),
        decimals=2,
    )
)
