"""What PyTorch's networks call the tensors of our layers.

A map gives each layer of a network here the name that its tensors begin with in a checkpoint. They
are facts of the state dictionaries of torchvision 0.28, timm 1.0 and EfficientNet-PyTorch 0.7.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

_BLOCK: Final = re.compile(r"block(\d)([a-z])_(.+)")
_CONVNEXT: Final = re.compile(r"stage_(\d)_(?:block_(\d+)_)?(.+)")


@dataclass(frozen=True)
class NameMap:
    """The names of one library for one family of networks.

    Attributes:
        name: The library and the family.
        family: What the names of the networks here begin with.
        sign: A tensor that only such a checkpoint has.
        prefix: Returns the name that the tensors of a layer begin with, from the name of the
            layer and the names of all layers.
        ignored: Matches the names of tensors that a body without a classifier does not need.
    """

    name: str
    family: str
    sign: str
    prefix: Callable[[str, tuple[str, ...]], str]
    ignored: str


def _timm_efficientnet(layer: str, _: tuple[str, ...]) -> str:
    top = {"stem_conv": "conv_stem", "stem_bn": "bn1", "top_conv": "conv_head", "top_bn": "bn2"}
    if layer in top:
        return top[layer]
    stage, unit, part = _block(layer)
    first = {"dwconv": "conv_dw", "bn": "bn1", "project_conv": "conv_pw", "project_bn": "bn2"}
    others = {
        **{"expand_conv": "conv_pw", "expand_bn": "bn1", "dwconv": "conv_dw", "bn": "bn2"},
        **{"project_conv": "conv_pwl", "project_bn": "bn3"},
    }
    squeeze = {"se_reduce": "se.conv_reduce", "se_expand": "se.conv_expand"}
    # The blocks of the first stage do not expand.
    parts = (first if stage == 1 else others) | squeeze
    return f"blocks.{stage - 1}.{unit}.{parts[part]}"


def _torchvision_efficientnet(layer: str, _: tuple[str, ...]) -> str:
    top = {
        **{"stem_conv": "features.0.0", "stem_bn": "features.0.1"},
        **{"top_conv": "features.8.0", "top_bn": "features.8.1"},
    }
    if layer in top:
        return top[layer]
    stage, unit, part = _block(layer)
    shift = 0 if stage == 1 else 1
    parts = {
        **{"expand_conv": "0.0", "expand_bn": "0.1"},
        **{"dwconv": f"{shift}.0", "bn": f"{shift}.1"},
        **{"se_reduce": f"{shift + 1}.fc1", "se_expand": f"{shift + 1}.fc2"},
        **{"project_conv": f"{shift + 2}.0", "project_bn": f"{shift + 2}.1"},
    }
    return f"features.{stage}.{unit}.block.{parts[part]}"


#: The parts of a block, and of an inverted bottleneck of our heads, in EfficientNet-PyTorch.
MBCONV: Final[Mapping[str, str]] = {
    **{"expand_conv": "_expand_conv", "expand_bn": "_bn0", "dwconv": "_depthwise_conv"},
    **{"bn": "_bn1", "se_reduce": "_se_reduce", "se_expand": "_se_expand"},
    **{"project_conv": "_project_conv", "project_bn": "_bn2"},
}


def _efficientnet_pytorch(layer: str, layers: tuple[str, ...]) -> str:
    top = {
        **{"stem_conv": "_conv_stem", "stem_bn": "_bn0"},
        **{"top_conv": "_conv_head", "top_bn": "_bn1"},
    }
    if layer in top:
        return top[layer]
    stage, unit, part = _block(layer)
    matches = (_BLOCK.fullmatch(name) for name in layers)
    units = sorted({match.group(1, 2) for match in matches if match})
    number = units.index((str(stage), chr(ord("a") + unit)))
    return f"_blocks.{number}.{MBCONV[part]}"


def _timm_convnext(layer: str, _: tuple[str, ...]) -> str:
    if layer == "stem":
        return "stem"
    if layer == "stage_3_norm":
        return "head.norm"
    match = _CONVNEXT.fullmatch(layer)
    if match is None:
        raise KeyError(layer)
    stage, block, part = match.groups()
    if block is None:
        return f"stages.{stage}.{ {'downsampling': 'downsample'}[part] }"
    parts = {
        **{"depthwise_conv": "conv_dw", "layernorm": "norm", "layer_scale": "gamma"},
        **{"pointwise_conv_1": "mlp.fc1", "pointwise_conv_2": "mlp.fc2"},
    }
    return f"stages.{stage}.blocks.{block}.{parts[part]}"


def _block(layer: str) -> tuple[int, int, str]:
    match = _BLOCK.fullmatch(layer)
    if match is None:
        raise KeyError(layer)
    return int(match[1]), ord(match[2]) - ord("a"), match[3]


#: Every map; a checkpoint is recognized by its sign.
NAME_MAPS: Final = (
    NameMap(
        name="timm's EfficientNet",
        family="efficientnet_b",
        sign="conv_stem.weight",
        prefix=_timm_efficientnet,
        ignored=r"classifier\..*",
    ),
    NameMap(
        name="torchvision's EfficientNet",
        family="efficientnet_b",
        sign="features.1.0.block.0.0.weight",
        prefix=_torchvision_efficientnet,
        ignored=r"classifier\..*",
    ),
    NameMap(
        name="EfficientNet-PyTorch",
        family="efficientnet_b",
        sign="_conv_stem.weight",
        prefix=_efficientnet_pytorch,
        ignored=r"_fc\..*",
    ),
    NameMap(
        name="timm's ConvNeXt",
        family="convnext_",
        sign="stages.0.blocks.0.conv_dw.weight",
        prefix=_timm_convnext,
        ignored=r"head\..*",
    ),
)


def map_of(names: Iterable[str]) -> NameMap | None:
    """Return the map of a checkpoint with these tensors; None for an unknown one."""
    known = set(names)
    return next((one for one in NAME_MAPS if one.sign in known), None)
