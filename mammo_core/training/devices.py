"""Several accelerators of one machine, sharing each batch."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import keras

from mammo_core.errors import ModelError


def share_batches(devices: int, batch_size: int | None) -> int:
    """Divide every batch among accelerators (data parallelism), from now on in this process.

    It must be called before a network is built: its weights are then on every device. Batch
    normalisation sees the whole batch, so the result is that of one device but for the order
    of sums: JAX divides the arrays themselves (DataParallel), TensorFlow adds the statistics
    and the gradients of its replicas (MirroredStrategy).

    Args:
        devices: How many; 0: all there are.
        batch_size: Records of a step, which has to be a multiple; None: not known yet.

    Returns:
        How many devices share.

    Raises:
        ModelError: There are fewer, the batch cannot be divided, or the backend has no way.
    """
    if devices == 1:
        return 1
    found = keras.distribution.list_devices()
    if devices == 0 and len(found) < 2:
        return 1
    backend = keras.backend.backend()
    if backend not in ("jax", "tensorflow"):
        raise ModelError(
            "Several devices cannot share a batch on this backend",
            expected="KERAS_BACKEND tensorflow or jax, or hardware.devices 1",
            received=f"KERAS_BACKEND={backend}, hardware.devices {devices}",
        )
    count = devices or len(found)
    if count > len(found) or (batch_size is not None and batch_size % count):
        raise ModelError(
            f"A batch cannot be shared by {count} devices",
            expected=f"at most {len(found)} devices, and a batch size that is a multiple",
            received=f"{count} devices, batch size {batch_size or 'any'}",
        )
    if backend == "tensorflow":
        from mammo_core.training.mirrored import mirror

        mirror(found[:count])
        return count
    spread = keras.distribution.DataParallel(devices=found[:count], auto_shard_dataset=False)
    keras.distribution.set_distribution(spread)
    return count


def gpus() -> int:
    """Return how many GPUs the backend sees."""
    try:
        return len(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX: the platform has none
        return 0


def sharing(model: keras.Model) -> int:
    """Tell among how many devices the batches of a model are divided.

    Args:
        model: Built after `share_batches`, or without it.
    """
    if keras.backend.backend() == "tensorflow":
        return int(model.distribute_strategy.num_replicas_in_sync)
    spread = keras.distribution.distribution()
    return 1 if spread is None else int(spread.device_mesh.devices.size)


@contextmanager
def shared(model: keras.Model) -> Iterator[None]:
    """Let the devices divide what a model trains on and predicts, for a while.

    Args:
        model: Built after `share_batches`, or without it: then nothing is changed.
    """
    with ExitStack() as stack:
        if keras.backend.backend() == "tensorflow" and sharing(model) > 1:
            from mammo_core.training.mirrored import shared_predictions, whole_batch_statistics

            stack.enter_context(whole_batch_statistics(model))
            stack.enter_context(shared_predictions(model))
        yield


def divide_training(trainer: keras.Model, accumulate: int) -> None:
    """Let the devices divide the batches that a compiled model trains on.

    Raises:
        ModelError: Gradients are accumulated, which Keras cannot do on TensorFlow's replicas.
    """
    if keras.backend.backend() == "tensorflow" and sharing(trainer) > 1:
        if accumulate > 1:
            raise ModelError(
                "Gradients are not accumulated where several devices share a batch on TensorFlow",
                expected="accumulate 1, hardware.devices 1, or KERAS_BACKEND=jax",
                received=f"accumulate {accumulate}, {sharing(trainer)} devices",
                hint="So many devices hold a batch that is as many times as large",
            )
        from mammo_core.training.mirrored import share_training

        share_training(trainer)
