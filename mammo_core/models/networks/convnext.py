"""ConvNeXt-Tiny of `keras.applications`."""

import re

from mammo_core.models.registry import (
    HALVE,
    Application,
    Network,
    Window,
    named_blocks,
    numbered,
    register_network,
)


def _rename(name: str) -> str:
    name = name.removeprefix("convnext_tiny_")
    if match := re.fullmatch(r"downsampling_block_(\d)(.*)", name):
        return f"stage_{int(match[1]) + 1}_downsampling{match[2]}"
    # The normalization after the last stage; Keras numbers its name.
    return "stage_3_norm" if re.fullmatch(r"layer_normalization(_\d+)?", name) else name


_APPLICATION = Application("ConvNeXtTiny", {"include_preprocessing": False}, rename=_rename)

register_network(
    Network(
        name="convnext_tiny",
        channels=3,
        path=(Window(4, 4), *(HALVE,) * 3),
        feature="stage_3_norm",
        members=named_blocks("stem", *numbered("stage_", 0, 3)),
        top=("stage_3",),
        application=_APPLICATION,
        imagenet=_APPLICATION,
        divisor=57.6,  # 255 times ImageNet's mean standard deviation, 0.226
    )
)
