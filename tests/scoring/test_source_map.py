"""Pixels of a network's image are found again in the file."""

import numpy as np
import pytest

from mammo_core.imaging.crop import CropPlacement
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing
from mammo_core.scoring.files import InputFile
from mammo_core.scoring.images import PolicyRule, decode_file
from mammo_core.scoring.source_map import SourceMap
from mammo_core.sources.auditing.policy import ImagePolicy

GEOMETRIES = [
    Geometry(height=48, width=36),
    Geometry(height=60, width=60, resize="pad", interpolation="linear"),
    Geometry(height=40, width=1, resize="height"),
    Geometry(height=192, width=144),
]


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("box", [None, (10, 6, 50, 80)])
@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: geometry.resize)
def test_a_ramp_is_found_where_it_was(geometry, box, flipped):
    # A linear image stays linear under any resize, so its values are its coordinates.
    rows, columns = np.mgrid[:96, :72].astype(np.float32)
    placement = CropPlacement(box, flipped)
    source_map = SourceMap(96, 72, placement, geometry)
    inside = np.zeros((96, 72), bool)
    placement.apply(inside)[...] = True
    inner = np.zeros_like(inside)
    placement.apply(inner)[3:-3, 3:-3] = True
    for ramp in (rows, columns):
        resized = geometry.apply(np.ascontiguousarray(placement.apply(ramp)))
        in_file = source_map.to_source(resized)
        assert in_file.shape == (96, 72) and in_file.dtype == np.float32
        np.testing.assert_allclose(in_file[inner], ramp[inner], atol=0.8)
        assert not in_file[~inside].any()
        coarse = source_map.to_source(
            geometry.apply(np.ascontiguousarray(placement.apply(ramp))), 5
        )
        assert coarse.shape == (20, 15)
        both = inner[2::5, 2::5]
        np.testing.assert_allclose(coarse[:19, :14][both], ramp[2::5, 2::5][both], atol=0.8)


def test_the_same_geometry_is_exact():
    values = np.random.default_rng(0).random((96, 72)).astype(np.float32)
    plain = SourceMap(96, 72, CropPlacement(), Geometry(height=96, width=72))
    np.testing.assert_array_equal(plain.to_source(values), values)
    flipped = SourceMap(96, 72, CropPlacement(None, True), Geometry(height=96, width=72))
    np.testing.assert_array_equal(flipped.to_source(values[:, ::-1]), values)


@pytest.mark.parametrize(
    "conversion",
    [
        Conversion(),
        Conversion(orientation="chest_right"),
        Conversion(crop_to_breast=True, orientation="chest_right"),
    ],
    ids=["plain", "turned", "cropped"],
)
def test_a_decoded_file_is_found_again_in_its_own_pixels(conversion, tmp_path, write):
    pixels = write.breast(1)
    path = write.dicom(tmp_path / "x.dcm", pixels, laterality="L")
    preprocessing = Preprocessing(
        geometry=Geometry(height=96, width=72), mean=0.0, conversion=conversion
    )
    image = decode_file(
        InputFile("x.dcm", path=path), [preprocessing], None, PolicyRule((ImagePolicy(),))
    )
    [in_file] = [one.to_source(image.pixels[0].astype(np.float32)) for one in image.maps]
    full = pixels.astype(np.float32) * 65535 / 4095
    kept = in_file > 0
    assert kept.mean() > 0.3
    # A crop is resized: its edges are a pixel wide.
    assert np.corrcoef(in_file[kept], full[kept])[0, 1] > 0.97
