"""Several devices: JAX without TensorFlow, and equal results on one device and two."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.training.memory import devices
from mammo_core.training.memory.devices import share_batches
from tests.support.forked import ForkServer

HERE = Path(__file__).parent


def _train(
    forks: ForkServer,
    out: Path,
    backend: str,
    count: int,
    dropout: float = 0.0,
    rematerialize: bool = False,
) -> list[np.ndarray]:
    # JAX must be the only backend in its process; TensorFlow is imported in the fork already.
    python = forks.python if backend == "tensorflow" else [sys.executable]
    environment = {
        **os.environ,
        "KERAS_BACKEND": backend,
        # Compilation takes most of the time.
        "XLA_FLAGS": "--xla_force_host_platform_device_count=2 "
        "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true",
        "JAX_PLATFORMS": "cpu",
        # A training that is resumed has the same programs.
        "JAX_COMPILATION_CACHE_DIR": str(out.parent / "programs"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    script = str(HERE / "train_on_devices.py")
    command = [*python, script, str(out), str(count), str(dropout), str(rematerialize)]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    stored = np.load(out)
    return [stored[name] for name in stored.files]


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["jax", "tensorflow"])
def test_two_virtual_devices_give_the_one_device_result(
    forks: ForkServer, backend: str, tmp_path: Path
) -> None:
    single = _train(forks, tmp_path / "1.npz", backend, 1)
    # Both normalize over the whole batch, and rematerialization changes no value: only the order
    # of sums differs.
    double = _train(forks, tmp_path / "2.npz", backend, 2, rematerialize=True)
    for expected, values in zip(single, double, strict=True):
        largest = max(np.abs(expected).max(), 1e-3)
        np.testing.assert_allclose(values, expected, rtol=0, atol=1e-4 * largest)


@pytest.mark.slow
def test_dropout_works_on_mirrored_devices(forks: ForkServer, tmp_path: Path) -> None:
    facts = _train(forks, tmp_path / "2.npz", "tensorflow", 2, dropout=0.3)[0]
    assert np.isfinite(facts).all()


def test_accumulation_on_mirrored_devices_is_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(devices, "device_count", lambda model: 2)
    with pytest.raises(ModelError, match="cannot be accumulated"):
        devices.distribute_training(None, 2)


def test_missing_devices_are_rejected() -> None:
    assert share_batches(1, 3) == 1
    with pytest.raises(ModelError, match="shared by 2 devices") as caught:
        share_batches(2, 4)
    assert "at most 1 devices" in str(caught.value)
    assert share_batches(0, 3) == 1
