"""Model packages for tests: small networks, and packages without one."""

import json
import shutil
from types import SimpleNamespace

import numpy as np
import pytest


def network(seed=0, channels=3, outputs=2, size=(24, 16), activation="softmax"):
    """A whole-image classifier of a few hundred weights, as training builds one."""
    from mammo_core.packaging.keras_file import import_keras

    keras = import_keras()
    keras.utils.clear_session()
    keras.utils.set_random_seed(seed)
    image = keras.Input((*size, channels))
    # One initializer for two layers: Keras saves it as a shared object.
    start = keras.initializers.HeNormal(seed=seed)
    x = keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=start)(image)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Conv2D(4, 3, activation="relu", kernel_initializer=start)(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(image, keras.layers.Dense(outputs, activation=activation)(x))
    model.compile("adam", "sparse_categorical_crossentropy")
    return model


def preprocessing(height=24, width=16, mean=60.0):
    from mammo_core.preprocessing import Geometry, Preprocessing

    return Preprocessing(geometry=Geometry(height=height, width=width), mean=mean, channels=3)


def samples(count=3, seed=0):
    return np.random.default_rng(seed).integers(0, 65536, (count, 24, 16)).astype(np.uint16)


def build_package(folder, model, **changes):
    from mammo_core.packaging import build

    defaults = {
        "name": "test-model",
        "image_model": model,
        "preprocessing": preprocessing(),
        "label_map": {"neg": 0, "pos": 1},
        "metrics": {"auc": 0.75, "auc_ci95": [0.7, 0.8]},
        "lineage": {"image_dataset_id": "d" * 64, "run_id": "run-1", "git_sha": "abc"},
        "samples": samples(),
    }
    return build(folder, **{**defaults, **changes})


@pytest.fixture(scope="session")
def make():
    """The builders of packages, as one fixture."""
    return SimpleNamespace(
        network=network, preprocessing=preprocessing, samples=samples, build=build_package
    )


@pytest.fixture(scope="session")
def built(tmp_path_factory):
    """Two packages with different weights (read-only: copy before changing)."""
    root = tmp_path_factory.mktemp("packages")
    first, second = root / "first", root / "second"
    patches = network(5, outputs=5, size=(8, 8))
    classes = ("background", "calc_ben", "calc_mal", "mass_ben", "mass_mal")
    build_package(first, network(1), patch_model=patches, patch_classes=classes)
    build_package(second, network(2))
    return first, second


@pytest.fixture
def package(built, tmp_path):
    folder = tmp_path / "package"
    shutil.copytree(built[0], folder)
    return folder


def build_light_package(folder, content, metrics=0.5):
    """Write a package without a network; return its folder."""
    from mammo_core.packaging.contents import FORMAT, REQUIRED, LabelMapFile, model_id
    from mammo_core.packaging.signatures.checksums import digest, write_sums

    folder.mkdir()
    for name in REQUIRED:
        (folder / name).write_text("{}")
    (folder / "model.keras").write_text(content)
    (folder / "metrics.json").write_text(json.dumps({"auc": metrics}))
    (folder / "preprocessing.json").write_text(preprocessing().model_dump_json())
    labels = LabelMapFile(image={"neg": 0, "pos": 1})
    (folder / "label_map.json").write_text(labels.model_dump_json())
    identity = model_id(
        {name: digest(folder / name) for name in ("model.keras", "decision_rules.json")},
        preprocessing(),
        labels,
        {},
    )
    manifest = {"format": FORMAT, "name": "light", "model_id": identity, "versions": {}}
    (folder / "package.json").write_text(json.dumps(manifest))
    write_sums(folder)
    return folder


@pytest.fixture
def light_package(tmp_path):
    """Builds packages without a network: fast, verifiable and pushable, but not loadable."""

    def make(content, metrics=0.5):
        return build_light_package(tmp_path / f"light-{content}-{metrics}", content, metrics)

    return make
