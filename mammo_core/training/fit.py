"""The training loop: stages over a model, ending with the best weights seen."""

import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

import keras
import numpy as np
from keras import ops

from mammo_core.datasets.batches import BatchSource
from mammo_core.errors import ModelError
from mammo_core.metrics import accuracy, one_against_rest_auc
from mammo_core.training.checks import check, empty_set, warnings_of
from mammo_core.training.config import AugmentationConfig, Balance, Selection, StageConfig
from mammo_core.training.feeding import Step, training_steps
from mammo_core.training.prediction import ToNetwork, choose_compiler, predict, uses_xla
from mammo_core.training.prefetch import prefetch
from mammo_core.training.stages import learning_rate_at, make_optimizer, open_all, open_layers

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
    stages: Sequence[StageConfig],
    train: BatchSource,
    validation: BatchSource,
    *,
    to_network: ToNetwork,
    augmentation: AugmentationConfig | None,
    balance: Balance | None,
    selection: Selection,
    seed: int,
    class_names: Sequence[str],
    on_epoch: Callable[[Row], None] | None = None,
    from_scratch: bool = False,
) -> TrainingResult:
    """Train a model through its stages.

    The same inputs give the same weights, bit for bit on a CPU. The model ends with the
    weights of the epoch that was best over all stages (of equals the one with the lower
    validation loss), every layer trainable and no optimizer, so it can be saved as it is.

    A last partial batch is filled up with the epoch's first records at weight zero: they
    enter the batch statistics but neither the loss nor any count, and no second graph is
    traced.

    Args:
        model: A patch or whole-image classifier of this library.
        stages: What to train, how fast, how long. Each starts a fresh optimizer.
        train: Training records; only these are augmented.
        validation: Validation records, all of which are scored after every epoch.
        to_network: `Preprocessing.to_network`.
        augmentation: Random changes, or None.
        balance: Weights by class, or None.
        selection: Measure on the validation set that chooses the best epoch.
        seed: The run's seed.
        class_names: In the order of the label map.
        on_epoch: Called with each row of the history.
        from_scratch: Whether the weights are random: then a warning is kept if the first
            stage does not train all layers.

    Raises:
        ModelError: A set has no records or lacks a class it needs, the classes are not the
            model's, a stage names an unknown block, or the loss is no longer a number (the
            error names the batch's records).
    """
    check(model, stages, train, validation, selection, class_names)
    warnings = warnings_of(stages, train, validation, class_names, from_scratch)
    keras.utils.set_random_seed(seed % 2**32)
    choose_compiler(model)
    history: list[Row] = []
    best, best_epoch, best_weights = (-math.inf, -math.inf), 0, model.get_weights()

    def steps(epoch: int) -> Iterator[Step]:
        return training_steps(
            train, epoch, to_network, augmentation, balance, seed, len(class_names)
        )

    try:
        for number, stage in enumerate(stages, start=1):
            trained = open_layers(model, stage)
            trainer = _compiled(model, stage)
            lowest, waited = math.inf, 0
            for stage_epoch in range(stage.epochs):
                start = time.perf_counter()
                epoch = len(history) + 1
                row: Row = {"stage": number, "epoch": epoch, "trained": trained}
                with closing(prefetch(steps(epoch - 1))) as prepared:
                    row |= _one_epoch(trainer, stage, stage_epoch, prepared, train, class_names)
                row["images_per_s"] = round(train.size / (time.perf_counter() - start), 1)
                row |= _validate(model, validation, to_network, class_names)
                row["seconds"] = round(time.perf_counter() - start, 3)
                history.append(row)
                if on_epoch is not None:
                    on_epoch(row)
                # Small validation sets often tie, above all at AUC 1: the loss decides then.
                value = (row[f"val_{selection}"], -row["val_loss"])
                if value > best:
                    best, best_epoch, best_weights = value, epoch, model.get_weights()
                waited = 0 if row["val_loss"] < lowest else waited + 1
                lowest = min(lowest, row["val_loss"])
                if stage.early_stopping is not None and waited >= stage.early_stopping:
                    break
    finally:
        open_all(model)
    model.set_weights(best_weights)
    return TrainingResult(history, selection, best_epoch, best[0], warnings)


def _compiled(model: keras.Model, stage: StageConfig) -> keras.Model:
    """Wrap the model's layers for training, so that the model itself keeps no optimizer."""
    trainer = keras.Model(model.inputs, model.outputs, name=f"{model.name}_trainer")
    trainer.compile(
        optimizer=make_optimizer(stage, trainer),
        loss="categorical_crossentropy",
        metrics=[_correct],
        jit_compile=uses_xla(),
    )
    return trainer


def _correct(targets: Any, probabilities: Any) -> Any:
    """Say which rows are right; a filling row (no target) never is."""
    right = ops.equal(ops.argmax(targets, axis=-1), ops.argmax(probabilities, axis=-1))
    return ops.cast(right, "float32") * ops.sum(targets, axis=-1)


def _one_epoch(
    trainer: keras.Model,
    stage: StageConfig,
    stage_epoch: int,
    prepared: Iterator[Step],
    train: BatchSource,
    class_names: Sequence[str],
) -> Row:
    seen, loss, right, rate = 0, 0.0, 0.0, stage.learning_rate
    counts = np.zeros(len(class_names), np.int64)
    for step in prepared:
        rate = learning_rate_at(stage, stage_epoch + (seen + step.count / 2) / train.size)
        trainer.optimizer.learning_rate = rate
        logs = trainer.train_on_batch(
            step.images, step.targets, sample_weight=step.weights, return_dict=True
        )
        if not math.isfinite(logs["loss"]):
            raise ModelError(
                f"The loss is no longer a number, in stage epoch {stage_epoch + 1}, on the batch "
                f"of {', '.join(step.ids[:8])}{' …' if step.count > 8 else ''}",
                expected="a finite loss",
                received=str(logs["loss"]),
                hint="Lower the learning rate, or look at these records",
            )
        seen += step.count
        loss += float(logs["loss"]) * step.count
        right += float(logs["_correct"]) * len(step.weights)
        counts += np.bincount(step.labels, minlength=len(class_names))
    if not seen:
        raise empty_set("training", 0)
    return {
        "loss": loss / seen,
        "accuracy": right / seen,
        "learning_rate": rate,
        "class_share": dict(zip(class_names, (counts / seen).round(4).tolist(), strict=True)),
    }


def _validate(
    model: keras.Model, source: BatchSource, to_network: ToNetwork, class_names: Sequence[str]
) -> Row:
    _, probabilities, labels = predict(model, source, to_network)
    predicted = probabilities.argmax(axis=1)
    own = probabilities[np.arange(len(labels)), labels].astype(np.float64)
    by_class = [value for value in one_against_rest_auc(labels, probabilities) if value is not None]
    if len(class_names) == 2:
        by_class = by_class[1:]
    recall = {
        name: float((predicted[labels == index] == index).mean())
        for index, name in enumerate(class_names)
        if (labels == index).any()
    }
    return {
        "val_loss": float(-np.log(np.clip(own, 1e-7, 1)).mean()),
        "val_accuracy": accuracy(labels, predicted),
        "val_auc": float(np.mean(by_class)) if by_class else None,
        "val_recall": recall,
    }
