"""Several devices: JAX without TensorFlow, both backends on two devices as on one."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.training import devices
from mammo_core.training.devices import share_batches

HERE = Path(__file__).parent


def _trained(
    out: Path, backend: str, count: int, dropout: float = 0.0, rematerialize: bool = False
) -> list[np.ndarray]:
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        # Compiling is what takes long.
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2 "
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
        "JAX_PLATFORMS": "cpu",
    }
    script = str(HERE / "train_on_devices.py")
    command = [sys.executable, script, str(out), str(count), str(dropout), str(rematerialize)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    stored = np.load(out)
    return [stored[name] for name in stored.files]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_two_virtual_devices_give_the_one_device_result(backend: str, tmp_path: Path) -> None:
    one = _trained(tmp_path / "1.npz", backend, 1)
    # Normalisation is by the whole batch on both, and what is computed again is the same: only
    # the order of sums differs.
    two = _trained(tmp_path / "2.npz", backend, 2, rematerialize=True)
    for expected, found in zip(one, two, strict=True):
        most = max(np.abs(expected).max(), 1e-3)
        np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * most)


@pytest.mark.slow
def test_dropout_is_drawn_on_mirrored_devices(tmp_path: Path) -> None:
    facts = _trained(tmp_path / "2.npz", "tensorflow", 2, dropout=0.3)[0]
    assert np.isfinite(facts).all()


def test_accumulation_on_mirrored_devices_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "sharing", lambda model: 2)
    with pytest.raises(ModelError, match="not accumulated"):
        devices.divide_training(None, 2)


def test_devices_that_are_not_there_are_refused() -> None:
    assert share_batches(1, 3) == 1
    with pytest.raises(ModelError, match="shared by 2 devices") as refused:
        share_batches(2, 4)
    assert "at most 1 devices" in str(refused.value)
    assert share_batches(0, 3) == 1
