"""The training loop: the epochs of each stage, the best weights and the checkpoints."""

import math
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import keras
import numpy as np
from keras import ops

from mammo_core.datasets.batches import BatchSource
from mammo_core.errors import ModelError
from mammo_core.training.batches import TrainingBatch, training_batches
from mammo_core.training.checkpoint import Arrays, Checkpoint, Checkpoints, TrainingState
from mammo_core.training.config import FitConfig, HardwareConfig, StageConfig
from mammo_core.training.inputs import ToNetwork
from mammo_core.training.memory.devices import device_count
from mammo_core.training.memory.prefetch import prefetch
from mammo_core.training.requirements import empty_set_error
from mammo_core.training.stages import set_trainable
from mammo_core.training.trainer import compile_trainer, learning_rate_at
from mammo_core.training.validation import validate

Row = dict[str, Any]


class TrainingLoop:
    """A training in progress; see `mammo_core.training.fit.train` for the arguments."""

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
        on_samples: Callable[[TrainingBatch], None] | None,
    ) -> None:
        self.model, self.config, self.hardware = model, config, hardware
        self._train, self._validation = train, validation
        self._to_network, self._seed, self._names = to_network, seed, class_names
        self._checkpoints, self._on_samples = checkpoints, on_samples
        self._optimizer: Arrays = []
        self.state = TrainingState(counts=[0] * len(class_names))
        self.best: Arrays = model.get_weights()

    def restore(self, checkpoint: Checkpoint) -> None:
        """Restore the state of a checkpoint."""
        for variable, value in zip(self.model.variables, checkpoint.model, strict=True):
            variable.assign(value)
        self.state, self._optimizer = checkpoint.state, checkpoint.optimizer
        self.best = checkpoint.best or self.best

    def train_stage(self, on_epoch: Callable[[Row], None] | None) -> None:
        """Train the current stage to its end."""
        state, stage = self.state, self.config.stages[self.state.stage]
        trained = set_trainable(self.model, stage)
        if keras.distribution.distribution() is not None:
            # Keras records the layout of trainable and other variables separately.
            self.model.make_predict_function(force=True)
        trainer = compile_trainer(self.model, stage, self.config, self.hardware)
        if self._optimizer:
            for variable, value in zip(trainer.optimizer.variables, self._optimizer, strict=True):
                variable.assign(value)
            self._optimizer = []
        while not self._is_finished(stage):
            start, before = time.perf_counter(), state.records
            row: Row = {
                "stage": state.stage + 1,
                "epoch": len(state.history) + 1,
                "trained": trained,
            }
            row |= self._train_epoch(trainer, stage)
            seconds = time.perf_counter() - start
            row["images_per_s"] = round((state.records - before) / seconds, 1)
            row |= validate(
                self.model, self._validation, self._to_network, self._names, self.hardware.xla
            )
            row["seconds"] = round(time.perf_counter() - start, 3)
            state.history.append(row)
            if on_epoch is not None:
                on_epoch(row)
            self._update_best(row, stage)
            if not self._is_finished(stage):
                self._save(trainer)
        self._next_stage()

    def _update_best(self, row: Row, stage: StageConfig) -> None:
        """Keep the best weights, and count the epochs without a lower validation loss."""
        state = self.state
        # Small validation sets often tie, especially at AUC 1; then the loss decides.
        value = (row[f"val_{self.config.selection}"], -row["val_loss"])
        if state.best is None or value > state.best:
            state.best, state.best_epoch = value, len(state.history)
            self.best = self.model.get_weights()
        lower = state.lowest_loss is None or row["val_loss"] < state.lowest_loss
        state.lowest_loss = row["val_loss"] if lower else state.lowest_loss
        state.since_lowest = 0 if lower else state.since_lowest + 1
        state.since_drop = 0 if lower else state.since_drop + 1
        if stage.plateau is not None and state.since_drop >= stage.plateau:
            state.drops, state.since_drop = state.drops + 1, 0
        state.stage_epoch += 1
        state.batches = state.records = 0
        state.loss = state.correct = 0.0
        state.counts = [0] * len(self._names)

    def _is_finished(self, stage: StageConfig) -> bool:
        patience = stage.early_stopping
        return self.state.stage_epoch >= stage.epochs or (
            patience is not None and self.state.since_lowest >= patience
        )

    def _next_stage(self) -> None:
        state = self.state
        state.stage, state.stage_epoch = state.stage + 1, 0
        state.lowest_loss = None
        state.since_lowest = state.since_drop = state.drops = 0
        self._save(None)

    def _save(self, trainer: keras.Model | None) -> None:
        if self._checkpoints is None:
            return
        optimizer = trainer.optimizer.variables if trainer is not None else []
        self._checkpoints.save(
            self.state, _values(self.model.variables), _values(optimizer), self.best
        )

    def _train_epoch(self, trainer: keras.Model, stage: StageConfig) -> Row:
        state, rate = self.state, stage.learning_rate
        batches = training_batches(
            self._train,
            len(state.history),
            self._to_network,
            self.config,
            self._seed,
            self._names,
            int(self.model.inputs[0].shape[-1]),
            skip=state.batches,
            devices=device_count(self.model),
        )
        with closing(prefetch(batches)) as prepared:
            for batch in prepared:
                if self._on_samples is not None:
                    self._on_samples(batch)
                    self._on_samples = None
                done = min((state.records + batch.count / 2) / self._train.size, 1.0)
                rate = learning_rate_at(stage, state.stage_epoch + done, state.drops)
                self._train_batch(trainer, batch, rate)
                state.batches += 1
                if self._checkpoints is not None and self._checkpoints.due:
                    self._save(trainer)
        if not state.records:
            raise empty_set_error("training", 0)
        shares = (np.array(state.counts) / state.records).round(4).tolist()
        return {
            "loss": state.loss / state.records,
            "accuracy": state.correct / state.records,
            "learning_rate": rate,
            "class_share": dict(zip(self._names, shares, strict=True)),
        }

    def _train_batch(self, trainer: keras.Model, batch: TrainingBatch, rate: float) -> None:
        state = self.state
        trainer.optimizer.learning_rate = rate
        logs = trainer.train_on_batch(
            batch.images, batch.targets, sample_weight=batch.weights, return_dict=True
        )
        if not math.isfinite(logs["loss"]):
            raise ModelError(
                f"The loss is not finite, in stage epoch {state.stage_epoch + 1}, on "
                f"the batch of {', '.join(batch.ids[:8])}{' …' if batch.count > 8 else ''}",
                expected="a finite loss",
                received=str(logs["loss"]),
                hint="Lower the learning rate, or inspect these records",
            )
        state.records += batch.count
        state.loss += float(logs["loss"]) * batch.count
        state.correct += float(logs["_correct"]) * len(batch.weights)
        counts = np.bincount(batch.labels, minlength=len(self._names))
        state.counts = (np.array(state.counts) + counts).tolist()


def _values(variables: Sequence[Any]) -> Arrays:
    return [np.array(ops.convert_to_numpy(variable)) for variable in variables]
