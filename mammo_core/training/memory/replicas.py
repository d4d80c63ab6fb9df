"""Several devices of one machine on TensorFlow (MirroredStrategy)."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from mammo_core.models.graph import leaf_layers


def use_mirrored_strategy(devices: Sequence[str]) -> None:
    """Mirror every variable created from now on in this process on each of the devices.

    Args:
        devices: Names as in `keras.distribution.list_devices`.
    """
    tf.distribute.experimental_set_strategy(tf.distribute.MirroredStrategy(list(devices)))


@contextmanager
def synchronize_batch_norm(model: keras.Model) -> Iterator[None]:
    """Compute batch normalization over the whole batch, not per device, within a `with` block."""
    layers = [
        layer
        for layer in leaf_layers(model)
        if isinstance(layer, keras.layers.BatchNormalization) and not layer.synchronized
    ]
    try:
        for layer in layers:
            layer.synchronized = True
        yield
    finally:
        for layer in layers:
            layer.synchronized = False


@contextmanager
def distribute_prediction(model: keras.Model) -> Iterator[None]:
    """Predict a part of each batch on each device within a `with` block; Keras joins them."""
    whole = model.predict_step
    try:
        model.predict_step = lambda data: whole(_device_rows(data))
        model.make_predict_function(force=True)
        yield
    finally:
        del model.predict_step
        model.make_predict_function(force=True)


def distribute_training_step(trainer: keras.Model) -> None:
    """Train on a part of each batch on each device; the optimizer adds the gradients.

    Args:
        trainer: A compiled model. Its `train_on_batch` takes whole batches: each device
            receives the batch and uses its own rows.
    """
    whole = trainer.train_step
    trainer.train_step = lambda data: whole(_device_rows(data))


def _device_rows(data: Any) -> Any:
    """Return the rows of a batch that belong to the current device."""
    context = tf.distribute.get_replica_context()
    count, number = context.num_replicas_in_sync, context.replica_id_in_sync_group

    def rows(batch: Any) -> Any:
        if batch is None:
            return None
        size = tf.shape(batch)[0] // count
        return batch[number * size : (number + 1) * size]

    return tf.nest.map_structure(rows, data)
