"""Two-view networks: initial weights from a single-view classifier, and missing views."""

from pathlib import Path

import keras
import numpy as np
import pytest
from scipy.special import softmax

from mammo_core.errors import ModelError
from mammo_core.models import (
    HeadConfig,
    HeatmapConfig,
    NetworkConfig,
    TwoViewConfig,
    blocks,
    breast_batch,
    build_patch_network,
    describe,
    leaf_layers,
    load_model,
    network_of,
    save_model,
    to_two_views,
    to_whole_image,
    two_view_config,
)

HEADS = {
    "residual": HeadConfig(depths=(8,), repetitions=(1,), dropout=0.1),
    "shortcut": HeadConfig(
        kind="fc", units=8, shortcut=True, heatmap=HeatmapConfig(average_pool=(2, 2))
    ),
}
CONFIGS = [
    TwoViewConfig(towers=towers, join=join)  # type: ignore[arg-type]
    for towers in ("shared", "separate")
    for join in ("concatenate", "mean", "max")
]


MAPS = {
    "residual": HEADS["residual"],
    "mbconv": HeadConfig(kind="mbconv", depths=(8,), repetitions=(2,)),
    "vgg": HeadConfig(kind="vgg", depths=(32,), repetitions=(1,)),
    "fc": HeadConfig(kind="fc", units=32),
    "heatmap": HEADS["shortcut"],
}


@pytest.fixture(scope="module")
def patch_model() -> keras.Model:
    return build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=1)


@pytest.fixture(scope="module")
def whole(patch_model: keras.Model) -> keras.Model:
    return to_whole_image(patch_model, HEADS["residual"], (96, 96), classes=3)


