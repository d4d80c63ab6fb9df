"""Computing blocks twice changes what is in memory, and nothing else."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import keras
import numpy as np
import pytest

from mammo_core.models import (
    HeadConfig,
    NetworkConfig,
    TwoViewConfig,
    build_patch_network,
    to_two_views,
    to_whole_image,
)
from mammo_core.training import FitConfig, HardwareConfig, StageConfig, train
from mammo_core.training.fit import compiled, precision_of
from mammo_core.training.rematerialisation import rematerialised
from mammo_core.training.stages import open_all, open_layers

_SPEC = spec_from_file_location("small", Path(__file__).parent / "small.py")
assert _SPEC is not None and _SPEC.loader is not None
small = module_from_spec(_SPEC)
_SPEC.loader.exec_module(small)


def _whole(network: str = "compact", dropout: float = 0.0) -> keras.Model:
    patch = build_patch_network(NetworkConfig(name=network), (32, 32), 5, 1)
    head = HeadConfig(depths=(4, 4), repetitions=(2, 1), dropout=dropout)
    return to_whole_image(patch, head, (64, 64))


def _two_steps(
    model: keras.Model, stage: StageConfig, rematerialise: bool, **given: object
) -> list:
    """The model's weights and averages after two steps."""
    keras.utils.set_random_seed(1)
    before = model.get_weights()
    rng = np.random.default_rng(0)
    images = [rng.normal(0, 40, (4, 64, 64, x.shape[-1])).astype(np.float32) for x in model.inputs]
    targets = np.eye(2, dtype=np.float32)[[0, 1, 1, 0]]
    config = FitConfig(stages=(stage,), **given)
    open_layers(model, stage)
    with precision_of(model, config.precision):
        trainer = compiled(model, stage, config, HardwareConfig(rematerialise=rematerialise))
        for _ in range(2):
            trainer.train_on_batch(images if len(images) > 1 else images[0], targets)
    after = model.get_weights()
    open_all(model)
    model.set_weights(before)
    return after


def _same(model: keras.Model, stage: StageConfig, tolerance: float, **given: object) -> None:
    plain, again = (_two_steps(model, stage, on, **given) for on in (False, True))
    moved = 0
    for one, other, first in zip(plain, again, model.get_weights(), strict=True):
        assert np.abs(one - other).max() <= tolerance * max(np.abs(one).max(), 1e-2)
        moved += not np.array_equal(one, first)
    assert moved > 4


SGD = {"learning_rate": 1e-3, "epochs": 1, "optimizer": "sgd"}


def test_weights_and_moving_averages_are_those_of_the_plain_step() -> None:
    _same(_whole(), StageConfig(**SGD), 1e-4)


def test_frozen_blocks_stay_frozen() -> None:
    model, stage = _whole(), StageConfig(train="head", **SGD)
    _same(model, stage, 1e-4)
    after = _two_steps(model, stage, True)
    body = [
        np.array_equal(one, other)
        for variable, one, other in zip(model.variables, model.get_weights(), after, strict=True)
        if "head" not in variable.path and "predictions" not in variable.path
    ]
    assert len(body) > 10
    assert all(body)


def test_in_bfloat16_and_with_accumulated_gradients() -> None:
    _same(_whole(), StageConfig(**SGD), 0.02, precision="mixed_bfloat16")
    _same(_whole(), StageConfig(**SGD), 1e-4, accumulate=2)


def test_dropout_is_drawn_once() -> None:
    # Were the second pass to draw anew, the gradients would be of another network.
    model = _whole(dropout=0.5)
    _same(model, StageConfig(**SGD), 1e-4)


def test_both_views() -> None:
    for towers in ("shared", "separate"):
        model = to_two_views(_whole(), TwoViewConfig(towers=towers))
        _same(model, StageConfig(**SGD), 1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("network", ["resnet50", "vgg16", "efficientnet_b0"])
def test_large_networks_are_cut_into_their_blocks(network: str) -> None:
    model = _whole(network)
    found = [layer.name for layer in rematerialised(model).layers if "_part_" in layer.name]
    blocks = [name.split("_", 3)[-1] for name in found]
    assert len(blocks) >= 6, blocks
    _same(model, StageConfig(**SGD), 1e-3)


def test_a_training_is_the_same() -> None:
    losses = []
    for on in (False, True):
        result = train(
            small.network(dropout=0.3),
            small.config(stages=(StageConfig(**SGD),)),
            small.Records((20, 12)),
            small.Records((4, 4), seed=1),
            to_network=small.to_network,
            seed=3,
            class_names=small.NAMES,
            hardware=HardwareConfig(rematerialise=on),
        )
        losses.append([result.history[0][key] for key in ("loss", "val_loss")])
    np.testing.assert_allclose(*losses, rtol=1e-4)
