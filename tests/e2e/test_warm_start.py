"""A whole-image training that starts from a model package, or from scratch."""

from pathlib import Path

import numpy as np
import pytest

from mammo_core import steps
from mammo_core.features.kinds import FRAME
from mammo_core.ingest.kinds import IMAGE_DATASET
from mammo_core.store import open_store
from mammo_core.training.kinds import IMAGE_TRAINING
from tests.support.training_run import begin_run

pytestmark = pytest.mark.slow
RECIPE = str(Path(__file__).parent / "recipe.yaml")


def test_training_starts_from_a_package_or_from_scratch(undisturbed, capsys) -> None:
    work, done = undisturbed
    assert done.code == 0, done.output
    store = open_store(f"file://{work}/store")
    datasets = done.summary["datasets"]
    inputs = {
        "images": IMAGE_DATASET.read(store, datasets["images"]["id"]),
        "frame": FRAME.read(store, datasets["frame"]["id"]),
    }
    trainings = {}
    for name, start in (("warm", f"{store.uri}/models/tiny"), ("scratch", "")):
        stages = "[{train: all, learning_rate: 1.0e-12, weight_decay: 0, epochs: 1}]"
        settings = [f"image_training.start={start}", f"image_training.stages={stages}"]
        trainings[name] = steps.train_image(begin_run(store, name, RECIPE, settings), **inputs)
    warm, scratch = trainings["warm"], trainings["scratch"]
    assert warm.lineage["start"] == done.summary["model_id"]
    assert IMAGE_TRAINING.facts_of(warm).start.startswith("model package")
    assert IMAGE_TRAINING.facts_of(scratch).start == "compact, weights none"
    assert "validation" in capsys.readouterr().out
    # At a learning rate of almost zero, the network is still that of the package.
    from mammo_core.models import load_model

    trained = load_model(store.fetch(warm.file("model.keras").key))
    package = load_model(work / "store/models/tiny/1/model.keras")
    kernels = [
        (layer.get_weights()[0], original.get_weights()[0])
        for layer, original in zip(trained.layers, package.layers, strict=True)
        if layer.weights
    ]
    assert all(np.allclose(kernel, original, atol=1e-6) for kernel, original in kernels)
    # The curves are in the run's record, and the checkpoints are deleted.
    assert store.exists("runs/warm/train-image.html")
    assert list(store.list("runs/warm/tensorboard/train-image/"))
    assert not list(store.list("checkpoints/"))
