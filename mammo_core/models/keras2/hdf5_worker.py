"""The process that the HDF5 library runs in: one file in, plain floats out.

Started by `hdf5.py` as a script of its own, so that a damaged file which crashes the
library, hangs it or asks for too much memory costs this process only. It imports nothing of
the library, follows no link, loads no filter plugin and unpickles nothing.
"""

import json
import os
import sys
from pathlib import Path
from typing import Any

# No filter plugin is ever loaded from a folder: a file may name one.
os.environ["HDF5_PLUGIN_PRELOAD"] = "::"
os.environ["HDF5_USE_FILE_LOCKING"] = "FALSE"
os.environ["OPENBLAS_NUM_THREADS"] = "1"

import h5py
import numpy as np

_TEXT = 64 << 20
_BYTES = 4 << 30
_NODES = 100_000
_DEPTH = 64
_FILTERS = {"gzip", "lzf", None}
_LARGEST = 1e15


class RefusedError(Exception):
    """A file that is refused: what is wrong, what was expected, what was received."""


def main(arguments: list[str]) -> int:
    """Read `FILE` into `FOLDER` (mode `keras2`), or only read all of it (mode `scan`)."""
    mode, path, folder = arguments
    try:
        with h5py.File(path, "r") as file:
            answer = _model(file, Path(folder)) if mode == "keras2" else _scan(file)
    except RefusedError as refused:
        answer = {"refused": list(refused.args)}
    except MemoryError:
        answer = {"refused": ["The file asks for too much memory", "a model file", "no memory"]}
    except Exception as error:  # h5py raises what HDF5 thinks of: OSError, KeyError, RuntimeError …
        told = str(error).splitlines()
        text = f"{type(error).__name__}: {told[0][:200] if told else ''}"
        answer = {"refused": ["The file is damaged", "a whole HDF5 file", text]}
    print(json.dumps(answer))
    return 0


def _model(file: Any, folder: Path) -> dict[str, Any]:
    """Read a whole Keras 2 model: its facts and config as text, its weights as float32."""
    if "model_config" not in file.attrs or "model_weights" not in file:
        bare = "layer_names" in file.attrs
        raise RefusedError(
            "The file holds no whole Keras 2 model",
            "an attribute model_config and a group model_weights (model.save)",
            "weights without a model (model.save_weights)" if bare else f"{sorted(file)[:8]}",
        )
    weights = _child(file, "model_weights", h5py.Group)
    names = _texts(weights, "layer_names")
    groups = []
    with (folder / "weights").open("wb") as out:
        for name in names:
            if name not in weights:
                raise RefusedError(
                    f"The weights of layer {name} are missing", f"a group {name}", "none"
                )
            groups.append(_group(name, _child(weights, name, h5py.Group), out))
    return {
        "facts": {
            name: _text(file.attrs[name], name)
            for name in ("keras_version", "backend", "model_config")
            if name in file.attrs
        },
        "training_config": "training_config" in file.attrs,
        "optimizer_weights": "optimizer_weights" in file,
        "groups": groups,
        "surplus": sorted(set(weights) - set(names)),
    }


def _group(name: str, group: Any, out: Any) -> dict[str, Any]:
    stored = {}
    found = dict(_datasets(group))
    for weight in _texts(group, "weight_names"):
        if weight not in found:
            raise RefusedError(f"Layer {name} lacks a weight", f"a data set {weight}", "none")
        values = _floats(found[weight], f"{name}/{weight}")
        if weight in stored:
            raise RefusedError(f"Layer {name} names a weight twice", "each once", weight)
        stored[weight] = {"shape": list(values.shape), "offset": out.tell()}
        out.write(values.tobytes())
        if out.tell() > _BYTES:
            raise RefusedError("The weights are too many", f"at most {_BYTES} bytes", "more")
    return {"name": name, "weights": stored, "surplus": sorted(set(found) - set(stored))}


