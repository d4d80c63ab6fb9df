"""EfficientNetV2-S and EfficientNet-B0 of `keras.applications`."""

from mammo_core.models.registry import (
    SAME,
    Application,
    Network,
    Window,
    named_blocks,
    numbered,
    register_network,
)


def _members(last: int) -> tuple[tuple[str, str], ...]:
    """Return the blocks, whose layers are named by block and unit (`block2b_expand_conv`)."""
    units = tuple((block, f"{block}[a-z]_.*") for block in numbered("block", 1, last))
    return (*named_blocks("stem"), *units, *named_blocks("top"))


_V2_S = Application("EfficientNetV2S", {"include_preprocessing": False})
_B0 = Application("EfficientNetB0")

register_network(
    Network(
        name="efficientnetv2_s",
        channels=3,
        path=(SAME,) * 5,
        feature="top_activation",
        members=_members(6),
        top=("block6", "top"),
        application=_V2_S,
        imagenet=_V2_S,
        divisor=128.0,
    )
)
register_network(
    Network(
        name="efficientnet_b0",
        channels=3,
        path=tuple(
            Window(size, 2, padding)
            for size, padding in ((3, (0, 1)), (3, (0, 1)), (5, (1, 2)), (3, (0, 1)), (5, (1, 2)))
        ),
        feature="top_activation",
        members=_members(7),
        top=("block7", "top"),
        application=_B0,
        imagenet=_B0,
        divisor=57.6,  # 255 times ImageNet's mean standard deviation, 0.226
    )
)
