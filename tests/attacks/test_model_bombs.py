"""Model files of a few bytes that stand for gigabytes: each is refused at low cost."""

import io
import json
import zipfile

import h5py
import pytest

from mammo_core.errors import ModelError
from tests.support.memory import peak_mb


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """The parts of a small `.keras` archive."""
    from mammo_core.packaging.keras_file import import_keras

    keras = import_keras()
    path = tmp_path_factory.mktemp("whole") / "m.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)]).save(path)
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def written(path, parts, method=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", method) as file:
        for name, content in parts.items():
            with file.open(name, "w", force_zip64=True) as part:
                for piece in [content] if isinstance(content, bytes) else content:
                    part.write(piece)
    return path


def with_layer(parts, **config):
    """The parts with another configuration of the dense layer."""
    document = json.loads(parts["config.json"])
    document["config"]["layers"][1]["config"].update(config)
    return {**parts, "config.json": json.dumps(document).encode()}


def with_layers(parts, count):
    document = json.loads(parts["config.json"])
    dense = document["config"]["layers"][1]
    document["config"]["layers"][1:] = [
        {**dense, "config": {**dense["config"], "name": f"d{n}"}} for n in range(count)
    ]
    return {**parts, "config.json": json.dumps(document).encode()}


def gzip_weights():
    """HDF5 of 4 MB that inflates to 4 GB."""
    buffer = io.BytesIO()
    with h5py.File(buffer, "w") as file:
        file.create_dataset("vars/0", (1 << 30,), "f4", chunks=(1 << 24,), compression="gzip")
        file["vars/0"][: 1 << 25] = 0
    return buffer.getvalue()


ARCHIVES = {
    "600 MB of configuration": lambda parts: {
        **parts, "config.json": (b" " * 2**20 for _ in range(600))
    },
    "600 MB of metadata": lambda parts: {
        **parts, "metadata.json": (b" " * 2**20 for _ in range(600))
    },
    "6 GB of weights in 6 MB": lambda parts: {
        **parts, "model.weights.h5": (bytes(2**20) for _ in range(600))
    },
    "weights that inflate": lambda parts: {**parts, "model.weights.h5": gzip_weights()},
    "a layer of a billion units": lambda parts: with_layer(parts, units=10**9),
    "a layer of 10^18 units": lambda parts: with_layer(parts, units=10**18),
    "100,000 layers": lambda parts: with_layers(parts, 100_000),
    "nested lists": lambda parts: {**parts, "config.json": b"[" * 10**6},
    "a million values": lambda parts: {**parts, "config.json": b"[" + b"1," * 10**6 + b"1]"},
    "100,000 parts": lambda parts: {**parts, **{f"part-{n}": b"" for n in range(100_000)}},
}  # fmt: skip


@pytest.mark.parametrize("kind", ARCHIVES)
def test_a_keras_archive_that_is_a_bomb_is_refused(archive, tmp_path, kind):
    from mammo_core.models import load_model

    path = written(tmp_path / "m.keras", ARCHIVES[kind](archive))

    def load():
        with pytest.raises(ModelError, match=r"Cannot read the model m\.keras"):
            load_model(path)

    assert peak_mb(load) < 400


def test_the_archive_itself_is_read(archive, tmp_path):
    from mammo_core.models import load_model

    assert load_model(written(tmp_path / "m.keras", archive)).count_params() == 15


def test_weights_files_are_scanned_before_they_are_loaded(tmp_path):
    import keras

    from mammo_core.models.weights import _load_file

    class Network:
        name, application = "tiny", None

    path = tmp_path / "weights.h5"
    path.write_bytes(gzip_weights())
    body = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3)])
    with pytest.raises(ModelError, match=r"Cannot read the model weights\.h5"):
        _load_file(body, body, Network(), path, ((), ()))
