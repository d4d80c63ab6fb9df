"""A network of another package: this module is all that it takes.

A package names its module in the entry point group `mammo.networks`; importing the module does
the same.
"""

from typing import Any

from mammo_core.models.registry import HALVE, Network, named_blocks, register_network


def build(network: Network, seed: int) -> Any:
    """Build two convolutions, each followed by a pool."""
    import keras
    from keras import layers

    from mammo_core.models.layers import convolution

    inputs = keras.Input((None, None, network.channels), name="pixels")
    x = inputs
    for block, filters in zip(network.blocks, (6, 8), strict=True):
        x = convolution(x, f"{block}_conv", filters, 3, seed)
        x = layers.Activation("relu", name=f"{block}_relu")(x)
        x = layers.MaxPooling2D(2, name=f"{block}_pool")(x)
    return keras.Model(inputs, x, name=network.name)


NETWORK = register_network(
    Network(
        name="small_outside",
        channels=1,
        path=(HALVE,) * 2,
        feature="block2_pool",
        members=named_blocks("block1", "block2"),
        top=("block2",),
        build=build,
    )
)
