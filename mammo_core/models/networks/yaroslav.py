"""YaroslavNet, the patch network that the original built itself.

docs/original-system.md, "YaroslavNet".
"""

from typing import Any

from mammo_core.models.registry import HALVE, Network, register_network

# Filters of each convolution, block by block.
_FILTERS = ((32, 32), (64, 64), (128, 128), (256, 256), (256, 256), (512, 512))


def build(network: Network, seed: int) -> Any:
    """Build the network up to its features, with the original's layer names.

    Returns:
        A model `(n, h, w, 1) float32 -> (n, rows, cols, 512) float32`.
    """
    import keras
    from keras import layers

    from mammo_core.models.layers import convolution

    inputs = keras.Input((None, None, network.channels), name="input_1")
    x, count = inputs, 0
    for block, filters in zip(network.blocks, _FILTERS, strict=True):
        for number, channels in enumerate(filters, start=1):
            x = convolution(x, f"{block}_conv{number}", channels, 3, seed)
            count += 1
            x = layers.BatchNormalization(name=f"batch_normalization_{count}")(x)
            x = layers.Activation("relu", name=f"activation_{count}")(x)
        x = layers.MaxPooling2D(2, name=f"{block}_pool")(x)
    return keras.Model(inputs, x, name=network.name)


def _block(number: int) -> tuple[str, str]:
    # The original left the names of normalizations and activations to Keras: two per block.
    counts = f"({2 * number - 1}|{2 * number})"
    name = f"block{number}"
    return name, f"{name}_.*|batch_normalization_{counts}|activation_{counts}"


register_network(
    Network(
        name="yaroslav",
        channels=1,
        path=(HALVE,) * 6,
        feature="block6_pool",
        members=tuple(_block(number) for number in range(1, len(_FILTERS) + 1)),
        top=("block6",),
        build=build,
        pool_name="global_average_pooling2d_1",
        keras2="yaroslav",
    )
)
