"""A stage on a model: which layers learn, with which optimizer, how fast."""

import math
from typing import Any

import keras

from mammo_core.errors import ModelError
from mammo_core.models.networks import blocks
from mammo_core.models.registry import network_of
from mammo_core.training.config import StageConfig


def open_layers(model: keras.Model, stage: StageConfig) -> list[str]:
    """Set which layers learn in a stage. A frozen batch normalisation only infers.

    Args:
        model: A patch or whole-image model of this library.
        stage: Says which.

    Returns:
        The blocks that learn, from low to high.

    Raises:
        ModelError: The stage names a block that the network lacks.
    """
    members = {name: names for name, names in blocks(model).items() if names}
    opened = _opened(model, stage, list(members))
    block_of = {layer: block for block, names in members.items() for layer in names}
    for layer in model.layers:
        block = block_of.get(layer.name)
        layer.trainable = block is None or block in opened
        still = stage.batch_norm == "frozen" and block != "head"
        if still and isinstance(layer, keras.layers.BatchNormalization):
            layer.trainable = False
    return opened


def open_all(model: keras.Model) -> None:
    """Let every layer learn again, so that no file carries a stage's frozen layers."""
    for layer in model.layers:
        layer.trainable = True


def make_optimizer(stage: StageConfig, model: keras.Model) -> Any:
    """Return a fresh optimizer, whose weight decay spares biases and normalisation.

    Args:
        stage: Says which.
        model: Its trainable weights, after `open_layers`.
    """
    makers: dict[str, Any] = {
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
    optimizer = makers[stage.optimizer](
        learning_rate=stage.learning_rate, weight_decay=stage.weight_decay, **momentum
    )
    optimizer.exclude_from_weight_decay(
        var_list=[weight for weight in model.trainable_variables if weight.name != "kernel"]
    )
    return optimizer


def learning_rate_at(stage: StageConfig, epochs_done: float) -> float:
    """Return the learning rate within a stage.

    Args:
        stage: With its schedule.
        epochs_done: Of the stage, with the share of the running epoch.
    """
    if epochs_done < stage.warmup_epochs:
        return stage.learning_rate * epochs_done / stage.warmup_epochs
    if not stage.cosine:
        return stage.learning_rate
    done = (epochs_done - stage.warmup_epochs) / max(stage.epochs - stage.warmup_epochs, 1e-9)
    return stage.learning_rate * (1 + math.cos(math.pi * min(done, 1.0))) / 2


def _opened(model: keras.Model, stage: StageConfig, known: list[str]) -> list[str]:
    if stage.train == "all":
        return known
    if stage.train == "head":
        wanted: tuple[str, ...] = ()
    elif stage.train == "top":
        wanted = network_of(model).top
    else:
        wanted = stage.train
    for name in wanted:
        if not any(_covers(name, block) for block in known):
            raise ModelError(
                f"{model.name} has no block {name!r} to train",
                expected=f"head, top, all, or some of {', '.join(known)}",
                received=", ".join(wanted),
            )
    return [
        block for block in known if block == "head" or any(_covers(name, block) for name in wanted)
    ]


def _covers(name: str, block: str) -> bool:
    return block == name or block.startswith(f"{name}_")
