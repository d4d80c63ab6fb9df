"""The small network of the leak laboratory: its crops, what it learns, and what it remembers."""

import numpy as np
import pandas as pd
import pytest

from mammo_core.datasets import ImageRecord
from mammo_core.datasets.records import LesionMask
from mammo_core.experiments.leak_network import SIDE, lesion_crop, re_encode, train_and_score
from mammo_core.experiments.leaks import DUPLICATES, HONEST, arrange
from mammo_core.metrics import auc
from mammo_core.phantom import PhantomConfig, draw_view, plan_views


def record(pixels, *lesions):
    masks = tuple(LesionMask(f"lesion-{at}", mask) for at, mask in enumerate(lesions))
    return ImageRecord("id", pixels, masks, *pixels.shape)


def mask(rows, columns, shape=(288, 224)):
    values = np.zeros(shape, bool)
    values[rows, columns] = True
    return values


def test_a_crop_shows_the_largest_lesion_in_its_middle():
    pixels = np.zeros((288, 224), np.uint16)
    pixels[99:102, 49:52] = 65535
    large = mask(slice(90, 111), slice(40, 61))
    crop = lesion_crop(record(pixels, mask(slice(200, 204), slice(100, 104)), large), "LEFT")
    assert crop.shape == (SIDE, SIDE) and crop.dtype == np.float32
    assert [int(np.median(at)) for at in np.nonzero(crop == 1)] == [SIDE // 2, SIDE // 2]


def test_a_crop_at_the_border_is_black_beyond_it():
    pixels = np.full((288, 224), 65535, np.uint16)
    crop = lesion_crop(record(pixels, mask(slice(0, 9), slice(0, 9))), "LEFT")
    assert (crop[:27] == 0).all() and (crop[:, :27] == 0).all() and (crop[29:, 29:] == 1).all()


def test_a_right_breast_is_mirrored_and_an_image_without_a_lesion_has_no_crop():
    pixels = np.tile(np.linspace(0, 65535, 224).astype(np.uint16), (288, 1))
    lesion = mask(slice(100, 121), slice(100, 121))
    left, right = (lesion_crop(record(pixels, lesion), side) for side in ("LEFT", "RIGHT"))
    np.testing.assert_array_equal(left, right[:, ::-1])
    assert lesion_crop(record(pixels), "LEFT") is None
    assert lesion_crop(record(pixels, mask(slice(0, 0), slice(0, 0))), "LEFT") is None


def test_a_larger_image_gives_a_crop_of_the_same_size():
    pixels = np.zeros((576, 448), np.uint16)
    lesion = mask(slice(200, 241), slice(200, 241), pixels.shape)
    pixels[lesion] = 65535
    crop = lesion_crop(record(pixels, lesion), "LEFT")
    assert crop.shape == (SIDE, SIDE)
    # 41 pixels of a square of 128.
    assert np.sqrt((crop > 0.5).sum()) == pytest.approx(41 / 2, abs=1)


def test_a_copy_is_nearly_its_image_and_always_the_same():
    image = np.linspace(0, 1, 48, dtype=np.float32).reshape(8, 6)
    copy = re_encode(image, "a")
    assert 0 < np.abs(copy - image).max() < 0.06
    assert np.array_equal(copy, re_encode(image, "a"))


@pytest.fixture(scope="module")
def phantom():
    """Crops of 120 patients of an easy phantom, and their table."""
    config = PhantomConfig(patients=120, seed=2, height=288, width=224, difficulty=0.4)
    rows, crops = [], {}
    for plan in plan_views(config):
        drawn = draw_view(config, plan)
        lesions = [lesion > 0 for lesion in drawn.masks]
        crops[plan.view_id] = lesion_crop(record(drawn.pixels, *lesions), plan.laterality)
        rows.append(
            {
                "image_id": plan.view_id,
                "patient_key": plan.patient_key,
                "laterality": plan.laterality,
                "malignant": int(plan.malignant),
                "lesion_types": "+".join(lesion.lesion_type for lesion in plan.lesions),
                "official_splits": "",
            }
        )
    return pd.DataFrame(rows), crops


def test_the_network_learns_lesions_and_remembers_images(phantom):
    """Honestly it knows new lesions; and with copies of test images it knows those by heart."""
    table, crops = phantom
    labels = dict(table[["image_id", "malignant"]].itertuples(index=False, name=None))
    arranged = arrange(table, 5)
    copied = sorted(arranged[DUPLICATES].copies.values())
    values, on_copied = {}, {}
    for name in (HONEST, DUPLICATES):
        scores = train_and_score(arranged[name], crops, labels, 0, epochs=24)
        assert list(scores) == list(arranged[name].test)
        ids = list(scores)
        values[name] = auc([labels[id] for id in ids], [scores[id] for id in ids])
        on_copied[name] = auc([labels[id] for id in copied], [scores[id] for id in copied])
    print(values, on_copied)
    assert values[HONEST] >= 0.7
    assert on_copied[DUPLICATES] >= on_copied[HONEST] + 0.05
