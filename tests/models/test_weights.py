"""Weights of patch networks from ImageNet, files and stores; never silently random."""

import hashlib
import json
import urllib.request
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
import pytest
from keras.src.legacy.saving import legacy_h5_format
from keras.src.utils import file_utils
from network_names import TESTED

from mammo_core.errors import ModelError
from mammo_core.models import (
    NETWORKS,
    Application,
    NetworkConfig,
    blocks,
    build_patch_network,
    save_model,
)
from mammo_core.models.applications import copy_application, copy_weights, load_application
from mammo_core.models.weight_files import weights_digest

CLASSES = ("background", "a", "b", "c", "d")
LABEL_MAP = {"patch": {name: index for index, name in enumerate(CLASSES)}}


def images(network: str, side: int, count: int = 2) -> np.ndarray:
    shape = (count, side, side, NETWORKS[network].channels)
    return np.random.default_rng(0).normal(0, 60, shape).astype(np.float32)


def build(name: str, weights: Any, classes: int = 5, **options: Any) -> keras.Model:
    config = NetworkConfig(name=name, weights=str(weights), **options)  # type: ignore[arg-type]
    return build_patch_network(config, (256, 256), classes, seed=2)


def _application(name: str) -> Application:
    application = NETWORKS[name].application
    assert application is not None
    return application


def published_file(source: keras.Model, path: Path) -> None:
    """Write weights as Keras 2 did, the format in which ImageNet weights are published."""
    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, source)


def test_missing_weights_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no ImageNet weights for compact"):
        build("compact", "imagenet")
    with pytest.raises(ModelError, match="No weights file"):
        build("compact", tmp_path / "none.keras")
    bad = tmp_path / "bad.h5"
    bad.write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"Cannot read the model bad\.h5: The file is damaged"):
        build("compact", bad)
    bad = tmp_path / "bad.keras"
    bad.write_bytes(b"no weights")
    with pytest.raises(ModelError, match=r"Cannot read the model bad\.keras"):
        build("compact", bad)
    bad = tmp_path / "bad.pkl"
    bad.write_bytes(b"no weights")
    with pytest.raises(ModelError, match="Cannot read weights from"):
        build("compact", bad)


@pytest.mark.parametrize("topology", ["today", "keras2"])
def test_unreachable_imagenet_weights_are_an_error(
    topology: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    # urllib keeps the proxies of its first use; use these, and restore the others afterwards.
    monkeypatch.setattr(urllib.request, "_opener", None)
    cached = file_utils.get_file
    monkeypatch.setattr(
        file_utils, "get_file", lambda *args, **more: cached(*args, cache_dir=tmp_path, **more)
    )
    with pytest.raises(ModelError, match="Cannot fetch the ImageNet weights of vgg16") as caught:
        build("vgg16", "imagenet", topology=topology)
    assert "store URI" in str(caught.value)


def test_imagenet_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the download is replaced; the file is in the format that Keras publishes."""
    source = load_application(_application("vgg16"), 3)
    path = tmp_path / "vgg16_weights_tf_dim_ordering_tf_kernels_notop.h5"
    published_file(source, path)
    requests = []

    def get_file(name: str, *args: Any, **options: Any) -> str:
        requests.append((name, options["file_hash"]))
        return str(path)

    monkeypatch.setattr(file_utils, "get_file", get_file)
    model = build("vgg16", "imagenet")
    assert requests == [(path.name, "6d6bbae143d832006294945121d1f1fc")]
    for layer in source.layers[1:]:
        pairs = zip(layer.get_weights(), model.get_layer(layer.name).get_weights(), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.slow
def test_imagenet_weights_of_the_keras2_resnet50(monkeypatch: pytest.MonkeyPatch) -> None:
    """Today's file fits the old names: the convolutions are the same, only padding differs."""
    from mammo_core.models import weights

    source = load_application(_application("resnet50"), 3)
    monkeypatch.setattr(weights, "load_application", lambda *arguments: source)
    model = build("resnet50", "imagenet", topology="keras2")
    for ours, theirs in (
        ("conv1", "conv1_conv"),
        ("res2a_branch1", "conv2_block1_0_conv"),
        ("bn4f_branch2b", "conv4_block6_2_bn"),
        ("res5c_branch2c", "conv5_block3_3_conv"),
    ):
        pairs = zip(
            model.get_layer(ours).get_weights(),
            source.get_layer(theirs).get_weights(),
            strict=True,
        )
        assert all(np.array_equal(a, b) for a, b in pairs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        name
        for name in TESTED
        # Keras has no file for a form of another topology.
        if NETWORKS[name].imagenet is not None
        and NETWORKS[name].application is not None
        and name != "vgg19"
    ],
)
def test_a_published_file_gives_keras_network(name: str, tmp_path: Path) -> None:
    """Our copy with the weights of a file computes the same as Keras's network."""
    network = NETWORKS[name]
    source = load_application(_application(name), network.channels)
    rng = np.random.default_rng(3)
    for layer in source.layers:
        # Different values, so that exchanged layers are detected; variances stay positive.
        layer.set_weights(
            [w + rng.uniform(0, 0.05, w.shape) * (w.ndim < 2) for w in layer.get_weights()]
        )
    path = tmp_path / "notop.h5"
    published_file(source, path)
    side = max(network.minimum, 64)
    x = images(name, side, 1)
    scaled = x / network.divisor
    for layer in reversed(
        [
            layer
            for layer in source.layers[:3]
            if hasattr(layer, "adapt") or isinstance(layer, keras.layers.Rescaling)
        ]
    ):
        # EfficientNetB0 scales in the model: undo it.
        if isinstance(layer, keras.layers.Rescaling):
            scaled = scaled / layer.scale
        else:
            mean, variance = (np.asarray(w) for w in layer.get_weights()[:2])
            scaled = scaled * np.maximum(np.sqrt(variance), 1e-7) + mean
    expected = np.asarray(source(scaled.astype(np.float32), training=False))
    for layer in source.layers:
        layer.set_weights([np.zeros_like(w) for w in layer.get_weights()])
    source.load_weights(path)
    ours = copy_application(network, source, seed=4)
    copy_weights(source, ours)
    outputs = np.asarray(ours(x, training=False))
    np.testing.assert_allclose(outputs, expected, rtol=1e-3, atol=1e-3 * np.abs(expected).max())
    assert np.ptp(expected) > 0


