"""EfficientNet (Tan and Le 2019) and EfficientNetV2 (2021) of `keras.applications`."""

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


def _register(
    name: str, application: Application, blocks: int, path: tuple[Window, ...], divisor: float
) -> None:
    register_network(
        Network(
            name=name,
            channels=3,
            path=path,
            feature="top_activation",
            members=_members(blocks),
            top=(f"block{blocks}", "top"),
            application=application,
            imagenet=application,
            divisor=divisor,
        )
    )


# The stem and the blocks 2, 3, 4 and 6 halve the map; Keras pads them as for an even side.
_PATH = tuple(
    Window(size, 2, padding)
    for size, padding in ((3, (0, 1)), (3, (0, 1)), (5, (1, 2)), (3, (0, 1)), (5, (1, 2)))
)
for _size in (0, 3, 5):
    # 57.6 is 255 times ImageNet's mean standard deviation, 0.226.
    _register(f"efficientnet_b{_size}", Application(f"EfficientNetB{_size}"), 7, _PATH, 57.6)
for _letter, _blocks in (("S", 6), ("M", 7)):
    _V2 = Application(f"EfficientNetV2{_letter}", {"include_preprocessing": False})
    _register(f"efficientnetv2_{_letter.lower()}", _V2, _blocks, (SAME,) * 5, 128.0)
