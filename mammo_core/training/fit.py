"""The training loop: stages over a model, ending with the best weights seen."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from mammo_core.datasets.batches import BatchSource
from mammo_core.errors import ModelError
from mammo_core.models.leaves import leaf_layers
from mammo_core.training.balance import BalancedSource
from mammo_core.training.checkpoint import Arrays, Checkpoints, Saved, State
from mammo_core.training.checks import check, empty_set, warnings_of
from mammo_core.training.config import FitConfig, HardwareConfig, Selection, StageConfig
from mammo_core.training.devices import divide_training, shared, sharing
from mammo_core.training.feeding import Step, training_steps
from mammo_core.training.prediction import choose_compiler, uses_xla
from mammo_core.training.prefetch import prefetch
from mammo_core.training.rematerialisation import rematerialised
from mammo_core.training.stages import (
    dropouts,
    learning_rate_at,
    make_optimizer,
    open_all,
    open_layers,
    restore_dropouts,
)
from mammo_core.training.validation import validate
from mammo_core.training.views import ToNetwork

Row = dict[str, Any]


@dataclass(frozen=True)
class TrainingResult:
    """How a training went.

    Attributes:
        history: A row per epoch: stage, epoch (both from 1, the epoch over all stages),
            trained (the blocks that learned), loss (as optimised: weighted), accuracy,
            val_loss and val_accuracy (unweighted), val_auc (of the last of two classes, or
            the mean of each against the rest; None where there is none), val_recall and
            class_share (by class name), learning_rate (at the epoch's end), images_per_s
            (training only; the first epoch of a stage also compiles), seconds (all).
        selection: What chose the best epoch.
        best_epoch: Its number; the model has its weights.
        best_value: Its accuracy or AUC on the validation set.
        warnings: What a reader should know, in sentences.
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
    on_samples: Callable[[Step], None] | None = None,
    from_scratch: bool = False,
) -> TrainingResult:
    """Train a model through its stages.

    The same inputs give the same weights, bit for bit on a CPU, also when the training was
    killed and goes on from a checkpoint. The model ends with the weights of the epoch that
    was best over all stages (of equals the one with the lower validation loss), every layer
    trainable, dropouts and precision as it was built, and no optimizer, so it can be saved
    as it is.

    A last partial batch is filled up with the epoch's first records at weight zero: they
    enter the batch statistics but neither the loss nor any count, and no second graph is
    traced.

    Args:
        model: A patch or whole-image classifier of this library.
        config: The stages, and how each step is done.
        train: Training records; only these are augmented.
        validation: Validation records, all of which are scored after every epoch.
        to_network: `Preprocessing.to_network`; for one channel is enough, the others are
            made on the device.
        seed: The run's seed.
        class_names: In the order of the label map.
        hardware: What it runs on.
        checkpoints: Where it goes on from, and leaves what it needs to go on; None: nowhere.
        on_epoch: Called with each new row of the history.
        on_resume: Called with a sentence when a checkpoint was found.
        on_samples: Called with the first batch of the first epoch, as the network sees it.
        from_scratch: Whether the weights are random: then a warning is kept if the first
            stage does not train all layers.

    Raises:
        ModelError: A set has no records or lacks a class it needs, the classes are not the
            model's, a stage names an unknown block, or the loss is no longer a number (the
            error names the batch's records).
        StoreError: A checkpoint cannot be read or written.
    """
    check(model, config, train, validation, class_names)
    run = _Run(
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
    warnings = warnings_of(config.stages, train, validation, class_names, from_scratch)
    if keras.backend.backend() == "tensorflow":
        # Elsewhere every draw has a seed of its own, and Keras would load TensorFlow for this.
        keras.utils.set_random_seed(seed % 2**32)
    saved = checkpoints.load() if checkpoints is not None else None
    if checkpoints is not None and checkpoints.fault and on_resume is not None:
        on_resume(f"a checkpoint cannot be used, starting anew: {checkpoints.fault}")
    rates = dropouts(model)
    try:
        with precision_of(model, config.precision), shared(model):
            choose_compiler(model, run.hardware.xla)
            if saved is not None:
                run.restore(saved)
                if on_resume is not None:
                    on_resume(_told(saved.state))
            for _ in range(run.state.stage, len(config.stages)):
                restore_dropouts(model, rates)
                run.stage(on_epoch)
    finally:
        open_all(model)
        restore_dropouts(model, rates)
    model.set_weights(run.best)
    choose_compiler(model)
    state = run.state
    best = state.best[0] if state.best is not None else -math.inf
    return TrainingResult(state.history, config.selection, state.best_epoch, best, warnings)


class _Run:
    """A training under way."""

    def __init__(
        self,
        model: keras.Model,
        config: FitConfig,
        train: BatchSource,
        validation: BatchSource,
        to_network: ToNetwork,
        seed: int,
        class_names: Sequence[str],
        hardware: HardwareConfig,
        checkpoints: Checkpoints | None,
        on_samples: Callable[[Step], None] | None,
    ) -> None:
        self.model, self.config, self.hardware = model, config, hardware
        self._train, self._validation = train, validation
        self._to_network, self._seed, self._names = to_network, seed, class_names
        self._checkpoints, self._on_samples = checkpoints, on_samples
        self._optimizer: Arrays = []
        self.state = State(counts=[0] * len(class_names))
        self.best: Arrays = model.get_weights()

    def restore(self, saved: Saved) -> None:
        """Take over a checkpoint."""
        for variable, value in zip(self.model.variables, saved.model, strict=True):
            variable.assign(value)
        self.state, self._optimizer = saved.state, saved.optimizer
        self.best = saved.best or self.best

    def stage(self, on_epoch: Callable[[Row], None] | None) -> None:
        """Train the running stage to its end."""
        state, stage = self.state, self.config.stages[self.state.stage]
        trained = open_layers(self.model, stage)
        if keras.distribution.distribution() is not None:
            # Where variables lie is noted for those that learn and those that do not.
            self.model.make_predict_function(force=True)
        trainer = compiled(self.model, stage, self.config, self.hardware)
        if self._optimizer:
            for variable, value in zip(trainer.optimizer.variables, self._optimizer, strict=True):
                variable.assign(value)
            self._optimizer = []
        while not self._stopped(stage):
            start, already = time.perf_counter(), state.seen
            row: Row = {
                "stage": state.stage + 1,
                "epoch": len(state.history) + 1,
                "trained": trained,
            }
            row |= self._epoch(trainer, stage)
            seconds = time.perf_counter() - start
            row["images_per_s"] = round((state.seen - already) / seconds, 1)
            row |= validate(
                self.model, self._validation, self._to_network, self._names, self.hardware.xla
            )
            row["seconds"] = round(time.perf_counter() - start, 3)
            state.history.append(row)
            if on_epoch is not None:
                on_epoch(row)
            self._judge(row, stage)
            if not self._stopped(stage):
                self._save(trainer)
        self._next()

    def _judge(self, row: Row, stage: StageConfig) -> None:
        """Keep the best weights, and count the epochs without a lower validation loss."""
        state = self.state
        # Small validation sets often tie, above all at AUC 1: the loss decides then.
        value = (row[f"val_{self.config.selection}"], -row["val_loss"])
        if state.best is None or value > state.best:
            state.best, state.best_epoch = value, len(state.history)
            self.best = self.model.get_weights()
        lower = state.lowest is None or row["val_loss"] < state.lowest
        state.lowest = row["val_loss"] if lower else state.lowest
        state.waited = 0 if lower else state.waited + 1
        state.still = 0 if lower else state.still + 1
        if stage.plateau is not None and state.still >= stage.plateau:
            state.drops, state.still = state.drops + 1, 0
        state.stage_epoch += 1
        state.batches = state.seen = 0
        state.loss = state.right = 0.0
        state.counts = [0] * len(self._names)

    def _stopped(self, stage: StageConfig) -> bool:
        patience = stage.early_stopping
        return self.state.stage_epoch >= stage.epochs or (
            patience is not None and self.state.waited >= patience
        )

    def _next(self) -> None:
        state = self.state
        state.stage, state.stage_epoch = state.stage + 1, 0
        state.lowest, state.waited, state.still, state.drops = None, 0, 0, 0
        self._save(None)

    def _save(self, trainer: keras.Model | None) -> None:
        if self._checkpoints is None:
            return
        optimizer = trainer.optimizer.variables if trainer is not None else []
        self._checkpoints.save(
            self.state, _values(self.model.variables), _values(optimizer), self.best
        )

    def _epoch(self, trainer: keras.Model, stage: StageConfig) -> Row:
        state, rate = self.state, stage.learning_rate
        steps = training_steps(
            self._train,
            len(state.history),
            self._to_network,
            self.config,
            self._seed,
            self._names,
            int(self.model.inputs[0].shape[-1]),
            skip=state.batches,
            devices=sharing(self.model),
        )
        with closing(prefetch(steps)) as prepared:
            for step in prepared:
                if self._on_samples is not None:
                    self._on_samples(step)
                    self._on_samples = None
                done = min((state.seen + step.count / 2) / self._train.size, 1.0)
                rate = learning_rate_at(stage, state.stage_epoch + done, state.drops)
                self._step(trainer, step, rate)
                state.batches += 1
                if self._checkpoints is not None and self._checkpoints.due:
                    self._save(trainer)
        if not state.seen:
            raise empty_set("training", 0)
        shares = (np.array(state.counts) / state.seen).round(4).tolist()
        return {
            "loss": state.loss / state.seen,
            "accuracy": state.right / state.seen,
            "learning_rate": rate,
            "class_share": dict(zip(self._names, shares, strict=True)),
        }

    def _step(self, trainer: keras.Model, step: Step, rate: float) -> None:
        state = self.state
        trainer.optimizer.learning_rate = rate
        logs = trainer.train_on_batch(
            step.images, step.targets, sample_weight=step.weights, return_dict=True
        )
        if not math.isfinite(logs["loss"]):
            raise ModelError(
                f"The loss is no longer a number, in stage epoch {state.stage_epoch + 1}, on "
                f"the batch of {', '.join(step.ids[:8])}{' …' if step.count > 8 else ''}",
                expected="a finite loss",
                received=str(logs["loss"]),
                hint="Lower the learning rate, or look at these records",
            )
        state.seen += step.count
        state.loss += float(logs["loss"]) * step.count
        state.right += float(logs["_correct"]) * len(step.weights)
        found = np.bincount(step.labels, minlength=len(self._names))
        state.counts = (np.array(state.counts) + found).tolist()


def _values(variables: Sequence[Any]) -> Arrays:
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]


