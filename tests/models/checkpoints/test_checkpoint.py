"""Files that PyTorch 2.15 and safetensors 0.8 wrote, against the values they were made of.

`files/` was written on 2026-11-30 with torch 2.15.0: the state of a small network whose weights
are `arange(n) / 8 - 1`, a training with its optimizer, and a tensor of each type.
"""

from pathlib import Path

import numpy as np
import pytest

from mammo_core.models.checkpoints import CheckpointError, read_checkpoint

FILES = Path(__file__).parent / "files"
KINDS = ["float64", "float32", "float16", "int64", "int32", "int16", "int8"]


def ramp(*shape: int) -> np.ndarray:
    return (np.arange(np.prod(shape)) / 8 - 1).reshape(shape).astype(np.float32)


@pytest.mark.parametrize("name", ["state.pt", "state_legacy.pt"])
def test_the_state_of_a_network(name: str) -> None:
    checkpoint = read_checkpoint(FILES / name)
    assert checkpoint.format == ("torch, legacy" if "legacy" in name else "torch")
    tensors = checkpoint.tensors
    assert list(tensors) == [
        *("0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"),
        *("1.num_batches_tracked", "3.weight", "3.bias"),
    ]
    np.testing.assert_array_equal(tensors["0.weight"], ramp(4, 3, 3, 3))
    np.testing.assert_array_equal(tensors["3.weight"], ramp(2, 16))
    np.testing.assert_array_equal(tensors["1.running_var"], np.ones(4, np.float32))


@pytest.mark.parametrize("name", ["training.pt", "training_legacy.pt"])
def test_the_weights_of_a_training(name: str) -> None:
    """They stand beside numbers, a name and the state of the optimizer, and behind `module.`."""
    checkpoint = read_checkpoint(FILES / name)
    assert checkpoint.key == "state_dict"
    assert "3.bias" in checkpoint.tensors
    np.testing.assert_array_equal(checkpoint.tensors["0.bias"], ramp(4))
    assert read_checkpoint(FILES / name, "state_dict").key == "state_dict"
    moments = read_checkpoint(FILES / name, "optimizer.state.0").tensors
    assert set(moments) == {"step", "exp_avg", "exp_avg_sq"}
    with pytest.raises(CheckpointError, match="no tensors under 'model', but under 'state_dict'"):
        read_checkpoint(FILES / name, "model")


@pytest.mark.parametrize("name", ["kinds.pt", "kinds_legacy.pt", "kinds.safetensors"])
def test_every_type_and_view(name: str) -> None:
    tensors = read_checkpoint(FILES / name).tensors
    for kind in KINDS:
        assert tensors[kind].dtype == kind
        np.testing.assert_array_equal(tensors[kind], [[-2, -1, 0], [1, 2, 3]])
    assert tensors["bfloat16"].dtype == np.float32
    np.testing.assert_array_equal(tensors["bfloat16"], [[-2, -1, 0], [1, 2, 3]])
    np.testing.assert_array_equal(tensors["bool"], [[1, 1, 0], [1, 1, 1]])
    np.testing.assert_array_equal(tensors["uint8"], [[0, 1, 2], [3, 4, 5]])
    base = np.arange(24).reshape(4, 6)
    np.testing.assert_array_equal(tensors["transposed"], base.T)
    np.testing.assert_array_equal(tensors["part"], base[1:3, ::2])
    assert tensors["empty"].shape == (0, 3)
    assert (tensors["scalar"].shape, float(tensors["scalar"])) == ((), 2.5)


def test_a_whole_network_is_refused_with_the_remedy() -> None:
    """torch.save(model) stores the names of its classes, which would have to be imported."""
    with pytest.raises(CheckpointError) as error:
        read_checkpoint(FILES / "whole_network.pt")
    assert error.value.received == "the global torch.nn.modules.container.Sequential"
    assert error.value.hint is not None and "state_dict()" in error.value.hint


def test_a_long_header_of_safetensors(tmp_path: Path) -> None:
    """A header whose length begins like a pickle: 0x80."""
    from safetensors.numpy import save

    for length in range(1, 257):
        data = save({"w": np.ones(2, np.float32)}, metadata={"note": "x" * length})
        if data[0] == 0x80:
            break
    assert data[0] == 0x80
    (tmp_path / "weights.safetensors").write_bytes(data)
    assert read_checkpoint(tmp_path / "weights.safetensors").tensors["w"].tolist() == [1, 1]


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="No such file"):
        read_checkpoint(tmp_path / "none.pt")
