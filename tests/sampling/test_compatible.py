"""The original's choices, against what it recorded and against its rules."""

import json
from dataclasses import replace

import numpy as np
import pytest
from pydantic import ValidationError

from mammo_core.datasets import ImageRecord, LesionMask
from mammo_core.sampling import SamplingConfig, sample_view
from mammo_core.sampling.overlap import OverlapTable

# What the original was run with (centres of sampling.json: 4 of the lesion, 3 blobs, 3 drawn).
RECORDED = {
    "preset": "first-generation",
    "patch_size": 56,
    "lesion_patches": 4,
    "background_patches": 6,
    "hard_negatives": 3,
    "compatible": True,
}


@pytest.fixture(scope="module")
def golden(real_data):
    folder = real_data / "original_golden"
    return json.loads((folder / "sampling.json").read_text()), np.load(folder / "sampling.npz")


def _record(arrays, number):
    image = arrays[f"sp_img_{number}"].astype(np.uint16)
    lesion = LesionMask("x", arrays[f"sp_mask_{number}"] > 0)
    return ImageRecord(f"{number:064}", image, (lesion,), *image.shape)


def _centres(view, kind):
    """As the original tells them: (x, y) of the image padded by half a patch."""
    return [[p.column + 28, p.row + 28] for p in view.patches if p.kind == kind]


@pytest.mark.real
@pytest.mark.parametrize("number", range(4))
def test_centres_and_pixels_are_the_recorded_ones(golden, number):
    facts, arrays = golden
    told = facts[f"sp_{number}"]["centers"]
    view = sample_view(_record(arrays, number), SamplingConfig(**RECORDED), 99)
    assert view.failures == ()
    assert _centres(view, "lesion") == told["abn"]
    assert _centres(view, "background") == told["bkg"]
    stored = {name: arrays[name] for name in arrays if name.startswith(f"sp_{number}__")}
    for patch in view.patches:
        if patch.kind == "hard_negative":
            continue
        index = int(patch.patch_id[-4:])  # random background counts on after the blobs
        assert patch.kind != "background" or index >= 3
        (name,) = (
            name
            for name in stored
            if name.endswith(f"_{index:04d}.png")
            and ("background" in name) == (patch.kind == "background")
        )
        assert np.array_equal(patch.pixels, stored[name])


@pytest.mark.real
@pytest.mark.parametrize("number", [0, 1, 3])
def test_blobs_are_the_recorded_ones(golden, number):
    """Of image 2 the detector of this OpenCV finds others (the original ran on OpenCV 3.4)."""
    facts, arrays = golden
    view = sample_view(_record(arrays, number), SamplingConfig(**RECORDED), 99)
    assert _centres(view, "hard_negative") == facts[f"sp_{number}"]["centers"]["blob"]


@pytest.mark.real
@pytest.mark.parametrize("number", range(4))
def test_a_single_patch_is_the_recorded_centroid(golden, number):
    facts, arrays = golden
    config = SamplingConfig(preset="S1", patch_size=56, background_patches=0, compatible=True)
    (patch,) = sample_view(_record(arrays, number), config, 1).patches
    expected = f"centroid= ({patch.column + 28}, {patch.row + 28})"
    assert facts[f"sp_{number}"]["centroid"][0] == expected


def _view(lesions, shape=(240, 180)):
    rows, columns = np.ogrid[: shape[0], : shape[1]]
    pixels = np.random.default_rng(0).integers(9000, 30000, shape).astype(np.uint16)
    pixels[:, 120:] = 0
    masks = tuple(
        LesionMask(f"lesion_{n}", (rows - r) ** 2 + (columns - c) ** 2 <= radius**2)
        for n, (r, c, radius) in enumerate(lesions)
    )
    return ImageRecord("a" * 64, pixels, masks, *shape)


def _config(**numbers):
    return SamplingConfig(**{"patch_size": 32, "compatible": True, **numbers})


def test_every_lesion_draws_anew_and_background_sees_the_first_alone():
    record = _view([(60, 60, 9), (160, 80, 30)])
    view = sample_view(record, _config(background_patches=200), 1)
    background = np.array([(p.row, p.column) for p in view.patches if p.kind == "background"])
    assert len(background) == 200
    tables = [OverlapTable(lesion.mask, 32) for lesion in record.lesions]
    assert tables[0].share(background).max() <= 0.35 < tables[1].share(background).max()
    alone = sample_view(replace(record, lesions=record.lesions[1:]), _config(), 1)
    of_second = [
        [(p.row, p.column) for p in found.patches if p.lesion_id == "lesion_1"]
        for found in (view, alone)
    ]
    assert of_second[0] == of_second[1] and len(of_second[0]) == 10
    # Where the centres of two alike boxes differ by the boxes' place alone.
    twins = sample_view(_view([(60, 60, 9), (160, 80, 9)]), _config(), 1)
    places = [
        [(p.row, p.column) for p in twins.patches if p.lesion_id == name]
        for name in ("lesion_0", "lesion_1")
    ]
    assert [(r + 100, c + 20) for r, c in places[0]] == places[1]


def test_black_background_is_taken():
    view = sample_view(_view([(60, 60, 9)]), _config(background_patches=100), 1)
    assert any(not p.pixels.any() for p in view.patches if p.kind == "background")


def test_the_seed_and_what_the_original_lacks_do_nothing():
    record = _view([(60, 60, 9)])
    one = sample_view(record, _config(), 1)
    two = sample_view(record, _config(near_lesion=5, breast_share=1.0), 2)
    assert [p.to_bytes() for p in one.patches] == [p.to_bytes() for p in two.patches]


def test_the_thousandth_draw_is_tested_against_the_lower_cutoff():
    record = _view([])
    mask = np.zeros(record.pixels.shape, bool)
    mask[20:220, 40:44] = True  # 800 pixels, of which a patch covers at most 128: 0.16
    record = replace(record, lesions=(LesionMask("long", mask),))
    view = sample_view(record, _config(background_patches=0), 1)
    # 0.9 - 15 x 0.05, summed as the original sums.
    cutoff = 0.9
    for _ in range(15):
        cutoff -= 0.05
    assert {p.cutoff for p in view.patches} == {cutoff} and len(view.patches) == 10


def test_a_lesion_that_would_have_ended_the_run_is_told():
    record = _view([])
    mask = np.zeros(record.pixels.shape, bool)
    mask[::12, ::12] = True  # of these dots a patch of 8 x 8 holds one: 1 / 64
    record = replace(record, lesions=(LesionMask("dots", mask),))
    view = sample_view(record, _config(patch_size=8, lesion_overlap=0.05), 1)
    assert [item for item, _ in view.failures] == ["dots"]
    assert "ended its run" in view.failures[0][1]


def test_an_image_without_lesion_gives_nothing():
    assert sample_view(_view([]), _config(), 1).patches == ()


def test_a_lesion_that_leaves_no_room_is_told():
    record = _view([(120, 90, 200)])
    view = sample_view(record, _config(background_patches=2, background_overlap=0.0), 1)
    assert view.failures == (("a" * 64, "0 of 2 background patches found"),)


def test_an_odd_side_is_refused():
    with pytest.raises(ValidationError, match="even patch_size"):
        SamplingConfig(patch_size=57, compatible=True)
