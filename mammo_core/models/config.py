"""What a recipe says about a network and its whole-image head."""

from typing import Literal, Self

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


class HeadConfig(BaseModel):
    """The blocks put on a patch network's features to classify a whole image.

    `"[512-512-1024]x2"` of the paper is residual, depths 512, enlarge 2, repetitions 2;
    `"512x1"` is vgg, depths 512, repetitions 1 (original-system.md §6.1).

    Attributes:
        kind: Bottleneck blocks (`residual`) or plain convolutions (`vgg`).
        depths: Filters of each block.
        repetitions: Units of each block; one number per depth.
        enlarge: Filters of a bottleneck's last convolution, as a multiple of its depth.
        dropout: Rate after every activation and before the last dense layer; 0 adds no layer.
        momentum: Of the blocks' batch normalisation. The original's 0.99 needs several
            hundred steps to settle; short runs want 0.9.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["residual", "vgg"] = "residual"
    depths: tuple[int, ...] = (512, 512)
    repetitions: tuple[int, ...] = (2, 2)
    enlarge: int = Field(default=2, ge=1)
    dropout: float = Field(default=0.0, ge=0, lt=1)
    momentum: float = Field(default=0.99, gt=0, lt=1)

    @model_validator(mode="after")
    def _blocks_are_whole(self) -> Self:
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
