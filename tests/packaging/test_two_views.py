"""Packages whose network sees both views of a breast."""

import json
import shutil

import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.packaging import load, require_expected_outputs, verify
from mammo_core.packaging.exports import export
from mammo_core.packaging.keras_file import import_keras
from mammo_core.packaging.samples import phantom_samples
from mammo_core.preprocessing import Geometry, Preprocessing
from mammo_core.registry import promote, push, rollback
from mammo_core.registry.comparison import compare_packages

SIZE = (64, 48)
WAY = Preprocessing(geometry=Geometry(height=SIZE[0], width=SIZE[1]), mean=60.0)


def networks(seed=1, towers="separate"):
    """A classifier of single images, and the one of two views converted from it."""
    import_keras()
    from mammo_core.models import (
        HeadConfig,
        NetworkConfig,
        TwoViewConfig,
        build_patch_network,
        to_two_views,
        to_whole_image,
    )

    patches = build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=seed)
    head = HeadConfig(depths=(8,), repetitions=(1,))
    whole = to_whole_image(patches, head, SIZE, classes=2, seed=seed)
    return whole, to_two_views(whole, TwoViewConfig(towers=towers))


def breasts(count=3, seed=0):
    """The second one lacks its MLO view, the third its CC view."""
    shape = (count, 2, *SIZE)
    pixels = np.random.default_rng(seed).integers(0, 65536, shape).astype(np.uint16)
    pixels[1, 1], pixels[2, 0] = 0, 0
    return pixels


@pytest.fixture(scope="module")
def models():
    return networks()


@pytest.fixture(scope="module")
def packages(tmp_path_factory, make, models):
    """A package of single images, and one of two views."""
    root = tmp_path_factory.mktemp("two-views")
    whole, both = models
    changes = {"preprocessing": WAY, "samples": None}
    make.build(root / "single", whole, **changes)
    make.build(root / "pairs", both, **changes)
    return root / "single", root / "pairs"


def test_it_states_what_a_probability_is_for(packages):
    single, pairs = packages
    assert verify(single).manifest.unit == "image" and verify(pairs).manifest.unit == "breast"
    card = json.loads((pairs / "card.json").read_text())
    assert card["unit"] == "breast"
    inputs = card["network_data_format"]["inputs"]
    assert list(inputs) == ["cc", "mlo"]
    assert all("zeros if it was not taken" in view["type"] for view in inputs.values())
    page = (pairs / "MODEL_CARD.md").read_text()
    assert "Both views of a breast, CC and MLO" in page and "breast shows a malignant" in page
    assert require_expected_outputs(load(pairs)).samples == 6
    with np.load(pairs / "expected.npz") as stored:
        assert stored["pixels"].shape == (6, 2, *SIZE)
        assert [list(views.any(axis=(1, 2))) for views in stored["pixels"][4:]] == [
            [True, False],
            [False, True],
        ]


def test_a_missing_view_is_zeros_and_the_other_view_decides(packages):
    single, pairs = (load(folder) for folder in packages)
    pixels = breasts()
    predicted = pairs.predict(pixels)
    # A network fresh from `to_two_views` predicts for one view like its single classifier.
    np.testing.assert_allclose(predicted[1:2], single.predict(pixels[1:2, 0]), atol=1e-5)
    np.testing.assert_allclose(predicted[2:3], single.predict(pixels[2:3, 1]), atol=1e-5)
    assert len({float(value) for value in predicted}) == 3
    flipped = pairs.predict(pixels, flips=True)
    by_hand = [pairs.predict(pixels[:, :, ::rows, ::columns].copy()) for rows in (1, -1) for columns in (1, -1)]  # fmt: skip # noqa: E501
    np.testing.assert_allclose(flipped, np.mean(by_hand, axis=0), atol=1e-6)
    moved = pairs.predict(pixels, translation=4)
    assert moved.shape == (3,) and not np.array_equal(moved, predicted)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (breasts()[:, 0], r"\(n, 2, 64, 48\)"),
        (breasts()[:, :, :, :-1], "do not match"),
        (np.zeros((1, 2, *SIZE), np.uint16), "zeros in both views"),
    ],
    ids=["images", "size", "nothing"],
)
def test_invalid_breasts_are_refused(packages, pixels, message):
    with pytest.raises(ModelError, match=message):
        load(packages[1]).predict(pixels)


