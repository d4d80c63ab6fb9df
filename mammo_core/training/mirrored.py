"""Several devices of one machine under TensorFlow: MirroredStrategy."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import keras
import tensorflow as tf

from mammo_core.models.leaves import leaf_layers


def mirror(devices: Sequence[str]) -> None:
    """Keep every variable that is made from now on in this process on each of the devices.

    Args:
        devices: As `keras.distribution.list_devices` names them.
    """
    tf.distribute.experimental_set_strategy(tf.distribute.MirroredStrategy(list(devices)))


@contextmanager
def whole_batch_statistics(model: keras.Model) -> Iterator[None]:
    """Let batch normalisation see the whole batch for a while, not a device's share of it."""
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
def shared_predictions(model: keras.Model) -> Iterator[None]:
    """Let each device predict its share of a batch for a while; Keras joins the shares."""
    whole = model.predict_step
    try:
        model.predict_step = lambda data: whole(_share(data))
        model.make_predict_function(force=True)
        yield
    finally:
        del model.predict_step
        model.make_predict_function(force=True)


def share_training(trainer: keras.Model) -> None:
    """Let each device train on its share of a batch; the optimizer adds the gradients.

    Args:
        trainer: Compiled. Its `train_on_batch` takes whole batches: each device is given
            the batch, and cuts its own rows out.
    """
    whole = trainer.train_step
    trainer.train_step = lambda data: whole(_share(data))


def _share(data: Any) -> Any:
    context = tf.distribute.get_replica_context()
    count, mine = context.num_replicas_in_sync, context.replica_id_in_sync_group

    def rows(batch: Any) -> Any:
        if batch is None:
            return None
        share = tf.shape(batch)[0] // count
        return batch[mine * share : (mine + 1) * share]

    return tf.nest.map_structure(rows, data)
