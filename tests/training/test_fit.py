"""Training of tiny real networks: what it learns and keeps."""

import json
from pathlib import Path
from typing import Any, get_args

import keras
import numpy as np
import pytest
from fit_helpers import Records, equal, fit, network, stage, to_network, weights
from keras import ops

from mammo_core.errors import ModelError
from mammo_core.models import HeadConfig, load_model, save_model, to_whole_image
from mammo_core.training import AugmentationConfig, StageConfig, predict
from mammo_core.training.config import Optimizer
from mammo_core.training.trainer import learning_rate_at, make_optimizer


def test_training_learns_and_reports_its_history(tmp_path: Path) -> None:
    model = network()
    rows: list[dict[str, Any]] = []
    result = fit(
        model,
        [stage(epochs=4), stage(train="head", epochs=2, learning_rate=1e-4)],
        balance="batch_weights",
        on_epoch=rows.append,
        validation=(validation := Records((7, 6), seed=1, shuffle=False)),
    )
    assert rows == result.history
    assert [(row["stage"], row["epoch"]) for row in rows] == [
        (1, 1), (1, 2), (1, 3), (1, 4), (2, 5), (2, 6),
    ]  # fmt: skip
    assert rows[3]["loss"] < rows[0]["loss"]
    assert rows[0]["class_share"] == {"dark": 0.6061, "bright": 0.3939}
    assert rows[0]["learning_rate"] == pytest.approx(1e-3)
    assert rows[4]["trained"] == ["head"]
    assert json.loads(json.dumps(result.to_dict()))["best_epoch"] == result.best_epoch
    # The model has the best epoch's weights, scored on all 13 records (8 + 5).
    ids, probabilities, labels = predict(model, validation, to_network)
    best = rows[result.best_epoch - 1]
    assert len(ids) == 13
    assert (probabilities.argmax(1) == labels).mean() == pytest.approx(best["val_accuracy"])
    assert best["val_accuracy"] == result.best_value == max(r["val_accuracy"] for r in rows) > 0.9
    label_probabilities = probabilities[np.arange(13), labels]
    assert -np.log(label_probabilities).mean() == pytest.approx(best["val_loss"], rel=1e-5)
    # The saved model has no frozen layer and no optimizer, and loads in safe mode.
    assert all(layer.trainable for layer in model.layers)
    save_model(model, tmp_path / "m.keras")
    assert not load_model(tmp_path / "m.keras").compiled
    assert not model.compiled


@pytest.mark.slow
def test_the_same_training_gives_the_same_bits() -> None:
    def run() -> list[np.ndarray]:
        model = network(dropout=0.3)
        fit(model, [stage(epochs=2)], augmentation=AugmentationConfig(), balance="batch_weights")
        values: list[np.ndarray] = model.get_weights()
        return values

    first = run()
    np.random.default_rng()  # a different global state in between
    keras.utils.set_random_seed(99)
    assert equal(first, run())


@pytest.mark.parametrize(
    ("train_blocks", "expected"),
    [
        ("top", {"block4", "predictions"}),
        (("block1", "block3"), {"block1", "block3", "predictions"}),
    ],
)
def test_a_stage_trains_its_layers_only(train_blocks: Any, expected: set[str]) -> None:
    model = network()
    before = weights(model)
    # The best weights are kept, so later epochs could be undone; a single epoch never is.
    fit(model, [stage(train=train_blocks)])
    after = weights(model)
    changed = {name.split("_")[0] for name in after if not equal(before[name], after[name])}
    assert changed == expected


def test_frozen_batch_normalization_uses_its_averages() -> None:
    model = network()
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 2, w.shape) for w in layer.get_weights()])
    # Small logits, because validation clips probabilities and the loss does not.
    head = model.get_layer("predictions")
    head.set_weights([weight / 100 for weight in head.get_weights()])
    before = weights(model)
    # At a learning rate near zero the training loss is the inference loss.
    source = Records((8, 8), batch=16, shuffle=False)
    result = fit(model, [stage(train="head", learning_rate=1e-12)], train=source)
    assert all(equal(before[n], weights(model)[n]) for n in before if n != "predictions")
    _, probabilities, labels = predict(model, source, to_network)
    expected = -np.log(probabilities[np.arange(16), labels]).mean()
    assert result.history[0]["loss"] == pytest.approx(expected, rel=1e-4)
    # With batch_norm "frozen" it still does while the kernels are trained.
    fit(model, [stage(train="all", batch_norm="frozen")], train=source)
    after = weights(model)
    assert equal(before["block2_bn1"], after["block2_bn1"])
    assert not equal(before["block2_conv1"], after["block2_conv1"])


@pytest.mark.parametrize("name", get_args(Optimizer))
def test_weight_decay_applies_to_kernels_only(name: str) -> None:
    model = network()
    optimizer = make_optimizer(stage(learning_rate=0.1, weight_decay=0.5, optimizer=name), model)
    variables = model.trainable_variables
    before = [ops.convert_to_numpy(variable).copy() for variable in variables]
    optimizer.apply([np.zeros(v.shape, np.float32) for v in variables], variables)
    for variable, value in zip(variables, before, strict=True):
        factor = 1 - 0.1 * 0.5 if variable.name == "kernel" else 1
        np.testing.assert_allclose(ops.convert_to_numpy(variable), factor * value, rtol=1e-5)


