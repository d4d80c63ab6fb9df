"""The same loop on JAX: without TensorFlow."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.training.devices import share_batches

HERE = Path(__file__).parent


@pytest.mark.slow
def test_it_trains_and_goes_on_without_tensorflow(tmp_path: Path) -> None:
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, str(HERE / "on_jax.py"), "1", str(tmp_path / "a.npz")]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    assert all(np.isfinite(value).all() for value in np.load(tmp_path / "a.npz").values())


def test_devices_that_are_not_there_are_refused() -> None:
    assert share_batches(1, 3) == 1
    with pytest.raises(ModelError, match="JAX backend only"):
        share_batches(2, 4)
