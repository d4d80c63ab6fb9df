"""What a recipe says about a network and its whole-image head."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

NetworkName = Literal[
    "compact",
    "yaroslav",
    "resnet50",
    "vgg16",
    "vgg19",
    "xception",
    "inception_v3",
    "convnext_tiny",
    "efficientnetv2_s",
    "efficientnet_b0",
]
_Positive = Annotated[int, Field(ge=1)]
_Pair = tuple[_Positive, _Positive]
_ORIGINAL = ("resnet50", "vgg16", "vgg19", "xception", "inception_v3", "yaroslav")


class NetworkConfig(BaseModel):
    """A patch network.

    Attributes:
        name: Network of the registry.
        topology: `"keras2"` builds ResNet50 as Keras 2.0.8 did, for the published weights:
            padding, pooling, epsilon and names differ from today's. The original's other
            networks are the same today.
        weights: `"none"` (random from the seed), `"imagenet"`, or a file or its URI
            (`s3://bucket/…`): `.keras` (a patch model of the same network) or `.h5` (the
            network without its head).
        dropout: Rate before the last dense layer; 0 adds no layer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: NetworkName
    topology: Literal["today", "keras2"] = "today"
    weights: str = "none"
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @model_validator(mode="after")
    def _topology_is_known(self) -> Self:
        if self.topology == "keras2" and self.name not in _ORIGINAL:
            raise ValueError(
                f"The original had no network {self.name}. Expected topology keras2 with "
                f"one of {', '.join(_ORIGINAL)}. Received {self.name}."
            )
        return self

    @property
    def network(self) -> str:
        """Key of the registry."""
        keras2 = self.topology == "keras2" and self.name == "resnet50"
        return "resnet50_keras2" if keras2 else self.name


