from types import SimpleNamespace

import numpy as np
import pytest

from mammo_core.errors import ModelError, RecordError
from mammo_core.evaluation.explanation import explain, hot_regions, occlusion
from mammo_core.evaluation.patch_heat import upsample_heat


def test_upsampling_is_linear_between_centers_and_level_outside():
    heat = np.array([[0.0, 1.0], [0.0, 1.0]])
    large = upsample_heat(heat, np.array([2.0, 6.0]), np.array([1.0, 5.0]), (9, 8))
    assert large.shape == (9, 8) and large.dtype == np.float32
    assert large[2, 1:6].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert (large[1] == large[2]).all() and (large[7:, 5:] == 1).all() and not large[:, :2].any()


def test_regions_by_hand():
    heat = np.zeros((10, 12))
    heat[1:3, 2:6] = 0.6
    heat[1, 5] = 0.9
    heat[7:9, 8:11] = 0.8
    heat[5, 0] = 0.4
    first, second = hot_regions(heat)
    assert (first.rank, first.peak, first.area) == (1, 0.9, 8)
    assert (first.top, first.left, first.bottom, first.right) == (1, 2, 2, 5)
    assert first.mean == pytest.approx((7 * 0.6 + 0.9) / 8)
    assert (second.peak, second.row, second.column) == (0.8, 7.5, 9.0)
    assert len(hot_regions(heat, cutoff=0.3)) == 3
    assert [region.peak for region in hot_regions(heat, limit=1)] == [0.9]
    assert hot_regions(np.zeros((4, 4))) == ()
    with pytest.raises(RecordError, match="not finite"):
        hot_regions(np.full((2, 2), np.nan))


def bright_spot():
    pixels = np.full((48, 40), 1000, np.uint16)
    pixels[30:34, 8:12] = 60000
    return pixels


def spot_probability(pixels):
    """A model that responds to bright pixels."""
    return (pixels.max(axis=(1, 2)) / 65535).astype(np.float32)


def test_occlusion_shows_what_the_model_responds_to():
    heat = occlusion(spot_probability, bright_spot(), window=10, batch_size=7)
    assert heat.shape == (48, 40) and heat.min() >= 0 and heat.max() <= 1
    assert heat[30:34, 8:12].min() > 0
    assert heat[:18].max() == 0 and heat[:, 25:].max() == 0
    assert (heat == occlusion(spot_probability, bright_spot(), window=10, batch_size=1)).all()
    with pytest.raises(ModelError, match="window"):
        occlusion(spot_probability, bright_spot(), window=41)


def test_occlusion_hides_each_pixel_as_often():
    """A model that responds to all pixels alike: hiding a corner counts like hiding the middle."""
    pixels = np.full((40, 60), 1000, np.uint16)
    heat = occlusion(lambda p: p.mean(axis=(1, 2)).astype(np.float32) / 1000, pixels, window=10)
    # Squares of 100, 50 and 25 pixels: the mean fall at a corner, at an edge and inside.
    corner, edge, inside = (100 + 2 * 50 + 25) / 4, (100 + 50) / 2, 100
    expected = np.array([[corner, edge], [edge, inside]]) / pixels.size
    np.testing.assert_allclose(heat[:6:5, :6:5], expected, rtol=1e-5)
    np.testing.assert_allclose(heat, heat[::-1, ::-1], rtol=1e-5)


def test_any_package_can_be_explained():
    package = SimpleNamespace(
        patch_model=None, manifest=SimpleNamespace(), predict=spot_probability
    )
    explanation = explain(package, bright_spot())
    assert explanation.kind == "occlusion"
    region = explanation.regions[0]
    assert region.top <= 30 and region.bottom >= 33 and region.left <= 8 and region.right >= 11
    dark = SimpleNamespace(**{**vars(package), "predict": lambda p: np.zeros(len(p), np.float32)})
    assert explain(dark, bright_spot()).regions == ()


def test_a_package_with_a_patch_classifier_shows_its_heatmap():
    from mammo_core.models.backend import prepare_keras

    prepare_keras()
    from mammo_core.models import build_patch_network
    from mammo_core.models.config import NetworkConfig
    from mammo_core.preprocessing import Geometry, Preprocessing

    network = build_patch_network(NetworkConfig(name="compact"), (32, 32), 5, seed=0)
    package = SimpleNamespace(
        patch_model=network,
        manifest=SimpleNamespace(patch_size=32),
        preprocessing=Preprocessing(geometry=Geometry(height=96, width=64), mean=20.0, channels=1),
        predict=spot_probability,
    )
    pixels = np.random.default_rng(0).integers(0, 65536, (96, 64)).astype(np.uint16)
    explanation = explain(package, pixels, cutoff=0.1)
    heat = explanation.heat
    assert explanation.kind == "patch classifier" and heat.shape == (96, 64)
    assert heat.min() >= 0 and heat.max() <= 1 and explanation.regions
    # Patches are centered up to the edges.
    assert min(heat[0].min(), heat[-1].min(), heat[:, 0].min(), heat[:, -1].min()) > 0
