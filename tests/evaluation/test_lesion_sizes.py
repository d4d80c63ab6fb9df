"""Sizes of lesions, and the groups that they divide a test set into."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from mammo_core.datasets import ImageRecord
from mammo_core.evaluation.lesion_sizes import (
    greatest_dimension,
    lesion_sizes,
    pixel_spacing,
    size_group,
)
from mammo_core.preprocessing import Conversion, Geometry, Preprocessing


@pytest.mark.parametrize(
    ("millimeters", "name"),
    [
        # The boundaries belong to the smaller category: T1b is >5 and <=10 mm (AJCC).
        (0.4, "0 to 10 mm"),
        (10.0, "0 to 10 mm"),
        (10.1, "10 to 20 mm"),
        (20.0, "10 to 20 mm"),
        (20.1, "20 to 50 mm"),
        (50.0, "20 to 50 mm"),
        (50.1, "over 50 mm"),
    ],
)
def test_sizes_are_those_of_the_categories(millimeters, name):
    assert size_group(millimeters) == name


def test_the_greatest_dimension_by_hand():
    mask = np.zeros((40, 50), bool)
    mask[5:8, 10:14] = True  # 3 x 4 pixels: their diagonal is 5
    assert greatest_dimension(mask, (1.0, 1.0)) == pytest.approx(5)
    assert greatest_dimension(mask, (0.2, 0.1)) == pytest.approx(np.hypot(0.6, 0.4))
    mask[39, 49] = True  # far away, in another part of the lesion
    assert greatest_dimension(mask, (1.0, 1.0)) == pytest.approx(np.hypot(35, 40))


def record(height, width):
    return ImageRecord("i" * 64, np.zeros((height, width), np.uint16), (), 400, 300)


@pytest.mark.parametrize(
    ("resize", "size", "spacing"),
    [
        ("forced", (100, 60), (0.4, 0.5)),  # 4 rows of 0.1 mm, 5 columns
        ("pad", (100, 60), (0.5, 0.5)),  # scaled by its width, then black rows
        ("height", (100, 75), (0.4, 0.4)),
    ],
)
def test_the_spacing_of_a_record(resize, size, spacing):
    """A source of 400 x 300 pixels of 0.1 mm is 40 x 30 mm: 1,200 mm²."""
    geometry = Geometry(height=size[0], width=size[1], resize=resize)
    preprocessing = Preprocessing(geometry=geometry, mean=0)
    assert pixel_spacing(record(*size), 1200.0, preprocessing) == pytest.approx(spacing)
    for unknown in (None, float("nan"), 0.0):
        assert pixel_spacing(record(*size), unknown, preprocessing) is None
    cropped = preprocessing.model_copy(update={"conversion": Conversion(crop_to_breast=True)})
    assert pixel_spacing(record(*size), 1200.0, cropped) is None


def test_images_have_the_size_of_the_lesions_that_give_their_label(two_tables, tmp_path):
    from mammo_core.store import open_store
    from tests.support.ingest import convert_tables

    tables = two_tables
    store = open_store(str(tmp_path / "store"))
    dataset = convert_tables(store, tables)
    preprocessing = Preprocessing(geometry=Geometry(height=96, width=72), mean=0)
    # A detector of 240 x 180 mm: lesions have 25 to 36 of 288 parts of its height.
    images = tables.images.assign(area_mm2=240.0 * 180.0)
    frame = SimpleNamespace(images=images, lesions=tables.lesions)
    rows = images.assign(label=images["malignant"])[["image_id", "label"]]
    sizes = lesion_sizes(store, dataset, frame, rows, preprocessing)
    assert set(sizes) == {"20 to 50 mm"} and sizes.index.equals(rows.index)
    unknown = SimpleNamespace(images=images.assign(area_mm2=np.nan), lesions=tables.lesions)
    assert set(lesion_sizes(store, dataset, unknown, rows, preprocessing)) == {""}
    # A malignant image whose annotated lesions are all benign has none that gives it its label.
    benign = SimpleNamespace(images=images, lesions=tables.lesions.assign(pathology="BENIGN"))
    malignant = rows.assign(label=1)
    assert set(lesion_sizes(store, dataset, benign, malignant, preprocessing)) == {"none annotated"}
    assert isinstance(sizes, pd.Series)
