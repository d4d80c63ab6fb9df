"""A training on JAX in a process of its own: `on_jax.py DEVICES OUT`; TensorFlow stays out."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import small

from mammo_core.store import open_store
from mammo_core.training import StageConfig, train
from mammo_core.training.checkpoint import Checkpoints
from mammo_core.training.devices import share_batches


class Stopped(Exception):  # noqa: N818
    """Stands for a kill."""


def main(devices: str, out: str) -> None:
    assert share_batches(int(devices), 8) == int(devices)
    model = small.network(dropout=0.0)
    stages = (
        StageConfig(train="head", learning_rate=1e-3, epochs=1, optimizer="adam"),
        StageConfig(learning_rate=1e-3, epochs=2, optimizer="sgd"),
    )
    store = open_store(Path(out).with_suffix("").as_uri())

    def stop(row: dict[str, object]) -> None:
        if row["epoch"] == 2:
            raise Stopped

    def run(**given: object) -> None:
        train(
            model,
            small.config(stages=stages, balance="batch_weights"),
            small.Records((20, 12)),
            small.Records((8, 8), seed=1),
            to_network=small.to_network,
            seed=3,
            class_names=small.NAMES,
            checkpoints=Checkpoints(store, "checkpoints/t"),
            **given,
        )

    try:
        run(on_epoch=stop)
    except Stopped:
        run()
    assert "tensorflow" not in sys.modules
    np.savez(out, *model.get_weights())


if __name__ == "__main__":
    main(*sys.argv[1:])