def test_weights_from_a_model_file(tmp_path: Path) -> None:
    trained = build_patch_network(NetworkConfig(name="compact"), (56, 56), 5, seed=1)
    save_model(trained, tmp_path / "trained.keras")
    config = NetworkConfig(
        name="compact", weights=str(tmp_path / "trained.keras"), weights_classes=CLASSES
    )
    x = images("compact", 56)
    said: list[str] = []
    again = build_patch_network(config, (56, 56), CLASSES, 2, said.append)
    assert np.array_equal(again.predict_on_batch(x), trained.predict_on_batch(x))
    assert "with its head, classes background, a, b, c, d" in said[0]
    # With other classes the head is new; the other layers are loaded.
    other = build_patch_network(config, (56, 56), 3, seed=2)
    for layer in blocks(other)["block4"]:
        pairs = zip(
            other.get_layer(layer).get_weights(),
            trained.get_layer(layer).get_weights(),
            strict=True,
        )
        assert all(np.array_equal(a, b) for a, b in pairs)
    yaroslav = NetworkConfig(name="yaroslav", weights=str(tmp_path / "trained.keras"))
    with pytest.raises(ModelError, match=r"Layer block1_conv1 of trained\.keras does not fit"):
        build_patch_network(yaroslav, (64, 64), 5, 0)


def test_weights_from_an_h5_file_without_head(tmp_path: Path) -> None:
    source = keras.applications.VGG16(include_top=False, weights=None)
    source.save_weights(tmp_path / "body.weights.h5")
    published_file(source, tmp_path / "body.h5")
    for name in ("body.weights.h5", "body.h5"):
        model = build("vgg16", tmp_path / name)
        for layer in ("block1_conv1", "block5_conv3"):
            a, b = (m.get_layer(layer).get_weights()[0] for m in (source, model))
            assert np.array_equal(a, b)
    with pytest.raises(ModelError, match=r"body\.h5 do not fit vgg19"):
        build("vgg19", tmp_path / "body.h5")


def test_weights_from_a_store(tmp_path: Path, store: Any) -> None:
    trained = build_patch_network(NetworkConfig(name="compact"), (56, 56), 5, seed=1)
    save_model(trained, tmp_path / "trained.keras")
    store.put_file("weights/trained.keras", tmp_path / "trained.keras")
    uri = f"{store.uri}/weights/trained.keras"
    store.write("weights/label_map.json", json.dumps(LABEL_MAP).encode())
    config = NetworkConfig(name="compact", weights=uri)
    model = build_patch_network(config, (56, 56), CLASSES, 2)
    x = images("compact", 56)
    assert np.array_equal(model.predict_on_batch(x), trained.predict_on_batch(x))
    digest = hashlib.sha256((tmp_path / "trained.keras").read_bytes()).hexdigest()
    assert weights_digest(uri) == weights_digest(str(tmp_path / "trained.keras")) == digest
    with pytest.raises(ModelError, match=r"none\.keras"):
        build("compact", f"{store.uri}/weights/none.keras")
    for missing in (f"{store.uri}/weights/none.keras", str(tmp_path / "none.keras")):
        with pytest.raises(ModelError, match=r"Cannot read the weights .*none\.keras"):
            weights_digest(missing)
    assert weights_digest("none") == weights_digest("imagenet") == ""


@pytest.mark.parametrize(
    ("file", "content"),
    [
        ("label_map.json", LABEL_MAP),
        ("trained.json", {"label_map": LABEL_MAP["patch"]}),
        ("manifest.json", {"facts": {"classes": CLASSES}}),
        ("../manifest.json", {"facts": {"classes": CLASSES}}),
    ],
)
def test_a_head_is_taken_over_only_where_its_stored_classes_agree(
    tmp_path: Path, file: str, content: dict[str, Any]
) -> None:
    trained = build_patch_network(NetworkConfig(name="compact"), (56, 56), 5, seed=1)
    folder = tmp_path / "1-abcd"
    folder.mkdir()
    save_model(trained, folder / "trained.keras")
    config = NetworkConfig(name="compact", weights=str(folder / "trained.keras"))

    def head(classes: Any) -> tuple[bool, str]:
        said: list[str] = []
        model = build_patch_network(config, (56, 56), classes, 2, said.append)
        ours, theirs = (m.get_layer("predictions").get_weights()[0] for m in (model, trained))
        return bool(np.array_equal(ours, theirs)), said[0]

    taken, text = head(CLASSES)
    assert not taken and "a new head: no class names are stored with it" in text
    (folder / file).write_text(json.dumps(content))
    assert head(CLASSES)[0]
    # The same number of classes in another order, or of other names: a new head.
    for other in (CLASSES[::-1], ("background", *"wxyz")):
        taken, text = head(other)
        assert not taken and "a new head: its classes are background, a, b, c, d, not" in text
