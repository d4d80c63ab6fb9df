"""Rematerialization changes the memory of a training step and nothing else."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import small_training

from mammo_core.models import (
    HeadConfig,
    NetworkConfig,
    TwoViewConfig,
    build_patch_network,
    to_two_views,
    to_whole_image,
)
from mammo_core.models.precision import compute_in
from mammo_core.training import FitConfig, HardwareConfig, StageConfig, train
from mammo_core.training.memory.rematerialization import (
    _RematerializedBlock,
    with_rematerialization,
)
from mammo_core.training.stages import set_all_trainable, set_trainable
from mammo_core.training.trainer import compile_trainer


def _whole(network: str = "compact", dropout: float = 0.0) -> keras.Model:
    patch = build_patch_network(NetworkConfig(name=network), (32, 32), 5, 1)
    head = HeadConfig(depths=(4,), repetitions=(2,), dropout=dropout)
    return to_whole_image(patch, head, (64, 64))


def _two_steps(
    model: keras.Model, stage: StageConfig, rematerialize: bool, **options: object
) -> list:
    """Return the model's weights and averages after two steps."""
    keras.utils.set_random_seed(1)
    # The seed of dropout is a variable, but not a weight.
    before = [keras.ops.convert_to_numpy(variable) for variable in model.variables]
    rng = np.random.default_rng(0)
    images = [rng.normal(0, 40, (4, 64, 64, x.shape[-1])).astype(np.float32) for x in model.inputs]
    targets = np.eye(2, dtype=np.float32)[[0, 1, 1, 0]]
    config = FitConfig(stages=(stage,), **options)
    set_trainable(model, stage)
    with compute_in(model, config.precision):
        trainer = compile_trainer(model, stage, config, HardwareConfig(rematerialize=rematerialize))
        for _ in range(2):
            trainer.train_on_batch(images if len(images) > 1 else images[0], targets)
    after = model.get_weights()
    set_all_trainable(model)
    for variable, value in zip(model.variables, before, strict=True):
        variable.assign(value)
    return after


def _same(model: keras.Model, stage: StageConfig, tolerance: float, **options: object) -> None:
    plain, again = (_two_steps(model, stage, on, **options) for on in (False, True))
    moved = 0
    for a, b, before in zip(plain, again, model.get_weights(), strict=True):
        assert np.abs(a - b).max() <= tolerance * max(np.abs(a).max(), 1e-2)
        moved += not np.array_equal(a, before)
    assert moved > 4


SGD = {"learning_rate": 1e-3, "epochs": 1, "optimizer": "sgd"}


@pytest.mark.slow
def test_weights_averages_and_dropout_equal_the_plain_step() -> None:
    # If the second pass drew other dropout masks, the gradients would belong to another network.
    _same(_whole(dropout=0.5), StageConfig(**SGD), 1e-4)


def test_frozen_blocks_stay_frozen() -> None:
    model = _whole()
    after = _two_steps(model, StageConfig(train="head", **SGD), True)
    same = {
        variable.path: np.array_equal(a, b)
        for variable, a, b in zip(model.weights, model.get_weights(), after, strict=True)
        if "moving" not in variable.path
    }
    body = [kept for path, kept in same.items() if path.startswith("block")]
    assert len(body) > 10
    assert all(body)
    assert not same["predictions/kernel"]


@pytest.mark.slow
def test_in_bfloat16_with_accumulated_gradients() -> None:
    _same(_whole(), StageConfig(**SGD), 0.02, precision="mixed_bfloat16", accumulate=2)


@pytest.mark.slow
def test_both_views() -> None:
    _same(to_two_views(_whole(), TwoViewConfig()), StageConfig(**SGD), 1e-4)


@pytest.mark.parametrize(
    ("network", "first", "last", "count"),
    [
        ("resnet50", "conv1", "head_block1", 18),
        ("vgg16", "block1", "head_block1", 6),
        ("efficientnet_b0", "stem", "head_block1", 10),
    ],
)
def test_networks_are_divided_into_their_blocks(
    network: str, first: str, last: str, count: int
) -> None:
    model = _whole(network)
    wrapped = with_rematerialization(model)
    names = [layer.name for layer in wrapped.layers if isinstance(layer, _RematerializedBlock)]
    assert (len(names), names[0].endswith(first), names[-1].endswith(last)) == (count, True, True)
    images = np.random.default_rng(0).normal(0, 40, (1, 64, 64, 3)).astype(np.float32)
    # Without training it is the plain network.
    np.testing.assert_allclose(wrapped(images), model(images), rtol=1e-5)


def test_a_training_is_the_same() -> None:
    losses = []
    for on in (False, True):
        result = train(
            small_training.network(dropout=0.3),
            small_training.config(stages=(StageConfig(**SGD),)),
            small_training.Records((20, 12)),
            small_training.Records((4, 4), seed=1),
            to_network=small_training.to_network,
            seed=3,
            class_names=small_training.NAMES,
            hardware=HardwareConfig(rematerialize=on),
        )
        losses.append([result.history[0][key] for key in ("loss", "val_loss")])
    np.testing.assert_allclose(*losses, rtol=1e-4)


_ON_JAX = """
import sys
sys.path.insert(0, {folder!r})
import jax, numpy as np, small_training
from mammo_core.training.memory.rematerialization import with_rematerialization
from tests.support.undrawn import draw_no_weights
draw_no_weights()  # the program is the same
model = small_training.network(0.3)
for each in (model, with_rematerialization(model)):
    def loss(weights, others, images):
        y, others = each.stateless_call(weights, others, images, training=True)
        return y[:, 0].sum(), others
    both = each.trainable_variables, each.non_trainable_variables
    values = [[variable.value for variable in variables] for variables in both]
    images = np.zeros((2, 16, 16, 1), np.float32)
    program = jax.jit(jax.value_and_grad(loss, has_aux=True)).lower(*values, images).as_text()
    print(program.count("stablehlo.convolution"), program.count("optimization_barrier"))
"""


@pytest.mark.slow
def test_the_jax_program_computes_blocks_twice() -> None:
    # On a CPU the compiler merges both passes again, so memory would show nothing.
    environment = {
        **os.environ,
        "KERAS_BACKEND": "jax",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(Path(__file__).parents[2]),
    }
    program = _ON_JAX.format(folder=str(Path(__file__).parent))
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (plain, barriers), (again, more) = (map(int, line.split()) for line in done.stdout.splitlines())
    assert barriers == 0
    assert more == 4  # the network's blocks
    assert again >= plain + 7
