"""A stage on a model: which layers learn, with which optimizer, how fast."""

import math
from collections.abc import Mapping
from typing import Any

import keras

from mammo_core.errors import ModelError
from mammo_core.models.leaves import leaf_layers
from mammo_core.models.networks import blocks
from mammo_core.models.registry import network_of
from mammo_core.training.config import StageConfig


def open_layers(model: keras.Model, stage: StageConfig) -> list[str]:
    """Set which layers learn in a stage, and their dropout.

    A frozen batch normalisation infers, but under `batch_norm` `"batch_statistics"`.

    Args:
        model: A patch or whole-image model of this library.
        stage: Says which.

    Returns:
        The blocks that learn, from low to high.

    Raises:
        ModelError: The stage names a block that the network lacks, or sets a dropout where
            there is no dropout layer.
    """
    members = {name: names for name, names in blocks(model).items() if names}
    opened = _opened(model, stage, list(members))
    open_all(model)
    block_of = {layer: block for block, names in members.items() for layer in names}
    for layer in leaf_layers(model):
        block = block_of.get(layer.name)
        learns = block is None or block in opened
        layer.trainable = learns
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        if stage.batch_norm == "frozen" and block != "head":
            layer.trainable = False
        elif stage.batch_norm == "batch_statistics" and not learns:
            # Keras infers when the layer is frozen, so only what it learns is.
            layer.trainable = True
            for variable in layer.trainable_variables:
                variable.trainable = False
    if stage.dropout is not None:
        _set_dropout(model, stage.dropout)
    return opened


def open_all(model: keras.Model) -> None:
    """Let every layer learn again, so that no file carries a stage's frozen layers."""
    for layer in leaf_layers(model):
        # TensorFlow's tracking skips an assignment of the same value, variables and all.
        layer.trainable = False
        layer.trainable = True


def dropouts(model: keras.Model) -> dict[str, float]:
    """Return the rate of every dropout layer."""
    return {
        layer.name: float(layer.rate)
        for layer in leaf_layers(model)
        if isinstance(layer, keras.layers.Dropout)
    }


def restore_dropouts(model: keras.Model, rates: Mapping[str, float]) -> None:
    """Give the dropout layers the rates they were built with."""
    for layer in leaf_layers(model):
        if layer.name in rates:
            layer.rate = rates[layer.name]


def _set_dropout(model: keras.Model, rate: float) -> None:
    names = dropouts(model)
    if not names:
        raise ModelError(
            f"A stage sets the dropout of {model.name}, which has no dropout layer",
            expected="a network or head that was built with a dropout above 0",
            received=f"dropout {rate} in the stage",
            hint="Give network.dropout or head.dropout a rate; stages then change it",
        )
    restore_dropouts(model, dict.fromkeys(names, rate))


def make_optimizer(stage: StageConfig, model: keras.Model, accumulate: int = 1) -> Any:
    """Return a fresh optimizer, whose weight decay spares biases and normalisation.

    Args:
        stage: Says which.
        model: Its trainable weights, after `open_layers`.
        accumulate: Batches whose gradients are averaged for one update.
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
        stage: With its schedule.
        epochs_done: Of the stage, with the share of the running epoch.
        drops: How often a plateau was met.
    """
    if epochs_done < stage.warmup_epochs:
        return stage.learning_rate * epochs_done / stage.warmup_epochs
    if not stage.cosine:
        return stage.learning_rate * stage.plateau_factor**drops
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
