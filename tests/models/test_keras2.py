"""Networks that Keras 2.0.8 saved give the same outputs after the import."""

import json
import os
import subprocess
import sys
from pathlib import Path

import h5py
import keras
import keras2_files
import keras2_networks
import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.models import heatmap, import_keras2, load_model, save_model
from mammo_core.models.graph import last_outputs

GOLDEN = (
    "tiny_gray_patch",
    "tiny_gray_whole_fc",
    "tiny_gray_whole_hm_conv",
    "tiny_gray_whole_hm_fc_shortcut",
    "tiny_gray_whole_restop",
    "tiny_gray_whole_vggtop",
)
TOLERANCE = 1e-5


@pytest.fixture(scope="module")
def golden(real_data: Path) -> Path:
    return real_data / "original_golden" / "models"


def flips(x: np.ndarray) -> list[np.ndarray]:
    return [x, x[:, :, ::-1], x[:, ::-1], x[:, ::-1, ::-1]]


def outputs(model: keras.Model, names: list[str], x: np.ndarray) -> list[np.ndarray]:
    """Return the outputs of layers; of a nested model, those of its call in this model."""
    tensors = [last_outputs(model.get_layer(name))[0] for name in names]
    values = keras.Model(model.input, tensors)(x, training=False)
    values = values if isinstance(values, list | tuple) else [values]
    return [np.asarray(value) for value in values]


@pytest.mark.parametrize("name", GOLDEN)
def test_a_model_of_the_original_predicts_as_it_did(golden: Path, name: str, tmp_path: Path):
    """y, tta, penultimate, logits and layer_stats were recorded by running the original."""
    model, report = import_keras2(golden / f"{name}.h5")
    recorded = dict(np.load(golden / f"{name}.npz"))
    x = recorded["x"]
    outputs_now = np.asarray(model(x, training=False))
    np.testing.assert_allclose(outputs_now, recorded["y"], rtol=0, atol=TOLERANCE)
    flipped = np.stack([np.asarray(model(each, training=False)) for each in flips(x)])
    np.testing.assert_allclose(flipped, recorded["tta"], rtol=0, atol=TOLERANCE)
    np.testing.assert_allclose(flipped.mean(0), recorded["tta_mean"], rtol=0, atol=TOLERANCE)

    layers = json.loads((golden / f"{name}.layers.json").read_text())
    assert {layer.name for layer in model.layers} == {"input_1", *layers}
    maps = outputs(model, layers, x)
    stats = np.array([[m.mean(), m.std(), np.abs(m).max()] for m in maps])
    np.testing.assert_allclose(stats, recorded["layer_stats"], rtol=1e-4, atol=TOLERANCE)
    last = model.get_layer(layers[-1])
    if isinstance(last, keras.layers.Dense):
        before = outputs(model, [layers[-2]], x)[0]
        np.testing.assert_allclose(before, recorded["penultimate"], rtol=0, atol=1e-4)
        kernel, bias = last.get_weights()
        np.testing.assert_allclose(before @ kernel + bias, recorded["logits"], rtol=0, atol=1e-4)

    path = tmp_path / "model.keras"
    save_model(model, path)
    again = keras.saving.load_model(path, safe_mode=True)
    assert np.array_equal(np.asarray(again(x, training=False)), outputs_now)
    for mine, theirs in zip(model.get_weights(), again.get_weights(), strict=True):
        assert np.array_equal(mine, theirs)
    assert report.keras_version == "2.0.8"
    assert report.ignored == ("optimizer",)
    assert report.parameters == model.count_params()


@pytest.mark.parametrize("name", GOLDEN[1:])
def test_the_nested_network_is_the_patch_classifiers(golden: Path, name: str):
    patch, _ = import_keras2(golden / "tiny_gray_patch.h5")
    whole, _ = import_keras2(golden / f"{name}.h5")
    compared = 0
    for layer in whole.get_layer("model_1").layers:
        theirs = patch.get_layer(layer.name).get_weights()
        for mine, their in zip(layer.get_weights(), theirs, strict=True):
            assert np.array_equal(mine, their)
            compared += 1
    assert compared == 54


def import_and_compare(model: keras.Model, path: Path, shape: tuple[int, ...]) -> keras.Model:
    keras2_files.randomize(model)
    keras2_files.write(model, path)
    imported, _ = import_keras2(path)
    rng = np.random.default_rng(1)
    x = [rng.normal(0, 1, (2, *shape)).astype(np.float32) for _ in model.inputs]
    x = x[0] if len(x) == 1 else x
    mine, theirs = (np.asarray(each(x, training=False)) for each in (imported, model))
    np.testing.assert_allclose(mine, theirs, rtol=0, atol=TOLERANCE)
    assert theirs.std() > 1e-4
    assert [layer.name for layer in imported.layers] == [layer.name for layer in model.layers]
    return imported


def test_resnet50_of_keras2(tmp_path: Path):
    imported = import_and_compare(keras2_networks.resnet50(), tmp_path / "m.h5", (230, 224, 3))
    assert imported.get_layer("bn2a_branch2a").epsilon == 1e-3
    assert imported.get_layer("activation_49").output.shape[-1] == 128


@pytest.mark.slow
@pytest.mark.parametrize("name", ["vgg19", "xception", "inception_v3"])
def test_networks_of_keras_applications(name: str, tmp_path: Path):
    import_and_compare(keras2_networks.application(name), tmp_path / "m.h5", (96, 90, 3))


@pytest.mark.parametrize("shared", [True, False])
def test_two_views(shared: bool, tmp_path: Path):
    imported = import_and_compare(keras2_networks.two_views(shared), tmp_path / "m.h5", (32, 24, 1))
    assert len(imported.inputs) == 2