def views(count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    cc, mlo = (rng.normal(0, 2, (count, 96, 96, 1)).astype(np.float32) for _ in range(2))
    return cc, mlo


def logits(whole: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.log(whole.predict_on_batch(x))


@pytest.mark.parametrize("config", CONFIGS, ids=lambda config: f"{config.towers}-{config.join}")
def test_it_starts_from_the_single_view_classifier(
    whole: keras.Model, config: TwoViewConfig
) -> None:
    model = to_two_views(whole, config)
    cc, mlo = views()
    both = model.predict_on_batch([cc, mlo])
    assert both.shape == (3, 3)
    assert both.dtype == np.float32
    if config.join != "max":
        mean = softmax((logits(whole, cc) + logits(whole, mlo)) / 2, axis=1)
        np.testing.assert_allclose(both, mean, rtol=0, atol=1e-5)
    # The same view twice gives the output for that view.
    np.testing.assert_allclose(
        model.predict_on_batch([cc, cc]), whole.predict_on_batch(cc), rtol=0, atol=1e-5
    )
    # A batch in which the second breast has no MLO view and the third no CC view.
    cc[2], mlo[1] = 0, 0
    outputs = model.predict_on_batch([cc, mlo])
    np.testing.assert_allclose(outputs[0], both[0], rtol=0, atol=1e-6)
    np.testing.assert_allclose(outputs[1], whole.predict_on_batch(cc)[1], rtol=0, atol=1e-5)
    np.testing.assert_allclose(outputs[2], whole.predict_on_batch(mlo)[2], rtol=0, atol=1e-5)


@pytest.mark.parametrize("head", MAPS)
@pytest.mark.parametrize("towers", ["shared", "separate"])
def test_maps_are_joined_before_the_head(
    patch_model: keras.Model, head: str, towers: str, tmp_path: Path
) -> None:
    """The same map twice is its mean, so the network starts as the single-view classifier."""
    whole = to_whole_image(patch_model, MAPS[head], (96, 96), classes=3)
    config = TwoViewConfig(towers=towers, join_maps=True)  # type: ignore[arg-type]
    model = to_two_views(whole, config)
    assert two_view_config(model) == config
    cc, mlo = views()
    alone = whole.predict_on_batch(cc)
    np.testing.assert_allclose(model.predict_on_batch([cc, cc]), alone, rtol=0, atol=1e-5)
    missing = model.predict_on_batch([cc, np.zeros_like(mlo)])
    np.testing.assert_allclose(missing, alone, rtol=0, atol=1e-5)
    both = model.predict_on_batch([cc, mlo])
    assert np.abs(both - alone).max() > 1e-6
    save_model(model, tmp_path / "model.keras")
    assert np.array_equal(load_model(tmp_path / "model.keras").predict_on_batch([cc, mlo]), both)
    members = blocks(model)
    assert {layer.name for layer in leaf_layers(model) if layer.weights} <= {
        name for names in members.values() for name in names
    }


def test_joined_maps_are_in_the_order_of_the_views(patch_model: keras.Model) -> None:
    """After a training of the first layer of the head, exchanged views have another output."""
    whole = to_whole_image(patch_model, MAPS["mbconv"], (96, 96))
    model = to_two_views(whole, TwoViewConfig(join_maps=True))
    layer = model.get_layer("head_block1_unit1_expand_conv")
    kernel = layer.get_weights()[0]
    channels = kernel.shape[2] // 2
    kernel[:, :, channels:] = 0  # MLO counts for nothing
    layer.set_weights([kernel])
    cc, mlo = views()
    both = model.predict_on_batch([cc, mlo])
    np.testing.assert_allclose(model.predict_on_batch([cc, cc]), both, rtol=0, atol=1e-6)
    assert np.abs(model.predict_on_batch([mlo, cc]) - both).max() > 1e-5


def test_the_configuration_without_joined_maps_is_as_before() -> None:
    """The ids of trainings contain it."""
    assert TwoViewConfig().model_dump() == {"towers": "shared", "join": "concatenate"}
    assert TwoViewConfig(join_maps=True).model_dump()["join_maps"] is True


def test_a_head_with_a_shortcut(patch_model: keras.Model) -> None:
    whole = to_whole_image(patch_model, HEADS["shortcut"], (96, 96))
    model = to_two_views(whole, TwoViewConfig())
    cc, mlo = views()
    mean = softmax((logits(whole, cc) + logits(whole, mlo)) / 2, axis=1)
    np.testing.assert_allclose(model.predict_on_batch([cc, mlo]), mean, rtol=0, atol=1e-5)


@pytest.mark.parametrize("towers", ["shared", "separate"])
def test_towers(whole: keras.Model, towers: str) -> None:
    model = to_two_views(whole, TwoViewConfig(towers=towers))  # type: ignore[arg-type]
    assert network_of(model).name == "compact"
    last = 16 * 3 + 3
    tower = whole.count_params() - last
    times = 1 if towers == "shared" else 2
    assert model.count_params() == times * tower + 2 * 16 * 3 + 3
    # Both views are processed, by one tower or two.
    single, double = (describe(m)["multiply_adds"] for m in (whole, model))
    assert double == 2 * (single - 16 * 3) + 2 * 16 * 3
    members = blocks(model)
    assert list(members) == list(blocks(whole))
    assert {layer.name for layer in leaf_layers(model) if layer.weights} <= {
        name for names in members.values() for name in names
    }
    before = whole.get_layer("block1_conv1").get_weights()[0].copy()
    model.set_weights([weight + 1 for weight in model.get_weights()])
    assert np.array_equal(whole.get_layer("block1_conv1").get_weights()[0], before)


def test_gradients_pass_both_towers_and_a_missing_view(whole: keras.Model) -> None:
    model = to_two_views(whole, TwoViewConfig(towers="separate"))
    model.compile("sgd", "categorical_crossentropy")
    cc, mlo = views(2)
    mlo[1] = 0
    before = [weight.copy() for weight in model.get_weights()]
    loss = model.train_on_batch({"cc": cc, "mlo": mlo}, np.eye(3, dtype=np.float32)[:2])
    assert np.isfinite(loss)
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    changed = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
    kernels = [change for change, weight in zip(changed, after, strict=True) if weight.ndim == 4]
    assert all(kernels)


@pytest.mark.slow
def test_files_load_in_safe_mode(whole: keras.Model, tmp_path: Path) -> None:
    cc, mlo = views()
    configs = []
    for number, towers in enumerate(("shared", "separate", "separate")):
        model = to_two_views(whole, TwoViewConfig(towers=towers))  # type: ignore[arg-type]
        path = tmp_path / f"{number}.keras"
        save_model(model, path)
        loaded = load_model(path)
        assert np.array_equal(loaded.predict_on_batch([cc, mlo]), model.predict_on_batch([cc, mlo]))
        configs.append([operation.name for operation in loaded.operations])
    # Names do not depend on models built before.
    assert configs[1] == configs[2]
    assert not {"any", "where", "not_equal"} & {name.split("_")[0] for name in configs[2]}


def test_breast_batch() -> None:
    cc, mlo = views(1)
    batch = breast_batch([(cc[0], mlo[0]), (None, mlo[0]), (cc[0], None)])
    assert batch["cc"].shape == batch["mlo"].shape == (3, 96, 96, 1)
    assert not batch["cc"][1].any()
    assert np.array_equal(batch["mlo"][1], mlo[0])
    with pytest.raises(ModelError, match=r"Breast 1 cannot be scored.*no view"):
        breast_batch([(cc[0], mlo[0]), (None, None)])
    with pytest.raises(ModelError, match="a view of zeros"):
        breast_batch([(cc[0], np.zeros_like(mlo[0]))])


def test_only_whole_image_classifiers_are_accepted(patch_model: keras.Model) -> None:
    with pytest.raises(ModelError, match="cannot become a two-view network"):
        to_two_views(patch_model, TwoViewConfig())
