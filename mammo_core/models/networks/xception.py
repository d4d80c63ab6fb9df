"""Xception of `keras.applications`."""

from mammo_core.models.registry import (
    SAME,
    Application,
    Network,
    Window,
    named_blocks,
    numbered,
    register_network,
)

_APPLICATION = Application("Xception")

register_network(
    Network(
        name="xception",
        channels=3,
        path=(Window(3, 2), Window(3, 1), *(SAME,) * 4),
        feature="block14_sepconv2_act",
        members=named_blocks(*numbered("block", 1, 14)),
        top=("block14",),  # the original's layer index 126
        application=_APPLICATION,
        imagenet=_APPLICATION,
        divisor=127.5,
        keras2="xception",
    )
)