def test_a_partial_batch_counts_as_its_records(monkeypatch: pytest.MonkeyPatch) -> None:
    """12 records in batches of 8 + 4, nothing is learned: plain means, and one shape.

    A second shape would trace the training step again.
    """
    shapes = []
    original = keras.Model.train_on_batch

    def record_shape(self: keras.Model, x: Any, *args: Any, **kwargs: Any) -> Any:
        shapes.append(tuple(x.shape))
        return original(self, x, *args, **kwargs)

    monkeypatch.setattr(keras.Model, "train_on_batch", record_shape)
    model = network()
    source = Records((6, 6), batch=8, shuffle=False)
    row = fit(model, [stage(train="head", learning_rate=1e-12)], train=source).history[0]
    assert shapes == [(8, 16, 16, 1)] * 2
    _, probabilities, labels = predict(model, source, to_network)
    label_probabilities = probabilities[np.arange(12), labels]
    assert row["loss"] == pytest.approx(-np.log(label_probabilities).mean(), rel=1e-4)
    assert row["accuracy"] == pytest.approx((probabilities.argmax(1) == labels).mean())
    assert row["class_share"] == {"dark": 0.5, "bright": 0.5}


def test_only_training_images_are_augmented() -> None:
    model = network()
    # Small logits, as above.
    head = model.get_layer("predictions")
    head.set_weights([weight / 100 for weight in head.get_weights()])
    train_set, validation = Records((8, 8), shuffle=False), Records((7, 6), seed=1, shuffle=False)
    plain = []
    for source in (train_set, validation):
        _, probabilities, labels = predict(model, source, to_network)
        plain.append(-np.log(probabilities[np.arange(len(labels)), labels]).mean())
    row = fit(
        model,
        [stage(train="head", learning_rate=1e-12)],
        train=train_set,
        validation=validation,
        augmentation=AugmentationConfig(),
    ).history[0]
    assert row["val_loss"] == pytest.approx(plain[1], rel=1e-5)
    assert row["loss"] != pytest.approx(plain[0], rel=1e-3)


def test_early_stopping_ends_the_stage_only() -> None:
    result = fit(
        network(),
        # A rate so high that the validation loss soon rises.
        [
            stage(epochs=30, learning_rate=3.0, optimizer="sgd", early_stopping=2, train="head"),
            stage(train="head"),
        ],
        train=(source := Records((8, 8))),
    )
    # The epoch numbers of the source and the augmentation continue over the stages.
    assert source.epochs == list(range(len(result.history)))
    stages = [row["stage"] for row in result.history]
    assert stages.count(1) < 30
    assert stages[-1] == 2


@pytest.mark.parametrize(
    ("options", "at", "rate"),
    [
        ({}, 1.7, 1.0),
        ({"cosine": True}, 0.0, 1.0),
        ({"cosine": True}, 2.0, 0.5),
        ({"cosine": True}, 4.0, 0.0),
        ({"warmup_epochs": 2}, 0.5, 0.25),
        ({"warmup_epochs": 2}, 3.0, 1.0),
        ({"warmup_epochs": 2, "cosine": True}, 3.0, 0.5),
    ],
)
def test_learning_rates(options: dict[str, Any], at: float, rate: float) -> None:
    config = StageConfig(learning_rate=1.0, epochs=4, **options)
    assert learning_rate_at(config, at) == pytest.approx(rate, abs=1e-12)


def test_the_schedule_reaches_the_optimizer() -> None:
    model = network()
    before = weights(model)["predictions"]
    # With this warm-up the rate of the first epoch is at most 1e-9; the full rate would diverge.
    slow = stage(train="head", warmup_epochs=1e9, optimizer="sgd", learning_rate=1.0)
    result = fit(model, [slow])
    assert 0 < result.history[0]["learning_rate"] < 1e-9
    assert np.abs(weights(model)["predictions"][0] - before[0]).max() < 1e-5


def test_a_loss_that_is_not_finite_stops_at_once_and_names_the_batch() -> None:
    model = network()
    # The first step makes the weights infinite; the loss of the second batch shows it.
    wild = stage(train="head", learning_rate=1e38, optimizer="sgd", weight_decay=0, epochs=3)
    source = Records((8, 8), batch=4, shuffle=False)
    with pytest.raises(ModelError, match="record-4, record-5, record-6, record-7") as caught:
        fit(model, [wild], train=source)
    assert "not finite" in str(caught.value)
    assert source.epochs == [0]
    assert all(layer.trainable for layer in model.layers)


def test_a_whole_image_network_selected_by_auc() -> None:
    whole = to_whole_image(
        network(classes=5), HeadConfig(depths=(4,), repetitions=(1,), momentum=0.9), (32, 32)
    )

    def doubled(pixels: np.ndarray) -> np.ndarray:
        return to_network(pixels.repeat(2, axis=1).repeat(2, axis=2))

    before = weights(whole)
    result = fit(
        whole,
        [stage(train="head", epochs=3, learning_rate=1e-2)],
        to_network=doubled,
        selection="auc",
        balance="batch_weights",
    )
    assert result.best_value == max(row["val_auc"] for row in result.history)
    assert result.best_value > 0.9
    assert not equal(before["head_block1_unit1_1_conv"], weights(whole)["head_block1_unit1_1_conv"])
