"""The process in which model files are opened: one file in, plain floats out.

`hdf5.py` starts it as a script, so that a damaged file that crashes the HDF5 library, hangs it or
makes it allocate too much memory can only end this process. It does not import mammo_core, follow
links, load filter plugins or unpickle anything.
"""

import json
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

# Load no filter plugin from a folder: a file may name one.
os.environ["HDF5_PLUGIN_PRELOAD"] = "::"
os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import h5py
import numpy as np

_MAX_TEXT = 16 << 20
_MAX_BYTES = 4 << 30
#: Weights hardly compress: more bytes than this many times the file's are not weights.
_MAX_RATIO = 8
_SLACK = 16 << 20
#: The parts of a `.keras` archive, and the largest size of each (bytes).
_WEIGHTS = "model.weights.h5"
_PARTS = {"config.json": 16 << 20, "metadata.json": 1 << 20, _WEIGHTS: _MAX_BYTES}
_MAX_NODES = 100_000
_MAX_DEPTH = 64
_FILTERS = {"gzip", "lzf", None}
_MAX_WEIGHT = 1e15


class FileError(Exception):
    """A file that is not accepted: what is wrong, what was expected, what was received."""


def main(arguments: list[str]) -> int:
    """Read `FILE` into `FOLDER` (mode `keras2`), or only read all of it (`scan`, `archive`)."""
    mode, path, folder = arguments
    limit = min(_MAX_BYTES, _MAX_RATIO * Path(path).stat().st_size + _SLACK)
    try:
        if mode == "archive":
            path = str(_extract(Path(path), Path(folder), limit))
        with h5py.File(path, "r") as file:
            answer = _model(file, Path(folder), limit) if mode == "keras2" else _scan(file, limit)
    except FileError as error:
        answer = {"error": list(error.args)}
    except MemoryError:
        answer = {"error": ["The file needs too much memory", "a model file", "no memory"]}
    except Exception as error:  # h5py raises OSError, KeyError, RuntimeError …
        lines = str(error).splitlines()
        text = f"{type(error).__name__}: {lines[0][:200] if lines else ''}"
        answer = {"error": ["The file is damaged", "a whole HDF5 file", text]}
    print(json.dumps(answer))
    return 0


def _extract(path: Path, folder: Path, limit: int) -> Path:
    """Check a `.keras` archive and its checksums; return its weights as a file."""
    with path.open("rb") as file:
        if file.read(4) != b"PK\x03\x04":  # an archive may begin anywhere in a file
            raise FileError("The file is not an archive", "a .keras file", "other bytes")
    with zipfile.ZipFile(path) as archive:
        parts = {part.filename: part.file_size for part in archive.infolist()}
        if set(parts) != set(_PARTS) or len(parts) != len(archive.infolist()):
            names = ", ".join(sorted(parts))[:200]
            raise FileError("The archive has other parts", ", ".join(_PARTS), f"parts {names}")
        for name, size in parts.items():
            if size > min(_PARTS[name], limit):
                most = f"at most {min(_PARTS[name], limit)} bytes"
                raise FileError(f"{name} is too large", most, f"{size} bytes of {name}")
        # Reading a part to its end verifies its checksum and its size.
        for name in _PARTS:
            with archive.open(name) as source, (folder / name).open("wb") as target:
                while block := source.read(1 << 20):
                    target.write(block)
    return folder / _WEIGHTS


def _model(file: Any, folder: Path, limit: int) -> dict[str, Any]:
    """Read a whole Keras 2 model: its facts and config as text, its weights as float32."""
    if "model_config" not in file.attrs or "model_weights" not in file:
        weights_only = "layer_names" in file.attrs
        raise FileError(
            "The file is not a whole Keras 2 model",
            "an attribute model_config and a group model_weights (model.save)",
            "weights without a model (model.save_weights)"
            if weights_only
            else f"{sorted(file)[:8]}",
        )
    weights = _child(file, "model_weights", h5py.Group)
    names = _texts(weights, "layer_names")
    groups = []
    with (folder / "weights").open("wb") as out:
        for name in names:
            if name not in weights:
                raise FileError(
                    f"The weights of layer {name} are missing", f"a group {name}", "none"
                )
            groups.append(_group(name, _child(weights, name, h5py.Group), out, limit))
    return {
        "facts": {
            name: _text(file.attrs[name], name)
            for name in ("keras_version", "backend", "model_config")
            if name in file.attrs
        },
        "training_config": "training_config" in file.attrs,
        "optimizer_weights": "optimizer_weights" in file,
        "groups": groups,
        "extra": sorted(set(weights) - set(names)),
    }