def test_models_in_models(tmp_path: Path):
    import_and_compare(keras2_networks.deep(), tmp_path / "m.h5", (32, 24, 1))


def test_frozen_layers_are_reported_and_made_trainable(tmp_path: Path):
    """Keras 2.0.8 lists frozen weights last, so the order of layers alone would be wrong."""
    model = keras2_networks.deep()
    inner = model.get_layer("model_2").get_layer("model_1")
    inner.get_layer("conv2d_1").trainable = False
    inner.get_layer("batch_normalization_2").trainable = False
    imported = import_and_compare(model, tmp_path / "m.h5", (32, 24, 1))
    _, report = import_keras2(tmp_path / "m.h5")
    assert report.frozen == (
        "model_2/model_1/conv2d_1",
        "model_2/model_1/batch_normalization_2",
    )
    assert len(imported.trainable_weights) == len(keras2_networks.deep().trainable_weights)


def test_a_nested_model_frozen_as_a_whole(tmp_path: Path):
    """The flag of the model is not in the file; its group keeps the order it had."""
    model = keras2_files.randomize(keras2_networks.deep())
    path = tmp_path / "m.h5"
    keras2_files.write(model, path)
    with h5py.File(path, "a") as file:
        group = file["model_weights/model_2"]
        names = list(group.attrs["weight_names"])
        dense = [name for name in names if name.startswith("dense_1/")]
        group.attrs["weight_names"] = dense + [name for name in names if name not in dense]
    x = np.random.default_rng(0).normal(0, 1, (2, 32, 24, 1)).astype(np.float32)
    imported, _ = import_keras2(path)
    np.testing.assert_allclose(
        np.asarray(imported(x)), np.asarray(model(x)), rtol=0, atol=TOLERANCE
    )


@pytest.mark.parametrize("nested", [False, True])
def test_a_sequential(nested: bool, tmp_path: Path):
    """The config of a Sequential is a list without a name and without its input."""
    model = keras2_files.randomize(keras2_networks.tower(classes=3))
    path = tmp_path / "m.h5"
    config = keras2_files.write(model, path)
    layers = [
        {"class_name": each["class_name"], "config": each["config"]}
        for each in config["config"]["layers"][1:]
    ]
    layers[0]["config"]["batch_input_shape"] = [None, None, None, 1]
    with h5py.File(path, "a") as file:
        weights = file["model_weights"]
        names = list(weights.attrs["layer_names"])[1:]
        del weights["input_1"]
        weights.attrs["layer_names"] = names
        if nested:
            inner = {"class_name": "Sequential", "config": layers[:-1]}
            group = weights.create_group("sequential_1")
            _gather(weights, group, names[:-1])
            weights.attrs["layer_names"] = ["sequential_1", names[-1]]
            layers = [inner, layers[-1]]
        file.attrs["model_config"] = json.dumps({"class_name": "Sequential", "config": layers})
    imported, _ = import_keras2(path)
    x = np.random.default_rng(0).normal(0, 1, (2, 32, 24, 1)).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(imported(x)), np.asarray(model(x)), rtol=0, atol=TOLERANCE
    )


def _gather(weights: h5py.Group, group: h5py.Group, layers: list[str]) -> None:
    """Move the weights of layers into the group of a nested model, trainable ones first."""
    order = []
    for layer in layers:
        for name in weights[layer].attrs["weight_names"]:
            group.create_dataset(name, data=weights[layer][name][()])
            order.append(name)
        del weights[layer]
    group.attrs["weight_names"] = sorted(order, key=lambda name: "moving" in name)


def test_long_lists_of_names_are_split(tmp_path: Path):
    model = keras2_files.randomize(keras2_networks.two_views(shared=False))
    path = tmp_path / "m.h5"
    keras2_files.write(model, path)
    with h5py.File(path, "a") as file:
        group = file["model_weights/model_1"]
        names = list(group.attrs["weight_names"])
        del group.attrs["weight_names"]
        group.attrs["weight_names0"], group.attrs["weight_names1"] = names[:3], names[3:]
    imported, _ = import_keras2(path)
    assert imported.count_params() == model.count_params()


def test_an_imported_model_can_be_saved_and_loaded(tmp_path: Path, golden: Path):
    model, _ = import_keras2(golden / "tiny_gray_patch.h5")
    save_model(model, tmp_path / "m.keras")
    assert load_model(tmp_path / "m.keras").count_params() == 2741
    with pytest.raises(ModelError, match="nothing there"):
        import_keras2(tmp_path / "absent.h5")


_ON_JAX = """
import sys, numpy as np
from pathlib import Path
from mammo_core.models import heatmap, import_keras2
model, _ = import_keras2(Path(sys.argv[1]))
x = np.load(sys.argv[2])["x"]
maps = heatmap(model, x, (24, 24)) if model.name == "model_1" else np.zeros(0)
np.savez(sys.argv[3], y=np.asarray(model(x, training=False)), maps=maps)
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny_gray_patch", "tiny_gray_whole_restop"])
def test_on_jax(golden: Path, name: str, tmp_path: Path):
    file, recorded, out = golden / f"{name}.h5", golden / f"{name}.npz", tmp_path / "out.npz"
    done = subprocess.run(
        [sys.executable, "-c", _ON_JAX, file, recorded, out],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    outputs_on_jax, expected = np.load(out), np.load(recorded)
    np.testing.assert_allclose(outputs_on_jax["y"], expected["y"], rtol=0, atol=1e-4)
    if name == "tiny_gray_patch":
        model, _ = import_keras2(file)
        maps = heatmap(model, expected["x"], (24, 24))
        np.testing.assert_allclose(outputs_on_jax["maps"], maps, rtol=0, atol=1e-4)
