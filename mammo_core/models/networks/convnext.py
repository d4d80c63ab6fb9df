"""ConvNeXt (Liu et al. 2022) of `keras.applications`."""

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
    name = re.sub("^convnext_(tiny|small|base)_", "", name)
    if match := re.fullmatch(r"downsampling_block_(\d)(.*)", name):
        return f"stage_{int(match[1]) + 1}_downsampling{match[2]}"
    # The normalization after the last stage; Keras numbers its name.
    return "stage_3_norm" if re.fullmatch(r"layer_normalization(_\d+)?", name) else name


for _size in ("Tiny", "Small", "Base"):
    _application = Application(f"ConvNeXt{_size}", {"include_preprocessing": False}, rename=_rename)
    register_network(
        Network(
            name=f"convnext_{_size.lower()}",
            channels=3,
            path=(Window(4, 4), *(HALVE,) * 3),
            feature="stage_3_norm",
            members=named_blocks("stem", *numbered("stage_", 0, 3)),
            top=("stage_3",),
            application=_application,
            imagenet=_application,
            divisor=57.6,  # 255 times ImageNet's mean standard deviation, 0.226
        )
    )
