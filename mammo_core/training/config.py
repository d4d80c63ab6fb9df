"""The training configuration of a recipe."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from mammo_core.models.config import HeadConfig, NetworkConfig, TwoViewConfig

Optimizer = Literal["sgd", "rmsprop", "adagrad", "adadelta", "adamax", "adam", "nadam", "adamw"]
Balance = Literal["batch_weights", "class_weights", "balanced_sampling"]
Selection = Literal["accuracy", "auc"]
Precision = Literal["float32", "mixed_bfloat16"]
#: In what the images of a start package can differ from those of a recipe.
StartDifference = Literal[
    "geometry", "scale", "equalization", "channels", "stretch", "voi", "for_processing",
    "lossy_jpeg", "median_filter", "suppress_artifacts", "remove_pectoral", "crop_to_breast",
    "orientation", "patch_classes",
]  # fmt: skip


class StageConfig(BaseModel):
    """One stage: which layers are trained, how fast, how long. Each starts a new optimizer.

    Attributes:
        train: `"head"`, `"top"` (the head and the network's highest blocks, as in the original),
            `"all"`, or block names, trained together with the head; a name also stands for the
            blocks that begin with it (`conv5` for `conv5_block1` and so on).
        learning_rate: At the start of the stage, after any warm-up.
        epochs: Epochs of this stage (the original counted them cumulatively).
        weight_decay: Decoupled, for kernels only: a step subtracts learning_rate x weight_decay x
            kernel. The original added an L2 loss, for head layers only.
        optimizer: Optimizer; `sgd` has Nesterov momentum 0.9.
        dropout: Rate of every dropout layer in this stage; None: as the network was built.
        early_stopping: End the stage after this many epochs without a lower validation loss.
        plateau: Multiply the learning rate by `plateau_factor` after this many epochs without
            a lower validation loss (in the original, for sgd only).
        plateau_factor: See `plateau`.
        cosine: Lower the learning rate to 0 along a half cosine.
        warmup_epochs: Raise it linearly from 0 first; may be a fraction.
        batch_norm: Mode of batch normalization. `"train"`: frozen layers use their averages, the
            others the batch. `"frozen"`: all layers of the network (not of the head) use their
            averages, which stabilizes batches of a few whole images. `"batch_statistics"`, as in
            the original: frozen layers too normalize by the batch and update their averages
            (docs/original-system.md, "Known bugs").
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    train: Literal["head", "top", "all"] | tuple[str, ...] = "all"
    learning_rate: float = Field(gt=0)
    epochs: int = Field(ge=0)
    weight_decay: float = Field(default=1e-4, ge=0)
    optimizer: Optimizer = "adamw"
    dropout: float | None = Field(default=None, ge=0, lt=1)
    early_stopping: int | None = Field(default=None, ge=1)
    plateau: int | None = Field(default=None, ge=1)
    plateau_factor: float = Field(default=0.5, gt=0, lt=1)
    cosine: bool = False
    warmup_epochs: float = Field(default=0.0, ge=0)
    batch_norm: Literal["train", "frozen", "batch_statistics"] = "train"

    @model_validator(mode="after")
    def _require_one_schedule(self) -> Self:
        if self.cosine and self.plateau is not None:
            raise ValueError(
                "A stage takes cosine or plateau, not both. Expected one of them. Received both."
            )
        return self


class AugmentationConfig(BaseModel):
    """Random changes of training images (docs/original-system.md, "Augmentation").

    Rotation, shear and zoom form one affine transform; then intensity shift, then flips.

    Attributes:
        rotation_degrees: Largest rotation about the image's center, in either direction.
        shear: Largest shear, radians, in either direction.
        zoom: Smallest and largest factor, drawn for each axis; below 1 enlarges.
        flip_rows: Swap top and bottom in half of the cases.
        flip_columns: Swap left and right in half of the cases.
        intensity_shift: Largest shift on the 0..255 scale, in either direction; the result stays
            within the image's own lowest and highest value.
        per_channel: Draw a shift for each channel, as the original did: the equal channels of a
            gray image then differ.
        interpolation: Interpolation of the affine transform. The original used nearest.
        fill: Pixels outside the image: the nearest edge, the image's darkest value (`constant`),
            its mirror image (`reflect`) or its opposite side (`wrap`).
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
    fill: Literal["nearest", "constant", "reflect", "wrap"] = "nearest"

    @field_validator("zoom")
    @classmethod
    def _require_zoom_range(cls, zoom: tuple[float, float]) -> tuple[float, float]:
        if not 0 < zoom[0] <= zoom[1]:
            raise ValueError(f"Expected a range of positive factors. Received {zoom}.")
        return zoom

    @property
    def affine(self) -> bool:
        """Whether there is a rotation, shear or zoom."""
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


class FitConfig(BaseModel):
    """The options common to patch and image training.

    Attributes:
        batch_size: Records of a step.
        stages: The stages, in order.
        augmentation: Random changes of training images; None for no changes.
        balance: `"batch_weights"` (1 / share of the class in the batch), `"class_weights"`
            (1 / share in the whole set, or `class_weights`), `"balanced_sampling"` (all
            classes are drawn equally often; no weights), or None.
        class_weights: Weight by class name, instead of 1 / share.
        weighted_mean: Divide the weighted loss by the sum of the batch's weights; false: by its
            number of records, as the original's Keras did: a batch of two classes then moves the
            network twice as far as one of a single class.
        focal: Exponent of the focal loss (Lin et al. 2017, 2 is usual); None: cross-entropy.
        selection: Metric on the validation set that selects the best epoch: accuracy, or the AUC
            (of two classes, or the mean of each class against the rest).
        precision: `"mixed_bfloat16"` computes in bfloat16 and keeps weights in float32.
        accumulate: Batches whose gradients are averaged for one update of the weights.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    batch_size: int = Field(default=32, ge=1)
    stages: tuple[StageConfig, ...] = Field(min_length=1)
    augmentation: AugmentationConfig | None = AugmentationConfig()
    balance: Balance | None = "batch_weights"
    class_weights: dict[str, float] | None = None
    weighted_mean: bool = True
    focal: float | None = Field(default=None, gt=0)
    selection: Selection = "accuracy"
    precision: Precision = "float32"
    accumulate: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _require_used_weights(self) -> Self:
        if self.class_weights is None:
            return self
        if self.balance != "class_weights":
            raise ValueError(
                "Class weights have no effect here. Expected balance class_weights with them. "
                f"Received balance {self.balance}."
            )
        if min(self.class_weights.values(), default=1) <= 0:
            raise ValueError(f"Expected positive class weights. Received {self.class_weights}.")
        return self


class PatchTrainingConfig(FitConfig):
    """The training of a patch classifier; defaults as in Shen et al., Sci Rep 2019.

    The stages suit a pretrained network. From random weights (`network.weights: none`) the first
    stage should train all layers; the original then skipped the other two.

    Attributes:
        network: The network and the weights that it starts from.
    """

    network: NetworkConfig = NetworkConfig(name="resnet50", weights="imagenet", dropout=0.5)
    stages: tuple[StageConfig, ...] = Field(default_factory=_patch_stages, min_length=1)

    @property
    def from_scratch(self) -> bool:
        """Whether training starts from random weights."""
        return self.network.weights == "none"


class ImageTrainingConfig(FitConfig):
    """The training of a whole-image classifier; defaults as in Shen et al., Sci Rep 2019.

    Attributes:
        start: Model package (folder, `…/models/<name>`, `…/models/<name>/<n>`) whose whole-image
            network training starts from, instead of a patch classifier. `head` is then ignored.
            Empty for none.
        start_differences: In what the images of `start` may differ from those of the recipe;
            any other difference is an error. `patch_classes`: the classes of its patch classifier.
        head: The head on the patch network.
        two_view: Classify both views of a breast together, so that the probability is the
            breast's; None: classify each image alone.
    """

    start: str = ""
    start_differences: tuple[StartDifference, ...] = ()
    head: HeadConfig = HeadConfig()
    two_view: TwoViewConfig | None = None
    batch_size: int = Field(default=2, ge=1)
    stages: tuple[StageConfig, ...] = Field(default_factory=_image_stages, min_length=1)
    selection: Selection = "auc"

    @field_validator("start", mode="before")
    @classmethod
    def _none_as_empty(cls, start: object) -> object:
        return "" if start is None else start  # `start:` in YAML


class HardwareConfig(BaseModel):
    """Hardware options of trainings; not part of any id, as they change results by rounding only.

    Attributes:
        xla: Compile steps with XLA; None: if it is faster (on JAX, and on GPUs).
        devices: Accelerators of this machine that share each batch; 0: all.
        rematerialize: Store only the outputs of a network's blocks in a training step and compute
            the rest again: less memory, about a third more arithmetic.
        checkpoint_minutes: Minutes between checkpoints within an epoch; one is always written
            after an epoch.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    xla: bool | None = None
    devices: int = Field(default=1, ge=0)
    rematerialize: bool = False
    checkpoint_minutes: float = Field(default=10.0, gt=0)
