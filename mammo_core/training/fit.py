"""Training of a model through its stages, ending with the best weights."""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import keras

from mammo_core.datasets.batches import BatchSource
from mammo_core.models.precision import compute_in
from mammo_core.training.balance import BalancedSource
from mammo_core.training.batches import TrainingBatch
from mammo_core.training.checkpoint import Checkpoints, TrainingState
from mammo_core.training.config import FitConfig, HardwareConfig, Selection
from mammo_core.training.inputs import ToNetwork
from mammo_core.training.loop import Row, TrainingLoop
from mammo_core.training.memory.devices import distribute
from mammo_core.training.prediction import set_jit_compile
from mammo_core.training.requirements import require_trainable, training_warnings
from mammo_core.training.stages import dropout_rates, set_all_trainable, set_dropout_rates


@dataclass(frozen=True)
class TrainingResult:
    """The outcome of a training.

    Attributes:
        history: A row per epoch: stage, epoch (both from 1, the epoch over all stages),
            trained (the trained blocks), loss (as optimized: weighted), accuracy, val_loss and
            val_accuracy (unweighted), val_auc (of the last of two classes, or the mean of each
            against the rest; None if undefined), val_recall and class_share (by class name),
            learning_rate (at the end of the epoch), images_per_s (training only; the first
            epoch of a stage also compiles), seconds (in total).
        selection: The metric that selected the best epoch.
        best_epoch: Its number; the model has its weights.
        best_value: Its accuracy or AUC on the validation set.
        warnings: Sentences for the reader of the result.
    """

    history: list[Row]
    selection: Selection
    best_epoch: int
    best_value: float
    warnings: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self)


def train(
    model: keras.Model,
    config: FitConfig,
    train: BatchSource,
    validation: BatchSource,
    *,
    to_network: ToNetwork,
    seed: int,
    class_names: Sequence[str],
    hardware: HardwareConfig | None = None,
    checkpoints: Checkpoints | None = None,
    on_epoch: Callable[[Row], None] | None = None,
    on_resume: Callable[[str], None] | None = None,
    on_samples: Callable[[TrainingBatch], None] | None = None,
    from_scratch: bool = False,
) -> TrainingResult:
    """Train a model through its stages.

    The same inputs result in the same weights, bit for bit on a CPU, even if the training was
    killed and resumed from a checkpoint. The model ends with the weights of the best epoch over
    all stages (if several are equal, the one with the lower validation loss), every layer
    trainable, dropout rates and precision as built, and no optimizer, so it can be saved
    directly.

    A last partial batch is filled with the epoch's first records at weight zero: they affect
    the batch statistics, but neither the loss nor any count, and no second graph is traced.

    Args:
        model: A patch or whole-image classifier of this library.
        config: The stages and the options of each step.
        train: Training records; only these are augmented.
        validation: Validation records; all are scored after every epoch.
        to_network: `Preprocessing.to_network`; one channel is enough, the others are made on
            the device.
        seed: The run's seed.
        class_names: In the order of the label map.
        hardware: Hardware options.
        checkpoints: Where checkpoints are read and written; None: no checkpoints.
        on_epoch: Called with each new row of the history.
        on_resume: Called with a sentence if there is a checkpoint.
        on_samples: Called with the first batch of the first epoch, as the network sees it.
        from_scratch: Whether the weights are random: the result then contains a warning if the
            first stage does not train all layers.

    Raises:
        ModelError: A set has no records or lacks a required class, the classes differ from the
            model's, a stage names an unknown block, or the loss is not finite (the error names
            the batch's records).
        StoreError: A checkpoint cannot be read or written.
    """
    require_trainable(model, config, train, validation, class_names)
    loop = TrainingLoop(
        model,
        config,
        BalancedSource(train, seed) if config.balance == "balanced_sampling" else train,
        validation,
        to_network,
        seed,
        class_names,
        hardware or HardwareConfig(),
        checkpoints,
        on_samples,
    )
    warnings = training_warnings(config.stages, train, validation, class_names, from_scratch)
    if keras.backend.backend() == "tensorflow":
        # On other backends every draw has its own seed, and this call would load TensorFlow.
        keras.utils.set_random_seed(seed % 2**32)
    saved = checkpoints.load() if checkpoints is not None else None
    if checkpoints is not None and checkpoints.fault and on_resume is not None:
        on_resume(f"the checkpoint cannot be used, starting over: {checkpoints.fault}")
    rates = dropout_rates(model)
    try:
        with compute_in(model, config.precision), distribute(model):
            set_jit_compile(model, loop.hardware.xla)
            if saved is not None:
                loop.restore(saved)
                if on_resume is not None:
                    on_resume(_describe_resume(saved.state))
            for _ in range(loop.state.stage, len(config.stages)):
                set_dropout_rates(model, rates)
                loop.train_stage(on_epoch)
    finally:
        set_all_trainable(model)
        set_dropout_rates(model, rates)
    model.set_weights(loop.best)
    set_jit_compile(model)
    state = loop.state
    best = state.best[0] if state.best is not None else -math.inf
    return TrainingResult(state.history, config.selection, state.best_epoch, best, warnings)


def _describe_resume(state: TrainingState) -> str:
    return (
        f"resuming from a checkpoint: stage {state.stage + 1}, {state.stage_epoch} epochs and "
        f"{state.batches} batches of it completed"
    )
