"""A stage of training: which layers of a model it trains, and their dropout."""

from collections.abc import Mapping

import keras

from mammo_core.errors import ModelError
from mammo_core.models.build import blocks
from mammo_core.models.graph import leaf_layers
from mammo_core.models.registry import network_of
from mammo_core.training.config import StageConfig


def set_trainable(model: keras.Model, stage: StageConfig) -> list[str]:
    """Set which layers a stage trains, and their dropout.

    A frozen batch normalization runs in inference mode, except under `batch_norm`
    `"batch_statistics"`.

    Args:
        model: A patch or whole-image model of this library.
        stage: The stage.

    Returns:
        The trained blocks, from low to high.

    Raises:
        ModelError: The stage names a block that the network does not have, or sets a dropout
            rate for a model without dropout layers.
    """
    members = {name: names for name, names in blocks(model).items() if names}
    trained = _trained_blocks(model, stage, list(members))
    set_all_trainable(model)
    block_of = {layer: block for block, names in members.items() for layer in names}
    for layer in leaf_layers(model):
        block = block_of.get(layer.name)
        trains = block is None or block in trained
        layer.trainable = trains
        if not isinstance(layer, keras.layers.BatchNormalization):
            continue
        if stage.batch_norm == "frozen" and block != "head":
            layer.trainable = False
        elif stage.batch_norm == "batch_statistics" and not trains:
            # A frozen layer would use its averages, so only its weights are frozen.
            layer.trainable = True
            for variable in layer.trainable_variables:
                variable.trainable = False
    if stage.dropout is not None:
        _set_dropout_rate(model, stage.dropout)
    return trained


def set_all_trainable(model: keras.Model) -> None:
    """Make every layer trainable, so that a saved model keeps no frozen layers of a stage."""
    for layer in leaf_layers(model):
        # TensorFlow skips an assignment of the same value, including that of the variables.
        layer.trainable = False
        layer.trainable = True


def dropout_rates(model: keras.Model) -> dict[str, float]:
    """Return the rate of every dropout layer."""
    return {
        layer.name: float(layer.rate)
        for layer in leaf_layers(model)
        if isinstance(layer, keras.layers.Dropout)
    }


def set_dropout_rates(model: keras.Model, rates: Mapping[str, float]) -> None:
    """Set the rate of dropout layers by name."""
    for layer in leaf_layers(model):
        if layer.name in rates:
            layer.rate = rates[layer.name]


def _set_dropout_rate(model: keras.Model, rate: float) -> None:
    names = dropout_rates(model)
    if not names:
        raise ModelError(
            f"A stage sets the dropout of {model.name}, which has no dropout layer",
            expected="a network or head built with a dropout above 0",
            received=f"dropout {rate} in the stage",
            hint="Set network.dropout or head.dropout above 0; stages then change it",
        )
    set_dropout_rates(model, dict.fromkeys(names, rate))


def _trained_blocks(model: keras.Model, stage: StageConfig, members: list[str]) -> list[str]:
    if stage.train == "all":
        return members
    if stage.train == "head":
        names: tuple[str, ...] = ()
    elif stage.train == "top":
        names = network_of(model).top
    else:
        names = stage.train
    for name in names:
        if not any(_covers(name, block) for block in members):
            raise ModelError(
                f"{model.name} has no block {name!r} to train",
                expected=f"head, top, all, or some of {', '.join(members)}",
                received=", ".join(names),
            )
    return [
        block for block in members if block == "head" or any(_covers(name, block) for name in names)
    ]


def _covers(name: str, block: str) -> bool:
    return block == name or block.startswith(f"{name}_")
