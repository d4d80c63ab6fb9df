"""The same loop on JAX: without TensorFlow, and on two devices as on one."""

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
def test_two_virtual_devices_give_the_one_device_result(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2",
        "JAX_PLATFORMS": "cpu",
    }
    found = []
    for devices in ("1", "2"):
        out = tmp_path / f"{devices}.npz"
        command = [sys.executable, str(HERE / "on_jax.py"), devices, str(out)]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-3000:]
        stored = np.load(out)
        found.append([stored[name] for name in stored.files])
    # Normalisation is by the whole batch on both: only the order of sums differs.
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-4 * max(np.abs(one).max(), 1e-3))


def test_devices_that_are_not_there_are_refused() -> None:
    assert share_batches(1, 3) == 1
    with pytest.raises(ModelError, match="JAX backend only"):
        share_batches(2, 4)