@pytest.mark.slow
def test_exports_take_two_inputs(packages, tmp_path):
    import onnxruntime
    import tensorflow as tf

    pairs = tmp_path / "pairs"
    shutil.copytree(packages[1], pairs)
    states = export(pairs, ("saved_model", "onnx"))
    assert states == {"saved_model": "exported", "onnx": "exported"}
    pixels = breasts(5, seed=4)
    expected = load(packages[1]).predict(pixels)
    views = {"cc": pixels[:, 0], "mlo": pixels[:, 1]}
    saved = tf.saved_model.load(str(pairs))
    inputs = {name: tf.constant(array) for name, array in views.items()}
    outputs = saved.signatures["serving_default"](**inputs)["malignant_probability"]
    np.testing.assert_allclose(outputs, expected, atol=1e-4)
    single = saved.signatures["breast"](**{name: array[1] for name, array in inputs.items()})
    assert float(single["malignant_probability"]) == pytest.approx(expected[1], abs=1e-4)
    session = onnxruntime.InferenceSession(pairs / "model.onnx")
    assert sorted(node.name for node in session.get_inputs()) == ["cc", "mlo"]
    [from_onnx] = session.run(["malignant_probability"], views)
    np.testing.assert_allclose(from_onnx, expected, atol=1e-4)
    assert np.ptp(expected) > 1e-4


def test_a_manifest_of_another_unit_is_refused(packages, tmp_path):
    from mammo_core.packaging.signatures.checksums import write_sums

    copy = tmp_path / "copy"
    shutil.copytree(packages[1], copy)
    manifest = json.loads((copy / "package.json").read_text())
    (copy / "package.json").write_text(json.dumps({**manifest, "unit": "image"}))
    (copy / "SHA256SUMS").unlink()
    write_sums(copy)
    with pytest.raises(ModelError, match="does not contain the network it describes"):
        load(copy)


def test_networks_that_cannot_be_packaged(make, models, tmp_path):
    keras = import_keras()
    height = Geometry(height=SIZE[0], width=SIZE[1], resize="height")
    way = WAY.model_copy(update={"geometry": height})
    with pytest.raises(ModelError, match="differ in width"):
        make.build(tmp_path / "a", models[1], preprocessing=way, samples=None)
    left, right = (keras.Input((*SIZE, 1), name=name) for name in ("left", "right"))
    pooled = [keras.layers.GlobalMaxPooling2D()(x) for x in (left, right)]
    outputs = keras.layers.Dense(2, "softmax")(keras.layers.Add()(pooled))
    other = keras.Model([left, right], outputs)
    with pytest.raises(ModelError, match="the inputs cc and mlo"):
        make.build(tmp_path / "b", other, preprocessing=WAY, samples=None)


def test_registry(packages, store):
    single, pairs = packages
    for folder in (single, pairs):
        push(store, folder, "m")
    assert rollback(store, "m").version == 1
    assert promote(store, "m", 2).version == 2
    comparison = compare_packages(f"{store.uri}/models/m", f"{store.uri}/models/m/1")
    assert [model["unit"] for model in comparison.models] == ["breast", "image"]
    assert comparison.paired is None and "no test predictions" in comparison.obstacle
    assert any(line.split() == ["unit", "breast", "image"] for line in comparison.lines())


def test_an_ensemble_of_two_view_networks_is_one_network(models):
    from mammo_core.models.ensemble import average

    whole, both = models
    other = networks(seed=2, towers="shared")[1]
    mean = average([both, other], [3, 1])
    assert [tensor.name for tensor in mean.inputs] == ["cc", "mlo"]
    cc, mlo = (np.random.default_rng(0).normal(0, 50, (2, 3, *SIZE, 1))).astype(np.float32)
    mlo[1] = 0
    predicted = mean.predict_on_batch([cc, mlo])
    parts = [model.predict_on_batch([cc, mlo]) for model in (both, other)]
    np.testing.assert_allclose(predicted, 0.75 * parts[0] + 0.25 * parts[1], atol=1e-6)
    with pytest.raises(ModelError, match="cannot be averaged"):
        average([both, whole], [1, 1])


def test_samples_are_deterministic():
    samples = phantom_samples(WAY, unit="breast")
    assert samples.dtype == np.uint16 and samples.shape == (6, 2, *SIZE)
    assert np.array_equal(samples, phantom_samples(WAY, unit="breast"))
