"""Regions of heatmaps are found again in the pixels of the file."""

import numpy as np
import pytest
from skimage.measure import points_in_poly

from mammo_core.evaluation.explanation import Explanation, explanation_of
from mammo_core.imaging.crop import CropPlacement
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.images import PolicyRule, decode_file
from mammo_core.scoring.outlines import MAXIMUM_POINTS, outlines_in_file
from mammo_core.scoring.source_map import SourceMap
from mammo_core.sources.auditing.policy import ImagePolicy


class Model:
    """What outlines ask a model for: whether its packages share their input."""

    def __init__(self, shared=True):
        self.shared_input = object() if shared else None


class Image:
    def __init__(self, *maps):
        self.maps = maps


def outlines(heat, source_map, kind="patch classifier", shared=True):
    explanation = explanation_of(heat.astype(np.float32), kind)
    traced = outlines_in_file(Model(shared), Image(source_map), explanation)
    assert len(traced) == len(explanation.regions)
    return [np.array(points) for points in traced]


def same(rows, columns):
    """The map of a file that a network takes as it is."""
    return SourceMap(rows, columns, CropPlacement(), Geometry(height=rows, width=columns))


def inside(points, shape):
    """The pixels whose centers are in a polygon."""
    grid = np.argwhere(np.ones(shape, bool)).astype(float)
    return points_in_poly(grid, points).reshape(shape)


@pytest.mark.parametrize("seed", range(8))
def test_an_outline_holds_the_pixels_of_its_region_and_no_others(seed):
    from scipy.ndimage import gaussian_filter
    from skimage.measure import label

    heat = gaussian_filter(np.random.default_rng(seed).random((60, 44)), 3)
    heat = (heat - heat.min()) / np.ptp(heat)
    labels = label(heat.astype(np.float32) >= 0.5)
    traced = outlines(heat, same(60, 44))
    covered = [inside(points, heat.shape) for points in traced]
    for points, mask in zip(traced, covered, strict=True):
        np.testing.assert_array_equal(points[0], points[-1])
        numbers = {int(number) for number in np.unique(labels[mask]) if number}
        region = max(numbers, key=lambda number: (labels[mask] == number).sum())
        # Holes are covered, too; of more than 200 points some are left out.
        assert mask[labels == region].mean() > 0.97


def test_shapes_that_touch_at_corners_lie_in_each_other_or_are_one_pixel():
    heat = np.zeros((12, 12))
    heat[1, 1] = 0.9  # a pixel
    heat[4, 4] = heat[5, 5] = 0.8  # connected by a corner
    heat[7:12, 7:12] = 0.7
    heat[8:11, 8:11] = 0
    heat[9, 9] = 0.6  # within a ring, which has a box around it
    traced = outlines(heat, same(12, 12))
    pixels = [int(inside(points, (12, 12)).sum()) for points in traced]
    assert pixels == [1, 2, 25]
    assert traced[0].tolist() == [[1.5, 1], [1, 0.5], [0.5, 1], [1, 1.5], [1.5, 1]]


def test_an_outline_has_few_points():
    heat = np.zeros((400, 400))
    heat[::2, :] = heat[:, ::50] = 1  # a comb of 200 teeth
    [points] = outlines(heat, same(400, 400))
    assert len(points) <= MAXIMUM_POINTS
    assert points.min() >= -0.5 and points.max() <= 399.5


def test_an_occlusion_map_is_cut_at_half_of_its_peak():
    heat = np.zeros((20, 20))
    heat[5:9, 5:9], heat[6, 6] = 0.11, 0.2
    [points] = outlines(heat, same(20, 20), kind="occlusion")
    assert int(inside(points, (20, 20)).sum()) == 16


def test_models_that_differ_have_their_map_over_the_file():
    # One value for each square of 3 pixels, as `explain_image` computes it for 5,000 rows.
    source_map = SourceMap(5000, 3100, CropPlacement(), Geometry(height=96, width=72))
    heat = np.zeros((1667, 1034))
    heat[100, 200] = 0.9
    heat[1666, 1033] = 0.8
    first, last = outlines(heat, source_map, shared=False)
    np.testing.assert_allclose(first.min(axis=0), [301 - 1.5, 601 - 1.5])
    np.testing.assert_allclose(first.max(axis=0), [301 + 1.5, 601 + 1.5])
    assert (last.max(axis=0) <= [4999.5, 3099.5]).all()


@pytest.mark.parametrize("laterality", ["L", "R"])
@pytest.mark.parametrize("stored", ["as displayed", "mirrored"])
@pytest.mark.parametrize(
    "conversion",
    [
        Conversion(),
        Conversion(orientation="chest_left"),
        Conversion(crop_to_breast=True, orientation="chest_right"),
    ],
    ids=["as stored", "chest left", "cropped, chest right"],
)
@pytest.mark.parametrize(
    "geometry",
    [
        Geometry(height=96, width=72),
        Geometry(height=80, width=80, resize="pad"),
        Geometry(height=64, width=1, resize="height"),
    ],
    ids=lambda geometry: geometry.resize,
)
@pytest.mark.parametrize("shape", [(192, 144), (301, 177)])
def test_a_finding_is_where_the_lesion_is_in_the_file(
    shape, geometry, conversion, stored, laterality, write, tmp_path
):
    """The hottest pixel is in the lesion; so its outline is about the lesion of the file."""
    rows, columns = shape
    picture = np.minimum(write.breast(4, shape=shape), 2400)
    y, x = np.mgrid[:rows, :columns]
    lesion = (y - 0.42 * rows) ** 2 + (x - 0.3 * columns) ** 2 < (0.06 * rows) ** 2
    picture[lesion] = 4095  # brighter than anything else
    if (laterality == "R") != (stored == "mirrored"):
        picture, lesion = picture[:, ::-1], lesion[:, ::-1]
    path = write.dicom(tmp_path / "x.dcm", picture, laterality=laterality)
    preprocessing = Preprocessing(geometry=geometry, conversion=conversion, mean=100.0)
    image = decode_file(
        InputFile("x.dcm", path=path), [preprocessing], None, PolicyRule((ImagePolicy(),))
    )
    heat = image.pixels[0].astype(np.float32)
    heat = (heat / heat.max() > 0.8).astype(np.float32) * heat / heat.max()
    explanation = explanation_of(heat, "patch classifier")
    assert isinstance(explanation, Explanation)
    [points] = [np.array(one) for one in outlines_in_file(Model(), image, explanation)]
    covered = inside(points, shape)
    # Pixels of the network are up to 5 pixels of the file wide.
    both, either = (covered & lesion).sum(), (covered | lesion).sum()
    assert both / either > 0.6
    center = points[:-1].mean(axis=0).round().astype(int)
    assert lesion[tuple(center)]
