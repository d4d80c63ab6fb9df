"""Damaged and hostile model files are rejected with a clear error; no crash, no code run."""

import io
import json
import random
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import keras2_files
import keras2_networks
import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.models import import_keras2, load_model, save_model


@pytest.fixture(scope="module")
def h5(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "m.h5"
    keras2_files.write(keras2_files.randomize(keras2_networks.deep()), path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "m.keras"
    save_model(keras2_networks.tower(classes=2), path)
    return path.read_bytes()


def config(change: Callable[[dict[str, Any]], Any]) -> Callable[[h5py.File], None]:
    """Change the architecture of a file."""

    def edit(file: h5py.File) -> None:
        content = json.loads(file.attrs["model_config"])
        change(content["config"])
        file.attrs["model_config"] = json.dumps(content).encode()

    return edit


def layer(name: str, **settings: Any) -> Callable[[h5py.File], None]:
    def change(model: dict[str, Any]) -> None:
        entry = next(each for each in model["layers"] if each["name"] == name)
        entry["config"].update(settings)

    return config(change)


def set_class(name: str, class_name: str) -> Callable[[h5py.File], None]:
    def change(model: dict[str, Any]) -> None:
        next(each for each in model["layers"] if each["name"] == name)["class_name"] = class_name

    return config(change)


def data(change: Callable[[np.ndarray], np.ndarray | None]) -> Callable[[h5py.File], None]:
    """Replace the kernel of the last layer, or delete it."""

    def edit(file: h5py.File) -> None:
        group = file["model_weights/dense_1"]
        values = change(group["dense_1/kernel:0"][()])
        del group["dense_1/kernel:0"]
        if values is not None:
            group["dense_1/kernel:0"] = values

    return edit


def link(file: h5py.File) -> None:
    del file["model_weights/dense_1/dense_1/kernel:0"]
    file["model_weights/dense_1/dense_1/kernel:0"] = h5py.ExternalLink("/etc/passwd", "/")


def external_data(file: h5py.File) -> None:
    del file["model_weights/dense_1/dense_1/kernel:0"]
    group = file["model_weights/dense_1/dense_1"]
    group.create_dataset("kernel:0", (3168, 2), "f4", external=[("/etc/passwd", 0, 25344)])


def rename(file: h5py.File) -> None:
    group = file["model_weights/model_2"]
    names = list(group.attrs["weight_names"])
    names[0] = str(names[0]).replace("conv2d_1", "other")
    group.attrs["weight_names"] = names
    file.move("model_weights/model_2/conv2d_1/kernel:0", "model_weights/model_2/other/kernel:0")


LAMBDA = {
    "name": "dense_1",
    "function": ["4wEAAAAAAAAA", None, None],
    "function_type": "lambda",
    "arguments": {},
}
EDITS: list[tuple[Callable[[h5py.File], Any], str]] = [
    (set_class("dense_1", "Lambda"), "has an unsupported class.*Lambda"),
    (set_class("dense_1", "LSTM"), "LSTM"),
    (layer("dense_1", activation="<lambda>"), "activation.*<lambda>"),
    (layer("dense_1", activation={"class_name": "x"}), "activation"),
    (layer("dense_1", activation="hard_sigmoid"), "hard_sigmoid"),
    (layer("dense_1", units=3), "dense_1/kernel has another shape"),
    (layer("dense_1", units=2**60), "units"),
    (layer("dense_1", units=True), "units"),
    (layer("dense_1", kernel_regularizer={"class_name": "os.system", "config": {}}), "L1L2"),
    (layer("dense_1", kernel_initializer={"class_name": "Custom", "config": {}}), "Zeros"),
    (layer("dense_1", use_bias=False), "dense_1.*extra dense_1/bias:0"),
    (layer("dense_1", surprise=1), "surprise"),
    (layer("separable_conv2d_1", data_format="channels_first"), "channels_last"),
    (layer("separable_conv2d_1", depth_multiplier=2), "depthwise_kernel has another shape"),
    (layer("zero_padding2d_1", padding=[[10**6, 0], [0, 10**6]]), "dense_1/kernel has another"),
    (layer("input_3", batch_input_shape=[None, 10**6, 10**6, 1]), "model_2 cannot be built"),
    (layer("reshape_1", target_shape=[7, 4]), "reshape_1 cannot be built"),
    (config(lambda m: m["layers"].pop(2)), "extra group zero_padding2d_1"),
    (config(lambda m: m["layers"].append(m["layers"][2])), "occurs twice"),
    (config(lambda m: m["layers"][3].update(inbound_nodes=[[["absent", 0, 0, {}]]])), "no input"),
    (config(lambda m: m["layers"][3].update(inbound_nodes=[[["flatten_1", 0, 0, {}]]])), "cycle"),
    (
        config(lambda m: m["layers"][3].update(inbound_nodes=[[["model_2", 1, 0, {"f": 1}]]])),
        "without arguments",
    ),
    (
        config(lambda m: m.update(output_layers=[["flatten_1", 0, 0]])),
        "are not connected to an output.*dense_1",
    ),
    (config(lambda m: m.update(input_layers=[])), "inputs and outputs"),
    (lambda f: f.attrs.update(model_config=b"[" * 100_000), "damaged"),
    (lambda f: f.attrs.update(model_config=b"{}"), "damaged"),
    (lambda f: f.attrs.update(keras_version=b"1.2.2"), "not saved by Keras 2"),
    (lambda f: f.attrs.update(backend=b"theano"), "theano"),
    (lambda f: f.pop("model_weights"), "not a whole Keras 2 model"),
    (lambda f: f["model_weights"].pop("dense_1"), "layer dense_1 are missing"),
    (lambda f: f["model_weights"].create_group("extra"), "extra group extra"),
    (lambda f: f["model_weights/dense_1"].attrs.pop("weight_names"), "weight_names"),
    (
        lambda f: f["model_weights/dense_1"].create_dataset("dense_1/third:0", data=np.ones(3)),
        "extra dense_1/third:0",
    ),
    (data(lambda v: None), "has no values for a weight.*dense_1/kernel:0"),
    (data(lambda v: v[:-1]), "dense_1/kernel has another shape"),
    (data(lambda v: v.T), "dense_1/kernel has another shape"),
    (data(lambda v: v * np.nan), "dense_1/kernel:0 is damaged"),
    (data(lambda v: v.astype("S4")), "does not contain weights"),
    (link, "is a link"),
    (external_data, "is in another file"),
    (rename, "has another layer's name.*conv2d_1/kernel:0"),
]


@pytest.mark.parametrize("number", range(len(EDITS)))
def test_an_edited_h5_file_is_rejected(h5: bytes, number: int, tmp_path: Path):
    change, message = EDITS[number]
    path = tmp_path / "m.h5"
    path.write_bytes(h5)
    with h5py.File(path, "a") as file:
        change(file)
    with pytest.raises(ModelError, match=message):
        import_keras2(path)


@pytest.mark.parametrize("seed", range(20))
def test_a_damaged_h5_file_is_rejected_or_complete(h5: bytes, seed: int, tmp_path: Path):
    """Truncate it, or change random bytes in its first two kilobytes or anywhere.

    HDF5 has no checksums: a changed byte within a weight cannot be detected.
    """
    rng = random.Random(seed)
    content = bytearray(h5)
    if seed < 8:
        content = content[: rng.randrange(len(content))]
    else:
        area = range(2048) if seed < 14 else range(len(content))
        for index in rng.sample(area, 60):
            content[index] = rng.randrange(256)
    path = tmp_path / "m.h5"
    path.write_bytes(content)
    try:
        model, report = import_keras2(path)
    except ModelError as error:
        assert error.received
        assert "Cannot read" in error.problem or "m.h5" in str(error) or "Layer" in error.problem
        return
    assert seed >= 8
    assert model.count_params() == report.parameters


def repack(content: bytes, **parts: bytes | None) -> bytes:
    """Rewrite an archive with changed parts and correct checksums."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            key = name.split(".")[0]
            value = parts.get(key, old.read(name))
            if value is not None:
                new.writestr(name, value)
        for name in parts.keys() - {n.split(".")[0] for n in old.namelist()}:
            new.writestr(name, parts[name] or b"")
    return out.getvalue()


@pytest.mark.parametrize("seed", range(30))
def test_a_damaged_keras_file_is_rejected(archive: bytes, seed: int, tmp_path: Path):
    rng = random.Random(seed)
    content = bytearray(archive)
    if seed < 10:
        content = content[: rng.randrange(len(content))]
    elif seed < 20:
        for index in rng.sample(range(len(content)), 20):
            content[index] ^= rng.randrange(1, 256)
    else:
        with zipfile.ZipFile(io.BytesIO(archive)) as whole:
            weights = bytearray(whole.read("model.weights.h5"))
        if seed < 25:
            weights = weights[: rng.randrange(len(weights))]
        else:
            for index in rng.sample(range(4096), 200):
                weights[index] = rng.randrange(256)
        content = bytearray(repack(archive, model=bytes(weights)))
    path = tmp_path / "m.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"Cannot read the model m\.keras"):
        load_model(path)


def code(archive: bytes, **change: Any) -> bytes:
    with zipfile.ZipFile(io.BytesIO(archive)) as whole:
        content = json.loads(whole.read("config.json"))
    content["config"]["layers"][1].update(change)
    return repack(archive, config=json.dumps(content).encode())


@pytest.mark.parametrize("kind", range(10))
def test_a_hostile_keras_file_is_rejected(archive: bytes, kind: int, tmp_path: Path):
    ran = tmp_path / "ran"
    command = {"command": f"touch {ran}"}
    content = [
        lambda: code(archive, class_name="Lambda", config={"function": "x"}),
        lambda: code(archive, module="os", class_name="system", config=command),
        lambda: code(archive, module="subprocess", class_name="Popen", config=command),
        lambda: code(archive, module="keras.layers", class_name="Absent"),
        lambda: code(archive, config={"kernel_initializer": {"module": "os", "class_name": "p"}}),
        lambda: repack(archive, config=b"not JSON"),
        lambda: repack(archive, config=b"[" * 100_000),
        lambda: repack(archive, model=None),
        lambda: repack(archive, extra=b"something"),
        lambda: b"\x89HDF\r\n\x1a\n" + archive,
    ][kind]()
    path = tmp_path / "m.keras"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=r"Cannot read the model m\.keras"):
        load_model(path)
    assert not ran.exists()
