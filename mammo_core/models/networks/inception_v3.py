"""InceptionV3 of `keras.applications`."""

import re
from typing import Any

from mammo_core.models.registry import (
    Application,
    Network,
    Window,
    named_blocks,
    numbered,
    register_network,
)


def _rename(name: str) -> str:
    # Keras calls the layers inside mixed9 and mixed10 mixed9_0 and mixed9_1.
    match = re.fullmatch(r"mixed9_(\d)", name)
    return f"mixed{9 + int(match[1])}_branch3x3" if match else name


def _blocks_of(network: Network, source: Any) -> list[str]:
    """Return the block of each layer: only the last layer of a block is named after it."""
    from keras import layers

    blocks = [network.block_of(_rename(layer.name)) for layer in source.layers]
    pools = [i for i, layer in enumerate(source.layers) if isinstance(layer, layers.MaxPooling2D)]
    blocks[pools[1]] = network.blocks[0]
    owners, current = [], network.blocks[0]
    for block in reversed(blocks):
        current = block or current
        owners.append(current)
    return owners[::-1]


_APPLICATION = Application("InceptionV3", rename=_rename, blocks_of=_blocks_of)

register_network(
    Network(
        name="inception_v3",
        channels=3,
        path=(
            *(Window(3, 2), Window(3, 1)),
            *(Window(3, 2), Window(3, 1), Window(3, 2)),
            *(Window(3, 2), Window(3, 2)),
        ),
        feature="mixed10",
        members=named_blocks("stem", *numbered("mixed", 0, 10)),
        # The original's layer index 194 comes after the last weights of mixed6.
        top=numbered("mixed", 7, 10),
        application=_APPLICATION,
        imagenet=_APPLICATION,
        divisor=127.5,
        keras2="inception_v3",
    )
)
