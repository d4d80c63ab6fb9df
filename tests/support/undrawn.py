"""Networks whose weights are about to be loaded, built without drawing random ones.

JAX compiles a program for every shape of weights that it draws: for a large network, that takes
ten times as long as its prediction.
"""

from types import SimpleNamespace
from typing import Any

import numpy as np


def draw_no_weights() -> None:
    """Let the random initializers of Keras return zeros in the rest of this process."""
    from keras.src.initializers import random_initializers

    draws = dict.fromkeys(("normal", "truncated_normal", "uniform"), _zeros)
    random_initializers.random = SimpleNamespace(**{**vars(random_initializers.random), **draws})


def _zeros(shape: tuple[int, ...], *_: Any, dtype: Any = None, **__: Any) -> np.ndarray:
    return np.zeros(shape, dtype or np.float32)
