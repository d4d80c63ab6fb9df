"""Several accelerators of one machine that share each batch (data parallelism)."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import keras

from mammo_core.errors import ModelError


def share_batches(devices: int, batch_size: int | None) -> int:
    """Divide every batch among accelerators, from now on in this process.

    Call it before a network is built: its weights are then on every device. Batch normalization
    uses the whole batch, so the result equals that of one device except for the order of sums:
    JAX divides the arrays themselves (DataParallel), TensorFlow adds the statistics and the
    gradients of its replicas (MirroredStrategy).

    Args:
        devices: Number of devices; 0: all.
        batch_size: Records of a step, which must be a multiple of the devices; None: unknown.

    Returns:
        The number of devices that share batches.

    Raises:
        ModelError: There are fewer devices, the batch cannot be divided, or the backend does not
            support it.
    """
    if devices == 1:
        return 1
    available = keras.distribution.list_devices()
    if devices == 0 and len(available) < 2:
        return 1
    backend = keras.backend.backend()
    if backend not in ("jax", "tensorflow"):
        raise ModelError(
            "Several devices cannot share a batch on this backend",
            expected="KERAS_BACKEND tensorflow or jax, or hardware.devices 1",
            received=f"KERAS_BACKEND={backend}, hardware.devices {devices}",
        )
    count = devices or len(available)
    if count > len(available) or (batch_size is not None and batch_size % count):
        raise ModelError(
            f"A batch cannot be shared by {count} devices",
            expected=f"at most {len(available)} devices, and a batch size that is a multiple",
            received=f"{count} devices, batch size {batch_size or 'any'}",
        )
    if backend == "tensorflow":
        from mammo_core.training.memory.replicas import use_mirrored_strategy

        use_mirrored_strategy(available[:count])
        return count
    distribution = keras.distribution.DataParallel(
        devices=available[:count], auto_shard_dataset=False
    )
    keras.distribution.set_distribution(distribution)
    return count


def gpus() -> int:
    """Return the number of GPUs that the backend can use."""
    try:
        return len(keras.distribution.list_devices("gpu"))
    except RuntimeError:  # JAX: the platform has none
        return 0


def device_count(model: keras.Model) -> int:
    """Return the number of devices that share the batches of a model.

    Args:
        model: A model built after `share_batches`, or without it.
    """
    if keras.backend.backend() == "tensorflow":
        return int(model.distribute_strategy.num_replicas_in_sync)
    distribution = keras.distribution.distribution()
    return 1 if distribution is None else int(distribution.device_mesh.devices.size)


@contextmanager
def distribute(model: keras.Model) -> Iterator[None]:
    """Divide the batches of a model among the devices within a `with` block.

    Args:
        model: A model built after `share_batches`; otherwise nothing changes.
    """
    with ExitStack() as stack:
        if keras.backend.backend() == "tensorflow" and device_count(model) > 1:
            from mammo_core.training.memory.replicas import (
                distribute_prediction,
                synchronize_batch_norm,
            )

            stack.enter_context(synchronize_batch_norm(model))
            stack.enter_context(distribute_prediction(model))
        yield


def distribute_training(trainer: keras.Model, accumulate: int) -> None:
    """Divide the training batches of a compiled model among the devices.

    Raises:
        ModelError: Gradients are accumulated, which Keras does not support on TensorFlow's
            replicas.
    """
    if keras.backend.backend() == "tensorflow" and device_count(trainer) > 1:
        if accumulate > 1:
            raise ModelError(
                "Gradients cannot be accumulated when several devices share a batch on TensorFlow",
                expected="accumulate 1, hardware.devices 1, or KERAS_BACKEND=jax",
                received=f"accumulate {accumulate}, {device_count(trainer)} devices",
                hint="Raise batch_size instead: each device holds only its part of a batch",
            )
        from mammo_core.training.memory.replicas import distribute_training_step

        distribute_training_step(trainer)
