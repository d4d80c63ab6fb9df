"""EfficientNet (Tan and Le 2019) and EfficientNetV2 (2021) of `keras.applications`.

Torchvision and timm's networks without `tf_` pad a strided convolution on both sides and
normalize with another epsilon: `topology: torch` builds them so.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

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


def _network(
    name: str, application: Application, blocks: int, path: tuple[Window, ...], divisor: float
) -> Network:
    return Network(
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


def _as_torch(network: Network, application: Application, epsilon: float) -> Network:
    """Return a network as torchvision builds it."""

    def adapt(kind: str, config: Mapping[str, Any]) -> Mapping[str, Any]:
        if kind == "BatchNormalization":
            return {**config, "epsilon": epsilon}
        if kind == "ZeroPadding2D":
            return {**config, "padding": tuple((after, after) for _, after in config["padding"])}
        return config

    return replace(
        network,
        name=f"{network.name}_torch",
        path=tuple(Window(size, 2, (size // 2, size // 2)) for size in _SIDES),
        application=replace(application, adapt=adapt),
        imagenet=None,
        torch=None,
    )


#: Kernels of the stem and of the blocks 2, 3, 4 and 6, which halve the map.
_SIDES: Final = (3, 3, 5, 3, 5)
# Keras pads them as for an even side.
_PATH: Final = tuple(Window(size, 2, (size // 2 - 1, size // 2)) for size in _SIDES)
# The epsilon of torchvision's normalization.
for _size, _epsilon in ((0, 1e-5), (3, 1e-5), (5, 1e-3)):
    _name, _application = f"efficientnet_b{_size}", Application(f"EfficientNetB{_size}")
    # 57.6 is 255 times ImageNet's mean standard deviation, 0.226.
    _today = _network(_name, _application, 7, _PATH, 57.6)
    _torch = register_network(_as_torch(_today, _application, _epsilon))
    register_network(replace(_today, torch=_torch.name))
for _letter, _blocks in (("S", 6), ("M", 7)):
    _application = Application(f"EfficientNetV2{_letter}", {"include_preprocessing": False})
    register_network(
        _network(f"efficientnetv2_{_letter.lower()}", _application, _blocks, (SAME,) * 5, 128.0)
    )
