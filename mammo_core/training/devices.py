"""Several accelerators of one machine, sharing each batch."""

import keras

from mammo_core.errors import ModelError


def share_batches(devices: int, batch_size: int) -> int:
    """Divide every batch among accelerators (data parallelism), from now on in this process.

    It must be called before a network is built: its weights are then on every device. Batch
    normalisation sees the whole batch, so the result is that of one device but for the order
    of sums. On JAX only; TensorFlow trains on one device.

    Args:
        devices: How many; 0: all there are.
        batch_size: Records of a step, which has to be a multiple.

    Returns:
        How many devices share.

    Raises:
        ModelError: There are fewer, the backend is another, or the batch cannot be divided.
    """
    if devices == 1:
        return 1
    found = keras.distribution.list_devices()
    if devices == 0 and (len(found) < 2 or keras.backend.backend() != "jax"):
        return 1
    if keras.backend.backend() != "jax":
        raise ModelError(
            "Several devices share a batch on the JAX backend only",
            expected="KERAS_BACKEND=jax, or hardware.devices 1",
            received=f"KERAS_BACKEND={keras.backend.backend()}, hardware.devices {devices}",
        )
    count = devices or len(found)
    if count > len(found) or batch_size % count:
        raise ModelError(
            f"A batch of {batch_size} cannot be shared by {count} devices",
            expected=f"at most {len(found)} devices, and a batch size that is a multiple",
            received=f"{count} devices, batch size {batch_size}",
        )
    spread = keras.distribution.DataParallel(devices=found[:count], auto_shard_dataset=False)
    keras.distribution.set_distribution(spread)
    return count
