"""The recipe's configuration of a network, its whole-image head and its two views."""

import re
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mammo_core.models.registry import NETWORKS, network_names

_Positive = Annotated[int, Field(ge=1)]
_Pair = tuple[_Positive, _Positive]


def _form(name: str, topology: str) -> str | None:
    """Return the name of a network in another topology; None if it has none."""
    network = NETWORKS[name]
    return {"keras2": network.keras2, "torch": network.torch}.get(topology)


class NetworkConfig(BaseModel):
    """A patch network.

    Attributes:
        name: Name of a registered network; docs/models.md lists them.
        topology: `"keras2"` builds ResNet50 as Keras 2.0.8 did, for the published weights:
            its padding, pooling, epsilon and names differ from today's. The original's other
            networks have not changed. `"torch"` builds it as torchvision and timm do, for
            their weights: padding on both sides, their epsilon; ConvNeXt without the
            normalization after its last stage.
        weights: `"none"` (random, from the seed), `"imagenet"`, or a file or its URI
            (`s3://bucket/…`): `.keras` (a patch model of the same network), `.h5` (the
            network without its head) or a checkpoint of torchvision or timm (`.safetensors`,
            `.pt`, `.pth`, `.bin`, `.ckpt`).
        weights_classes: Classes of the head in the `.keras` file, by index, where they are not
            stored with it. The head is taken over only if they are those of the recipe.
        dropout: Rate before the last dense layer; 0 adds no layer.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    topology: Literal["today", "keras2", "torch"] = "today"
    weights: str = "none"
    weights_classes: tuple[str, ...] = ()
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @field_validator("name")
    @classmethod
    def _require_registered(cls, name: str) -> str:
        if name not in network_names():
            raise ValueError(
                f"There is no network {name}. Expected one of {', '.join(network_names())}. "
                f"Received {name}."
            )
        return name

    @model_validator(mode="after")
    def _require_topology(self) -> Self:
        if self.topology != "today" and _form(self.name, self.topology) is None:
            known = [name for name in network_names() if _form(name, self.topology) is not None]
            problem = (
                f"The original had no network {self.name}"
                if self.topology == "keras2"
                else f"{self.name} is not built as PyTorch does"
            )
            raise ValueError(
                f"{problem}. Expected topology {self.topology} with "
                f"one of {', '.join(known)}. Received {self.name}."
            )
        return self

    @property
    def network(self) -> str:
        """Name in the registry, topology included."""
        return _form(self.name, self.topology) or self.name


class HeatmapConfig(BaseModel):
    """The patch classifier over the whole image, as a layer between features and head.

    Attributes:
        activation: Activation of the classes at each position. The original used relu, and softmax
            by mistake before 2017-09-19 (docs/original-system.md, "From patch network to
            whole-image classifier").
        average_pool: Feature cells averaged for each position; the original's 7x7 are those of
            a 224x224 patch at stride 32. None adds no pool.
        stride: Feature cells from one position to the next.
        max_pool: Positions of which the maximum is kept. None adds no pool.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    activation: Literal["relu", "softmax"] = "relu"
    average_pool: _Pair | None = (7, 7)
    stride: _Pair = (1, 1)
    max_pool: _Pair | None = (5, 5)


class HeadConfig(BaseModel):
    """The layers added to a patch network's features to classify a whole image.

    `"[512-512-1024]x2"` of the paper is residual, depths 512, enlarge 2, repetitions 2;
    `"512x1"` is vgg, depths 512, repetitions 1 (docs/original-system.md, "From patch network to
    whole-image classifier"). `parse` reads both.

    Attributes:
        kind: Bottleneck blocks (`residual`), plain convolutions (`vgg`), inverted bottlenecks
            with squeeze and excitation (`mbconv`, of EfficientNet), or dense layers on the
            flattened features (`fc`).
        depths: Filters of each block; not for fc.
        repetitions: Units of each block; one number per depth.
        enlarge: Filters of a bottleneck's last convolution, or of the widest one of an inverted
            bottleneck, as a multiple of its depth.
        units: Units of the first dense layer; each further layer has half as many. Like the next
            two, for fc only.
        layers: Number of dense layers before the last.
        shortcut: Whether the flattened features also reach the classes directly: the logits of
            both paths are added.
        heatmap: The patch classifier's heatmap before the head; None for none.
        dropout: Rate after every activation and before the last dense layer; 0 adds no layer.
        momentum: Momentum of the head's batch normalization. The original's 0.99 needs several
            hundred steps to settle; use 0.9 for short runs.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["residual", "vgg", "mbconv", "fc"] = "residual"
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
        """Parse a head in the notation of the paper.

        Args:
            text: Blocks joined by `+`: `[512-512-1024]x2` (bottlenecks: depth, depth, and
                the enlarged one), `512x1` (plain convolutions), `[3072-1536]x1` (inverted
                bottlenecks: the widest, and the depth) or `fc16-8` (dense layers).
                A single block means two equal ones. `heatmap+` before the blocks and
                `+shortcut` after them add these.
            options: Other attributes.

        Raises:
            ValueError: The text is not a head.
        """
        parts = [part.strip() for part in text.split("+")]
        settings: dict[str, Any] = {}
        if parts[0] == "heatmap":
            settings["heatmap"] = HeatmapConfig()
            parts = parts[1:]
        if parts[-1:] == ["shortcut"]:
            settings["shortcut"] = True
            parts = parts[:-1]
        settings |= _parse_blocks(text, parts)
        return cls.model_validate({**settings, **options})

    @property
    def fc_units(self) -> tuple[int, ...]:
        """Units of each dense layer before the last."""
        return tuple(self.units // 2**number for number in range(self.layers))

    @model_validator(mode="after")
    def _require_consistent_blocks(self) -> Self:
        if self.kind != "fc" and self.shortcut:
            raise ValueError(
                "A shortcut bypasses dense layers. Expected kind fc with it. "
                f"Received kind {self.kind}."
            )
        if self.kind == "fc" and min(self.fc_units) < 1:
            raise ValueError(
                "Expected at least one unit in every dense layer. Received "
                f"{self.units} units halved over {self.layers} layers: {self.fc_units}."
            )
        if not self.depths or len(self.depths) != len(self.repetitions):
            raise ValueError(
                "Depths and repetitions describe the same blocks. Expected one of each per block, "
                f"at least one block. Received {self.depths} and {self.repetitions}."
            )
        if min(*self.depths, *self.repetitions) < 1:
            raise ValueError(
                "Expected positive depths and repetitions. "
                f"Received {self.depths} and {self.repetitions}."
            )
        return self


#: The inputs of a two-view network, in order.
VIEWS = ("cc", "mlo")


class TwoViewConfig(BaseModel):
    """How the two views of a breast are classified together.

    Attributes:
        towers: `shared`: the same layers process both views; `separate`: each view has its own
            layers, as in the original.
        join: How the features of the views are joined: `concatenate`, as in the original; or their
            `mean` or `max`, which do not distinguish CC from MLO.
        join_maps: Whether the feature maps are joined before the head, which then sees both
            views, as in Petrini and Kim 2025 (arXiv 2503.19945); else the vectors after it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    towers: Literal["shared", "separate"] = "shared"
    join: Literal["concatenate", "mean", "max"] = "concatenate"
    join_maps: bool = Field(default=False, exclude_if=lambda maps: not maps)  # keeps older ids


def _parse_blocks(text: str, parts: list[str]) -> dict[str, Any]:
    """Parse the blocks in a head's notation."""
    if len(parts) == 1 and (match := re.fullmatch(r"fc(\d+(?:-\d+)*)", parts[0])):
        units = [int(number) for number in match[1].split("-")]
        if units == [units[0] // 2**number for number in range(len(units))]:
            return {"kind": "fc", "units": units[0], "layers": len(units)}
    inverted = [re.fullmatch(r"\[(\d+)-(\d+)\]x(\d+)", part) for part in parts]
    residual = [re.fullmatch(r"\[(\d+)-(\d+)-(\d+)\]x(\d+)", part) for part in parts]
    plain = [re.fullmatch(r"(\d+)x(\d+)", part) for part in parts]
    copies = 2 if len(parts) == 1 else 1
    if parts and all(residual):
        numbers = [tuple(map(int, match.groups())) for match in residual if match] * copies
        enlarge = {wide // deep for deep, _, wide, _ in numbers if deep}
        same = all(deep == mid and wide == deep * min(enlarge) for deep, mid, wide, _ in numbers)
        if len(enlarge) == 1 and same:
            return {
                "kind": "residual",
                "depths": tuple(deep for deep, *_ in numbers),
                "repetitions": tuple(units for *_, units in numbers),
                "enlarge": min(enlarge),
            }
    if parts and all(inverted):
        widths = [tuple(map(int, match.groups())) for match in inverted if match] * copies
        times = {wide // deep for wide, deep, _ in widths if deep}
        if len(times) == 1 and all(wide == deep * min(times) for wide, deep, _ in widths):
            return {
                "kind": "mbconv",
                "depths": tuple(deep for _, deep, _ in widths),
                "repetitions": tuple(units for *_, units in widths),
                "enlarge": min(times),
            }
    if parts and all(plain):
        numbers = [tuple(map(int, match.groups())) for match in plain if match] * copies
        return {
            "kind": "vgg",
            "depths": tuple(depth for depth, _ in numbers),
            "repetitions": tuple(units for _, units in numbers),
        }
    raise ValueError(
        f"{text!r} is not a head. Expected something like [512-512-1024]x2, 512x1, "
        f"256x1+128x1, [3072-1536]x1, fc16-8 or heatmap+fc16-8+shortcut. Received {text!r}."
    )
