"""The model that a stage trains: optimizer, learning rate, loss and devices."""

import math
from typing import Any

import keras
from keras import ops

from mammo_core.processes import works_lighter
from mammo_core.training.config import FitConfig, HardwareConfig, StageConfig
from mammo_core.training.memory.devices import distribute_training
from mammo_core.training.memory.rematerialization import with_rematerialization
from mammo_core.training.prediction import uses_xla


def compile_trainer(
    model: keras.Model, stage: StageConfig, config: FitConfig, hardware: HardwareConfig
) -> keras.Model:
    """Wrap the model's layers in a compiled model, so that the model itself has no optimizer."""
    rematerializes = hardware.rematerialize or works_lighter()
    layers = with_rematerialization(model) if rematerializes else model
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
    distribute_training(trainer, config.accumulate)
    return trainer


def _correct(targets: Any, probabilities: Any) -> Any:
    """Return which rows are correct; a filling row (no target) never is."""
    correct = ops.equal(ops.argmax(targets, axis=-1), ops.argmax(probabilities, axis=-1))
    return ops.cast(correct, "float32") * ops.sum(targets, axis=-1)


def make_optimizer(stage: StageConfig, model: keras.Model, accumulate: int = 1) -> Any:
    """Return a new optimizer, with weight decay for kernels only.

    Args:
        stage: The stage.
        model: A model whose trainable layers are set (`set_trainable`).
        accumulate: Batches whose gradients are averaged for one update.
    """
    classes: dict[str, Any] = {
        "sgd": keras.optimizers.SGD,
        "rmsprop": keras.optimizers.RMSprop,
        "adagrad": keras.optimizers.Adagrad,
        "adadelta": keras.optimizers.Adadelta,
        "adamax": keras.optimizers.Adamax,
        "adam": keras.optimizers.Adam,
        "nadam": keras.optimizers.Nadam,
        "adamw": keras.optimizers.AdamW,
    }
    momentum = {"momentum": 0.9, "nesterov": True} if stage.optimizer == "sgd" else {}
    optimizer = classes[stage.optimizer](
        learning_rate=stage.learning_rate,
        weight_decay=stage.weight_decay,
        gradient_accumulation_steps=accumulate if accumulate > 1 else None,
        **momentum,
    )
    optimizer.exclude_from_weight_decay(
        var_list=[weight for weight in model.trainable_variables if weight.name != "kernel"]
    )
    return optimizer


def learning_rate_at(stage: StageConfig, epochs_done: float, drops: int = 0) -> float:
    """Return the learning rate within a stage.

    Args:
        stage: The stage with its schedule.
        epochs_done: Epochs of the stage completed, including the fraction of the current one.
        drops: Number of drops at plateaus so far.
    """
    if epochs_done < stage.warmup_epochs:
        return stage.learning_rate * epochs_done / stage.warmup_epochs
    if not stage.cosine:
        return stage.learning_rate * stage.plateau_factor**drops
    done = (epochs_done - stage.warmup_epochs) / max(stage.epochs - stage.warmup_epochs, 1e-9)
    return stage.learning_rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2
