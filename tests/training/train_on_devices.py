"""Trains on virtual devices; run as a script with OUT DEVICES DROPOUT REMATERIALIZE."""

import os
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import small_training

from mammo_core.store import open_store
from mammo_core.training import HardwareConfig, StageConfig, train
from mammo_core.training.checkpoint import Checkpoints
from mammo_core.training.memory.devices import share_batches

BACKEND = os.environ["KERAS_BACKEND"]


class InterruptError(Exception):
    """Interrupts the training, in place of a kill."""


def two_virtual_cpus() -> None:
    import tensorflow as tf

    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)


def main(out: str, devices: str, dropout: str, rematerialize: str) -> None:
    if BACKEND == "tensorflow":
        two_virtual_cpus()  # for JAX the environment sets them
    assert share_batches(int(devices), 8) == int(devices)
    model = small_training.network(dropout=float(dropout))
    stages = (
        StageConfig(train="head", learning_rate=1e-3, epochs=1, optimizer="adam"),
        StageConfig(learning_rate=1e-3, epochs=2, optimizer="sgd"),
    )
    if float(dropout):  # its masks differ between devices: nothing to compare, one epoch shows it
        stages = (StageConfig(learning_rate=1e-3, epochs=1, optimizer="sgd"),)
    store = open_store(Path(out).with_suffix("").as_uri())

    def stop(row: dict[str, object]) -> None:
        # On one device, tests/training/test_checkpoint.py resumes.
        if row["epoch"] == 2 and devices != "1":
            raise InterruptError

    def run(**options: object) -> list[dict[str, object]]:
        return train(
            model,
            small_training.config(stages=stages, balance="batch_weights"),
            small_training.Records((20, 12)),
            small_training.Records((3, 2), seed=1),  # an odd number of records
            to_network=small_training.to_network,
            seed=3,
            class_names=small_training.NAMES,
            hardware=HardwareConfig(devices=int(devices), rematerialize=rematerialize == "True"),
            checkpoints=Checkpoints(store, "checkpoints/t"),
            **options,
        ).history

    try:
        history = run(on_epoch=stop)
    except InterruptError:
        history = run()
    assert BACKEND == "tensorflow" or "tensorflow" not in sys.modules
    facts = [[row[key] for key in ("loss", "accuracy", "val_loss")] for row in history]
    synchronized = [bool(getattr(layer, "synchronized", False)) for layer in model.layers]
    assert not any(synchronized)  # so a saved model is not synchronized
    np.savez(out, np.array(facts), *model.get_weights())


if __name__ == "__main__":
    main(*sys.argv[1:])
