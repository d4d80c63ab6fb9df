"""SavedModel and ONNX return the probabilities of the package."""

import json
import shutil

import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.packaging import build, load, verify
from mammo_core.packaging.exports import export
from mammo_core.packaging.keras_file import import_keras
from mammo_core.packaging.samples import phantom_samples
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing
from mammo_core.registry import open_package, push
from mammo_core.store import open_store


def graded(size=(24, 16)):
    """An untrained network whose probabilities are neither 0 nor 1."""
    keras = import_keras()
    keras.utils.set_random_seed(3)
    image = keras.Input((*size, 3))
    x = keras.layers.Conv2D(8, 3, strides=2, activation="relu")(image)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.GlobalMaxPooling2D()(x)
    x = keras.layers.LayerNormalization()(x)
    return keras.Model(image, keras.layers.Dense(2, activation="softmax")(x))


@pytest.fixture(scope="module")
def exported(tmp_path_factory, make):
    folder = tmp_path_factory.mktemp("exported") / "package"
    exports = ("saved_model", "onnx")
    make.build(folder, graded(), samples=None, exports=exports)
    return folder


def test_saved_model_and_onnx_return_the_packages_probability(exported, make):
    import onnxruntime
    import tensorflow as tf

    pixels = make.samples(5, seed=4)
    expected = load(exported).predict(pixels)
    saved = tf.saved_model.load(str(exported))
    outputs = saved.signatures["serving_default"](pixels=tf.constant(pixels))
    np.testing.assert_allclose(outputs["malignant_probability"], expected, atol=1e-4)
    for image, probability in zip(pixels, expected, strict=True):
        single = saved.signatures["image"](pixels=tf.constant(image))["malignant_probability"]
        assert float(single) == pytest.approx(probability, abs=1e-4)
    session = onnxruntime.InferenceSession(exported / "model.onnx")
    [from_onnx] = session.run(["malignant_probability"], {"pixels": pixels})
    np.testing.assert_allclose(from_onnx, expected, atol=1e-4)
    assert np.ptp(expected) > 1e-3


def test_the_card_lists_the_exports(exported):
    assert verify(exported).manifest.exports == {"saved_model": "exported", "onnx": "exported"}
    assert "onnx: exported" in (exported / "MODEL_CARD.md").read_text()
    assert (exported / "saved_model.pb").is_file() and not (exported / "assets").exists()


def test_processes_that_hash_texts_differently_write_equal_exports(
    exported, tmp_path, new_processes, monkeypatch
):
    written = []
    for seed in ("1", "2"):
        monkeypatch.setenv("PYTHONHASHSEED", seed)
        copy = tmp_path / seed
        shutil.copytree(exported, copy)
        for path in (copy / "saved_model.pb", copy / "model.onnx"):
            path.unlink()
        export(copy, ("saved_model", "onnx"))
        written.append({p.relative_to(copy): p.read_bytes() for p in copy.rglob("*.*")})
    assert written[0] == written[1]


@pytest.mark.parametrize("name", ["variables/variables.index", "saved_model.pb", "model.onnx"])
def test_a_changed_export_is_refused_and_named(exported, tmp_path, name):
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    data = bytearray((copy / name).read_bytes())
    data[len(data) // 2] ^= 1
    (copy / name).write_bytes(data)
    with pytest.raises(Exception, match=f"{name} was changed"):
        push(open_store(f"file://{tmp_path}/store"), copy, "m")


def test_one_changed_byte_anywhere_is_refused_and_named(exported, tmp_path):
    copy = tmp_path / "copy"
    shutil.copytree(exported, copy)
    names = [path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()]
    assert {"SHA256SUMS", "variables/variables.data-00000-of-00001"} <= set(names)
    for name in names:
        whole = (copy / name).read_bytes()
        for position in (0, len(whole) // 2, len(whole) - 1):
            for bit in (1, 32, 128):
                data = bytearray(whole)
                data[position] ^= bit
                (copy / name).write_bytes(data)
                with pytest.raises(ModelError) as error:
                    verify(copy)
                assert name in str(error.value)
        (copy / name).write_bytes(whole)
    verify(copy)


def test_a_version_in_the_registry_is_laid_out_for_tensorflow_serving(exported, store):
    push(store, exported, "m")
    keys = set(store.list("models/m/1/"))
    assert {"models/m/1/saved_model.pb", "models/m/1/variables/variables.index"} <= keys
    assert open_package(f"{store.uri}/models/m").manifest == verify(exported).manifest


@pytest.mark.parametrize(
    "options",
    [
        {"equalize": True},
        {"equalize": True, "intensity": "image_max", "target_scale": 200.0},
        {"intensity": "image_max"},
        {"rescale_factor": 0.002, "bit_depth": 8},
    ],
    ids=["equalized", "equalized-image-max", "image-max", "eight-bit"],
)
def test_every_intensity_regime_in_tensorflow(options, make):
    import_keras()
    from mammo_core.packaging.tensorflow_export import _network_input

    preprocessing = Preprocessing(geometry=Geometry(height=24, width=16), mean=50.0, **options)
    pixels = np.concatenate([make.samples(3), np.zeros((1, 24, 16), np.uint16)])
    pixels[1] //= 7
    pixels[2] = 1234  # one gray level
    inputs = np.asarray(_network_input(pixels, preprocessing))
    np.testing.assert_allclose(inputs, preprocessing.to_network(pixels), atol=1e-3)


def test_an_export_that_fails_is_left_out_with_a_reason(tmp_path, make):
    preprocessing = Preprocessing(
        geometry=Geometry(height=24, width=16), mean=50.0, channels=3, equalize=True
    )
    manifest = build(
        tmp_path / "package",
        name="equalized",
        image_model=make.network(1),
        preprocessing=preprocessing,
        label_map={"neg": 0, "pos": 1},
        exports=("saved_model", "onnx"),
    )
    assert manifest.exports["saved_model"] == "exported"
    state = manifest.exports["onnx"]
    assert state.startswith(("not supported by the exporter", "exported"))
    assert ((tmp_path / "package/model.onnx").exists()) == (state == "exported")
    assert state in (tmp_path / "package/MODEL_CARD.md").read_text()
    assert json.loads((tmp_path / "package/card.json").read_text())["exports"]["onnx"] == state


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(geometry=Geometry(height=64, width=48), mean=1.0),
        Preprocessing(
            geometry=Geometry(height=64, width=48, resize="height"),
            mean=1.0,
            conversion=Conversion(crop_to_breast=True, orientation="chest_left"),
        ),
    ],
    ids=["forced", "cropped"],
)
def test_phantom_samples_match_and_are_deterministic(preprocessing):
    samples = phantom_samples(preprocessing)
    assert samples.dtype == np.uint16 and samples.shape[1] == 64 and len(samples) >= 1
    assert np.array_equal(samples, phantom_samples(preprocessing))
    assert (samples.reshape(len(samples), -1).std(axis=1) > 0).all()
