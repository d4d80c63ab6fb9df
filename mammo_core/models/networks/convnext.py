"""ConvNeXt (Liu et al. 2022) of `keras.applications`."""

import re
from dataclasses import replace
from typing import Any

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


def _build_torch(network: Network, seed: int) -> Any:
    """Build a network up to its last stage: timm normalizes after the global pool."""
    import keras

    from mammo_core.models.applications import copy_application, load_application

    application = _application(network.name.split("_")[1])
    source = load_application(application, network.channels)
    body = copy_application(replace(network, application=application), source, seed)
    last = body.get_layer(network.feature)
    return keras.Model(body.inputs[0], last.output, name=network.name)


def _application(size: str) -> Application:
    builder = f"ConvNeXt{size.capitalize()}"
    return Application(builder, {"include_preprocessing": False}, rename=_rename)


for _size in ("tiny", "small", "base"):
    _today = Network(
        name=f"convnext_{_size}",
        channels=3,
        path=(Window(4, 4), *(HALVE,) * 3),
        feature="stage_3_norm",
        members=named_blocks("stem", *numbered("stage_", 0, 3)),
        top=("stage_3",),
        application=_application(_size),
        imagenet=_application(_size),
        divisor=57.6,  # 255 times ImageNet's mean standard deviation, 0.226
        torch=f"convnext_{_size}_torch",
    )
    register_network(_today)
    register_network(
        replace(
            _today,
            name=f"convnext_{_size}_torch",
            feature="stage_3_block_2_add",
            build=_build_torch,
            application=None,
            imagenet=None,
            torch=None,
        )
    )
