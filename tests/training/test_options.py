"""The options of stages and steps each have an effect."""

from typing import Any

import keras
import numpy as np
import pytest
import small_training
from pydantic import ValidationError

from mammo_core.errors import ModelError
from mammo_core.training import AugmentationConfig, FitConfig, StageConfig, predict, train
from mammo_core.training.augmentation import augment
from mammo_core.training.balance import BalancedSource, sample_weights
from mammo_core.training.memory import batch_size
from mammo_core.training.stages import set_all_trainable, set_trainable
from mammo_core.training.trainer import learning_rate_at


def fit(model: keras.Model, records: Any = None, **options: Any) -> Any:
    plain: dict[str, Any] = {"augmentation": None, "balance": None}
    return train(
        model,
        FitConfig(**{**plain, **options}),
        records or small_training.Records((12, 12)),
        small_training.Records((7, 6), seed=1),
        to_network=small_training.to_network,
        seed=0,
        class_names=small_training.NAMES,
    )


def still(**options: Any) -> StageConfig:
    """Return a stage that changes no weight."""
    return StageConfig(**{"learning_rate": 1e-12, "epochs": 1, "weight_decay": 0, **options})


def norms(model: keras.Model) -> list[Any]:
    return [layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization)]


def test_frozen_normalization_can_use_batch_statistics_like_the_original() -> None:
    model = small_training.network()
    before = [layer.get_weights() for layer in norms(model)]
    fit(model, stages=[still(train="head", batch_norm="batch_statistics")])
    for layer, (gamma, beta, mean, variance) in zip(norms(model), before, strict=True):
        now = layer.get_weights()
        assert np.array_equal(now[0], gamma) and np.array_equal(now[1], beta)
        assert not np.array_equal(now[2], mean) and not np.array_equal(now[3], variance)
    # No layer stays frozen.
    assert all(weight.trainable for layer in norms(model) for weight in layer.weights[:2])
    assert {w.name for w in model.trainable_variables} >= {"gamma", "beta", "kernel"}


def test_a_stage_sets_the_dropout_only_while_it_runs() -> None:
    model = small_training.network(dropout=0.3)
    set_trainable(model, still(dropout=0.7))
    assert model.get_layer("dropout").rate == 0.7
    set_all_trainable(model)
    fresh = small_training.network(dropout=0.3)
    fit(fresh, stages=[still(dropout=0.7)])
    assert fresh.get_layer("dropout").rate == 0.3
    with pytest.raises(ModelError, match="no dropout layer"):
        fit(small_training.network(dropout=0.0), stages=[still(dropout=0.5)])


def test_dropout_changes_the_loss() -> None:
    source = small_training.Records((12, 12))

    def loss(rate: float) -> float:
        model = small_training.network(dropout=0.3)
        stages = [still(train="head", dropout=rate)]
        return float(fit(model, source, stages=stages).history[0]["loss"])

    assert loss(0.0) != pytest.approx(loss(0.8), rel=1e-3)


def test_a_plateau_drops_the_learning_rate() -> None:
    # The head diverges: no epoch after the first has a lower loss.
    stage = StageConfig(
        train="head", learning_rate=5.0, epochs=5, optimizer="sgd", plateau=2, plateau_factor=0.1
    )
    history = fit(small_training.network(), stages=[stage]).history
    lowest, stalled, drops, expected = np.inf, 0, 0, []
    for row in history:
        expected.append(5.0 * 0.1**drops)
        stalled = 0 if row["val_loss"] < lowest else stalled + 1
        lowest = min(lowest, row["val_loss"])
        if stalled >= 2:
            drops, stalled = drops + 1, 0
    assert [row["learning_rate"] for row in history] == pytest.approx(expected)
    assert learning_rate_at(stage, 1.0, drops=2) == pytest.approx(0.05)
    with pytest.raises(ValidationError, match="cosine or plateau"):
        StageConfig(learning_rate=1, epochs=1, cosine=True, plateau=2)


def test_accumulated_batches_train_like_one_large_batch() -> None:
    def weights(batch: int, accumulate: int) -> list[np.ndarray]:
        model = small_training.network(dropout=0.0)
        records = small_training.Records((12, 12), batch=batch)
        # Only the head: batch statistics would depend on the batch.
        stage = StageConfig(
            train="head", learning_rate=1e-6, epochs=1, optimizer="sgd", weight_decay=9
        )
        fit(model, records, stages=[stage], accumulate=accumulate)
        values: list[np.ndarray] = model.get_weights()
        return values

    for large, accumulated in zip(weights(8, 1), weights(4, 2), strict=True):
        np.testing.assert_allclose(large, accumulated, rtol=1e-4, atol=1e-6)


def test_mixed_precision_trains_and_leaves_a_float32_network() -> None:
    model = small_training.network(dropout=0.0)
    result = fit(
        model, stages=[StageConfig(learning_rate=1e-3, epochs=3)], precision="mixed_bfloat16"
    )
    assert {layer.compute_dtype for layer in model.layers} == {"float32"}
    assert result.history[-1]["loss"] < result.history[0]["loss"]
    _, probabilities, labels = predict(
        model, small_training.Records((7, 6), seed=1), small_training.to_network
    )
    assert probabilities.dtype == np.float32
    best = result.history[result.best_epoch - 1]
    assert (probabilities.argmax(1) == labels).mean() == pytest.approx(best["val_accuracy"])


def test_focal_loss_weights_the_cross_entropy_by_difficulty() -> None:
    source = small_training.Records((12, 12), batch=24)
    model = small_training.network(dropout=0.0)
    head = model.get_layer("predictions")
    head.set_weights([weight / 100 for weight in head.get_weights()])
    frozen = [still(train="head")]
    loss = fit(model, source, stages=frozen, focal=2.0).history[0]["loss"]
    _, probabilities, labels = predict(model, source, small_training.to_network)
    p = probabilities[np.arange(24), labels]
    expected = (-((1 - p) ** 2) * np.log(p)).mean()
    assert loss == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("weighted_mean", [True, False])
