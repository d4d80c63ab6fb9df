"""The networks we can build, and what each asks of its input."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from mammo_core.errors import ModelError


@dataclass(frozen=True)
class Network:
    """A patch network's contract.

    Attributes:
        name: Name in the registry; also the Keras model's name.
        channels: Channels of the input.
        minimum: Smallest side of an input, in pixels.
        stride: Pixels from one feature cell to the next.
        first_centre: Pixel index at the centre of feature cell 0. Padding decides it: 2x2
            pools give (stride - 1) / 2, strided convolutions with explicit padding 0.
        feature: Layer whose output the whole-image network keeps.
        blocks: Block names from low to high; a layer belongs to the block that its name
            starts with.
        top: Blocks that the second stage of training opens (original-system.md §5).
        imagenet: Whether ImageNet weights exist.
    """

    name: str
    channels: int
    minimum: int
    stride: int
    first_centre: float
    feature: str
    blocks: tuple[str, ...]
    top: tuple[str, ...]
    imagenet: bool

    def cells(self, side: int) -> int:
        """Return how many feature cells a side of so many pixels gives."""
        # Pools drop a last odd row; padded strides keep it (230 pixels: VGG16 7, ResNet50 8).
        return -(-side // self.stride) if self.first_centre == 0 else side // self.stride


def _vgg_blocks(count: int) -> tuple[str, ...]:
    return tuple(f"block{number}" for number in range(1, count + 1))


_RESNET50_UNITS = {"conv2": 3, "conv3": 4, "conv4": 6, "conv5": 3}

NETWORKS: Mapping[str, Network] = MappingProxyType(
    {
        network.name: network
        for network in (
            Network(
                name="compact",
                channels=1,
                minimum=16,
                stride=16,
                first_centre=7.5,
                feature="block4_out",
                blocks=_vgg_blocks(4),
                top=("block4",),
                imagenet=False,
            ),
            Network(
                name="yaroslav",
                channels=1,
                minimum=64,
                stride=64,
                first_centre=31.5,
                feature="block6_pool",
                blocks=_vgg_blocks(6),
                top=("block6",),
                imagenet=False,
            ),
            Network(
                name="resnet50",
                channels=3,
                minimum=32,
                stride=32,
                first_centre=0.0,
                feature="conv5_block3_out",
                blocks=(
                    "conv1",
                    *(
                        f"{stage}_block{unit}"
                        for stage, units in _RESNET50_UNITS.items()
                        for unit in range(1, units + 1)
                    ),
                ),
                top=("conv5_block3",),
                imagenet=True,
            ),
            Network(
                name="vgg16",
                channels=3,
                minimum=32,
                stride=32,
                first_centre=15.5,
                feature="block5_pool",
                blocks=_vgg_blocks(5),
                top=("block5",),
                imagenet=True,
            ),
        )
    }
)


def network_of(model: Any) -> Network:
    """Return the registry's network that a model is built on.

    Args:
        model: A patch, heatmap or whole-image model of this library (`compact`,
            `compact_heatmap`, `compact_whole`).

    Raises:
        ModelError: The model's name says no network we know.
    """
    name = str(model.name).split("_", maxsplit=1)[0]
    if name not in NETWORKS:
        raise ModelError(
            f"Model {model.name!r} is not built on a known network",
            expected=f"a model named after one of {', '.join(NETWORKS)}",
            received=repr(model.name),
        )
    return NETWORKS[name]
