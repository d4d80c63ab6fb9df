"""Weights that depend on the name of a tensor alone, the same here and in PyTorch."""

import zlib

import numpy as np


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Return the values of a tensor in PyTorch's layout: `shape` float32.

    Normalizations get factors around 1 and small offsets, other weights a spread that keeps the
    size of the features.
    """
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    numbers = rng.standard_normal(shape)
    if name.endswith("running_var"):
        numbers = 1 + 0.1 * np.abs(numbers)
    elif name.endswith(("running_mean", ".bias")):
        numbers = 0.1 * numbers
    elif name.endswith("gamma"):
        numbers = 0.5 + 0.1 * numbers
    elif len(shape) == 1:
        numbers = 1 + 0.1 * numbers
    else:
        numbers = numbers * np.sqrt(2 / np.prod(shape[1:]))
    return numbers.astype(np.float32)


def image(height: int, width: int, seed: int) -> np.ndarray:
    """Return `(height, width, 3)` float32 around 0."""
    rng = np.random.default_rng(seed)
    return rng.standard_normal((height, width, 3)).astype(np.float32)
