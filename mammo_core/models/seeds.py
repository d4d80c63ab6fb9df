"""Seeds of layers."""

from mammo_core.seeds import derive


def layer_seed(seed: int, name: str) -> int:
    """Return the seed of a layer: the same whatever was built before it."""
    return derive(seed, "layer", name) % 2**31
