"""A whole-image training that begins with a model package, or from scratch."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from mammo_core.steps import at_paths
from mammo_core.datasets import find
from mammo_core.recipes import load_recipe
from mammo_core.store import open_store

pytestmark = pytest.mark.slow


def _manifests(work: Path, done, tmp_path: Path) -> dict[str, str]:
    found = {}
    for name in ("images", "frame"):
        kind = "datasets/images" if name == "images" else "frames"
        id = done.summary["datasets"][name]["id"]
        shutil.copyfile(work / "store" / kind / id / "manifest.json", tmp_path / f"{name}.json")
        found[name] = str(tmp_path / f"{name}.json")
    return found


def test_it_begins_with_a_package_or_from_scratch(undisturbed, tmp_path: Path, capsys) -> None:
    work, done = undisturbed
    assert done.code == 0, done.output
    store = open_store(f"file://{work}/store")
    inputs = _manifests(work, done, tmp_path)
    package = f"{store.uri}/models/tiny"
    outputs = {}
    for name, start in (("warm", package), ("scratch", "")):
        stages = "[{train: all, learning_rate: 1.0e-12, weight_decay: 0, epochs: 1}]"
        overrides = [f"image_training.start={start}", f"image_training.stages={stages}"]
        recipe = load_recipe(str(Path(__file__).parent / "recipe.yaml"), overrides)
        store.write(f"runs/{name}/recipe.json", recipe.to_json().encode())
        at_paths.train_image(
            store=store.uri,
            run_id=name,
            recipe=f"{store.uri}/runs/{name}/recipe.json",
            out=str(tmp_path / f"{name}.json"),
            **inputs,
            **({"patch_training": ""} if start else {}),
        )
        outputs[name] = json.loads((tmp_path / f"{name}.json").read_text())
    assert outputs["warm"]["lineage"]["start"] == done.summary["model_id"]
    assert outputs["warm"]["facts"]["start"].startswith("model package")
    assert outputs["scratch"]["facts"]["start"] == "compact, weights none"
    assert "validation" in capsys.readouterr().out
    # At a learning rate of nothing the network is still the package's.
    from mammo_core.models import load_model

    trained = find(store, "trainings/image", outputs["warm"]["id"])
    mine = load_model(store.fetch(trained.file("model.keras").key))
    theirs = load_model(work / "store/models/tiny/1/model.keras")
    kernels = [
        (one.get_weights()[0], other.get_weights()[0])
        for one, other in zip(mine.layers, theirs.layers, strict=True)
        if one.weights
    ]
    assert all(np.allclose(one, other, atol=1e-6) for one, other in kernels)
    # The curves are in the run's record, the checkpoints are gone.
    assert store.exists("runs/warm/train-image.html")
    assert list(store.list("runs/warm/tensorboard/train-image/"))
    assert not list(store.list("checkpoints/"))
