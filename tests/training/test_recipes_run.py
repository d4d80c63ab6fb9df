"""Every recipe can be built and trained for two steps of each part, at a reduced size."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import typer

from mammo_core.cli import create_app
from mammo_core.datasets.batches import Batch
from mammo_core.features.frame import IMAGE_CLASSES
from mammo_core.models import build_patch_network, network_of, to_two_views, to_whole_image
from mammo_core.recipes import load_recipe
from mammo_core.training import FitConfig, train
from mammo_core.training.stages import set_all_trainable, set_trainable
from mammo_core.training.trainer import make_optimizer

RECIPES = Path(__file__).parent.parent.parent / "recipes"
# Recipes whose head needs more feature cells than the default size gives.
SIDES = {"cbis_ddsm_yaroslav": (448, 448)}
REPOSITORY = Path(__file__).parents[2]
NAMES = sorted(path.stem for path in RECIPES.glob("*.yaml"))


class Records:
    """A BatchSource of two batches of noise with every class in turn."""

    def __init__(self, classes: int, shape: tuple[int, ...], batch: int = 2) -> None:
        self.classes, self.shape, self.batch = classes, shape, batch
        self.labels = (np.arange(2 * batch) % classes).astype(np.int32)

    @property
    def size(self) -> int:
        return len(self.labels)

    @property
    def class_counts(self) -> tuple[int, ...]:
        return tuple(int(n) for n in np.bincount(self.labels, minlength=self.classes))

    def batches(self, epoch: int) -> Iterator[Batch]:
        rng = np.random.default_rng(epoch)
        for start in range(0, self.size, self.batch):
            labels = self.labels[start : start + self.batch]
            pixels = rng.integers(0, 65536, (len(labels), *self.shape)).astype(np.uint16)
            if len(self.shape) == 3:
                pixels[0, 1] = 0  # a missing view
            yield Batch([f"r{start + n}" for n in range(len(labels))], pixels, labels)


@pytest.fixture(autouse=True)
def eager() -> Iterator[None]:
    """Run without graphs: tracing would take longer than two steps."""
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def two_steps(model, config: FitConfig, names: tuple[str, ...], shape: tuple[int, ...]) -> None:
    for stage in config.stages:  # each trains some blocks and has an optimizer
        assert set_trainable(model, stage)
        assert make_optimizer(stage, model, config.accumulate).learning_rate > 0
    set_all_trainable(model)
    last = config.stages[-1].model_copy(update={"epochs": 1})
    reduced = config.model_copy(update={"stages": (last,), "selection": "accuracy"})
    source = Records(len(names), shape)
    before = model.get_weights()
    result = train(
        model,
        reduced,
        source,
        source,
        to_network=lambda pixels: pixels[..., None].astype(np.float32) / 257 - 52,
        seed=1,
        class_names=names,
    )
    (row,) = result.history
    assert np.isfinite([row["loss"], row["val_loss"]]).all()
    after = model.get_weights()
    assert not all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_builds_everything_and_trains_two_steps(name: str) -> None:
    # Pretrained weights are not available here; the networks are the same without them.
    overrides = ["patch_training.network.weights=none", "image_training.start=''"]
    recipe = load_recipe(name, overrides)
    network = recipe.patch_training.network
    names = recipe.label_map.names
    side = 64
    patch_model = build_patch_network(network, (side, side), len(names), recipe.seed)
    assert network_of(patch_model).minimum <= recipe.sampling.patch_size
    two_steps(patch_model, recipe.patch_training, names, (side, side))
    shape = SIDES.get(name, (160, 128))
    model = to_whole_image(
        patch_model, recipe.image_training.head, shape, classes=2, seed=recipe.seed
    )
    pairs = recipe.image_training.two_view
    if pairs is not None:
        model = to_two_views(model, pairs)
    two_steps(model, recipe.image_training, IMAGE_CLASSES, (2, *shape) if pairs else shape)


@pytest.mark.parametrize("name", NAMES)
def test_the_command_of_a_recipe_is_one_of_ours_and_runs_it(name: str) -> None:
    lines = [shlex.split(line) for line in load_recipe(name).command.split("&&")]
    if lines == [["make", "run"]]:
        makefile = (REPOSITORY / "Makefile").read_text()
        assert re.search(r"^run:", makefile, re.MULTILINE) and re.search(
            rf"^RECIPE := recipes/{name}.yaml$", makefile, re.MULTILINE
        )
        return
    for words in lines:
        assert words.pop(0) == "mammo"
        command = typer.main.get_command(create_app())
        while commands := getattr(command, "commands", None):  # `mammo pipeline`, then `run`
            command = commands[words.pop(0)]
        parameters = command.make_context(command.name, words).params
    assert parameters["recipe"] == name


@pytest.mark.parametrize("name", NAMES)
def test_a_recipe_says_how_long_it_takes_where_and_what_comes_out(name: str) -> None:
    recipe = load_recipe(name)
    assert re.search(r"\d+ (minutes?|hours?)\b.* on (one|\d+) (NVIDIA|CPU)", recipe.expected_time)
    assert re.search(r"AUC\D* [+-]?(0\.\d\d|at least 0\.\d\d)", recipe.expected_result)
