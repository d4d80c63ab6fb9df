"""The networks we can build, and what each asks of its input."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal

from mammo_core.errors import ModelError


@dataclass(frozen=True)
class Window:
    """A convolution or pool on the way from the pixels to the features.

    Attributes:
        size: Side of the kernel, in cells of its input.
        stride: Cells of its input from one output to the next.
        padding: `(before, after)`, or `"same"`: as TensorFlow pads, so that `stride` divides
            the input rounded up.
    """

    size: int
    stride: int
    padding: tuple[int, int] | Literal["same"] = (0, 0)

    def pads(self, side: int) -> tuple[int, int]:
        """Return the padding before and after an input of so many cells."""
        if self.padding != "same":
            return self.padding
        total = max((-(-side // self.stride) - 1) * self.stride + self.size - side, 0)
        return total // 2, total - total // 2

    def outputs(self, side: int) -> int:
        """Return the cells left of an input of so many; 0 where the kernel does not fit."""
        return max((side + sum(self.pads(side)) - self.size) // self.stride + 1, 0)


@dataclass(frozen=True)
class Network:
    """A patch network's contract.

    Its input is a grey image in `channels` equal channels: full white is `scale`, and the
    mean pixel of the training images has been taken away (`Preprocessing` does both).

    Attributes:
        name: Name in the registry; also the Keras model's name.
        channels: Channels of the input.
        path: Windows from the input to the features, without those that keep every cell in
            its place (3x3 at stride 1, padded).
        feature: Layer whose output the whole-image network keeps.
        members: Block names from low to high, each with a pattern of its layers' names.
        top: Blocks that the second stage of training opens (original-system.md §5).
        application: The builder in `keras.applications`, where the network comes from there.
        imagenet: Whether ImageNet weights exist.
        divisor: A first layer of the network divides the input by it, so that the spread is
            what its ImageNet weights saw; 1 adds no layer.
        pooled: Cells that the patch classifier's own average pool takes together before the
            global one; 1 where it has none.
    """

    name: str
    channels: int
    path: tuple[Window, ...]
    feature: str
    members: tuple[tuple[str, str], ...]
    top: tuple[str, ...]
    application: str | None = None
    imagenet: bool = False
    divisor: float = 1.0
    pooled: int = 1

    scale = 255.0

    @property
    def blocks(self) -> tuple[str, ...]:
        """Block names from low to high."""
        return tuple(name for name, _ in self.members)

    @property
    def stride(self) -> int:
        """Pixels from one feature cell to the next."""
        stride = 1
        for window in self.path:
            stride *= window.stride
        return stride

    @property
    def minimum(self) -> int:
        """Smallest side of a patch, in pixels.

        Below it the original's global average was one over no cells: NaN.
        """
        return next(side for side in _sides(self.stride) if self.cells(side) >= self.pooled)

    @property
    def first_centre(self) -> float:
        """Pixel index at the centre of feature cell 0, of sides that the stride divides."""
        return self.centre(64 * self.stride)

    def cells(self, side: int) -> int:
        """Return how many feature cells a side of so many pixels gives."""
        for window in self.path:
            side = window.outputs(side)
        return side

    def centre(self, side: int) -> float:
        """Return the pixel index at the centre of feature cell 0.

        Explicit padding gives the same for every side; "same" pads by what is left over.
        """
        stride, centre = 1, 0.0
        for window in self.path:
            centre += stride * ((window.size - 1) / 2 - window.pads(side)[0])
            stride *= window.stride
            side = window.outputs(side)
        return centre

    def smallest(self, cells: int) -> int:
        """Return the smallest side, in pixels, that gives so many feature cells."""
        return next(side for side in _sides(1) if self.cells(side) >= cells)

    def block_of(self, layer: str) -> str | None:
        """Return the block that a layer's name belongs to; None for layers of the head."""
        return next((name for name, rule in self.members if re.fullmatch(rule, layer)), None)


def _sides(first: int) -> Iterator[int]:
    while True:
        yield first
        first += 1


def _begins(*names: str) -> tuple[tuple[str, str], ...]:
    """Blocks whose layers bear the block's name and more."""
    return tuple((name, f"{name}(_.*)?") for name in names)


def _numbered(kind: str, first: int, last: int) -> tuple[str, ...]:
    return tuple(f"{kind}{number}" for number in range(first, last + 1))


_HALVE = Window(2, 2)
_SAME = Window(3, 2, "same")
_UNITS = {"conv2": 3, "conv3": 4, "conv4": 6, "conv5": 3}
_RESNET_BLOCKS = tuple(
    f"{stage}_block{unit}" for stage, units in _UNITS.items() for unit in range(1, units + 1)
)


def _yaroslav_members() -> Iterator[tuple[str, str]]:
    # The original left normalisations and activations to Keras to name, two of each a block.
    for block in range(1, 7):
        numbers = f"({2 * block - 1}|{2 * block})"
        yield (
            f"block{block}",
            f"block{block}_.*|batch_normalization_{numbers}|activation_{numbers}",
        )


