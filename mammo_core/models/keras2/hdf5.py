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
    """The weights of one layer of the outermost model, as the file has them.

    Attributes:
        name: Of the layer's group.
        weights: Values by weight name (`conv2d_1/kernel:0`), in the file's order: float32.
        surplus: Data sets that the group holds and does not list.
    """

    name: str
    weights: Mapping[str, npt.NDArray[np.float32]]
    surplus: tuple[str, ...]


@dataclass(frozen=True)
class StoredModel:
    """A whole Keras 2 model as its file has it; nothing of it is checked yet.

    Attributes:
        keras_version: That wrote it.
        backend: That it ran on.
        config: Text of its architecture, JSON.
        layers: Weights by layer, in the file's order.
        surplus: Groups of weights that the file does not list.
        compiled: Whether it holds a training configuration or the state of an optimizer.
    """

    keras_version: str
    backend: str
    config: str
    layers: tuple[StoredLayer, ...]
    surplus: tuple[str, ...]
    compiled: bool


def read_model(path: Path) -> StoredModel:
    """Read a whole model that Keras 2 saved (`model.save`).

    Args:
        path: Of the `.h5` file.

    Raises:
        ModelError: There is no such file, it is damaged or no whole Keras 2 model.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-hdf5-") as folder:
        answer = _ask("keras2", path, Path(folder))
        values = np.fromfile(Path(folder) / "weights", dtype="<f4")
    facts = answer["facts"]
    return StoredModel(
        keras_version=facts.get("keras_version", ""),
        backend=facts.get("backend", ""),
        config=facts["model_config"],
        layers=tuple(
            StoredLayer(
                group["name"],
                {name: _values(values, **place) for name, place in group["weights"].items()},
                tuple(group["surplus"]),
            )
            for group in answer["groups"]
        ),
        surplus=tuple(answer["surplus"]),
        compiled=answer["training_config"] or answer["optimizer_weights"],
    )


def scan(path: Path) -> None:
    """Read all of an HDF5 file elsewhere, before a library reads it here.

    Raises:
        ModelError: It is damaged, or holds links, external or absurdly large data.
    """
    with tempfile.TemporaryDirectory(prefix="mammo-hdf5-") as folder:
        _ask("scan", path, Path(folder))


def _values(values: npt.NDArray[np.float32], shape: list[int], offset: int) -> Any:
    start = offset // 4
    return values[start : start + int(np.prod(shape, dtype=np.int64))].reshape(shape)


def _ask(mode: str, path: Path, folder: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ModelError(
            f"No model file {path.name}", expected="an HDF5 file", received="nothing there"
        )
    size = path.stat().st_size
    seconds = _SECONDS + (size >> 24)
    result = run_process(
        # -I: neither PYTHONPATH nor the working folder decides what the worker imports.
        [sys.executable, "-I", str(_WORKER), mode, str(path.absolute()), str(folder)],
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
            received=f"one that ended the process reading it ({result.failure})",
        ) from error
    if "refused" in answer:
        problem, expected, received = answer["refused"]
        raise ModelError(
            f"Cannot read the model {path.name}: {problem}", expected=expected, received=received
        )
    return answer
