"""HDF5 files read in a process of their own: a damaged file costs that process only."""

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mammo_core.errors import ModelError
from mammo_core.processes import run_process

_WORKER = Path(__file__).with_name("hdf5_worker.py")
# What reading a small file may take; larger files get more.
_ADDRESS_SPACE = 3 << 30
_SECONDS = 30


@dataclass(frozen=True)
class StoredLayer:
    """The weights of one layer of the outermost model, as in the file.

    Attributes:
        name: Name of the layer's group.
        weights: float32 arrays by weight name (`conv2d_1/kernel:0`), in the order of the file.
        extra: Data sets in the group that it does not list.
    """

    name: str
    weights: Mapping[str, npt.NDArray[np.float32]]
    extra: tuple[str, ...]


@dataclass(frozen=True)
class StoredModel:
    """A whole Keras 2 model as in its file, before any validation.

    Attributes:
        keras_version: Version that wrote it.
        backend: Backend that wrote it.
        config: Its architecture, JSON.
        layers: Weights by layer, in the order of the file.
        extra: Groups of weights that the file does not list.
        compiled: Whether it contains a training configuration or the state of an optimizer.
    """

    keras_version: str
    backend: str
    config: str
    layers: tuple[StoredLayer, ...]
    extra: tuple[str, ...]
    compiled: bool


def read_model(path: Path) -> StoredModel:
    """Read a whole model that Keras 2 saved (`model.save`).

    Args:
        path: The `.h5` file.

    Raises:
        ModelError: There is no such file, it is damaged, or it is not a whole Keras 2 model.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-hdf5-") as folder:
        answer = _run_worker("keras2", path, Path(folder))
        values = np.fromfile(Path(folder) / "weights", dtype="<f4")
    facts = answer["facts"]
    return StoredModel(
        keras_version=facts.get("keras_version", ""),
        backend=facts.get("backend", ""),
        config=facts["model_config"],
        layers=tuple(
            StoredLayer(
                group["name"],
                {name: _values(values, **slot) for name, slot in group["weights"].items()},
                tuple(group["extra"]),
            )
            for group in answer["groups"]
        ),
        extra=tuple(answer["extra"]),
        compiled=answer["training_config"] or answer["optimizer_weights"],
    )


def scan(path: Path) -> None:
    """Read all of an HDF5 file in a separate process, before it is read in this one.

    Raises:
        ModelError: It is damaged, or contains links, external or implausibly large data.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-hdf5-") as folder:
        _run_worker("scan", path, Path(folder))


def read_archive(path: Path) -> tuple[bytes, int]:
    """Check a `.keras` archive in a separate process, before it is read in this one.

    Args:
        path: The file.

    Returns:
        Its `config.json`, and the number of weights stored.

    Raises:
        ModelError: It is damaged, has other parts, or one that is implausibly large.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-hdf5-") as folder:
        answer = _run_worker("archive", path, Path(folder))
        return (Path(folder) / "config.json").read_bytes(), answer["values"]


def _values(values: npt.NDArray[np.float32], shape: list[int], offset: int) -> Any:
    start = offset // 4
    return values[start : start + int(np.prod(shape, dtype=np.int64))].reshape(shape)


def _run_worker(mode: str, path: Path, folder: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(
            f"No model file {path.name}", expected="an HDF5 file", received="nothing there"
        )
    size = path.stat().st_size
    seconds = _SECONDS + (size >> 24)
    result = run_process(
        # -I: PYTHONPATH and the working directory do not affect what the worker imports.
        [sys.executable, "-I", str(_WORKER), mode, str(path.absolute()), str(folder)],
        inherit=False,
        address_space=_ADDRESS_SPACE + 4 * size,
        cpu_s=seconds,
        timeout_s=20 * seconds,
    )
    try:
        answer: dict[str, Any] = json.loads(result.stdout)
    except ValueError as error:
        raise ModelError(
            f"Cannot read the model {path.name}",
            expected="a whole HDF5 file",
            received=f"a file that ended the process reading it ({result.failure})",
        ) from error
    if "error" in answer:
        problem, expected, received = answer["error"]
        raise ModelError(
            f"Cannot read the model {path.name}: {problem}", expected=expected, received=received
        )
    return answer