def _keras2_members() -> Iterator[tuple[str, str]]:
    yield "conv1", "conv1|bn_conv1|activation_1|max_pooling2d_1"
    for number, block in enumerate(_RESNET_BLOCKS, start=1):
        unit = f"{block[4]}{'abcdef'[int(block[-1]) - 1]}"
        numbers = "|".join(str(3 * number + k) for k in (-1, 0, 1))
        yield block, f"(res|bn){unit}_.*|add_{number}|activation_({numbers})"


_ALL = (
    Network(
        name="compact",
        channels=1,
        path=(_HALVE,) * 4,
        feature="block4_out",
        members=_begins(*_numbered("block", 1, 4)),
        top=("block4",),
    ),
    Network(
        name="yaroslav",
        channels=1,
        path=(_HALVE,) * 6,
        feature="block6_pool",
        members=tuple(_yaroslav_members()),
        top=("block6",),
    ),
    Network(
        name="resnet50",
        channels=3,
        path=(Window(7, 2, (3, 3)), Window(3, 2, (1, 1)), *(Window(1, 2),) * 3),
        feature="conv5_block3_out",
        members=(("conv1", "conv1_.*|pool1_.*"), *_begins(*_RESNET_BLOCKS)),
        top=("conv5_block3",),
        application="ResNet50",
        imagenet=True,
    ),
    # As Keras 2.0.8 built it (original-system.md §10): no explicit padding, and a 7x7 pool
    # before the global one, so a patch of fewer than 7 cells had no features at all.
    Network(
        name="resnet50_keras2",
        channels=3,
        path=(Window(7, 2, "same"), Window(3, 2), *(Window(1, 2),) * 3),
        feature="activation_49",
        members=tuple(_keras2_members()),
        top=("conv5_block3",),
        imagenet=True,
        pooled=7,
    ),
    Network(
        name="vgg16",
        channels=3,
        path=(_HALVE,) * 5,
        feature="block5_pool",
        members=_begins(*_numbered("block", 1, 5)),
        top=("block5",),
        application="VGG16",
        imagenet=True,
    ),
    Network(
        name="vgg19",
        channels=3,
        path=(_HALVE,) * 5,
        feature="block5_pool",
        members=_begins(*_numbered("block", 1, 5)),
        top=("block5",),
        application="VGG19",
        imagenet=True,
    ),
    Network(
        name="xception",
        channels=3,
        path=(Window(3, 2), Window(3, 1), *(_SAME,) * 4),
        feature="block14_sepconv2_act",
        members=_begins(*_numbered("block", 1, 14)),
        top=("block14",),  # the original's layer index 126
        application="Xception",
        imagenet=True,
        divisor=127.5,
    ),
    Network(
        name="inception_v3",
        channels=3,
        path=(
            *(Window(3, 2), Window(3, 1)),
            *(Window(3, 2), Window(3, 1), Window(3, 2)),
            *(Window(3, 2), Window(3, 2)),
        ),
        feature="mixed10",
        members=_begins("stem", *_numbered("mixed", 0, 10)),
        # The original's layer index 194 lies behind the last weights of mixed6.
        top=_numbered("mixed", 7, 10),
        application="InceptionV3",
        imagenet=True,
        divisor=127.5,
    ),
    Network(
        name="convnext_tiny",
        channels=3,
        path=(Window(4, 4), *(_HALVE,) * 3),
        feature="stage_3_norm",
        members=_begins("stem", *_numbered("stage_", 0, 3)),
        top=("stage_3",),
        application="ConvNeXtTiny",
        imagenet=True,
        divisor=57.6,  # 255 times ImageNet's mean deviation, 0.226
    ),
    Network(
        name="efficientnetv2_s",
        channels=3,
        path=(_SAME,) * 5,
        feature="top_activation",
        members=(
            *_begins("stem"),
            *((block, f"{block}[a-z]_.*") for block in _numbered("block", 1, 6)),
            *_begins("top"),
        ),
        top=("block6", "top"),
        application="EfficientNetV2S",
        imagenet=True,
        divisor=128.0,
    ),
    Network(
        name="efficientnet_b0",
        channels=3,
        path=tuple(
            Window(size, 2, padding)
            for size, padding in ((3, (0, 1)), (3, (0, 1)), (5, (1, 2)), (3, (0, 1)), (5, (1, 2)))
        ),
        feature="top_activation",
        members=(
            *_begins("stem"),
            *((block, f"{block}[a-z]_.*") for block in _numbered("block", 1, 7)),
            *_begins("top"),
        ),
        top=("block7", "top"),
        application="EfficientNetB0",
        imagenet=True,
        divisor=57.6,
    ),
)

NETWORKS: Mapping[str, Network] = MappingProxyType({network.name: network for network in _ALL})


def network_of(model: Any) -> Network:
    """Return the registry's network that a model is built on.

    Args:
        model: A patch, heatmap, whole-image or two-view model of this library (`compact`,
            `compact_heatmap`, `compact_whole`, `compact_two_view`).

    Raises:
        ModelError: The model's name says no network we know.
    """
    name = str(model.name)
    found = [key for key in NETWORKS if name == key or name.startswith(f"{key}_")]
    if not found:
        raise ModelError(
            f"Model {name!r} is not built on a known network",
            expected=f"a model named after one of {', '.join(NETWORKS)}",
            received=repr(name),
        )
    return NETWORKS[max(found, key=len)]
