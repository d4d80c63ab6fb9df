"""Trains with a checkpoint after each step; run as a script with STORE OUT."""

import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
import small_training

from mammo_core.store import open_store
from mammo_core.training import train
from mammo_core.training.checkpoint import Checkpoints


def main(store: str, out: str) -> None:
    model = small_training.network()
    train(
        model,
        small_training.config(accumulate=2),
        small_training.Records((20, 13)),
        small_training.Records((7, 6), seed=1),
        to_network=small_training.to_network,
        seed=3,
        class_names=small_training.NAMES,
        checkpoints=Checkpoints(open_store(store), "checkpoints/t", minutes=1e-9),
        on_resume=lambda text: print(text, flush=True),
    )
    np.savez(out, *model.get_weights())


if __name__ == "__main__":
    main(*sys.argv[1:])
