"""Random generators that depend on a record, never on the order of work."""

import hashlib

import numpy as np


def derive_seed(seed: int, *ids: str | int) -> int:
    """Return a 128-bit seed for a record.

    Args:
        seed: The run's seed.
        ids: What names the record and the draw, in order.
    """
    text = "\x1f".join([str(seed), *map(str, ids)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], "big")


def generator(seed: int, *ids: str | int) -> np.random.Generator:
    """Return the generator of a record: the same for the same seed and ids, anywhere."""
    return np.random.Generator(np.random.Philox(key=derive_seed(seed, *ids)))