def _group(name: str, group: Any, out: Any, limit: int) -> dict[str, Any]:
    stored = {}
    datasets = dict(_datasets(group))
    for weight in _texts(group, "weight_names"):
        if weight not in datasets:
            raise FileError(
                f"Layer {name} has no values for a weight", f"a data set {weight}", "none"
            )
        values = _floats(datasets[weight], f"{name}/{weight}", limit)
        if weight in stored:
            raise FileError(f"Layer {name} names a weight twice", "each once", weight)
        stored[weight] = {"shape": list(values.shape), "offset": out.tell()}
        out.write(values.tobytes())
        if out.tell() > limit:
            raise FileError("The weights are too large", f"at most {limit} bytes", "more")
    return {"name": name, "weights": stored, "extra": sorted(set(datasets) - set(stored))}


def _scan(file: Any, limit: int) -> dict[str, Any]:
    """Read every data set, as Keras will in the process that must not crash."""
    total = count = 0
    for name, dataset in _datasets(file):
        values = _values(dataset, name, limit)
        total, count = total + values.nbytes, count + values.size
        if total > limit:
            raise FileError("The weights are too large", f"at most {limit} bytes", "more")
    return {"bytes": total, "values": count}


def _datasets(group: Any) -> list[tuple[str, Any]]:
    """Return every data set below a group with its path."""
    datasets: list[tuple[str, Any]] = []
    pending: list[tuple[str, Any, int]] = [("", group, 0)]
    for count in range(_MAX_NODES):
        if not pending:
            return datasets
        path, parent, depth = pending.pop()
        if depth > _MAX_DEPTH:
            raise FileError("Groups are nested too deep", f"at most {_MAX_DEPTH}", f"{path[:80]}")
        for name in parent:
            below = f"{path}/{name}".lstrip("/")
            child = _child(parent, name, (h5py.Group, h5py.Dataset))
            if isinstance(child, h5py.Dataset):
                datasets.append((below, child))
            else:
                pending.append((below, child, depth + 1))
        if count + len(datasets) > _MAX_NODES:
            break
    raise FileError("The file contains too many objects", f"at most {_MAX_NODES}", "more")


def _child(group: Any, name: str, kind: Any) -> Any:
    """Return a member stored in this file itself; links lead to other groups and files."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise FileError(f"{name} is a link", "data in the file itself", "a soft or external link")
    child = group[name]
    if not isinstance(child, kind):
        raise FileError(f"{name} has another type", "groups of data sets", type(child).__name__)
    return child


def _floats(dataset: Any, name: str, limit: int) -> Any:
    if dataset.dtype.kind != "f" or dataset.dtype.itemsize > 8:
        raise FileError(
            f"{name} does not contain weights", "floating-point numbers", f"{dataset.dtype}"[:80]
        )
    with np.errstate(all="ignore"):
        values = np.ascontiguousarray(_values(dataset, name, limit).astype("<f4"))
        bad = values.size and not np.abs(values).max() < _MAX_WEIGHT
    if bad:
        raise FileError(
            f"{name} is damaged", f"finite weights below {_MAX_WEIGHT:g}", "NaN, infinite or larger"
        )
    return values.reshape(dataset.shape)


def _values(dataset: Any, name: str, limit: int) -> Any:
    if dataset.external or dataset.is_virtual:
        raise FileError(f"{name} is in another file", "data in the file itself", "external data")
    if dataset.compression not in _FILTERS:
        raise FileError(
            f"{name} needs a plugin", "plain or gzip data", str(dataset.compression)[:80]
        )
    if dataset.dtype.hasobject or dataset.shape is None:
        raise FileError(
            f"{name} does not contain numbers", "an array of numbers", f"{dataset.dtype}"[:80]
        )
    if dataset.nbytes > limit or (dataset.nbytes and not dataset.id.get_storage_size()):
        raise FileError(
            f"{name} is damaged", "as many values as its shape has", f"shape {dataset.shape}"
        )
    return np.asarray(dataset[()])


def _texts(group: Any, name: str) -> list[str]:
    """Return an attribute that lists names; Keras 2.1 splits long lists and numbers the parts."""
    if name in group.attrs:
        parts = [group.attrs[name]]
    else:
        parts = []
        while f"{name}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{name}{len(parts)}"])
        if not parts:
            raise FileError(f"{group.name} lists no {name}", f"an attribute {name}", "none")
    return [_text(value, name) for part in parts for value in np.atleast_1d(np.asarray(part))]


def _text(value: Any, name: str) -> str:
    if isinstance(value, h5py.Empty):
        return ""
    value = value.item() if isinstance(value, np.generic | np.ndarray) else value
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        text = None
    if not isinstance(text, str) or len(text) > _MAX_TEXT:
        raise FileError(f"The attribute {name} is damaged", "text", f"{value!r}"[:80])
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