def _scan(file: Any) -> dict[str, Any]:
    """Read every data set, as Keras will in the process that must not crash."""
    total = 0
    for name, dataset in _datasets(file):
        total += _values(dataset, name).nbytes
        if total > _BYTES:
            raise RefusedError("The weights are too many", f"at most {_BYTES} bytes", "more")
    return {"bytes": total}


def _datasets(group: Any) -> list[tuple[str, Any]]:
    """Return every data set below a group, by its path; attributes are only sized."""
    found: list[tuple[str, Any]] = []
    waiting: list[tuple[str, Any, int]] = [("", group, 0)]
    for seen in range(_NODES):
        if not waiting:
            return found
        path, place, depth = waiting.pop()
        if depth > _DEPTH:
            raise RefusedError("Groups are nested too deep", f"at most {_DEPTH}", f"{path[:80]}")
        for name in place:
            below = f"{path}/{name}".lstrip("/")
            thing = _child(place, name, (h5py.Group, h5py.Dataset))
            if isinstance(thing, h5py.Dataset):
                found.append((below, thing))
            else:
                waiting.append((below, thing, depth + 1))
        if seen + len(found) > _NODES:
            break
    raise RefusedError("The file holds too many things", f"at most {_NODES}", "more")


def _child(group: Any, name: str, kind: Any) -> Any:
    """Return a member that lies in this file itself: links lead to other places and files."""
    if not isinstance(group.get(name, getlink=True), h5py.HardLink):
        raise RefusedError(
            f"{name} is a link", "data in the file itself", "a soft or external link"
        )
    thing = group[name]
    if not isinstance(thing, kind):
        raise RefusedError(
            f"{name} is of another kind", "groups of data sets", type(thing).__name__
        )
    return thing


def _floats(dataset: Any, name: str) -> Any:
    if dataset.dtype.kind != "f" or dataset.dtype.itemsize > 8:
        raise RefusedError(
            f"{name} holds no weights", "floating-point numbers", f"{dataset.dtype}"[:80]
        )
    with np.errstate(all="ignore"):
        values = np.ascontiguousarray(_values(dataset, name).astype("<f4"))
        bad = values.size and not np.abs(values).max() < _LARGEST
    if bad:
        raise RefusedError(
            f"{name} is damaged", f"finite weights below {_LARGEST:g}", "NaN, infinite or beyond"
        )
    return values.reshape(dataset.shape)


def _values(dataset: Any, name: str) -> Any:
    if dataset.external or dataset.is_virtual:
        raise RefusedError(
            f"{name} lies in another file", "data in the file itself", "external data"
        )
    if dataset.compression not in _FILTERS:
        raise RefusedError(
            f"{name} needs a plugin", "plain or gzip data", str(dataset.compression)[:80]
        )
    if dataset.dtype.hasobject or dataset.shape is None:
        raise RefusedError(
            f"{name} holds no numbers", "an array of numbers", f"{dataset.dtype}"[:80]
        )
    if dataset.nbytes > _BYTES or (dataset.nbytes and not dataset.id.get_storage_size()):
        raise RefusedError(
            f"{name} is damaged", "as many values as its shape says", f"shape {dataset.shape}"
        )
    return np.asarray(dataset[()])


def _texts(group: Any, name: str) -> list[str]:
    """Return an attribute that lists names; Keras 2.1 splits a long one, with numbers."""
    if name in group.attrs:
        parts = [group.attrs[name]]
    else:
        parts = []
        while f"{name}{len(parts)}" in group.attrs:
            parts.append(group.attrs[f"{name}{len(parts)}"])
        if not parts:
            raise RefusedError(f"{group.name} lists no {name}", f"an attribute {name}", "none")
    return [_text(value, name) for part in parts for value in np.atleast_1d(np.asarray(part))]


def _text(value: Any, name: str) -> str:
    if isinstance(value, h5py.Empty):
        return ""
    value = value.item() if isinstance(value, np.generic | np.ndarray) else value
    try:
        text = value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        text = None
    if not isinstance(text, str) or len(text) > _TEXT:
        raise RefusedError(f"The attribute {name} is damaged", "text", f"{value!r}"[:80])
    return text


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