def test_the_loss_is_normalized_by_weights_or_like_the_original_by_records(
    weighted_mean: bool,
) -> None:
    source = small_training.Records((18, 6), batch=24)
    model = small_training.network(dropout=0.0)
    head = model.get_layer("predictions")
    head.set_weights([weight / 100 for weight in head.get_weights()])
    options = {"balance": "batch_weights", "weighted_mean": weighted_mean}
    loss = fit(model, source, stages=[still(train="head")], **options).history[0]["loss"]
    _, probabilities, labels = predict(model, source, small_training.to_network)
    each = -np.log(probabilities[np.arange(24), labels])
    weights = np.where(labels == 1, 24 / 6, 24 / 18)
    assert weights.mean() == pytest.approx(2)  # the original's mean: the classes present
    total = weights.sum() if weighted_mean else 24
    assert loss == pytest.approx((each * weights).sum() / total, rel=1e-3)


def test_class_weights_from_the_recipe() -> None:
    labels = np.array([0, 2, 1], np.int32)
    weights = sample_weights("class_weights", labels, (5, 5, 5), [1.0, 2.0, 3.0])
    assert weights.tolist() == [1, 3, 2]
    with pytest.raises(ModelError, match="no class gray to weight"):
        fit(
            small_training.network(),
            stages=[still()],
            balance="class_weights",
            class_weights={"gray": 2.0},
        )
    with pytest.raises(ValidationError, match="Expected balance class_weights"):
        FitConfig(stages=[still()], class_weights={"dark": 2.0})


def test_balanced_sampling_makes_classes_equally_frequent() -> None:
    source = BalancedSource(small_training.Records((90, 10), batch=8), seed=1)
    counts = np.zeros(2)
    for epoch in range(5):
        ids: list[str] = []
        for batch in source.batches(epoch):
            assert batch.pixels.shape[1:] == (16, 16)
            assert 1 <= len(batch.ids) <= 8
            counts += np.bincount(batch.labels, minlength=2)
            ids += batch.ids
        assert len(set(ids)) == len(ids)  # copies have their own ids
        again = [id for batch in source.batches(epoch) for id in batch.ids]
        assert again == ids
    assert counts.sum() == pytest.approx(5 * 100, rel=0.15)
    assert counts[1] / counts.sum() == pytest.approx(0.5, abs=0.05)
    assert fit(small_training.network(), stages=[still()], balance="balanced_sampling").history


@pytest.mark.parametrize("fill", ["nearest", "constant", "reflect", "wrap"])
def test_pixels_outside_the_image_are_filled(fill: Any) -> None:
    from mammo_core.training.augmentation import AugmentationParameters

    images = np.random.default_rng(0).uniform(-40, 200, (2, 12, 10, 1)).astype(np.float32)
    zeros, no = np.zeros(2), np.zeros(2, bool)
    shrunk = AugmentationParameters(
        zeros, zeros, np.full(2, 2.0), np.full(2, 2.0), zeros[:, None], no, no
    )
    out = np.array(augment(images, shrunk, AugmentationConfig(fill=fill)))
    corner = out[:, 0, 0, 0]
    expected = {"nearest": images[:, 0, 0, 0], "constant": images.min(axis=(1, 2, 3))}
    if fill in expected:
        np.testing.assert_allclose(corner, expected[fill], atol=1e-3)
    assert out.min() >= images.min() - 1e-3 and out.max() <= images.max() + 1e-3


def test_a_reversed_zoom_range_is_rejected() -> None:
    with pytest.raises(ValidationError, match="range of positive factors"):
        AugmentationConfig(zoom=(1.2, 0.8))


@pytest.mark.slow
def test_finding_the_largest_batch_does_not_change_the_network() -> None:
    from mammo_core.models import HeadConfig, to_whole_image
    from mammo_core.training.memory.batch_size import _by_doubling, find_batch_size

    head = HeadConfig(depths=(4,), repetitions=(1,))
    model = to_whole_image(small_training.network(dropout=0.0), head, (32, 32))
    before = model.get_weights()
    config = FitConfig(stages=[StageConfig(learning_rate=1.0, epochs=1)])
    assert find_batch_size(model, config, (32, 32), largest=8) == 8
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))

    def full(count: int) -> None:
        if count > 12:
            raise RuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 bytes")

    def broken(count: int) -> None:
        raise RuntimeError("another fault")

    assert _by_doubling(full, 64) == 8
    assert _by_doubling(full, 4) == 4
    assert _by_doubling(full, 64, least=3) == 12
    assert _by_doubling(full, 2, least=3) == 3
    with pytest.raises(RuntimeError, match="another fault"):
        _by_doubling(broken, 64)


@pytest.mark.parametrize(
    ("largest", "least", "expected"),
    [(512, 1, 64), (100, 1, 64), (50, 1, 32), (512, 3, 192), (100, 3, 96), (2, 3, 3)],
)
def test_the_batch_size_from_memory_is_a_power_of_two_per_device(
    largest: int, least: int, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[int] = []
    # A step takes 1 GiB, and one more for each `least` images; 79 GiB are free.
    monkeypatch.setattr(batch_size, "_peak_bytes", lambda: (1 + steps[-1] // least) * 2**30)
    monkeypatch.setattr(batch_size, "_free_bytes", lambda: 79 * 2**30)
    assert batch_size._by_memory(steps.append, largest, least) == expected
    assert steps == [least, 2 * least]
