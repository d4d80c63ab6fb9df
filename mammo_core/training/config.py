"""What a recipe says about training."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from mammo_core.models.config import HeadConfig, NetworkConfig

Optimizer = Literal["sgd", "rmsprop", "adagrad", "adadelta", "adamax", "adam", "nadam", "adamw"]
Balance = Literal["batch_weights", "class_weights"]
Selection = Literal["accuracy", "auc"]


class StageConfig(BaseModel):
    """One stage: which layers learn, how fast, how long. Each starts a fresh optimizer.

    Attributes:
        train: `"head"`, `"top"` (the head and the network's highest blocks as the original
            opened them), `"all"`, or block names, opened together with the head; a name
            also stands for the blocks it begins (`conv5` for `conv5_block1` and on).
        learning_rate: At the start of the stage, after any warm-up.
        epochs: Of this stage (the original counted them cumulatively).
        weight_decay: Of kernels only, decoupled: a step takes learning_rate x weight_decay
            of a kernel away. The original added L2 to the loss, for head layers only.
        optimizer: `sgd` has Nesterov momentum 0.9.
        early_stopping: End the stage after so many epochs without a lower validation loss.
        cosine: Let the learning rate fall to 0 along a half cosine.
        warmup_epochs: Let it rise linearly from 0 first; may be a fraction.
        batch_norm: `"frozen"` keeps the network's batch normalisation (not the head's) in
            inference mode, which steadies batches of a few whole images.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Literal["head", "top", "all"] | tuple[str, ...] = "all"
    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    optimizer: Optimizer = "adamw"
    early_stopping: int | None = Field(default=None, ge=1)
    cosine: bool = False
    warmup_epochs: float = Field(default=0.0, ge=0)
    batch_norm: Literal["train", "frozen"] = "train"


class AugmentationConfig(BaseModel):
    """Random changes of training images (original-system.md §4.2).

    Rotation, shear and zoom make one affine transform; then intensity shift, then flips.

    Attributes:
        rotation_degrees: Largest rotation about the image's centre, either way.
        shear: Largest shear, radians, either way.
        zoom: Smallest and largest factor, drawn for each axis; below 1 enlarges.
        flip_rows: Whether to swap top and bottom, half the time.
        flip_columns: Whether to swap left and right, half the time.
        intensity_shift: Largest shift on the 0..255 scale, either way; the result stays
            within the image's own lowest and highest value.
        per_channel: Draw a shift for each channel, as the original did: then the equal
            channels of a grey image differ.
        interpolation: Of the affine transform. The original used nearest.
        fill: What lies outside the image: its nearest edge.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    rotation_degrees: float = Field(default=25.0, ge=0, le=180)
    shear: float = Field(default=0.2, ge=0, lt=1.5)
    zoom: tuple[float, float] = (0.8, 1.2)
    flip_rows: bool = True
    flip_columns: bool = True
    intensity_shift: float = Field(default=20.0, ge=0)
    per_channel: bool = False
    interpolation: Literal["nearest", "bilinear"] = "nearest"
    fill: Literal["nearest"] = "nearest"

    @property
    def affine(self) -> bool:
        """Whether anything but flips and shifts is drawn."""
        return bool(self.rotation_degrees or self.shear or self.zoom != (1.0, 1.0))


def _patch_stages() -> tuple[StageConfig, ...]:
    return (
        StageConfig(train="head", learning_rate=1e-3, epochs=3, optimizer="adam"),
        StageConfig(train="top", learning_rate=1e-4, epochs=10, optimizer="adam"),
        StageConfig(train="all", learning_rate=1e-5, epochs=37, optimizer="adam"),
    )


def _image_stages() -> tuple[StageConfig, ...]:
    return (
        StageConfig(
            train="head", learning_rate=1e-4, epochs=30, weight_decay=1e-3, optimizer="adam"
        ),
        StageConfig(
            train="all", learning_rate=1e-5, epochs=20, weight_decay=1e-2, optimizer="adam"
        ),
    )


class PatchTrainingConfig(BaseModel):
    """How a patch classifier is trained; defaults from the paper (Sci Rep 9:12495).

    The stages suit a pretrained network. From random weights (`network.weights` "none") the
    first stage should train all layers; the original then skipped the other two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: NetworkConfig = NetworkConfig(name="resnet50", weights="imagenet", dropout=0.5)
    batch_size: int = Field(default=32, ge=1)
    stages: tuple[StageConfig, ...] = Field(default_factory=_patch_stages, min_length=1)
    augmentation: AugmentationConfig | None = AugmentationConfig()
    balance: Balance | None = "batch_weights"
    selection: Selection = "accuracy"

    @property
    def from_scratch(self) -> bool:
        """Whether training starts from random weights."""
        return self.network.weights == "none"


class ImageTrainingConfig(BaseModel):
    """How a whole-image classifier is trained; defaults from the paper (Sci Rep 9:12495)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    head: HeadConfig = HeadConfig()
    batch_size: int = Field(default=2, ge=1)
    stages: tuple[StageConfig, ...] = Field(default_factory=_image_stages, min_length=1)
    augmentation: AugmentationConfig | None = AugmentationConfig()
    balance: Balance | None = "batch_weights"
    selection: Selection = "auc"