def _told(state: State) -> str:
    return (
        f"goes on from a checkpoint: stage {state.stage + 1}, {state.stage_epoch} epochs and "
        f"{state.batches} batches of it done"
    )


@contextmanager
def precision_of(model: keras.Model, precision: str) -> Iterator[None]:
    """Let the layers compute in another precision for a while; the last ones stay float32."""
    if precision == "float32":
        yield
        return
    last = ("predictions", "head_logits", "head_shortcut", "head_add")
    before = [
        (layer, layer.dtype_policy)
        for layer in leaf_layers(model)
        if layer.name not in last and not isinstance(layer, keras.layers.InputLayer)
    ]
    try:
        for layer, _ in before:
            layer.dtype_policy = precision
        model.make_predict_function(force=True)
        yield
    finally:
        for layer, policy in before:
            layer.dtype_policy = policy
        model.make_predict_function(force=True)


def compiled(
    model: keras.Model, stage: StageConfig, config: FitConfig, hardware: HardwareConfig
) -> keras.Model:
    """Wrap the model's layers for training, so that the model itself keeps no optimizer."""
    layers = rematerialised(model) if hardware.rematerialise else model
    trainer = keras.Model(layers.inputs, layers.outputs, name=f"{model.name}_trainer")
    loss: Any = "categorical_crossentropy"
    if config.focal is not None:
        loss = keras.losses.CategoricalFocalCrossentropy(alpha=1.0, gamma=config.focal)
    trainer.compile(
        optimizer=make_optimizer(stage, trainer, config.accumulate),
        loss=loss,
        metrics=[_correct],
        jit_compile=uses_xla(trainer, hardware.xla),
    )
    trainer.optimizer.build(trainer.trainable_variables)
    divide_training(trainer, config.accumulate)
    return trainer


def _correct(targets: Any, probabilities: Any) -> Any:
    """Say which rows are right; a filling row (no target) never is."""
    right = ops.equal(ops.argmax(targets, axis=-1), ops.argmax(probabilities, axis=-1))
    return ops.cast(right, "float32") * ops.sum(targets, axis=-1)
