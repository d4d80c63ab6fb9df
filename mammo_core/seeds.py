"""Random generators that depend on the record and never on the order of the work."""

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a recipe is read without NumPy
    import numpy as np


def derive_seed(seed: int, *ids: str | int) -> int:
    """Return a 128-bit seed for a record.

    Args:
        seed: The run's seed.
        ids: The names of the record and of the draw, in order.
    """
    text = "\x1f".join([str(seed), *map(str, ids)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def generator(seed: int, *ids: str | int) -> "np.random.Generator":
    """Return the generator of a record: the same seed and ids give the same draws anywhere."""
    import numpy as np

    return np.random.Generator(np.random.Philox(key=derive_seed(seed, *ids)))
