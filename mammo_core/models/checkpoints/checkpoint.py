"""The weights in a checkpoint, whatever wrote it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from mammo_core.models.checkpoints import torch_file
from mammo_core.models.checkpoints.tensors import CheckpointError, Tensor, refused
from mammo_core.models.checkpoints.walk import containers_within

#: Bytes of the tensors of a checkpoint: ConvNeXt-Base has 350 MB, its optimizer 700 MB more.
MAXIMUM_BYTES: Final = 2**32
#: What training loops of PyTorch call the weights of the network.
_STATES: Final = ("", "state_dict", "model_state_dict", "model", "net", "network", "module")
_MODULE: Final = "module."  # of DataParallel


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a network.

    Attributes:
        format: `safetensors`, `torch` (a zip archive) or `torch, legacy`.
        key: Where in the file they are (`state_dict`); empty: at the top.
        tensors: Arrays by name, of the types in the file (bfloat16 as float32); names without
            `module.` if all begin with it.
    """

    format: str
    key: str
    tensors: Mapping[str, npt.NDArray[Any]]


def read_checkpoint(path: Path, key: str | None = None) -> Checkpoint:
    """Read the weights in a file of PyTorch or safetensors. Nothing in the file is run.

    Args:
        path: A file of `torch.save` or a safetensors file.
        key: Where in the file of `torch.save` the weights are (`state_dict`, `model.ema`). None:
            the only dictionary of tensors at the top or under a usual name.

    Returns:
        The weights.

    Raises:
        CheckpointError: The file is damaged, too large, holds what is no plain data, or has no
            weights under this key.
    """
    try:
        with path.open("rb") as file:
            start = file.read(16)
        form, location, tensors = _read(path, start, key)
    except OSError as error:
        raise CheckpointError(
            f"Cannot read {path.name}",
            expected="a file of torch.save or safetensors",
            received=error.strerror or type(error).__name__,
        ) from error
    except CheckpointError as error:
        raise CheckpointError(
            f"{path.name} cannot be read as weights",
            expected=error.expected,
            received=error.received,
            hint=error.hint,
        ) from error
    if tensors and all(name.startswith(_MODULE) for name in tensors):
        tensors = {name.removeprefix(_MODULE): value for name, value in tensors.items()}
    return Checkpoint(form, location, MappingProxyType(tensors))


def _read(
    path: Path, start: bytes, key: str | None
) -> tuple[str, str, dict[str, npt.NDArray[Any]]]:
    if start.startswith(b"PK\x03\x04"):
        form, (content, read) = "torch", torch_file.open_zip(path)
    elif start[8:9] == b"{":  # after the length of the header, whose first byte may be any
        if key:
            raise refused(f"a safetensors file, which has no key {key!r}")
        return "safetensors", "", _read_safetensors(path)
    elif start.startswith(b"\x80"):
        form, (content, read) = "torch, legacy", torch_file.open_legacy(path)
    else:
        raise refused("neither a file of torch.save nor safetensors")
    location, states = _state(content, key)
    storages = {tensor.storage.key: tensor.storage.size for tensor in states.values()}
    if sum(storages.values()) > MAXIMUM_BYTES:
        raise refused(f"{sum(storages.values()):,} bytes of weights, more than {MAXIMUM_BYTES:,}")
    arrays: dict[str, npt.NDArray[Any]] = {}
    shared: dict[Tensor, str] = {}  # one array for a tensor that has several names
    for name, tensor in states.items():
        first = shared.setdefault(tensor, name)
        arrays[name] = tensor.array(read) if first == name else arrays[first]
    return form, location, arrays


def _state(content: Any, key: str | None) -> tuple[str, dict[str, Tensor]]:
    """Return the dictionary of tensors under a key, and its key."""
    states = {
        path: {name: value for name, value in item.items() if isinstance(value, Tensor)}
        for path, item in containers_within(content)
        if isinstance(item, dict)
    }
    states = {
        path: state
        for path, state in states.items()
        if state and all(isinstance(name, str) for name in state)
    }
    if key is not None:
        if key not in states:
            raise refused(f"no tensors under {key!r}, but under {_list(states)}")
        return key, states[key]
    usual = [path for path in states if path in _STATES]
    if len(usual) != 1:
        raise refused(
            f"dictionaries of tensors under {_list(states)}",
            "Name the one with the weights (--key)" if states else None,
        )
    return usual[0], states[usual[0]]


def _list(states: Mapping[str, Any]) -> str:
    names = [repr(path[:80]) for path in list(states)[:8]]
    return ", ".join(names) or "no key"


def _read_safetensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    import ml_dtypes  # noqa: F401 (gives NumPy the type bfloat16)
    from safetensors import SafetensorError, safe_open

    arrays: dict[str, npt.NDArray[Any]] = {}
    if path.stat().st_size > MAXIMUM_BYTES:
        raise refused(f"{path.stat().st_size:,} bytes, more than {MAXIMUM_BYTES:,}")
    try:
        with safe_open(path, framework="numpy") as file:
            for name in sorted(file.keys()):
                value = file.get_tensor(name)
                arrays[name] = value.astype(np.float32) if value.dtype.name == "bfloat16" else value
    except (SafetensorError, TypeError, ValueError, KeyError, AttributeError) as error:
        raise refused(f"a damaged safetensors file: {str(error)[:80]}") from error
    return arrays
