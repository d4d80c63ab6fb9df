"""Training starts from the package of an ensemble too."""

import numpy as np
import pytest

from mammo_core.errors import ModelError
from mammo_core.ingest.kinds import IMAGE_DATASET, ImageDatasetFacts
from mammo_core.packaging import build, load, verify
from mammo_core.packaging.initial_model import _model_of_package
from mammo_core.preprocessing import Geometry, Preprocessing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    from mammo_core.packaging.keras_file import import_keras

    import_keras()
    from mammo_core.models import HeadConfig, NetworkConfig, build_patch_network, to_whole_image
    from mammo_core.models.ensemble import average

    head = HeadConfig(depths=(8,), repetitions=(1,))
    members = [
        to_whole_image(
            build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=seed),
            head, (64, 48), classes=2, seed=seed,
        )
        for seed in (1, 2)
    ]  # fmt: skip
    folder = tmp_path_factory.mktemp("ensemble") / "package"
    build(
        folder,
        name="pair",
        image_model=average(members, [1.0, 2.0]),
        preprocessing=Preprocessing(geometry=Geometry(height=64, width=48), mean=100.0),
        label_map={"neg": 0, "pos": 1},
    )
    return folder


def images(height, width):
    facts = ImageDatasetFacts(bit_depth=16, geometry=Geometry(height=height, width=width))
    return IMAGE_DATASET.manifest("a" * 32, config={}, facts=facts)


def test_it_starts_with_the_networks_as_they_are(folder):
    package = load(folder)
    model = _model_of_package(verify(folder), package, images(64, 48), None)
    pixels = np.random.default_rng(0).random((2, 64, 48, 1), np.float32)
    np.testing.assert_array_equal(
        model.predict_on_batch(pixels), package.model.predict_on_batch(pixels)
    )


def test_images_of_another_size_are_refused_by_cause(folder):
    with pytest.raises(ModelError, match=r"ensemble for images of another size.*64x48.*96x72"):
        _model_of_package(verify(folder), load(folder), images(96, 72), None)