class HeatmapConfig(BaseModel):
    """The patch classifier over the whole image, as a layer between features and head.

    Attributes:
        activation: Of each place's classes. The original used relu, and softmax by mistake
            before 2017-09-19 (original-system.md §6.1).
        average_pool: Feature cells averaged for each place; the original's 7x7 are those of
            a 224x224 patch at stride 32. None adds no pool.
        stride: Feature cells from one place to the next.
        max_pool: Places of which the strongest is kept. None adds no pool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: Literal["relu", "softmax"] = "relu"
    average_pool: _Pair | None = (7, 7)
    stride: _Pair = (1, 1)
    max_pool: _Pair | None = (5, 5)


class HeadConfig(BaseModel):
    """What is put on a patch network's features to classify a whole image.

    `"[512-512-1024]x2"` of the paper is residual, depths 512, enlarge 2, repetitions 2;
    `"512x1"` is vgg, depths 512, repetitions 1 (original-system.md §6.1); `parse` reads both.

    Attributes:
        kind: Bottleneck blocks (`residual`), plain convolutions (`vgg`), or dense layers on
            the flattened features (`fc`).
        depths: Filters of each block; not for fc.
        repetitions: Units of each block; one number per depth.
        enlarge: Filters of a bottleneck's last convolution, as a multiple of its depth.
        units: Of the first dense layer; every further one has half. fc only, as the next two.
        layers: Number of dense layers before the last.
        shortcut: Whether the flattened features reach the classes directly too: both logits
            are added.
        heatmap: The patch classifier's heatmap before the head; None for none.
        dropout: Rate after every activation and before the last dense layer; 0 adds no layer.
        momentum: Of the head's batch normalisation. The original's 0.99 needs several
            hundred steps to settle; short runs want 0.9.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["residual", "vgg", "fc"] = "residual"
    depths: tuple[int, ...] = (512, 512)
    repetitions: tuple[int, ...] = (2, 2)
    enlarge: int = Field(default=2, ge=1)
    units: int = Field(default=64, ge=1)
    layers: int = Field(default=2, ge=1)
    shortcut: bool = False
    heatmap: HeatmapConfig | None = None
    dropout: float = Field(default=0.0, ge=0, lt=1)
    momentum: float = Field(default=0.99, gt=0, lt=1)

    @classmethod
    def parse(cls, text: str, **options: Any) -> Self:
        """Read a head as the paper writes it.

        Args:
            text: Blocks joined by `+`: `[512-512-1024]x2` (bottlenecks: depth, depth, and
                the enlarged one), `512x1` (plain convolutions) or `fc16-8` (dense layers).
                One block alone stands for two alike. `heatmap+` before them and `+shortcut`
                behind them add these.
            options: Other attributes.

        Raises:
            ValueError: The text says no head.
        """
        parts = [part.strip() for part in text.split("+")]
        given: dict[str, Any] = {}
        if parts[0] == "heatmap":
            given["heatmap"] = HeatmapConfig()
            parts = parts[1:]
        if parts[-1:] == ["shortcut"]:
            given["shortcut"] = True
            parts = parts[:-1]
        given |= _blocks_of(text, parts)
        return cls.model_validate({**given, **options})

    @property
    def fc_units(self) -> tuple[int, ...]:
        """Units of each dense layer before the last."""
        return tuple(self.units // 2**number for number in range(self.layers))

    @model_validator(mode="after")
    def _blocks_are_whole(self) -> Self:
        if self.kind != "fc" and self.shortcut:
            raise ValueError(
                "A shortcut leads past dense layers. Expected kind fc with it. "
                f"Received kind {self.kind}."
            )
        if self.kind == "fc" and min(self.fc_units) < 1:
            raise ValueError(
                "Expected at least one unit in every dense layer. Received "
                f"{self.units} units halved over {self.layers} layers: {self.fc_units}."
            )
        if not self.depths or len(self.depths) != len(self.repetitions):
            raise ValueError(
                "Depths and repetitions name the same blocks. Expected as many of one as of "
                f"the other, at least one. Received {self.depths} and {self.repetitions}."
            )
        if min(*self.depths, *self.repetitions) < 1:
            raise ValueError(
                "Expected positive depths and repetitions. "
                f"Received {self.depths} and {self.repetitions}."
            )
        return self


#: The inputs of a network that sees both views of a breast, in order.
VIEWS = ("cc", "mlo")


class TwoViewConfig(BaseModel):
    """How the two views of a breast are seen together.

    Attributes:
        towers: `shared`: the same layers see both views; `separate`: each view has its own,
            as in the original.
        join: Of the views' features: side by side as in the original (`concatenate`), or
            their `mean` or `max`, which do not tell CC from MLO.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    towers: Literal["shared", "separate"] = "shared"
    join: Literal["concatenate", "mean", "max"] = "concatenate"


def _blocks_of(text: str, parts: list[str]) -> dict[str, Any]:
    """Read the blocks of a head's notation."""
    if len(parts) == 1 and (found := re.fullmatch(r"fc(\d+(?:-\d+)*)", parts[0])):
        units = [int(number) for number in found[1].split("-")]
        if units == [units[0] // 2**number for number in range(len(units))]:
            return {"kind": "fc", "units": units[0], "layers": len(units)}
    residual = [re.fullmatch(r"\[(\d+)-(\d+)-(\d+)\]x(\d+)", part) for part in parts]
    plain = [re.fullmatch(r"(\d+)x(\d+)", part) for part in parts]
    copies = 2 if len(parts) == 1 else 1
    if parts and all(residual):
        numbers = [tuple(map(int, found.groups())) for found in residual if found] * copies
        enlarge = {wide // deep for deep, _, wide, _ in numbers if deep}
        same = all(one == two and wide == one * min(enlarge) for one, two, wide, _ in numbers)
        if len(enlarge) == 1 and same:
            return {
                "kind": "residual",
                "depths": tuple(deep for deep, *_ in numbers),
                "repetitions": tuple(units for *_, units in numbers),
                "enlarge": min(enlarge),
            }
    if parts and all(plain):
        numbers = [tuple(map(int, found.groups())) for found in plain if found] * copies
        return {
            "kind": "vgg",
            "depths": tuple(depth for depth, _ in numbers),
            "repetitions": tuple(units for _, units in numbers),
        }
    raise ValueError(
        f"{text!r} says no head. Expected something like [512-512-1024]x2, 512x1, "
        f"256x1+128x1, fc16-8 or heatmap+fc16-8+shortcut. Received {text!r}."
    )
